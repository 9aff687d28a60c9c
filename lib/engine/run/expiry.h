/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_RUN_EXPIRY_H
#define MTSI_ENGINE_RUN_EXPIRY_H

#include <stdint.h>

struct mts_server;

/* Ends the waits that have lasted too long; returns when to call it again. The keeper. */
uint64_t mtsi_expiry(struct mts_server *server, uint64_t now);

#endif
