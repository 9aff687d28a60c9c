/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_CONNECTED_H
#define MTSI_OS_CONNECTED_H

#include <sys/socket.h>

/* A connected socket that somebody else has made: its peer, and how it was before it was taken. */
struct mtsi_connected {
	struct sockaddr_storage peer;
	socklen_t size; /* of the address */
	int status; /* flags of the open file, */
	int flags; /* of the descriptor, */
	int delays; /* and options: TCP_NODELAY, */
	int urgent; /* SO_OOBINLINE */
	int alive; /* SO_KEEPALIVE, */
	int times[3]; /* and those of keepalive; -1 where the socket does not know them */
};

/*
 * Makes it like one that was accepted, with SO_KEEPALIVE if `keepalive` seconds are not 0: 0;
 * -EINVAL, it is no stream; -ENOTCONN; or another negative errno value, and it is as before.
 */
int mtsi_connected_take(int fd, unsigned keepalive, struct mtsi_connected *connected);

/* Makes it as it was before that. */
void mtsi_connected_give_back(int fd, const struct mtsi_connected *connected);

#endif
