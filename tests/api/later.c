/* SPDX-License-Identifier: MIT */
#include "later.h"

#include <string.h>
#include <unistd.h>

struct later later;

void later_setup(void)
{
	later.opened = (struct gate)GATE;
	later.asked = (struct gate)GATE;
	later.leave = (struct gate)GATE;
	later.endings = (struct endings){.all = GATE};
}

static int note_id(mts_client *client, void *user)
{
	(void)user;
	pthread_mutex_lock(&later.opened.mutex);
	later.ids[later.opened.count] = mts_client_id(client);
	pthread_mutex_unlock(&later.opened.mutex);
	gate_add(&later.opened);
	return 0;
}

int64_t later_take(mts_client *client)
{
	const int64_t ticket = mts_client_defer(client);
	pthread_mutex_lock(&later.asked.mutex);
	const int number = later.asked.count++;
	later.tickets[number] = (struct later_ticket){mts_client_id(client), ticket};
	pthread_cond_broadcast(&later.asked.changed);
	pthread_mutex_unlock(&later.asked.mutex);
	return ticket;
}

int later_answer(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	if (strcmp(request, "later") == 0) {
		const int64_t ticket = later_take(client);
		return ticket > 0 ? MTS_LATER : (int)ticket;
	}
	mts_client_write(client, request, size);
	mts_client_puts(client, "\n");
	return MTS_KEEP;
}

mts_server *later_server_of(mts_handler handler)
{
	mts_server *server = server_new(handler, NULL);
	ck_assert_int_eq(mts_server_frame_lines(server), 0);
	ck_assert_int_eq(mts_server_on_open(server, note_id, NULL), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &later.endings), 0);
	return server;
}

mts_server *later_server(void)
{
	return later_server_of(later_answer);
}

void later_waits(int number)
{
	gate_wait(&later.asked, number + 1);
	library_rests();
}

int later_ask(mts_server *server)
{
	const int number = gate_count(&later.asked);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "later\n");
	later_waits(number);
	return peer;
}

int later_complete(mts_server *server, int number, const char *reply, int verdict)
{
	gate_wait(&later.asked, number + 1);
	const struct later_ticket *owed = &later.tickets[number];
	if (reply != NULL) {
		ck_assert_int_eq(mts_server_send(server, owed->id, reply, strlen(reply)), 0);
	}
	return mts_server_complete(server, owed->id, owed->ticket, verdict);
}

void later_end(mts_server *server, int peer)
{
	close(peer);
	server_end(server);
	ck_assert_int_eq(gate_count(&later.endings.all), gate_count(&later.opened));
}
