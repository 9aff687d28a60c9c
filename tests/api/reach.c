/* SPDX-License-Identifier: MIT
 *
 * The kernel's buffers are small, so that a peer that does not read is noticed soon.
 */
#include "reach.h"

#include <errno.h>
#include <string.h>

struct reach reach;

void reach_setup(void)
{
	reach.opened = (struct gate)GATE;
	reach.entered = (struct gate)GATE;
	reach.leave = (struct gate)GATE;
	reach.endings = (struct endings){.all = GATE};
}

int reach_open(mts_client *client, void *user)
{
	(void)user;
	small_buffers(mts_client_fd(client));
	reach.ids[gate_count(&reach.opened)] = mts_client_id(client);
	gate_add(&reach.opened);
	return 0;
}

int reach_echo(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	mts_client_write(client, request, size);
	mts_client_puts(client, "\n");
	return MTS_KEEP;
}

mts_server *reach_server(mts_handler handler, void *user)
{
	mts_server *server = server_new(handler, user);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_on_open(server, reach_open, NULL), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &reach.endings), 0);
	return server;
}

/* One more client, which is open. */
int reach_join(mts_server *server)
{
	const int peer = peer_connect(server, 0);
	small_buffers(peer);
	peer_ask(peer, "here\n");
	return peer;
}

/* Sends pieces of the pattern until not one byte more is taken: how much was. */
uint64_t reach_until_refused(mts_server *server, uint64_t id)
{
	static char bytes[10000];
	uint64_t done = 0;
	size_t step = sizeof(bytes);
	while (step > 0) {
		pattern_fill(bytes, step, done);
		const int result = mts_server_send(server, id, bytes, step);
		ck_assert(result == 0 || result == -ENOBUFS);
		done += result == 0 ? step : 0;
		step = result == 0 ? step : step / 10;
		ck_assert_uint_lt(done, 100 * REACH_MIB);
	}
	return done;
}

int reach_pour(mts_client *client, const void *request, size_t size, void *user)
{
	static char bytes[4 * REACH_MIB];
	(void)request;
	(void)size;
	(void)user;
	pattern_fill(bytes, sizeof(bytes), 0);
	gate_add(&reach.entered);
	reach.answers[0] = mts_client_write(client, bytes, sizeof(bytes));
	reach.answers[1] = mts_client_gone(client);
	gate_add(&reach.leave);
	return MTS_KEEP;
}
