/* SPDX-License-Identifier: MIT
 *
 * Threads and limits: each value is checked where it is set, so that no absurd value reaches the
 * engine.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include <mtserver/limits.h>
#include <mtserver/threads.h>

#include "api/failure.h"
#include "engine/base/floor.h"
#include "engine/client/deadline.h"
#include "engine/client/memory.h"
#include "engine/crew/crew.h"
#include "engine/door/address_book.h"
#include "engine/door/door.h"
#include "engine/door/eviction.h"
#include "engine/door/floor.h"
#include "engine/door/listener.h"
#include "engine/door/refusal.h"
#include "engine/run/lifecycle.h"
#include "engine/run/server.h"
#include "os/bind.h"

enum {
	MOST_THREADS = 1000000,
	LEAST_STACK = 16 * 1024,
	MOST_BYTES = 1024 * 1024 * 1024,
	LEAST_MEMORY = 64 * 1024,
	MOST_CLIENTS = 16000000,
	MOST_DEFER = 3600,
	MOST_KEEPALIVE = 32767 /* tcp(7) */
};

int mts_server_set_threads(mts_server *server, int model)
{
	const int result = mtsi_configurable(server, "choose the thread model");
	if (result != 0) {
		return result;
	}
	if (model != MTS_THREAD_PER_CLIENT && model != MTS_THREAD_ON_DEMAND) {
		return mtsi_fail(server, -EINVAL, "%d is no thread model", model);
	}
	atomic_store(&mtsi_base_floor(server)->options.model, model);
	return 0;
}

int mts_server_set_stack_size(mts_server *server, size_t bytes)
{
	const int result = mtsi_configurable(server, "set the stack size");
	if (result != 0) {
		return result;
	}
	if (bytes < LEAST_STACK || bytes > MOST_BYTES) {
		return mtsi_fail(server, -EINVAL, "a stack of %zu bytes is not between %d and %d", bytes,
			LEAST_STACK, MOST_BYTES);
	}
	mtsi_base_floor(server)->options.stack_size = bytes;
	return 0;
}

/*
 * Live setters may be called by any thread at any time, so they leave a sentence only while the
 * server is being configured.
 */
static int refuse_live(mts_server *server, const char *what, size_t value)
{
	const int result = mtsi_usable(server);
	if (result != 0) {
		return result;
	}
	if (atomic_load(&server->lifecycle.state) == MTSI_LIFECYCLE_NEW) {
		return mtsi_fail(server, -EINVAL, "%zu is out of range for %s", value, what);
	}
	return -EINVAL;
}

int mts_server_set_max_threads(mts_server *server, unsigned threads)
{
	if (mtsi_usable(server) != 0 || threads > MOST_THREADS) {
		return refuse_live(server, "the number of threads", threads);
	}
	mtsi_crew_set_max_threads(server, threads);
	return 0;
}

int mts_server_set_max_clients(mts_server *server, size_t clients)
{
	if (mtsi_usable(server) != 0 || clients == 0 || clients > MOST_CLIENTS) {
		return refuse_live(server, "the number of clients", clients);
	}
	if (mtsi_door_set_max_clients(server, clients)) {
		/* To let clients in, or to evict more for them, is left to the library's threads. */
		mtsi_eviction_soon(server);
	}
	return 0;
}

int mts_server_set_max_clients_per_address(mts_server *server, size_t clients)
{
	if (mtsi_usable(server) != 0 || clients > MOST_CLIENTS) {
		return refuse_live(server, "the number of clients of an address", clients);
	}
	return mtsi_address_book_set_limit(server, clients);
}

int mts_server_set_overload(mts_server *server, int policy)
{
	const int result = mtsi_configurable(server, "choose what to do when full");
	if (result != 0) {
		return result;
	}
	if (policy < MTS_OVERLOAD_WAIT || policy > MTS_OVERLOAD_EVICT) {
		return mtsi_fail(server, -EINVAL, "%d is no overload policy", policy);
	}
	mtsi_base_floor(server)->options.overload = policy;
	return 0;
}

int mts_server_set_refusal(mts_server *server, const void *data, size_t size)
{
	if (mtsi_usable(server) != 0 || size > MTSI_MOST_REFUSAL || (data == NULL && size > 0)) {
		return refuse_live(server, "the bytes of a refusal", size);
	}
	mtsi_refusal_set(server, data, size);
	return 0;
}

int mts_server_set_max_output(mts_server *server, size_t bytes)
{
	if (mtsi_usable(server) != 0 || bytes == 0 || bytes > MOST_BYTES) {
		return refuse_live(server, "the output limit in bytes", bytes);
	}
	atomic_store(&mtsi_base_floor(server)->options.max_output, bytes);
	return 0;
}

int mts_server_set_max_memory(mts_server *server, size_t bytes)
{
	if (mtsi_usable(server) != 0 || bytes < LEAST_MEMORY || bytes > SIZE_MAX / 2) {
		return refuse_live(server, "the memory limit in bytes", bytes);
	}
	mtsi_memory_set_limit(server, bytes);
	return 0;
}

int mts_server_keep_paths(mts_server *server, int on)
{
	const int result = mtsi_usable(server);
	if (result == 0) {
		mtsi_listeners_keep_paths(server, on != 0);
	}
	return result;
}

/* For what has to be chosen before the first listen call: 0, or -EBUSY with a sentence, or an error. */
static int before_listen(mts_server *server, const char *what)
{
	const int result = mtsi_configurable(server, what);
	if (result == 0 && mtsi_door_floor(server)->listeners.count > 0) {
		return mtsi_fail(server, -EBUSY, "cannot %s: the server listens already", what);
	}
	return result;
}

int mts_server_set_drain(mts_server *server, unsigned milliseconds)
{
	const int result = mtsi_usable(server);
	if (result == 0) {
		atomic_store(&mtsi_base_floor(server)->options.drain, milliseconds);
	}
	return result;
}

int mts_server_set_backlog(mts_server *server, int connections)
{
	const int result = before_listen(server, "set the backlog");
	if (result != 0) {
		return result;
	}
	if (connections < 1) {
		return mtsi_fail(server, -EINVAL, "a backlog of %d connections is below 1", connections);
	}
	mtsi_base_floor(server)->options.backlog = connections;
	return 0;
}

int mts_server_set_reuse_port(mts_server *server, int on)
{
	const int result = before_listen(server, "share ports");
	if (result == 0) {
		mtsi_base_floor(server)->options.shares_port = on != 0;
	}
	return result;
}

int mts_server_set_defer_accept(mts_server *server, unsigned seconds)
{
	const int result = mtsi_configurable(server, "defer accept");
	if (result != 0) {
		return result;
	}
	if (seconds > MOST_DEFER) {
		return mtsi_fail(server, -EINVAL, "deferring accept for %u seconds is more than %d",
			seconds, MOST_DEFER);
	}
	if (seconds > 0 && !mtsi_can_defer_accept()) {
		return mtsi_fail(server, -ENOTSUP, "this system cannot defer accept");
	}
	mtsi_base_floor(server)->options.defer_accept = seconds;
	return 0;
}

int mts_server_set_keepalive(mts_server *server, unsigned seconds)
{
	const int result = mtsi_configurable(server, "set keepalive");
	if (result != 0) {
		return result;
	}
	if (seconds > MOST_KEEPALIVE) {
		return mtsi_fail(
			server, -EINVAL, "keepalive after %u seconds is more than %d", seconds, MOST_KEEPALIVE);
	}
	mtsi_base_floor(server)->options.keepalive = seconds;
	return 0;
}

int mts_server_set_timeout(mts_server *server, int which, unsigned milliseconds)
{
	if (mtsi_usable(server) != 0 || which < MTS_TIMEOUT_IDLE || which > MTS_TIMEOUT_HANDSHAKE) {
		return refuse_live(server, "a choice of timeout", (size_t)which);
	}
	struct mtsi_options *options = &mtsi_base_floor(server)->options;
	atomic_store(&options->timeouts[which], milliseconds);
	if (which == MTS_TIMEOUT_HANDLER && milliseconds != 0) {
		atomic_store(&options->handlers_timed, true);
	}
	mtsi_deadlines_changed(server);
	return 0;
}
