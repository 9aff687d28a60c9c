/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CLIENT_WAIT_H
#define MTSI_ENGINE_CLIENT_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include <mtserver/hooks.h>

#include "engine/client/deadline.h"

struct mts_client;
struct mts_server;

/*
 * What the two halves of the deadlines share: deadline.c, which notes waits and puts them into the
 * heap, and expiry.c, which ends the clients that are overdue. The word `waits` in each client is
 * the time at which the wait began, a multiple of 512 ns, and in the bits below that:
 */
enum {
	MTSI_WORD_KIND = 7,
	MTSI_WORD_BLOCKED = 8,
	MTSI_WORD_EXPIRED = 16,
	MTSI_WORD_RECEIVES = MTSI_BLOCK_RECEIVE, /* what blocks is a receive */
	MTSI_WORD_LOOK = 64, /* counts looks into the socket after the deadline, */
	MTSI_WORD_LOOKS = 192, /* of which there may be so many: */
	MTSI_WORD_MOST_LOOKS = 3,
	MTSI_WORD_READS = MTSI_WAIT_READ & ~MTSI_WAIT_REQUEST, /* what is received is no request */
	MTSI_WORD_FLAGS = 511
};

static inline uint64_t mtsi_wait_since(uint64_t word)
{
	return word & ~(uint64_t)MTSI_WORD_FLAGS;
}

static inline enum mtsi_wait mtsi_wait_kind(uint64_t word)
{
	return (enum mtsi_wait)(word & MTSI_WORD_KIND);
}

/* Whether the client owes nothing but that it begins, with a request or what comes before the first. */
static inline bool mtsi_wait_is_idle(uint64_t word)
{
	const enum mtsi_wait kind = mtsi_wait_kind(word);
	const uint64_t no = MTSI_WORD_EXPIRED | MTSI_WORD_READS;
	return (kind == MTSI_WAIT_IDLE || kind == MTSI_WAIT_HANDSHAKE) && (word & no) == 0;
}

/* The reason for which a client ends when its wait of this kind has lasted too long. */
static inline int mtsi_wait_reason(enum mtsi_wait kind)
{
	if (kind == MTSI_WAIT_LATER) {
		return MTS_CLOSED_LATER_TIMEOUT;
	}
	return kind == MTSI_WAIT_IDLE ? MTS_CLOSED_IDLE : MTS_CLOSED_REQUEST_TIMEOUT;
}

/* The same for the log; so many milliseconds follow. */
static inline const char *mtsi_wait_text(enum mtsi_wait kind)
{
	if (kind == MTSI_WAIT_LATER) {
		return "its reply was deferred, and has not come within";
	}
	if (kind == MTSI_WAIT_HANDSHAKE) {
		return "its PROXY header has not come whole within";
	}
	return kind == MTSI_WAIT_IDLE ? "its time is up, it has been idle for"
								  : "its request has not come whole within";
}

/* When the wait that the client's word tells of is overdue; MTSI_NEVER: never, or that was noted already. */
uint64_t mtsi_deadline_of_wait(const struct mts_client *client, uint64_t word);

/* When a client's output will have made no progress for too long; MTSI_NEVER: no output waits. */
uint64_t mtsi_deadline_of_output(const struct mts_client *client);

/*
 * Sees to it that the keeper looks at the client by `due`, and so for any later wait of this kind.
 */
void mtsi_deadline_arm(struct mts_client *client, uint64_t due, enum mtsi_wait kind);

/*
 * The peer has just made progress: from now on it takes nothing, as far as is known. Under the
 * client's lock.
 */
void mtsi_deadline_progress_locked(struct mts_client *client, uint64_t now);

/* Computes anew when the client is to be looked at, whatever it was before. */
void mtsi_deadline_reckon(struct mts_client *client);

/* The next client whose time seems to be up, taken out of the heap; NULL: there is none. The keeper. */
struct mts_client *mtsi_deadline_next_overdue(struct mts_server *server, uint64_t now);

/* When the keeper has to look next; MTSI_NEVER: not at all. */
uint64_t mtsi_deadline_planned(struct mts_server *server);

#endif
