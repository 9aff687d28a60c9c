/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_LISTENING_H
#define MTSI_OS_LISTENING_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Looks at a listening socket before a connection is accepted from it. accept(2) has no flag that
 * says that it must not wait: this depends on the socket, and so on every process that has it.
 */

/* Whether the kernel says how many connections wait at it: it does for TCP. */
bool mtsi_listening_counts(int fd);

/* How many wait, if the kernel says so; 1 if a sandbox denies the question, since one may wait. */
size_t mtsi_listening_count(int fd);

/* For other sockets: whether any waits. */
bool mtsi_listening_ready(int fd);

/*
 * Makes the socket non-blocking again. True: it had been made blocking, so accept would have
 * waited.
 */
bool mtsi_listening_unblock(int fd);

#endif
