/* SPDX-License-Identifier: MIT
 *
 * The kernel's buffers are small, so that a side that does not read is felt soon.
 */
#include "route.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

void route_pair(int ends[2])
{
	struct sockaddr_in address;
	socklen_t size = sizeof(address);
	const struct timeval patience = {PATIENCE, 0};
	const int listener = listening_socket(TCP, 1);
	ck_assert_int_ge(listener, 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(ends[0], 0);
	small_buffers(ends[0]);
	ck_assert_int_eq(connect(ends[0], (struct sockaddr *)&address, size), 0);
	ends[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(ends[1], 0);
	small_buffers(ends[1]);
	ck_assert_int_eq(setsockopt(ends[1], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	ck_assert_int_eq(setsockopt(ends[1], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
	close(listener);
}

static int relay(mts_client *client, const void *request, size_t size, void *user)
{
	const struct route *route = user;
	(void)request;
	(void)size;
	(void)mts_client_puts(client, "hello\n");
	const int result = mts_client_relay(client, route->near);
	reach.answers[0] = result;
	reach.answers[1] = mts_client_gone(client);
	gate_add(&reach.leave);
	return reach.answers[3] != 0 ? result : (int)reach.answers[2];
}

void route_make(struct route *route, enum route_kind kind)
{
	int ends[2];
	route->descriptors = count_descriptors();
	if (kind == ROUTE_UNIX) {
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
		small_buffers(ends[0]);
		small_buffers(ends[1]);
	} else {
		route_pair(ends);
	}
	route->near = ends[0];
	route->far = ends[1];
	if (kind == ROUTE_NON_BLOCKING) {
		ck_assert_int_eq(fcntl(route->near, F_SETFL, O_NONBLOCK), 0);
	}
	route->server = reach_server(relay, route);
	reach.answers[2] = MTS_CLOSE;
}

void route_start(struct route *route, const char *more)
{
	char text[200];
	server_start(route->server);
	route->peer = peer_connect_small(route->server);
	ck_assert_int_lt(snprintf(text, sizeof(text), "go\n%s", more), (int)sizeof(text));
	peer_puts(route->peer, text);
	peer_expect_text(route->peer, "hello\n");
}

int route_over(struct route *route, int reason)
{
	gate_wait(&reach.leave, 1);
	endings_expect(&reach.endings, reason, 1);
	(void)route;
	return reach.answers[0];
}

void route_end(struct route *route)
{
	if (route->peer >= 0) {
		close(route->peer);
	}
	server_end(route->server);
	close(route->near);
	if (route->far >= 0) {
		close(route->far);
	}
	ck_assert_int_eq(gate_count(&reach.endings.all), gate_count(&reach.opened));
	ck_assert_int_eq(count_descriptors(), route->descriptors);
}
