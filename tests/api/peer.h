/* SPDX-License-Identifier: MIT
 *
 * The other ends of a server's clients. Whatever they do fails the running test when it does not succeed
 * within PATIENCE.
 */
#ifndef PEER_H
#define PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mtserver.h>

/*
 * Connects to the server's index-th address: a blocking socket whose calls fail after PATIENCE, and that
 * sends each piece at once.
 */
int peer_connect(const mts_server *server, size_t index);
/* The same in two steps, for when no descriptor can be had any more; to 127.0.0.1 only. */
int peer_socket(void);
void peer_connect_socket(int peer, const mts_server *server);
bool peer_try_connect(int peer, const mts_server *server); /* false: refused */

/* The same from 127.0.0.`host`, all of which are this machine. */
int peer_connect_from(const mts_server *server, unsigned char host);

/* The same with small kernel buffers, from the beginning. */
int peer_connect_small(const mts_server *server);

void peer_send(int peer, const void *data, size_t size);
void peer_puts(int peer, const char *text);

/* Receives exactly these bytes; the end of the stream; the end or a reset. */
void peer_expect(int peer, const void *data, size_t size);
void peer_expect_text(int peer, const char *text);
void peer_expect_end(int peer);
void peer_expect_gone(int peer);
size_t peer_expect_torn(int peer); /* whatever, then a reset: how much before it */
void peer_finish(int peer); /* no more from this side */
void peer_reset(int peer); /* closes with a reset instead of an end of stream */

/* Sends it, and receives it back; a peer that comes, does so once, and goes. */
void peer_ask(int peer, const char *text);
void peer_visit(const mts_server *server, size_t index);

/* A stream whose every byte follows from its position, so that what arrives can be checked. */
void pattern_fill(void *bytes, size_t size, uint64_t position);
void peer_expect_pattern(int peer, size_t size, uint64_t position);

/* Small kernel buffers, so that a reader who does not read is felt soon. */
void small_buffers(int fd);

#endif
