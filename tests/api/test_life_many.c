/* SPDX-License-Identifier: MIT
 *
 * Many lives, ended at any moment under load, leave nothing behind and call nobody afterwards.
 *
 * Peers that know nothing of servers come and go as fast as they can, always to the port of the latest
 * one. What the callbacks get as their user data is freed right after the server, so a late callback
 * would touch freed memory, and count where nobody counts any more.
 */
#include <netinet/in.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "watch.h"

enum { USUAL_LIVES = 300 };

/* One of many. */
struct life {
	_Atomic int inside; /* callbacks that run */
	_Atomic int opened;
	_Atomic int closed;
};

static int life_handler(mts_client *client, const void *request, size_t size, void *user)
{
	struct life *life = user;
	atomic_fetch_add(&life->inside, 1);
	mts_client_write(client, request, size);
	atomic_fetch_sub(&life->inside, 1);
	return size > 3 ? MTS_CLOSE : MTS_KEEP;
}

static int life_open(mts_client *client, void *user)
{
	struct life *life = user;
	atomic_fetch_add(&life->opened, 1);
	return mts_client_puts(client, "");
}

static void life_close(mts_client *client, int reason, void *user)
{
	struct life *life = user;
	(void)client;
	(void)reason;
	atomic_fetch_add(&life->closed, 1);
}

static struct {
	pthread_mutex_t mutex;
	struct sockaddr_in address;
	_Atomic bool over;
	_Atomic int served;
} load = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void load_once(const char *request)
{
	struct sockaddr_in address;
	char reply[16];
	pthread_mutex_lock(&load.mutex);
	address = load.address;
	pthread_mutex_unlock(&load.mutex);
	const int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(peer, (struct sockaddr *)&address, sizeof(address)) == 0) {
		(void)send(peer, request, strlen(request), MSG_NOSIGNAL);
		if (recv(peer, reply, sizeof(reply), 0) > 0) {
			atomic_fetch_add(&load.served, 1);
		}
	}
	close(peer);
}

static void *make_load(void *request)
{
	while (!atomic_load(&load.over)) {
		load_once(request);
	}
	return NULL;
}

static void live(int number)
{
	struct life *life = calloc(1, sizeof(*life));
	mts_server *server = server_new(life_handler, life);
	ck_assert_int_eq(mts_server_on_open(server, life_open, life), 0);
	ck_assert_int_eq(mts_server_on_close(server, life_close, life), 0);
	const char *port = strrchr(mts_server_address(server, 0), ':');
	pthread_mutex_lock(&load.mutex);
	load.address.sin_port = htons((uint16_t)atoi(port + 1));
	pthread_mutex_unlock(&load.mutex);
	server_start(server);
	/* Some are stopped at once, some after a while that is counted in clients. */
	while (atomic_load(&life->opened) < number % 4) {
		sched_yield();
	}
	if (number % 3 == 0) {
		mts_server_stop(server);
		ck_assert_int_eq(mts_server_join(server), 0);
	}
	ck_assert_int_eq(mts_server_destroy(server), 0);
	ck_assert_int_eq(atomic_load(&life->inside), 0);
	ck_assert_int_eq(atomic_load(&life->opened), atomic_load(&life->closed));
	free(life);
}

/* How many: MTS_TEST_LIVES, or as many as take some seconds. */
static int lives(void)
{
	const char *text = getenv("MTS_TEST_LIVES");
	return text != NULL ? atoi(text) : USUAL_LIVES;
}

START_TEST(many_lives)
{
	enum { LOADERS = 3 };
	static char requests[LOADERS][8] = {"1", "22", "4444"};
	pthread_t loaders[LOADERS];
	const int threads = settled_threads();
	const int descriptors = count_descriptors();
	load.address.sin_family = AF_INET;
	load.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	live(0);
	for (int i = 0; i < LOADERS; i++) {
		ck_assert_int_eq(pthread_create(&loaders[i], NULL, make_load, requests[i]), 0);
	}
	for (int i = 0; i < lives(); i++) {
		live(i);
	}
	atomic_store(&load.over, true);
	for (int i = 0; i < LOADERS; i++) {
		ck_assert_int_eq(pthread_join(loaders[i], NULL), 0);
	}
	ck_assert_int_gt(atomic_load(&load.served), 0);
	wait_threads(threads);
	ck_assert_int_eq(count_descriptors(), descriptors);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("life, again and again");
	tcase_set_timeout(cases, 120 + lives() / 10);
	tcase_add_test(cases, many_lives);
	return suite_run();
}
