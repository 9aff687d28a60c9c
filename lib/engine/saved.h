/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SAVED_H
#define MTSI_ENGINE_SAVED_H

#include <stdint.h>

/*
 * Input of a client that no thread serves at the moment: the beginning of a request, or requests
 * that wait for their turn. Sizes are below 2 GiB, since requests are.
 */
struct mtsi_saved {
	char *data; /* NULL: nothing */
	uint32_t size;
	uint32_t capacity; /* without the byte behind it for a NUL */
	uint32_t scanned; /* what framing has searched already */
};

#endif
