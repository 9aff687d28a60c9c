/* SPDX-License-Identifier: MIT
 *
 * What callbacks may do with their client. They run on the worker that serves it, and use that
 * worker's buffers, so nothing here takes a lock by itself. Outside of callbacks a client has no
 * worker, and a call that needs one is refused.
 */
#include <mtserver/client.h>
#include <mtserver/later.h>
#include <mtserver/reading.h>

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/failure.h"
#include "engine/base/floor.h"
#include "engine/client/client.h"
#include "engine/client/conn.h"
#include "engine/client/timeouts.h"
#include "engine/serve/fault.h"
#include "engine/serve/file.h"
#include "engine/serve/framer.h"
#include "engine/serve/later.h"
#include "engine/serve/mailbox.h"
#include "engine/serve/output.h"
#include "engine/serve/relay.h"
#include "engine/serve/request.h"
#include "engine/serve/unread.h"
#include "engine/serve/worker.h"
#include "os/bind.h"
#include "os/home.h"
#include "wire/address.h"

enum { USUAL_TEXT = 1024 };

/*
 * Why a call is refused: -ECHILD in another process, or -EPIPE when no worker serves the client;
 * else 0.
 */
static int refusal(const mts_client *client)
{
	if (mtsi_foreign(client->server)) {
		return -ECHILD;
	}
	return client->worker == NULL ? -EPIPE : 0;
}

/* The same for all but writes and getters: not while its last word is written. */
static int refusal_but_to_write(const mts_client *client)
{
	const int result = refusal(client);
	return result == 0 && client->worker->tells ? -EPIPE : result;
}

/*
 * Every request comes through the callers, so they are short: all unusual cases are here, not
 * inlined.
 */
__attribute__((noinline)) static int write_unless_refused(
	mts_client *client, const void *data, size_t size)
{
	const int result = refusal(client);
	return result != 0 ? result : mtsi_output_write(client->worker, data, size);
}

int mts_client_write(mts_client *client, const void *data, size_t size)
{
	if (client == NULL || (data == NULL && size > 0)) {
		return -EINVAL;
	}
	if (!mtsi_home_is_first()) {
		return write_unless_refused(client, data, size);
	}
	return client->worker == NULL ? -EPIPE : mtsi_output_write(client->worker, data, size);
}

int mts_client_try_write(mts_client *client, const void *data, size_t size)
{
	if (client == NULL || (data == NULL && size > 0)) {
		return -EINVAL;
	}
	int result = refusal(client);
	if (result == 0) {
		result = mtsi_output_gather(client->worker, data, size);
	}
	return result == -ENOBUFS ? mtsi_mailbox_try(client->worker, data, size) : result;
}

int mts_client_puts(mts_client *client, const char *text)
{
	return text == NULL ? -EINVAL : mts_client_write(client, text, strlen(text));
}

/* Writes text that was too long for the usual buffer. */
MTS_PRINTF(3, 0)
static int write_long(mts_client *client, size_t size, const char *format, va_list arguments)
{
	char *text = malloc(size + 1);
	if (text == NULL) {
		return -ENOMEM;
	}
	(void)vsnprintf(text, size + 1, format, arguments);
	const int result = mts_client_write(client, text, size);
	free(text);
	return result;
}

int mts_client_printf(mts_client *client, const char *format, ...)
{
	char text[USUAL_TEXT];
	va_list arguments;
	if (client == NULL || format == NULL) {
		return -EINVAL;
	}
	errno = 0;
	va_start(arguments, format);
	const int size = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (size < 0) {
		return errno == EOVERFLOW || errno == ENOMEM ? -errno : -EINVAL;
	}
	if ((size_t)size < sizeof(text)) {
		return mts_client_write(client, text, (size_t)size);
	}
	va_start(arguments, format);
	const int result = write_long(client, (size_t)size, format, arguments);
	va_end(arguments);
	return result;
}

/* What a callback has written goes out, before it waits for the client: 0 or an error. */
static int flush_to_read(mts_client *client)
{
	const int result = refusal_but_to_write(client);
	return result != 0 ? result : mtsi_output_flush(client->worker, true);
}

int mts_client_flush(mts_client *client)
{
	if (client == NULL) {
		return -EINVAL;
	}
	const int result = refusal(client);
	if (result != 0) {
		return result;
	}
	if (mtsi_fault_is_silent(client->worker)) {
		return atomic_load(&client->lost) ? -EPIPE : 0;
	}
	return mtsi_output_flush(client->worker, true);
}

int mts_client_shutdown(mts_client *client)
{
	if (client == NULL) {
		return -EINVAL;
	}
	const int result = refusal_but_to_write(client);
	return result != 0 ? result : mtsi_output_shut(client->worker);
}

ssize_t mts_client_sendfile(mts_client *client, int fd, int64_t offset, size_t count)
{
	if (client == NULL || offset < 0 || count > SSIZE_MAX || INT64_MAX - (int64_t)count < offset) {
		return -EINVAL;
	}
	const int result = refusal(client);
	return result != 0 ? result : mtsi_file_send(client->worker, fd, offset, count);
}

int mts_client_next(mts_client *client, const void **request, size_t *size)
{
	if (client == NULL || request == NULL || size == NULL) {
		return -EINVAL;
	}
	*request = NULL;
	*size = 0;
	const int result = flush_to_read(client);
	return result != 0 ? result : mtsi_request_await(client->worker, request, size);
}

ssize_t mts_client_read(mts_client *client, void *buffer, size_t size)
{
	if (client == NULL || buffer == NULL || size == 0) {
		return -EINVAL;
	}
	const int result = flush_to_read(client);
	return result != 0 ? result : mtsi_request_read(client->worker, buffer, size);
}

ssize_t mts_client_read_exact(mts_client *client, void *buffer, size_t size)
{
	if (client == NULL || buffer == NULL || size == 0 || size > SSIZE_MAX) {
		return -EINVAL;
	}
	const int result = flush_to_read(client);
	return result != 0 ? result : mtsi_request_read_exact(client->worker, buffer, size);
}

int mts_client_read_line(mts_client *client, const void **line, size_t *size)
{
	if (client == NULL || line == NULL || size == NULL) {
		return -EINVAL;
	}
	*line = NULL;
	*size = 0;
	const int result = flush_to_read(client);
	return result != 0 ? result : mtsi_request_line(client->worker, line, size);
}

int mts_client_unread(mts_client *client, const void *data, size_t size)
{
	if (client == NULL || (data == NULL && size > 0)) {
		return -EINVAL;
	}
	const int result = refusal_but_to_write(client);
	return result != 0 ? result : mtsi_unread(client->worker, data, size);
}

ssize_t mts_client_pending(const mts_client *client)
{
	if (client == NULL) {
		return -EINVAL;
	}
	const int result = refusal(client);
	return result != 0 ? result : mtsi_unread_pending(client->worker);
}

int mts_client_relay(mts_client *client, int fd)
{
	if (client == NULL || fd < 0) {
		return -EINVAL;
	}
	const int result = refusal_but_to_write(client);
	return result != 0 ? result : mtsi_relay(client->worker, fd);
}

int64_t mts_client_defer(mts_client *client)
{
	if (client == NULL) {
		return -EINVAL;
	}
	const int result = refusal_but_to_write(client);
	return result != 0 ? result : mtsi_later_defer(client->worker);
}

mts_server *mts_client_server(const mts_client *client)
{
	return client == NULL ? NULL : client->server;
}

/* The worker on whose thread a callback of the client runs, or the framer. NULL: there is none. */
static struct mtsi_worker *worker_of(const mts_client *client)
{
	if (client == NULL || client->worker != NULL) {
		return client == NULL ? NULL : client->worker;
	}
	return mtsi_framer_worker(client);
}

const char *mts_client_peer(mts_client *client)
{
	struct mtsi_worker *worker = worker_of(client);
	if (worker == NULL) {
		return "";
	}
	if (!worker->has_peer) {
		worker->peer[0] = '\0';
		(void)mtsi_peer_format(&client->peer, worker->peer, MTSI_ADDRESS_SPACE);
		worker->has_peer = true;
	}
	return worker->peer;
}

const char *mts_client_local(mts_client *client)
{
	struct mtsi_worker *worker = worker_of(client);
	if (worker == NULL) {
		return "";
	}
	if (!worker->has_local) {
		struct mtsi_target bound;
		struct mtsi_peer local;
		worker->local[0] = '\0';
		if (mtsi_bound_address(client->fd, &bound) == 0) {
			mtsi_peer_from(&local, (const struct sockaddr *)&bound.address, bound.size);
			(void)mtsi_peer_format(&local, worker->local, MTSI_ADDRESS_SPACE);
			worker->has_local = true;
		}
	}
	return worker->local;
}

int mts_client_peer_sockaddr(const mts_client *client, struct sockaddr *address, socklen_t *size)
{
	struct sockaddr_storage whole;
	if (client == NULL || address == NULL || size == NULL) {
		return -EINVAL;
	}
	const socklen_t needed = mtsi_peer_to(&client->peer, &whole);
	memcpy(address, &whole, needed < *size ? needed : *size);
	*size = needed;
	return 0;
}

int mts_client_listener(const mts_client *client)
{
	if (client == NULL) {
		return -EINVAL;
	}
	return client->listener == MTSI_NO_LISTENER ? -ENOENT : client->listener;
}

int mts_client_fd(const mts_client *client)
{
	if (client == NULL) {
		return -EINVAL;
	}
	/* Whatever the program does with the socket has to be reckoned with when it is closed. */
	((mts_client *)(uintptr_t)client)->shared = true;
	return client->fd;
}

void mts_client_set_data(mts_client *client, void *data)
{
	if (client != NULL) {
		client->data = data;
	}
}

void *mts_client_data(const mts_client *client)
{
	return client == NULL ? NULL : client->data;
}

uint64_t mts_client_id(const mts_client *client)
{
	return client == NULL ? 0 : client->id;
}

int mts_client_set_timeout(mts_client *client, int which, unsigned milliseconds)
{
	if (client == NULL || which < 0 || which > MTS_TIMEOUT_LATER || which == MTS_TIMEOUT_STOP) {
		return -EINVAL;
	}
	const int result = refusal(client);
	return result != 0 ? result : mtsi_timeout_set(client, (enum mts_timeout)which, milliseconds);
}

int mts_client_gone(mts_client *client)
{
	if (client == NULL) {
		return -EINVAL;
	}
	switch (atomic_load(&client->cause)) {
	case MTSI_NO_CAUSE:
		break;
	case MTS_CLOSED_STOP:
		return MTS_GONE_STOP;
	case MTS_CLOSED_KICKED:
	case MTS_CLOSED_EVICTED:
		return MTS_GONE_KICKED;
	case MTS_CLOSED_ERROR:
		return MTS_GONE_RESET; /* by mts_client_relay() */
	default:
		return MTS_GONE_DEADLINE;
	}
	if (client->worker != NULL && mtsi_request_overrun(client->worker)) {
		return MTS_GONE_DEADLINE;
	}
	const enum mtsi_socket_state state = mtsi_conn_state(client);
	if (atomic_load(&client->lost) || state == MTSI_SOCKET_DEAD) {
		return MTS_GONE_RESET;
	}
	/* Asked after the look at the socket: a close or a stop sets its flag first, then half-closes. */
	if (mtsi_client_finishes(client)) {
		return MTS_GONE_CLOSED;
	}
	if (mtsi_stopping(client->server)) {
		return MTS_GONE_STOP;
	}
	return state == MTSI_SOCKET_HALF_CLOSED ? MTS_GONE_EOF : 0;
}
