/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_SERVE_RELAY_H
#define MTSI_ENGINE_SERVE_RELAY_H

struct mtsi_worker;

/*
 * Carries bytes both ways between the client and the program's own socket, until both sides have
 * ended; returns what mts_client_relay() does. The worker, with no lock held.
 */
int mtsi_relay(struct mtsi_worker *worker, int fd);

#endif
