/* SPDX-License-Identifier: MIT
 *
 * A server behind a proxy, and proxies: its peers send a PROXY header first.
 */
#ifndef PROXIED_H
#define PROXIED_H

#include <stddef.h>

#include "support.h"

/* What its callbacks have seen. */
extern struct proxied {
	struct endings endings;
	struct gate opened; /* open hooks, which have agreed */
	struct gate complaints; /* messages in the log about headers */
} proxied;

void proxied_setup(void);

/*
 * A server of lines that answers each with where its client comes from: "LINE PEER VIA\n". It listens
 * on any port of 127.0.0.1, with this mode, and does not run yet.
 */
mts_server *proxied_server(int mode);
mts_server *proxied_start(int mode);

/* Trusts this network alone; NULL: nothing is said about that any more. */
void proxied_trust(mts_server *server, const char *network);

/* A proxy that has sent this text, a header perhaps. */
int proxied_connect(const mts_server *server, const char *text);

/* Sends a line, and expects that it comes from this peer; how it has come is not looked at. */
void proxied_ask(int peer, const char *line, const char *from);

/* A header of version 2: for whom, and with what; see proxied_header(). */
struct header {
	int command; /* 0: LOCAL, 1: PROXY */
	int family; /* 0x11 and so on */
	const void *addresses;
	size_t addresses_size;
	const void *tlvs;
	size_t tlvs_size;
};

/* Builds it: how many bytes it has. */
enum { HEADER_ROOM = 8192 };
size_t proxied_header(char out[HEADER_ROOM], const struct header *header);

/* One for 192.0.2.7:4660, with so many bytes of TLVs, 0 or at least 3: one of the type 234. */
size_t proxied_inet_header(char out[HEADER_ROOM], size_t tlvs_size);

/* A proxy that has sent a header of version 2. */
int proxied_connect_by(const mts_server *server, const struct header *header);

/* It is gone, and nobody was told of it; so many headers were wrong so far, and the log was told so. */
void proxied_expect_error(mts_server *server, int peer, uint64_t errors);

/* Ends the server, which has opened so many clients. */
void proxied_end(mts_server *server, int opened);

#endif
