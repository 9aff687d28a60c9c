/*
 * What the model of many CPUs (mva.awk) has to know of this machine, in nanoseconds, on one line:
 *
 *   pair       taking and releasing a lock that nobody else wants
 *   line       a cache line that two CPUs write in turn, each time it changes hands
 *   contended  how long a thread waits for a lock that it finds taken for a moment: the C library has it
 *              ask the kernel
 *   event      one event of a TCP socket more in what an epoll_wait(2) reports
 *
 * Two threads are held to a CPU each, so it takes two CPUs. Each is measured in many short batches, and the
 * figure is that of the batch which a tenth of them are better than: where others want these CPUs too, many
 * batches are longer by the milliseconds in which a thread has lost its CPU.
 */
#include "servers/contract.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCHES 401
#define ROUNDS 500
#define SOCKETS 64
#define HOLD 20 /* turns of an empty loop: some tens of nanoseconds, as the crew's lock is held */
#define THINK 200

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Alignas(128) _Atomic unsigned word;
static _Alignas(128) _Atomic int over;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int compare(const void *one, const void *other)
{
	double a = *(const double *)one;
	double b = *(const double *)other;

	return (a > b) - (a < b);
}

/* A tenth of them are better. */
static double typical(double *batches, unsigned count)
{
	qsort(batches, count, sizeof(*batches), compare);
	return count > 0 ? batches[count / 10] : 0;
}

/* Holds the calling thread to one of those CPUs. */
static void stay_on(const cpu_set_t *cpus, unsigned which)
{
	cpu_set_t one;
	unsigned cpu = 0;

	while (cpu < CPU_SETSIZE && !(CPU_ISSET(cpu, cpus) && which-- == 0)) {
		cpu++;
	}
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if ((errno = pthread_setaffinity_np(pthread_self(), sizeof(one), &one)) != 0) {
		fail("pthread_setaffinity_np");
	}
}

static void spin(unsigned turns)
{
	volatile unsigned left = turns;

	while (left > 0) {
		left--;
	}
}

static void *write_in_turn(void *cpus)
{
	stay_on(cpus, 1);
	while (!atomic_load(&over)) {
		if (atomic_load(&word) % 2 == 1) {
			atomic_fetch_add(&word, 1);
		}
	}
	return NULL;
}

static void *lock_in_turn(void *cpus)
{
	stay_on(cpus, 1);
	while (!atomic_load(&over)) {
		pthread_mutex_lock(&lock);
		spin(HOLD);
		pthread_mutex_unlock(&lock);
		spin(THINK);
	}
	return NULL;
}

static double pair_batch(void)
{
	double begun = now();
	unsigned i;

	for (i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&lock);
		pthread_mutex_unlock(&lock);
	}
	return (now() - begun) / ROUNDS;
}

static double line_batch(void)
{
	double begun = now();
	unsigned i;

	for (i = 0; i < ROUNDS; i++) {
		atomic_fetch_add(&word, 1);
		while (atomic_load(&word) % 2 == 1) {
			continue;
		}
	}
	return (now() - begun) / (2 * ROUNDS);
}

/* -1: it was never found taken. */
static double contended_batch(void)
{
	double waited = 0;
	unsigned often = 0;
	unsigned i;

	for (i = 0; i < ROUNDS; i++) {
		double begun = now();

		if (pthread_mutex_trylock(&lock) != 0) {
			pthread_mutex_lock(&lock);
			waited += now() - begun;
			often++;
		}
		spin(HOLD);
		pthread_mutex_unlock(&lock);
		spin(THINK);
	}
	return often > 0 ? waited / often : -1;
}

static double measure(double (*batch)(void), void *(*partner)(void *), cpu_set_t *cpus)
{
	double batches[BATCHES];
	unsigned count = 0;
	unsigned i;
	pthread_t thread;

	atomic_store(&over, 0);
	if (partner && (errno = pthread_create(&thread, NULL, partner, cpus)) != 0) {
		fail("pthread_create");
	}
	for (i = 0; i < BATCHES; i++) {
		double result = batch();

		if (result >= 0) {
			batches[count++] = result;
		}
	}
	atomic_store(&over, 1);
	if (partner) {
		pthread_join(thread, NULL);
	}
	return typical(batches, count);
}

/* Connections whose receiving ends are in the epoll instance, edge-triggered as the library has them. */
static void connect_all(int poll, int ends[SOCKETS][2])
{
	struct contract contract = {.port = 0};
	int listener = contract_listen(&contract, 0);
	struct sockaddr_in address = {.sin_family = AF_INET};
	unsigned i;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = htons((in_port_t)contract_port(listener));
	for (i = 0; i < SOCKETS; i++) {
		struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = i};

		ends[i][0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (ends[i][0] < 0
			|| connect(ends[i][0], (struct sockaddr *)&address, sizeof(address)) != 0) {
			fail("connect");
		}
		ends[i][1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (ends[i][1] < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, ends[i][1], &event) != 0) {
			fail("accept");
		}
	}
	close(listener);
}

/* How long it takes to have so many events reported at once. */
static double events_batch(int poll, int ends[SOCKETS][2], unsigned count)
{
	struct epoll_event events[SOCKETS];
	double begun, taken;
	unsigned i;
	char byte = 0;

	for (i = 0; i < count; i++) {
		(void)send(ends[i][0], &byte, 1, MSG_NOSIGNAL);
	}
	begun = now();
	i = (unsigned)epoll_wait(poll, events, SOCKETS, 0);
	taken = now() - begun;
	if (i != count) {
		return -1;
	}
	while (i-- > 0) {
		(void)recv(ends[events[i].data.u32][1], &byte, 1, 0);
	}
	return taken;
}

static double events(unsigned count)
{
	static int ends[SOCKETS][2];
	static int poll = -1;
	double batches[BATCHES];
	unsigned good = 0;
	unsigned i;

	if (poll < 0) {
		poll = epoll_create1(EPOLL_CLOEXEC);
		connect_all(poll, ends);
	}
	for (i = 0; i < BATCHES; i++) {
		double result = events_batch(poll, ends, count);

		if (result >= 0) {
			batches[good++] = result;
		}
	}
	return typical(batches, good);
}

int main(void)
{
	double one = events(1);
	double many = events(SOCKETS);
	double pair, line, contended;
	cpu_set_t cpus;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0 || CPU_COUNT(&cpus) < 2) {
		fprintf(stderr, "lock_cost: it takes two CPUs\n");
		return 1;
	}
	stay_on(&cpus, 0);
	pair = measure(pair_batch, NULL, &cpus);
	line = measure(line_batch, write_in_turn, &cpus);
	contended = measure(contended_batch, lock_in_turn, &cpus);
	printf("pair=%.1f line=%.1f contended=%.1f event=%.1f\n", pair, line, contended,
		(many - one) / (SOCKETS - 1));
	return 0;
}
