/*
 * The server whose behaviour is known: what the generator reports about it can be checked.
 *
 * It is a thread per client as bare_threads is, but each reply waits until a set time after its
 * request arrived, every so-and-so-many replies (counted over all clients) until a longer one,
 * and may burn a set amount of CPU first.  It can stall as a whole: in each period of a set length
 * nobody is answered before a set time of it is over.  It honours marked requests as all servers
 * do, and can be cold: slower for a set time from the first marked request on.  It can also
 * misbehave on purpose: reply something else, reply half and close, or close its listener once the
 * port is told.  The generator must see each of these as what it is; selftest.sh holds it to that.
 *
 * The wait ends by an absolute clock with the smallest timer slack, so a delay is never short
 * and overshoots only by what the scheduler needs.
 */
#include "contract.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MICROSECOND 1000

static struct contract contract;
static unsigned long delay_us; /* all of these: written before the first thread is made */
static unsigned long slow_us;
static unsigned long slow_every;
static unsigned long burn_us;
static unsigned long cold_ms;
static unsigned long cold_us;
static unsigned long stall_ms;
static unsigned long stall_every_ms;
static unsigned long wrong_every;
static unsigned long short_every;
static unsigned long silent_every;
static int refuse;
static atomic_ulong replies;
static atomic_ullong first_marked; /* when it came; 0: not yet */

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void sleep_until(uint64_t when)
{
	struct timespec time = {
		.tv_sec = (time_t)(when / 1000000000u), .tv_nsec = (long)(when % 1000000000u)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) == EINTR) {
		continue;
	}
}

static int due(unsigned long number, unsigned long every)
{
	return every > 0 && number % every == 0;
}

/* When the stall is over that goes on at that time; else 0. */
static uint64_t stalled_until(uint64_t time)
{
	uint64_t period = stall_every_ms * UINT64_C(1000000);
	uint64_t length = stall_ms * UINT64_C(1000000);

	return period > 0 && time % period < length ? time - time % period + length : 0;
}

static int is_cold(const char *data, size_t size, uint64_t arrived)
{
	unsigned long long never = 0;

	if (cold_ms == 0 || size <= CONTRACT_MARK_AT || data[CONTRACT_MARK_AT] != CONTRACT_MARK) {
		return 0;
	}
	atomic_compare_exchange_strong(&first_marked, &never, arrived);
	return arrived < atomic_load(&first_marked) + cold_ms * 1000 * MICROSECOND;
}

/* -1: the client is to be closed. */
static int reply(int fd, char *data, size_t size)
{
	uint64_t arrived = now();
	unsigned long number = atomic_fetch_add(&replies, 1) + 1;
	unsigned long delay = due(number, slow_every) ? slow_us : delay_us;

	if (is_cold(data, size, arrived)) {
		delay = cold_us;
	}
	if (burn_us > 0) {
		contract_burn(burn_us);
	}
	if (delay > 0) {
		sleep_until(arrived + delay * MICROSECOND);
	}
	if (stalled_until(arrived) > 0) {
		sleep_until(stalled_until(arrived));
	}
	if (due(number, silent_every)) {
		return 0;
	}
	if (due(number, wrong_every)) {
		data[size - 1] ^= 1;
	}
	if (due(number, short_every)) {
		(void)contract_send_all(fd, data, size / 2);
		return -1;
	}
	return contract_send_all(fd, data, size);
}

static void *serve(void *argument)
{
	int fd = (int)(intptr_t)argument;
	char buffer[16 * 1024];
	ssize_t got;

	prctl(PR_SET_TIMERSLACK, 1UL);
	while ((got = recv(fd, buffer, sizeof(buffer), 0)) > 0) {
		size_t size = (size_t)got;

		contract_work(&contract, buffer, size);
		if (contract.hello) {
			size = sizeof(CONTRACT_HELLO) - 1;
			memcpy(buffer, CONTRACT_HELLO, size);
		}
		if (reply(fd, buffer, size) != 0 || contract.hello) {
			break;
		}
	}
	close(fd);
	return NULL;
}

static void parse(int argc, char **argv)
{
	static const struct {
		const char *name;
		unsigned long *value;
	} options[] = {
		{"--delay-us", &delay_us},
		{"--slow-us", &slow_us},
		{"--slow-every", &slow_every},
		{"--burn-us", &burn_us},
		{"--cold-ms", &cold_ms},
		{"--cold-us", &cold_us},
		{"--stall-ms", &stall_ms},
		{"--stall-every-ms", &stall_every_ms},
		{"--wrong-every", &wrong_every},
		{"--short-every", &short_every},
		{"--silent-every", &silent_every},
	};
	size_t known = sizeof(options) / sizeof(*options);
	size_t option;
	int i;

	for (i = 1; i < argc; i++) {
		if (contract_option(&contract, argc, argv, &i)) {
			continue;
		}
		if (strcmp(argv[i], "--refuse") == 0) {
			refuse = 1;
			continue;
		}
		for (option = 0; option < known; option++) {
			if (strcmp(argv[i], options[option].name) == 0) {
				break;
			}
		}
		if (option == known) {
			contract_usage(argv[0], argv[i]);
		}
		*options[option].value = contract_number(argc, argv, &i, 1000000000);
	}
}

int main(int argc, char **argv)
{
	unsigned port;
	int listener;

	parse(argc, argv);
	listener = contract_listen(&contract, 0);
	port = contract_port(listener);
	/* Closed first: a connection that is already queued would be reset, not refused. */
	if (refuse) {
		close(listener);
	}
	contract_announce(port);
	if (refuse) {
		for (;;) {
			pause();
		}
	}
	for (;;) {
		pthread_t thread;
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0) {
			continue;
		}
		if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) != 0) {
			close(fd);
		} else {
			pthread_detach(thread);
		}
	}
}
