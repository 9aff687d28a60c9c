/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_CARRY_H
#define MTSI_ENGINE_SERVE_CARRY_H

#include <stdbool.h>
#include <stddef.h>

struct mtsi_worker;

/* One of the two ways of a relay: from the client to the other socket, or back. The owner's. */
struct mtsi_way {
	struct mtsi_worker *worker; /* serves the client, whose way out it has seized */
	int fd; /* the other socket */
	bool from_client;
	bool copies; /* through memory; else through the pipe */
	bool told; /* its source was found to have something */
	bool moved; /* something has happened since this was last cleared, */
	bool gave; /* and something has been given to its target */
	bool ended; /* its source has ended */
	bool done; /* and so its target was told */
	int pipe[2];
	size_t piped; /* bytes in the pipe */
	const char *data; /* bytes in memory, which go before these: */
	size_t left; /* so many */
};

/* Whether something has been taken that its target has not got yet. */
static inline bool mtsi_way_holds(const struct mtsi_way *way)
{
	return way->left > 0 || way->piped > 0;
}

/*
 * Carries until nothing can be moved without waiting, or for a while: 1: call again; 0: nothing can
 * be moved now; -EPIPE: the client is lost, or is to be; -ENOMEM; or an error of the other socket.
 */
int mtsi_carry(struct mtsi_way *way);

#endif
