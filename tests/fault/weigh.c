/* SPDX-License-Identifier: MIT
 *
 * Each byte of a request is the same, so that its answer tells whether it has come whole.
 */
#include "weigh.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { PREFIX = 4 };

struct gate weigh_cuts;
struct endings weigh_endings;

void weigh_setup(void)
{
	weigh_cuts = (struct gate)GATE;
	weigh_endings = (struct endings){.all = GATE};
}

static void count_cuts(int level, const char *message, void *user)
{
	(void)user;
	if (level == MTS_LOG_WARNING && strstr(message, "memory is short") != NULL) {
		gate_add(&weigh_cuts);
	}
}

/* Requests have a prefix of four bytes. */
mts_server *weigh_server(mts_handler handler, size_t limit)
{
	mts_server *server = server_new(handler, NULL);
	ck_assert_int_eq(mts_server_frame_prefixed(server, 4, MTS_BIG_ENDIAN), 0);
	ck_assert_int_eq(mts_server_set_max_request(server, LARGEST), 0);
	ck_assert_int_eq(mts_server_set_max_output(server, LARGEST), 0);
	ck_assert_int_eq(mts_server_set_max_memory(server, limit), 0);
	ck_assert_int_eq(mts_server_on_open(server, open_with_small_buffers, NULL), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &weigh_endings), 0);
	ck_assert_int_eq(mts_server_on_log(server, count_cuts, MTS_LOG_WARNING, NULL), 0);
	return server;
}

uint64_t weigh_used(const mts_server *server)
{
	return mts_server_stat(server, MTS_STAT_MEMORY);
}

void weigh_until(const mts_server *server, uint64_t least)
{
	wait_until(weigh_used(server) >= least);
}

/* Everything is given back, and the limit was kept. */
void weigh_finish(mts_server *server, uint64_t limit)
{
	const uint64_t threads = mts_server_stat(server, MTS_STAT_THREADS_PEAK);
	server_wait_stat(server, MTS_STAT_MEMORY, 0);
	ck_assert_uint_le(mts_server_stat(server, MTS_STAT_MEMORY_PEAK), limit + threads * BUFFER);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_MEMORY_CUTS),
		(uint64_t)weigh_endings.reasons[MTS_CLOSED_EVICTED]);
	server_end(server);
}

/* Answers with the size of the request, its first bytes and its last. */
int weigh_request(mts_client *client, const void *request, size_t size, void *user)
{
	const unsigned char *bytes = request;
	(void)user;
	(void)mts_client_printf(
		client, "%zu %d %d.", size, size > 0 ? bytes[0] : 0, size > 0 ? bytes[size - 1] : 0);
	return MTS_KEEP;
}

static void put_prefix(char *bytes, size_t size)
{
	for (int i = 0; i < PREFIX; i++) {
		bytes[i] = (char)(unsigned char)(size >> 8 * (PREFIX - 1 - i));
	}
}

void weigh_prefix(int peer, size_t size)
{
	char prefix[PREFIX];
	put_prefix(prefix, size);
	peer_send(peer, prefix, sizeof(prefix));
}

/* So many of its bytes, each of which is `fill`. */
void weigh_body(int peer, size_t size, int fill)
{
	static _Thread_local char bytes[LARGEST];
	memset(bytes, fill, size);
	peer_send(peer, bytes, size);
}

void weigh_expect(int peer, size_t size, int fill)
{
	char text[64];
	(void)snprintf(text, sizeof(text), "%zu %d %d.", size, fill, fill);
	peer_expect_text(peer, text);
}

void weigh_ask(int peer, size_t size, int fill)
{
	/*
	 * In one piece: the part of a request that has come before the rest is charged during the whole
	 * turn.
	 */
	static _Thread_local char bytes[PREFIX + LARGEST];
	put_prefix(bytes, size);
	memset(bytes + PREFIX, fill, size);
	peer_send(peer, bytes, PREFIX + size);
	weigh_expect(peer, size, fill);
}

/* Sends most of a request, and waits until that is kept, beside so many others. */
int weigh_occupy(mts_server *server, int others)
{
	const int peer = peer_connect(server, 0);
	weigh_prefix(peer, WHOLE);
	weigh_body(peer, PART, 3);
	server_wait_stat(server, MTS_STAT_MEMORY, (uint64_t)(others + 1) * TAKEN);
	return peer;
}

void weigh_complete(int peer)
{
	weigh_body(peer, WHOLE - PART, 3);
	weigh_expect(peer, WHOLE, 3);
}

static void *send_whole(void *argument)
{
	fault_inside(false);
	weigh_body(*(int *)argument, WHOLE, 4);
	return NULL;
}

void weigh_begin(struct weigh_sender *sender, int peer)
{
	sender->peer = peer;
	weigh_prefix(peer, WHOLE);
	ck_assert_int_eq(pthread_create(&sender->thread, NULL, send_whole, &sender->peer), 0);
}

void weigh_end(struct weigh_sender *sender)
{
	weigh_expect(sender->peer, WHOLE, 4);
	ck_assert_int_eq(pthread_join(sender->thread, NULL), 0);
}

void weigh_send_until_gone(int peer)
{
	static char bytes[LARGEST];
	while (send(peer, bytes, sizeof(bytes), MSG_NOSIGNAL) > 0) {
	}
}
