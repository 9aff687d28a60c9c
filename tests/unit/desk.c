/* SPDX-License-Identifier: MIT
 *
 * What the crew and the turn do before and after they serve a client, without their threads.
 */
#include "desk.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/pages.h"
#include "os/poll.h"

mts_server *desk_server(void)
{
	mts_server *server = server_create(answer_close, NULL);
	ck_assert_ptr_nonnull(server);
	return server;
}

void desk_open(struct desk *desk, mts_server *server)
{
	const struct sockaddr address = {.sa_family = AF_UNIX};
	int pair[2];
	memset(desk, 0, sizeof(*desk));
	desk->server = server;
	mtsi_base_floor(server)->poll = mtsi_poll_open();
	ck_assert_int_ge(mtsi_base_floor(server)->poll, 0);
	ck_assert_int_eq(mtsi_options_settle(&mtsi_base_floor(server)->options), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	desk->peer = pair[1];
	desk->client = mtsi_clients_open(server, pair[0], &address, sizeof(address));
	ck_assert_ptr_nonnull(desk->client);
	desk->client->stage = MTSI_CLIENT_SERVED;
	desk->client->worker = &desk->worker;
	desk->worker.member.server = server;
	desk->worker.member.client = desk->client;
	mtsi_input_begin(&desk->worker);
}

void desk_close(struct desk *desk)
{
	mtsi_input_end(&desk->worker);
	if (desk->worker.large != NULL) {
		mtsi_pages_give(desk->worker.large, MTSI_LARGE);
	}
	mtsi_client_close(desk->client);
	if (desk->peer >= 0) {
		close(desk->peer);
	}
	ck_assert_int_eq(mts_server_destroy(desk->server), 0);
}

size_t desk_queued(struct desk *desk)
{
	mtsi_lock_take(&desk->client->lock);
	const size_t size = mtsi_buffer_size(&desk->client->output);
	mtsi_lock_release(&desk->client->lock);
	return size;
}
