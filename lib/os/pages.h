/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_PAGES_H
#define MTSI_OS_PAGES_H

#include <stddef.h>

/*
 * Zeroed memory in pages of its own: pages that are never touched cost nothing. NULL: there is
 * none.
 */
void *mtsi_pages_take(size_t size);

/* Gives the memory back; `size` as it was taken. */
void mtsi_pages_give(void *pages, size_t size);

#endif
