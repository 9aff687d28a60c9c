/* SPDX-License-Identifier: MIT
 *
 * Eight threads broadcast to a thousand clients that come and go, and ask and are answered meanwhile.
 *
 * All that a peer is sent is messages that say who has sent them and which one of theirs it is, with
 * bytes that follow from that; so whatever is torn, lost, doubled or out of order is seen. Half of the
 * peers are there before the first broadcast, and stay: they must get everything. The others come and go,
 * in every way there is: they close, reset, ask to be closed, or are kicked. In the second part the
 * sockets take so little, and the limit of output is so low, that handlers wait in the middle of their
 * replies, and messages are refused: then there may be gaps, but nothing else.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

enum {
	SENDERS = 8,
	REPLIES = SENDERS, /* replies are numbered like the messages of one more sender */
	READERS = 4,
	MOST_PEERS = 1000,
	MESSAGES = 10,
	MOST_IDS = 200000,
	MARK = 0x4d657373,
	MOST_FILLING = 60000
};

/* Peers are the same machine, so the order of bytes is the same. */
struct head {
	uint32_t mark;
	uint32_t sender;
	uint32_t number;
	uint32_t size; /* bytes that follow */
};

static unsigned char filling(const struct head *head, uint32_t at)
{
	return (unsigned char)(head->sender * 41 + head->number * 7 + at);
}

/* One run. */
static struct {
	mts_server *server;
	int peers;
	bool gaps; /* messages may be refused */
	pthread_mutex_t door; /* who comes, and who sets over */
	_Atomic bool over; /* nobody comes any more */
	_Atomic int opened;
	_Atomic int closed;
	_Atomic int kicked; /* closed because of that */
	_Atomic int kicks; /* that have worked */
	_Atomic uint64_t victim; /* the id of a client that wants to be kicked */
	_Atomic uint64_t ids[MOST_IDS];
	pthread_barrier_t start;
} run;

/* Kept with each client. */
struct watch {
	uint32_t replies;
	bool closed;
};

static char *message(struct head head)
{
	char *bytes = malloc(sizeof(head) + head.size);
	ck_assert_ptr_nonnull(bytes);
	memcpy(bytes, &head, sizeof(head));
	for (uint32_t i = 0; i < head.size; i++) {
		bytes[sizeof(head) + i] = (char)filling(&head, i);
	}
	return bytes;
}

static int open_one(mts_client *client, void *user)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	(void)user;
	if (run.gaps) {
		const int least = 4096;
		const int fd = mts_client_fd(client);
		ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)), 0);
	}
	ck_assert_ptr_nonnull(watch);
	mts_client_set_data(client, watch);
	const int number = run.opened++;
	ck_assert_int_lt(number, MOST_IDS);
	run.ids[number] = mts_client_id(client);
	return 0;
}

static void close_one(mts_client *client, int reason, void *user)
{
	struct watch *watch = mts_client_data(client);
	(void)user;
	ck_assert(watch != NULL && !watch->closed);
	watch->closed = true;
	mts_client_set_data(client, NULL);
	free(watch);
	run.kicked += reason == MTS_CLOSED_KICKED ? 1 : 0;
	run.closed++;
}

static void reply(mts_client *client, uint32_t size)
{
	struct watch *watch = mts_client_data(client);
	const struct head head = {MARK, REPLIES, watch->replies++, size};
	char *bytes = message(head);
	mts_client_write(client, bytes, sizeof(head) + size);
	free(bytes);
}

/* Several replies, a large one, a last one; or it wants to be kicked. */
static int answer(mts_client *client, const void *request, size_t size, void *user)
{
	(void)size;
	(void)user;
	switch (*(const char *)request) {
	case 'b':
		reply(client, MOST_FILLING);
		return MTS_KEEP;
	case 'e':
		reply(client, 10);
		return MTS_CLOSE;
	case 'k':
		run.victim = mts_client_id(client);
		reply(client, 500);
		return MTS_KEEP;
	default:
		reply(client, 20);
		reply(client, 300);
		reply(client, 0);
		return MTS_KEEP;
	}
}

static void kick_if_wanted(void)
{
	const uint64_t id = atomic_exchange(&run.victim, 0);
	if (id != 0) {
		run.kicks += mts_server_kick(run.server, id) == 0 ? 1 : 0;
	}
}

/* Until somebody has come in the place of another. */
static void wait_for_a_new_one(void)
{
	const uint64_t start = now_ms();
	while (run.opened <= run.peers) {
		ck_assert_uint_lt(now_ms() - start, PATIENCE * 1000);
		kick_if_wanted();
		poll(NULL, 0, 1);
	}
}

static void *broadcast(void *argument)
{
	const uint32_t sender = (uint32_t)(uintptr_t)argument;
	(void)pthread_barrier_wait(&run.start);
	for (uint32_t i = 0; i < MESSAGES; i++) {
		const struct head head = {MARK, sender, i, i % 5 == 0 ? 1500 : sender * 20};
		char *bytes = message(head);
		const int reached = mts_server_broadcast(run.server, bytes, sizeof(head) + head.size);
		ck_assert_int_ge(reached, run.gaps ? 0 : run.peers / 2);
		free(bytes);
		kick_if_wanted();
		if (i == MESSAGES / 2) {
			wait_for_a_new_one();
		}
	}
	return NULL;
}

/* The other end of a client. */
struct peer {
	int fd; /* -1: there is none any more */
	bool stays;
	bool waits; /* it has asked for its end */
	int budget; /* messages until it goes */
	uint32_t got; /* messages */
	struct head head;
	uint32_t have; /* bytes of the head, then of what follows */
	bool inside; /* of what follows */
	uint32_t next[SENDERS + 1]; /* the number that is expected from each, plus 1; 0: any */
};

struct reader {
	pthread_t thread;
	uint64_t random;
	int count;
	struct peer peers[MOST_PEERS / READERS];
	struct pollfd polled[MOST_PEERS / READERS];
};

static uint32_t below(struct reader *reader, uint32_t limit)
{
	reader->random = reader->random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(reader->random >> 33) % limit;
}

static void come(struct reader *reader, struct peer *peer, bool stays)
{
	memset(peer, 0, sizeof(*peer));
	peer->fd = peer_connect(run.server, run.gaps ? 1 : 0);
	peer->stays = stays;
	peer->budget = 5 + (int)below(reader, 40);
	for (int i = 0; stays && i <= SENDERS; i++) {
		peer->next[i] = 1;
	}
}

/* Another one in its place, as long as they come. */
static void replace(struct reader *reader, struct peer *peer)
{
	ck_assert_int_eq(pthread_mutex_lock(&run.door), 0);
	peer->fd = -1;
	if (!run.over) {
		come(reader, peer, false);
	}
	ck_assert_int_eq(pthread_mutex_unlock(&run.door), 0);
}

static void ask(const struct peer *peer, const char *line)
{
	(void)send(peer->fd, line, strlen(line), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void leave(struct reader *reader, struct peer *peer)
{
	switch (below(reader, 4)) {
	case 0:
		close(peer->fd);
		break;
	case 1:
		peer_reset(peer->fd);
		break;
	default:
		ask(peer, below(reader, 2) == 0 ? "kick\n" : "end\n");
		peer->waits = true;
		return;
	}
	replace(reader, peer);
}

/* A head is whole. */
static void begin_message(struct peer *peer)
{
	const struct head *head = &peer->head;
	ck_assert_uint_eq(head->mark, MARK);
	ck_assert_uint_le(head->sender, SENDERS);
	uint32_t *next = &peer->next[head->sender];
	const bool gaps = run.gaps && head->sender != REPLIES;
	if (*next != 0 && (gaps ? head->number < *next - 1 : head->number != *next - 1)) {
		ck_abort_msg(
			"sender %u: message %u came, %u was expected", head->sender, head->number, *next - 1);
	}
	*next = head->number + 2;
}

static const unsigned char *take_head(
	struct peer *peer, const unsigned char *bytes, const unsigned char *end)
{
	unsigned char *head = (unsigned char *)&peer->head;
	while (bytes < end && peer->have < sizeof(peer->head)) {
		head[peer->have++] = *bytes++;
	}
	if (peer->have == sizeof(peer->head)) {
		begin_message(peer);
		peer->inside = true;
		peer->have = 0;
	}
	return bytes;
}

static const unsigned char *take_filling(
	struct peer *peer, const unsigned char *bytes, const unsigned char *end)
{
	while (bytes < end && peer->have < peer->head.size) {
		if (*bytes++ != filling(&peer->head, peer->have++)) {
			ck_abort_msg("message %u of sender %u is torn at byte %u of %u", peer->head.number,
				peer->head.sender, peer->have - 1, peer->head.size);
		}
	}
	return bytes;
}

static void take(struct reader *reader, struct peer *peer, const unsigned char *bytes, size_t size)
{
	const unsigned char *end = bytes + size;
	while (bytes < end || (peer->inside && peer->head.size == 0)) {
		bytes = peer->inside ? take_filling(peer, bytes, end) : take_head(peer, bytes, end);
		if (peer->inside && peer->have == peer->head.size) {
			peer->inside = false;
			peer->have = 0;
			if (++peer->got % 10 == 0 && !peer->waits && !run.over) {
				ask(peer, below(reader, 6) == 0 ? "big\n" : "some\n");
			}
		}
	}
}

/* The end of one that stays: all that was sent to it has come. */
static void check_end(const struct peer *peer)
{
	if (!peer->stays) {
		return;
	}
	ck_assert(run.over);
	ck_assert(!peer->inside && peer->have == 0);
	for (int i = 0; i < SENDERS && !run.gaps; i++) {
		ck_assert_uint_eq(peer->next[i], MESSAGES + 1);
	}
}

static void receive(struct reader *reader, struct peer *peer)
{
	unsigned char bytes[8192];
	const ssize_t size = recv(peer->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (size > 0) {
		take(reader, peer, bytes, (size_t)size);
		if (!peer->stays && !peer->waits && (int)peer->got >= peer->budget) {
			leave(reader, peer);
		}
		return;
	}
	if (size < 0 && errno == EAGAIN) {
		return;
	}
	ck_assert_msg(size == 0 || !peer->stays, "one that stays: %s", strerror(errno));
	check_end(peer);
	close(peer->fd);
	replace(reader, peer);
}

static void *read_all(void *argument)
{
	struct reader *reader = argument;
	for (;;) {
		int left = 0;
		for (int i = 0; i < reader->count; i++) {
			reader->polled[i] = (struct pollfd){reader->peers[i].fd, POLLIN, 0};
			left += reader->peers[i].fd >= 0 ? 1 : 0;
		}
		if (left == 0) {
			return NULL;
		}
		const int ready = poll(reader->polled, (nfds_t)reader->count, PATIENCE * 1000);
		ck_assert_int_gt(ready, 0);
		for (int i = 0; i < reader->count; i++) {
			if (reader->peers[i].fd >= 0 && reader->polled[i].revents != 0) {
				receive(reader, &reader->peers[i]);
			}
		}
	}
}

static int compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a;
	const uint64_t y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static void check_books(void)
{
	static uint64_t ids[MOST_IDS];
	ck_assert_int_eq(run.opened, run.closed);
	ck_assert_int_gt(run.opened, run.peers);
	ck_assert_int_eq(run.kicked, run.kicks);
	ck_assert_uint_eq(mts_server_stat(run.server, MTS_STAT_OPEN), 0);
	if (!run.gaps) {
		ck_assert_uint_eq(mts_server_stat(run.server, MTS_STAT_UNSENT), 0);
	}
	for (int i = 0; i < run.opened; i++) {
		ids[i] = run.ids[i];
	}
	qsort(ids, (size_t)run.opened, sizeof(ids[0]), compare);
	for (int i = 1; i < run.opened; i++) {
		ck_assert_uint_ne(ids[i - 1], ids[i]);
	}
}

static void connect_all(struct reader *readers)
{
	for (int i = 0; i < READERS; i++) {
		readers[i].random = (uint64_t)i + 1;
		readers[i].count = run.peers / READERS;
		for (int k = 0; k < readers[i].count; k++) {
			come(&readers[i], &readers[i].peers[k], k % 2 == 0);
			if (k == 1) {
				readers[i].peers[k].budget = 1; /* there is always one who goes */
			}
		}
	}
	server_wait_stat(run.server, MTS_STAT_ACCEPTED, (uint64_t)run.peers);
}

static void play(struct reader *readers)
{
	pthread_t senders[SENDERS];
	for (uintptr_t i = 0; i < SENDERS; i++) {
		ck_assert_int_eq(pthread_create(&senders[i], NULL, broadcast, (void *)i), 0);
	}
	for (int i = 0; i < READERS; i++) {
		ck_assert_int_eq(pthread_create(&readers[i].thread, NULL, read_all, &readers[i]), 0);
	}
	for (int i = 0; i < SENDERS; i++) {
		ck_assert_int_eq(pthread_join(senders[i], NULL), 0);
	}
	ck_assert_int_eq(pthread_mutex_lock(&run.door), 0);
	run.over = true;
	ck_assert_int_eq(pthread_mutex_unlock(&run.door), 0);
	mts_server_stop(run.server);
	ck_assert_int_eq(mts_server_join(run.server), 0);
	for (int i = 0; i < READERS; i++) {
		ck_assert_int_eq(pthread_join(readers[i].thread, NULL), 0);
	}
}

START_TEST(broadcasts)
{
	static struct reader readers[READERS];
	const int before = count_descriptors();
	(void)most_descriptors();
	run.peers = under_valgrind() ? MOST_PEERS / 25 : MOST_PEERS;
	run.gaps = _i == 1;
	ck_assert_int_eq(pthread_barrier_init(&run.start, NULL, SENDERS), 0);
	ck_assert_int_eq(pthread_mutex_init(&run.door, NULL), 0);
	run.server = server_new(answer, NULL);
	ck_assert_int_eq(mts_server_frame_lines(run.server), 0);
	ck_assert_int_eq(mts_server_on_open(run.server, open_one, NULL), 0);
	ck_assert_int_eq(mts_server_on_close(run.server, close_one, NULL), 0);
	ck_assert_int_eq(mts_server_set_timeout(run.server, MTS_TIMEOUT_STOP, PATIENCE * 1000), 0);
	if (run.gaps) {
		char name[64];
		snprintf(name, sizeof(name), "unix:@mtserver-reach-%d", (int)getpid());
		ck_assert_int_eq(mts_server_listen(run.server, name), 0);
		ck_assert_int_eq(mts_server_set_max_output(run.server, 4000), 0);
	}
	server_start(run.server);
	connect_all(readers);
	play(readers);
	check_books();
	(void)printf("%d clients, %d kicked, %llu messages refused\n", run.opened, run.kicked,
		(unsigned long long)mts_server_stat(run.server, MTS_STAT_UNSENT));
	(void)fflush(stdout);
	ck_assert_int_eq(mts_server_destroy(run.server), 0);
	ck_assert_int_eq(pthread_barrier_destroy(&run.start), 0);
	ck_assert_int_eq(pthread_mutex_destroy(&run.door), 0);
	ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("reach_stress");
	tcase_add_loop_test(cases, broadcasts, 0, 2);
	return suite_run();
}
