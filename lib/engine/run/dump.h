/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_RUN_DUMP_H
#define MTSI_ENGINE_RUN_DUMP_H

struct mts_server;

/*
 * Writes how a server stands to a descriptor: for a debugger that has stopped all threads
 * (doc/HACKING.md), so it takes no lock and no memory, and changes nothing. It is bounded: so many
 * threads and clients at most are named one by one, and all are counted.
 */
enum { MTSI_DUMP_NAMED = 32 };
void mtsi_dump(struct mts_server *server, int fd);

/*
 * In debug builds an mtsi_must() that fails does so for each server of the process, up to four of them.
 * From here to there a server is one.
 */
#ifdef MTSI_DEBUG
void mtsi_dump_enlist(struct mts_server *server);
void mtsi_dump_strike(struct mts_server *server);
#else
#define mtsi_dump_enlist(server) ((void)0)
#define mtsi_dump_strike(server) ((void)0)
#endif

#endif
