/* SPDX-License-Identifier: MIT
 *
 * What the log is told of connections that were not let in: for each batch how many, and the last of
 * them as an example. The log bounds how often (base/log.h).
 */
#include "engine/door/report.h"

#include <errno.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/door/address_book.h"
#include "engine/door/door.h"

void mtsi_report_refused(struct mtsi_report *report, const struct mtsi_peer *peer, int why)
{
	report->last_refused = *peer;
	report->why = why;
	report->refused++;
}

void mtsi_report_denied(struct mtsi_report *report, const struct mtsi_peer *peer)
{
	report->last_denied = *peer;
	report->denied++;
}

void mtsi_report_stranger(struct mtsi_report *report, const struct mtsi_peer *peer)
{
	report->last_stranger = *peer;
	report->strangers++;
}

static void tell_refused(struct mts_server *server, const struct mtsi_report *report)
{
	char who[MTSI_ADDRESS_TEXT] = "";
	(void)mtsi_peer_format(&report->last_refused, who, sizeof(who));
	switch (report->why) {
	case -EUSERS:
		mtsi_log(server, MTSI_LOG_REFUSED,
			"refused %zu connections, the last from %s: no more than %zu clients of one address",
			report->refused, who, mtsi_address_book_limit(server));
		break;
	case -EBUSY:
		mtsi_log(server, MTSI_LOG_REFUSED,
			"refused %zu connections, the last from %s: no more than %zu clients", report->refused,
			who, mtsi_door_max_clients(server));
		break;
	default:
		mtsi_log(server, MTSI_LOG_REFUSED, "refused %zu connections, the last from %s: %s",
			report->refused, who, strerror(-report->why));
	}
}

static void tell_denied(struct mts_server *server, const struct mtsi_report *report)
{
	char who[MTSI_ADDRESS_TEXT] = "";
	(void)mtsi_peer_format(&report->last_denied, who, sizeof(who));
	mtsi_log(server, MTSI_LOG_DENIED,
		"denied %zu connections, the last from %s: its network may not connect", report->denied,
		who[0] != '\0' ? who : "an unknown address");
}

static void tell_strangers(struct mts_server *server, const struct mtsi_report *report)
{
	char who[MTSI_ADDRESS_TEXT] = "";
	(void)mtsi_peer_format(&report->last_stranger, who, sizeof(who));
	mtsi_log(server, MTSI_LOG_PROXY,
		"closed %zu connections, the last from %s: it is no proxy that is trusted",
		report->strangers, who[0] != '\0' ? who : "an unknown address");
}

void mtsi_report(struct mts_server *server, const struct mtsi_report *report)
{
	if (report->refused > 0) {
		tell_refused(server, report);
	}
	if (report->denied > 0) {
		tell_denied(server, report);
	}
	if (report->strangers > 0) {
		tell_strangers(server, report);
	}
}
