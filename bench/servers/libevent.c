/*
 * The peer libevent: bufferevents on one event_base in one thread, as its book teaches.
 *
 * evconnlistener accepts, a bufferevent for each client reads and writes by itself, and the
 * callbacks move data from its input evbuffer to its output: a block with evbuffer_add_buffer,
 * which copies nothing; a line with evbuffer_readln, which hands out a copy, whose final NUL becomes
 * the LF again, so that it is one evbuffer_add.  A client whose output piles up is not read from
 * until half of it has gone, as in libevent's own le-proxy.c.
 *
 * A handler runs in the loop: libevent has no threads to give it to, so while a marked request
 * blocks, everybody waits.  Two costs are libevent's own and no option takes them away: a
 * bufferevent reads 4 KiB at most at a time, after asking with FIONREAD how much there is; and it
 * never writes right away but when epoll says that the socket is writable, for which each reply
 * changes its registration twice (EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST does not save that).
 */
#include "contract.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_OUTPUT (512 * 1024)

static struct contract contract;

static void on_close(struct bufferevent *client, short what, void *user);
static void on_read(struct bufferevent *client, void *user);

static void on_all_written(struct bufferevent *client, void *user)
{
	(void)user;
	bufferevent_free(client);
}

static void on_half_written(struct bufferevent *client, void *user)
{
	bufferevent_setcb(client, on_read, NULL, on_close, user);
	bufferevent_setwatermark(client, EV_WRITE, 0, 0);
	bufferevent_enable(client, EV_READ);
}

/* Closes when the output has gone, which may be now. */
static void finish(struct bufferevent *client, void *user)
{
	if (evbuffer_get_length(bufferevent_get_output(client)) == 0) {
		bufferevent_free(client);
		return;
	}
	bufferevent_disable(client, EV_READ);
	bufferevent_setwatermark(client, EV_WRITE, 0, 0);
	bufferevent_setcb(client, NULL, on_all_written, on_close, user);
}

static void on_close(struct bufferevent *client, short what, void *user)
{
	if (what & BEV_EVENT_ERROR) {
		bufferevent_free(client);
	} else if (what & BEV_EVENT_EOF) {
		finish(client, user);
	}
}

static void work_on_block(struct evbuffer *input)
{
	size_t size = evbuffer_get_length(input);

	/* So much of it in one piece as contract_work looks at. */
	if (size > CONTRACT_MARK_AT) {
		size = CONTRACT_MARK_AT + 1;
		contract_work(&contract, evbuffer_pullup(input, (ev_ssize_t)size), size);
	}
}

static void echo_lines(struct evbuffer *input, struct evbuffer *output)
{
	size_t size;
	char *line;

	while ((line = evbuffer_readln(input, &size, EVBUFFER_EOL_LF)) != NULL) {
		line[size++] = '\n';
		contract_work(&contract, line, size);
		evbuffer_add(output, line, size);
		free(line);
	}
}

static void on_read(struct bufferevent *client, void *user)
{
	struct evbuffer *input = bufferevent_get_input(client);
	struct evbuffer *output = bufferevent_get_output(client);

	if (contract.lines) {
		echo_lines(input, output);
	} else {
		work_on_block(input);
		if (contract.hello) {
			evbuffer_add(output, CONTRACT_HELLO, sizeof(CONTRACT_HELLO) - 1);
			finish(client, user);
			return;
		}
		evbuffer_add_buffer(output, input);
	}
	if (evbuffer_get_length(output) >= MAX_OUTPUT) {
		bufferevent_disable(client, EV_READ);
		bufferevent_setwatermark(client, EV_WRITE, MAX_OUTPUT / 2, 0);
		bufferevent_setcb(client, NULL, on_half_written, on_close, user);
	}
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
	int length, void *user)
{
	struct event_base *base = evconnlistener_get_base(listener);
	struct bufferevent *client = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);

	(void)address;
	(void)length;
	if (!client) {
		evutil_closesocket(fd);
		return;
	}
	bufferevent_setcb(client, on_read, NULL, on_close, user);
	bufferevent_enable(client, EV_READ | EV_WRITE);
}

static void on_accept_error(struct evconnlistener *listener, void *user)
{
	int error = EVUTIL_SOCKET_ERROR();

	(void)user;
	fprintf(stderr, "libevent: cannot accept: %s\n", evutil_socket_error_to_string(error));
	event_base_loopexit(evconnlistener_get_base(listener), NULL);
}

int main(int argc, char **argv)
{
	struct evconnlistener *listener;
	struct event_base *base;
	int fd;
	int i;

	for (i = 1; i < argc; i++) {
		if (!contract_option(&contract, argc, argv, &i)) {
			contract_usage(argv[0], argv[i]);
		}
	}
	signal(SIGPIPE, SIG_IGN);
	fd = contract_listen(&contract, SOCK_NONBLOCK);
	base = event_base_new();
	if (!base) {
		return 1;
	}
	/* A backlog of 0: the socket listens already. */
	listener = evconnlistener_new(
		base, on_accept, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (!listener) {
		return 1;
	}
	evconnlistener_set_error_cb(listener, on_accept_error);
	contract_announce(contract_port(fd));
	event_base_dispatch(base);
	return 1;
}
