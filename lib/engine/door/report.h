/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_DOOR_REPORT_H
#define MTSI_ENGINE_DOOR_REPORT_H

#include <stddef.h>

#include "wire/address.h"

struct mts_server;

/* Who of a batch was not let in. All 0 at first. */
struct mtsi_report {
	size_t refused; /* for want of room */
	struct mtsi_peer last_refused; /* the last of them, and why */
	int why; /* -EUSERS: too many from its address; -ENOMEM; -EBUSY: too many in all */
	size_t denied; /* since they may not connect */
	struct mtsi_peer last_denied;
	size_t strangers; /* since they are no proxies that are trusted */
	struct mtsi_peer last_stranger;
};

/* Takes note of one. */
void mtsi_report_refused(struct mtsi_report *report, const struct mtsi_peer *peer, int why);
void mtsi_report_denied(struct mtsi_report *report, const struct mtsi_peer *peer);
void mtsi_report_stranger(struct mtsi_report *report, const struct mtsi_peer *peer);

/* Tells the log, if there are any, once for all of a kind. */
void mtsi_report(struct mts_server *server, const struct mtsi_report *report);

#endif
