/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_LISTENING_H
#define MTSI_OS_LISTENING_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Looks at a listening socket before something is accepted from it: accept(2) has no flag that says
 * it is not to wait, and whether it does lies with everybody who has that socket.
 */

/* Whether the kernel says how many connections wait at it: it does for TCP. */
bool mtsi_listening_counts(int fd);

/*
 * How many wait, where it says so; one, for all that is known, where a sandbox denies the question.
 */
size_t mtsi_listening_count(int fd);

/* Elsewhere: whether any waits. */
bool mtsi_listening_ready(int fd);

/* Has accept not wait at it: true when it would have, since somebody has made it so. */
bool mtsi_listening_unblock(int fd);

#endif
