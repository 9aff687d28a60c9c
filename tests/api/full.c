/* SPDX-License-Identifier: MIT
 *
 * Callbacks only count; the test's own thread judges.
 */
#include "full.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OUTPUT = 2 * FULL_POURED };

struct full full;

void full_setup(void)
{
	full.endings = (struct endings){.all = GATE};
	full.opened = (struct gate)GATE;
	full.entered = (struct gate)GATE;
	full.release = (struct gate)GATE;
	full.closing = (struct gate)GATE;
	full.refusals = (struct gate)GATE;
	full.slow_close = false;
	full.inside = 0;
	full.most_inside = 0;
}

static int open_hook(mts_client *client, void *user)
{
	const int now = ++full.inside;
	int most = full.most_inside;
	(void)user;
	small_buffers(mts_client_fd(client));
	while (now > most && !atomic_compare_exchange_weak(&full.most_inside, &most, now)) {
	}
	gate_add(&full.opened);
	return 0;
}

static void close_hook(mts_client *client, int reason, void *user)
{
	(void)user;
	gate_add(&full.closing);
	if (full.slow_close) {
		gate_wait(&full.release, gate_count(&full.closing));
	}
	full.inside--;
	endings_note(client, reason, &full.endings);
}

static void log_hook(int level, const char *message, void *user)
{
	(void)user;
	if (level == MTS_LOG_NOTICE && strncmp(message, "refused ", 8) == 0) {
		gate_add(&full.refusals);
	}
}

static void hold(void)
{
	gate_add(&full.entered);
	gate_wait(&full.release, gate_count(&full.entered));
}

static void pour(mts_client *client)
{
	static char piece[65536];
	for (size_t done = 0; done < FULL_POURED; done += sizeof(piece)) {
		if (mts_client_write(client, piece, sizeof(piece)) != 0) {
			break;
		}
	}
}

static void converse(mts_client *client)
{
	const void *request;
	size_t size;
	do {
		(void)mts_client_puts(client, "and then?\n");
	} while (mts_client_next(client, &request, &size) == 1);
}

static int handle(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	if (strcmp(request, "hold") == 0) {
		hold();
	} else if (strcmp(request, "pour") == 0) {
		pour(client);
		return MTS_KEEP;
	} else if (strcmp(request, "converse") == 0) {
		converse(client);
		return MTS_KEEP;
	} else if (strcmp(request, "close") == 0) {
		return MTS_CLOSE;
	}
	(void)mts_client_write(client, request, size);
	(void)mts_client_puts(client, "\n");
	return MTS_KEEP;
}

mts_server *full_server(int policy, size_t clients)
{
	mts_server *server = server_new(handle, NULL);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_on_open(server, open_hook, NULL), 0);
	ck_assert_int_eq(mts_server_on_close(server, close_hook, NULL), 0);
	ck_assert_int_eq(mts_server_on_log(server, log_hook, MTS_LOG_NOTICE, NULL), 0);
	ck_assert_int_eq(mts_server_set_overload(server, policy), 0);
	ck_assert_int_eq(mts_server_set_max_clients(server, clients), 0);
	ck_assert_int_eq(mts_server_set_max_output(server, OUTPUT), 0);
	return server;
}

mts_server *full_start(int policy, size_t clients)
{
	mts_server *server = full_server(policy, clients);
	server_start(server);
	return server;
}

void full_ask(int peer)
{
	peer_ask(peer, "hello\n");
}

/* A new client that has been served. */
int full_visit(mts_server *server)
{
	const int peer = peer_connect(server, 0);
	full_ask(peer);
	return peer;
}

/* Whether the peer gets an answer, or is gone. Neither takes long. */
bool full_try(int peer)
{
	char answer[6];
	size_t have = 0;
	if (send(peer, "hello\n", 6, MSG_NOSIGNAL) != 6) {
		return false;
	}
	while (have < sizeof(answer)) {
		const ssize_t count = recv(peer, answer + have, sizeof(answer) - have, 0);
		ck_assert(count >= 0 || errno == ECONNRESET || errno == EPIPE);
		if (count <= 0) {
			return false;
		}
		have += (size_t)count;
	}
	ck_assert_mem_eq(answer, "hello\n", 6);
	return true;
}

/*
 * Tries again until it gets in: a client that leaves still counts for a moment after its end is
 * seen.
 */
int full_get_in(mts_server *server)
{
	const uint64_t start = now_ms();
	for (;;) {
		const int peer = peer_connect(server, 0);
		if (full_try(peer)) {
			return peer;
		}
		close(peer);
		ck_assert_uint_lt(now_ms() - start, PATIENCE * 1000);
	}
}

/* At rest: clients that wait outside cost nothing. */
void full_patience(int count)
{
	library_rests();
	ck_assert_int_eq(gate_count(&full.opened), count);
}
