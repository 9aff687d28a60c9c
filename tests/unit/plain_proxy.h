/*
 * A second reading of PROXY headers, to compare the library's with: written for plainness, by way
 * of what the C library knows about addresses, and without a care for bytes that are still to come.
 */
#ifndef PLAIN_PROXY_H
#define PLAIN_PROXY_H

#include "wire/proxy.h"

#include <stdint.h>

/*
 * As mtsi_proxy_parse(), but 0 says only that the header is not whole: it may have turned bad
 * already.
 */
int plain_proxy(const void *data, size_t size, struct mtsi_proxy *header);

/* mtsi_proxy_parse() of a block of exactly that size, so that tools see any access outside. */
int exact_proxy(const void *data, size_t size, struct mtsi_proxy *header);

/* Whether they say the same. */
bool same_proxy(const struct mtsi_proxy *a, const struct mtsi_proxy *b);

/* A CRC-32C, bit by bit. */
uint32_t plain_crc32c(const unsigned char *bytes, size_t size);

#endif
