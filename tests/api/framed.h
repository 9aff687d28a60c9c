/* SPDX-License-Identifier: MIT
 *
 * A server of some framing that tells what it took for requests.
 */
#ifndef FRAMED_H
#define FRAMED_H

#include "support.h"

/* Answers each request with its size, in a uint32_t, and its bytes. */
int framed_record(mts_client *client, const void *request, size_t size, void *user);

/* A server that does, and counts how its clients end. */
mts_server *framed_server(int (*choose)(mts_server *), struct endings *endings);

/* To choose: 4 bytes each; a length of 4 bytes in front, little-endian. */
int framed_fixed(mts_server *server);
int framed_prefixed(mts_server *server);

#endif
