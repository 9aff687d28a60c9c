/*
 * A client of the generator, from connecting to its retirement.
 *
 * A client that saw an error is retired, as one in a loop of errors would drown the rest.
 */
#include "slot.h"

#include "dial.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

void slot_settle(struct lane *lane, struct slot *slot)
{
	if (!slot->settled) {
		atomic_fetch_add(&lane->settled, 1);
	}
	slot->settled = 1;
}

void slot_retire(struct lane *lane, struct slot *slot, enum client_error error)
{
	static const char *const texts[] = {
#define X(id, name, text) text,
		CLIENT_ERRORS(X)
#undef X
	};
	int code = errno;

	if (lane->errors[error]++ == 0) {
		fprintf(stderr, "load: client %llu, request %llu: %s%s%s\n",
			(unsigned long long)slot->id.client, (unsigned long long)slot->id.sequence,
			texts[error], error <= CLIENT_RESET ? ": " : "",
			error <= CLIENT_RESET ? strerror(code) : "");
	}
	if (slot->fd >= 0) {
		close(slot->fd);
	}
	slot->fd = -1;
	lane->live--;
	lane->waiting -= slot->waiting ? 1 : 0;
	slot->waiting = 0;
	slot_settle(lane, slot);
	atomic_fetch_add(&lane->finished, 1);
}

static int watch(struct lane *lane, struct slot *slot, int how, uint32_t events)
{
	struct epoll_event event = {.events = events, .data = {.ptr = slot}};

	return epoll_ctl(lane->epoll, how, slot->fd, &event);
}

/* 0: under way or done; -1: failed. */
static int start_connect(struct lane *lane, struct slot *slot)
{
	const struct load *load = &lane->all->load;

	slot->fd = dial_start(load->port, load->shape == SHAPE_CONNECT, lane->connections++);
	return slot->fd >= 0 ? 0 : -1;
}

/* -1 when the socket did not take it; a request is small, so it takes all or none. */
static int send_request(struct lane *lane, struct slot *slot)
{
	ssize_t sent;

	request_compose(&lane->all->load.request, slot->id, lane->request);
	sent = send(slot->fd, lane->request, lane->size, MSG_NOSIGNAL);
	if (sent >= 0 && (size_t)sent < lane->size) {
		errno = EMSGSIZE;
	}
	return sent == (ssize_t)lane->size ? 0 : -1;
}

static void begin(struct lane *lane, struct slot *slot, uint64_t time)
{
	slot->id.sequence++;
	slot->started = time;
	slot->got = 0;
	slot->waiting = 1;
	lane->waiting++;
}

void slot_ask(struct lane *lane, struct slot *slot, uint64_t time)
{
	begin(lane, slot, time);
	if (send_request(lane, slot) != 0) {
		slot_retire(lane, slot, CLIENT_RESET);
	}
}

/* On loopback the handshake is nearly always over when connect returns, so sending is tried at
 * once, which spares the generator a round through epoll. */
void slot_connect_and_ask(struct lane *lane, struct slot *slot, uint64_t time)
{
	uint32_t events = EPOLLIN;

	begin(lane, slot, time);
	slot->connecting = 0;
	if (start_connect(lane, slot) != 0) {
		slot_retire(lane, slot, CLIENT_REFUSED);
		return;
	}
	if (send_request(lane, slot) != 0) {
		if (errno != EAGAIN) {
			slot_retire(lane, slot, CLIENT_REFUSED);
			return;
		}
		slot->connecting = 1;
		events = EPOLLOUT;
	}
	if (watch(lane, slot, EPOLL_CTL_ADD, events) != 0) {
		slot_retire(lane, slot, CLIENT_RESET);
	}
}

void slot_connected(struct lane *lane, struct slot *slot)
{
	slot->connecting = 0;
	if (dial_result(slot->fd) != 0) {
		slot_retire(lane, slot, CLIENT_REFUSED);
	} else if (send_request(lane, slot) != 0 || watch(lane, slot, EPOLL_CTL_MOD, EPOLLIN) != 0) {
		slot_retire(lane, slot, CLIENT_RESET);
	}
}

void slot_open(struct lane *lane, struct slot *slot)
{
	if (start_connect(lane, slot) != 0 || dial_wait(slot->fd) != 0
		|| watch(lane, slot, EPOLL_CTL_ADD, EPOLLIN) != 0) {
		slot_retire(lane, slot, CLIENT_REFUSED);
	}
}
