/* SPDX-License-Identifier: MIT
 *
 * Under attack: hundreds of clients each send the beginning of the largest request, a hundred others ask
 * for replies that they never read, and whoever is cut off comes again. The memory of the process has a
 * hard limit meanwhile, reckoned from the server's limits: doc/RELIABILITY.md gives the formula. Those
 * who behave are served.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "support.h"

enum {
	KIB = 1024,
	MIB = 1024 * KIB,
	SENDERS = 300,
	ASKERS = 100,
	ATTACKERS = SENDERS + ASKERS,
	GOOD = 4,
	ROUNDS = 1000,
	LARGEST = 1 * MIB, /* so they want 300 MiB */
	OUTPUT = 4 * MIB, /* and they 400 */
	LIMIT = 8 * MIB,
	STACK = 64 * KIB,
	BUFFER = 16 * KIB + 1
};

static struct endings endings;
static _Atomic bool over;

/* "reply": more than will ever be read; anything else comes back. */
static int serve(mts_client *client, const void *request, size_t size, void *user)
{
	static const char bytes[64 * KIB];
	(void)user;
	if (size != 5 || memcmp(request, "reply", 5) != 0) {
		return mts_client_write(client, request, size) == 0 ? MTS_KEEP : MTS_CLOSE;
	}
	for (size_t done = 0; done < 2 * (size_t)OUTPUT; done += sizeof(bytes)) {
		if (mts_client_write(client, bytes, sizeof(bytes)) != 0) {
			break;
		}
	}
	return MTS_KEEP;
}

struct attacker {
	int peer;
	bool asks; /* else it sends */
	size_t sent;
};

static void come(struct attacker *attacker, const mts_server *server)
{
	static const char asking[] = {0, 0, 0, 5, 'r', 'e', 'p', 'l', 'y'};
	static const char sending[] = {0, LARGEST >> 16, 0, 0};
	attacker->peer = peer_connect(server, 0);
	attacker->sent = 0;
	small_buffers(attacker->peer);
	if (attacker->asks) {
		peer_send(attacker->peer, asking, sizeof(asking));
	} else {
		peer_send(attacker->peer, sending, sizeof(sending));
	}
}

/* All but the last byte of its request. */
static void send_more(struct attacker *attacker)
{
	static char bytes[64 * KIB];
	while (attacker->sent < LARGEST - 1) {
		const size_t left = LARGEST - 1 - attacker->sent;
		const ssize_t count = send(attacker->peer, bytes,
			left < sizeof(bytes) ? left : sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL);
		if (count <= 0) {
			break;
		}
		attacker->sent += (size_t)count;
	}
}

static void *attack(void *server)
{
	static struct attacker attackers[ATTACKERS];
	struct pollfd states[ATTACKERS];
	for (int i = 0; i < ATTACKERS; i++) {
		attackers[i].asks = i >= SENDERS;
		come(&attackers[i], server);
	}
	while (!over) {
		for (int i = 0; i < ATTACKERS; i++) {
			states[i] = (struct pollfd){.fd = attackers[i].peer, .events = POLLRDHUP};
		}
		ck_assert_int_ge(poll(states, ATTACKERS, 0), 0);
		for (int i = 0; i < ATTACKERS; i++) {
			if (states[i].revents != 0) {
				close(attackers[i].peer);
				come(&attackers[i], server);
			} else if (!attackers[i].asks) {
				send_more(&attackers[i]);
			}
		}
		poll(NULL, 0, 1);
	}
	for (int i = 0; i < ATTACKERS; i++) {
		close(attackers[i].peer);
	}
	return NULL;
}

/* Small requests, each in two pieces, so that the first has to be kept. */
static void *behave(void *server)
{
	static const char request[] = {0, 0, 0, 5, 'h', 'e', 'l', 'l', 'o'};
	const int peer = peer_connect(server, 0);
	for (int i = 0; i < ROUNDS; i++) {
		peer_send(peer, request, 6);
		poll(NULL, 0, i % 4);
		peer_send(peer, request + 6, sizeof(request) - 6);
		peer_expect_text(peer, "hello");
	}
	close(peer);
	return NULL;
}

/* Address space in use, in bytes. */
static size_t address_space(void)
{
	unsigned long long pages = 0;
	FILE *statm = fopen("/proc/self/statm", "r");
	ck_assert_ptr_nonnull(statm);
	ck_assert_int_eq(fscanf(statm, "%llu", &pages), 1);
	ck_assert_int_eq(fclose(statm), 0);
	return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

/*
 * The worst case, for this many clients and threads: 256 bytes a client; a stack, what the C library
 * adds to it, and two buffers a thread; and the limit, which may be exceeded by a buffer for each.
 */
static size_t worst_case(size_t clients, size_t threads)
{
	const size_t own = 2 * (size_t)BUFFER + 144 * KIB; /* buffers; guard, thread's data */
	return 2 * clients * 256 + threads * (STACK + own) + LIMIT + threads * BUFFER;
}

static void limit_address_space(void)
{
	const size_t slack = 24 * MIB; /* the allocator's, and the test's own threads */
	const size_t most = ATTACKERS + GOOD + 16;
	const struct rlimit limit = {
		.rlim_cur = address_space() + worst_case(most, most) + slack, .rlim_max = RLIM_INFINITY};
	if (!is_slowed()) {
		ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
	}
}

static mts_server *attacked_server(void)
{
	mts_server *server = server_new(serve, NULL);
	ck_assert_int_eq(mts_server_frame_prefixed(server, 4, MTS_BIG_ENDIAN), 0);
	ck_assert_int_eq(mts_server_set_max_request(server, LARGEST), 0);
	ck_assert_int_eq(mts_server_set_max_output(server, OUTPUT), 0);
	ck_assert_int_eq(mts_server_set_max_memory(server, LIMIT), 0);
	ck_assert_int_eq(mts_server_set_stack_size(server, STACK), 0);
	ck_assert_int_eq(mts_server_set_max_clients(server, ATTACKERS + GOOD), 0);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, 20000), 0);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_REQUEST, 5000), 0);
	ck_assert_int_eq(mts_server_on_open(server, open_with_small_buffers, NULL), 0);
	ck_assert_int_eq(mts_server_on_close(server, endings_note, &endings), 0);
	return server;
}

static void want_within_limit(const mts_server *server)
{
	const uint64_t threads = mts_server_stat(server, MTS_STAT_THREADS_PEAK);
	ck_assert_uint_le(mts_server_stat(server, MTS_STAT_MEMORY_PEAK), LIMIT + threads * BUFFER);
}

START_TEST(the_limit_holds_and_others_are_served)
{
	pthread_t attacker;
	pthread_t good[GOOD];
#ifdef __GLIBC__
	(void)mallopt(M_ARENA_MAX, 1); /* each would take 64 MiB of address space */
#endif
	(void)most_descriptors();
	endings = (struct endings){.all = GATE};
	over = false;
	mts_server *server = attacked_server();
	ck_assert_int_eq(pthread_create(&attacker, NULL, attack, server), 0);
	for (int i = 0; i < GOOD; i++) {
		ck_assert_int_eq(pthread_create(&good[i], NULL, behave, server), 0);
	}
	limit_address_space();
	server_start(server);
	for (int i = 0; i < GOOD; i++) {
		ck_assert_int_eq(pthread_join(good[i], NULL), 0);
	}
	want_within_limit(server);
	ck_assert_int_eq(endings.reasons[MTS_CLOSED_ERROR], 0); /* malloc has never failed */
	ck_assert_uint_ge(mts_server_stat(server, MTS_STAT_MEMORY_PEAK), LIMIT / 4 * 3);
	/* One was cut off at least, or it was no attack. */
	wait_until(mts_server_stat(server, MTS_STAT_MEMORY_CUTS) > 0);
	over = true;
	ck_assert_int_eq(pthread_join(attacker, NULL), 0);
	/* Some wait for memory to the end, long after their peers have gone. */
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_REQUEST, 500), 0);
	server_wait_stat(server, MTS_STAT_OPEN, 0);
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_join(server), 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_MEMORY), 0);
	want_within_limit(server);
	ck_assert_int_eq(endings.reasons[MTS_CLOSED_ERROR], 0);
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("memory, attacked");
	tcase_set_timeout(tcase, 180);
	tcase_add_test(tcase, the_limit_holds_and_others_are_served);
	return suite_run();
}
