/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_RUN_STATS_H
#define MTSI_ENGINE_RUN_STATS_H

#include <stdint.h>

struct mts_server;

/* Reads one number of the server: the sum. Any thread; takes the crew's lock. */
uint64_t mtsi_stats_read(struct mts_server *server, int which);

#endif
