/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_PAGES_H
#define MTSI_OS_PAGES_H

#include <stddef.h>

/*
 * Zeroed memory in pages of its own: what is never touched costs nothing. NULL when there is none.
 */
void *mtsi_pages_take(size_t size);

/* Gives it back; `size` as it was taken. */
void mtsi_pages_give(void *pages, size_t size);

#endif
