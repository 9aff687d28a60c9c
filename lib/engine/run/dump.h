/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_RUN_DUMP_H
#define MTSI_ENGINE_RUN_DUMP_H

struct mts_server;

/*
 * Writes the state of a server to a descriptor. This is for a debugger that has stopped all threads
 * (doc/HACKING.md), so it takes no lock and no memory, and changes nothing. It is bounded: it names
 * at most so many threads and clients one by one, and counts them all.
 */
enum { MTSI_DUMP_NAMED = 32 };
void mtsi_dump(struct mts_server *server, int fd);

/*
 * In debug builds, an mtsi_must() that fails does so for each server of the process, up to four. A
 * server is one of these from enlist to strike.
 */
#ifdef MTSI_DEBUG
void mtsi_dump_enlist(struct mts_server *server);
void mtsi_dump_strike(struct mts_server *server);
#else
#define mtsi_dump_enlist(server) ((void)0)
#define mtsi_dump_strike(server) ((void)0)
#endif

#endif
