/* SPDX-License-Identifier: MIT
 *
 * What comes before a client is opened: a PROXY header, on listeners that have been told so.
 *
 * It is received like the beginning of a request, into the worker's buffers, saved and charged when
 * the client is parked, and bounded by a deadline of its own, which begins with accept and does not
 * begin anew with each byte. So no thread waits for it on demand; per client the client's own does,
 * as it does for requests. What has come behind the header stays in the input: it is the beginning
 * of the stream.
 *
 * Nobody else knows of the client until then, since no hook was called; so when it ends here, nothing
 * is owed to anybody. A stop takes the header if it is in the socket, and what has come behind it is
 * served, as for all clients; otherwise the client ends at once. Nothing was sent, so nothing can be
 * lost, and the socket is closed in order, without lingering; where something is left unread, the
 * kernel makes that a reset by itself. A reset in any case would be no clearer, as the peer is a
 * proxy, which has to give up its connection either way, and says so in its log.
 *
 * A header that is here when its time is up counts as having come in time, like a request. But not
 * once the keeper has ended the wait, after its last look into the socket (engine/run/expiry.c): then
 * the client could not go on.
 *
 * Words of refusal are sent only once the header was whole and believed: not where memory was short for it.
 *
 * A peer that leaves without having sent a byte is no error: many things that connect do just that,
 * to see whether anybody is there. Nothing is counted or logged then.
 */
#include "engine/serve/header.h"

#include <errno.h>
#include <stdbool.h>

#include "engine/base/counters.h"
#include "engine/base/log.h"
#include "engine/client/client.h"
#include "engine/client/via.h"
#include "engine/client/wait.h"
#include "engine/door/proxied.h"
#include "engine/door/refusal.h"
#include "engine/door/report.h"
#include "engine/serve/ending.h"
#include "engine/serve/fill.h"
#include "engine/serve/input.h"
#include "engine/serve/receive.h"
#include "engine/serve/worker.h"
#include "wire/proxy.h"

/* Receives until the header is whole: 1; 0 at the end of the stream; or an error. */
static int receive_header(struct mtsi_worker *worker, struct mtsi_proxy *header)
{
	const struct mtsi_input *input = &worker->input;
	int result;
	do {
		result = mtsi_proxy_parse(input->data + input->start, input->end - input->start, header);
		if (result != 0) {
			return result;
		}
		result = mtsi_fill_header(worker);
	} while (result > 0);
	return result;
}

/* Keeps what it says, and lets the client in: 0 or an error. */
static int accept_header(struct mtsi_worker *worker, const struct mtsi_proxy *header)
{
	struct mtsi_input *input = &worker->input;
	struct mts_client *client = worker->member.client;
	mtsi_receive_met(worker);
	if (worker->late || atomic_load(&client->lost)) {
		return -EPIPE;
	}
	int result = mtsi_via_keep(
		client, input->data + input->start + header->tlvs, header->tlvs_size);
	if (result == 0) {
		result = mtsi_proxied_introduce(client, header);
	}
	input->start += header->size;
	return result;
}

int mtsi_header_take(struct mtsi_worker *worker)
{
	const struct mtsi_input *input = &worker->input;
	struct mtsi_proxy header;
	int result = receive_header(worker, &header);
	if (result == -EAGAIN || result == -ENOSPC) {
		return result;
	}
	if (result == 1) {
		result = accept_header(worker, &header);
		if (result == 0) {
			worker->member.client->awaits_header = false;
			return 1;
		}
	} else if (result == 0) {
		result = input->start < input->end ? -ENODATA : -EPIPE;
	}
	worker->failed = result;
	return -EPIPE;
}

/* What is wrong with a header, for the log; NULL: nothing. */
static const char *complaint(int failed)
{
	switch (failed) {
	case -EPROTO:
		return "what it has sent is no PROXY header";
	case -EMSGSIZE:
		return "its PROXY header is longer than 4096 bytes";
	case -EBADMSG:
		return "the checksum of its PROXY header is wrong";
	case -ENODATA:
		return "its PROXY header ends in the middle";
	case -EPERM:
		return "its PROXY header is not trusted";
	default:
		return NULL;
	}
}

/* The client cannot come in, since there is no room for it: counted and logged, as at accept. */
static void report_refused(struct mtsi_worker *worker, const struct mts_client *client, int failed)
{
	struct mtsi_report report = {.refused = 0};
	if (failed == -EACCES) {
		mtsi_count(&worker->member.counters, MTS_STAT_DENIED, 1);
		mtsi_report_denied(&report, &client->peer);
	} else {
		mtsi_count(&worker->member.counters, MTS_STAT_REFUSED, 1);
		mtsi_report_refused(&report, &client->peer, failed);
	}
	mtsi_report(worker->member.server, &report);
}

static void report(struct mtsi_worker *worker, const struct mts_client *client, int failed)
{
	const char *what = complaint(failed);
	const bool late = atomic_load(&client->cause) == mtsi_wait_reason(MTSI_WAIT_HANDSHAKE);
	if (late || what != NULL) {
		mtsi_count(&worker->member.counters, MTS_STAT_PROXY_ERRORS, 1);
	}
	if (what != NULL) {
		mtsi_log_client(
			worker->member.server, MTSI_LOG_PROXY, client->id, &client->peer, "closed, %s", what);
	} else if (failed == -EACCES || failed == -EUSERS || failed == -ENOMEM) {
		report_refused(worker, client, failed);
	} else if (failed == -ECANCELED) {
		mtsi_count(&worker->member.counters, MTS_STAT_REFUSED, 1);
	}
}

void mtsi_header_end(struct mtsi_worker *worker, struct mts_client *client)
{
	const int failed = worker->failed;
	bool lingers = false;
	report(worker, client, failed);
	if (failed == -EUSERS) {
		lingers = mtsi_refusal_tell(client);
	} else {
		bool dropped;
		(void)mtsi_client_seal(client, false, &dropped);
	}
	mtsi_ending_unopened(worker, client, lingers);
}
