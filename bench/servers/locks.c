/*
 * How a server with this library uses its locks: how often each is taken, how often it was taken
 * already, and how long it is held.
 *
 * The linker puts the functions below between the library's objects and the C library (--wrap; see
 * bench.am), in a program of its own, so that the library is measured as it is and no other program pays
 * for this. What kind a lock is follows from its rank, which mtsi_lock_init() is told in every build: all
 * kinds but one have a single lock, whose address is noted there, and whatever else is locked is a client's.
 * (A library that is preloaded sees addresses only, and the callers' names are gone where they are
 * inlined.)
 *
 * Each thread counts for itself, on a sheet that nobody else touches before the end. The clock is read as
 * the last thing after taking a lock and as the first before its release, and all else is done without the
 * lock: so one reading of the clock is all that is added to a hold. What that costs is found out at the
 * start, and subtracted. A thread that waits for a signal does not hold the lock meanwhile, and takes it
 * once more as it wakes.
 *
 * Of the holds the median is given. Where others want the CPUs too, a thread loses its own now and then with
 * a lock held, and the time until it runs again would make up most of a mean, but says nothing about the lock.
 *
 * At its end the program writes all this to the file that LOCKS_OUT names, for bench/locks.sh.
 */
#include "contract.h"
#include "engine/base/ranks.h"
#include "os/lock.h"

#include <errno.h>
#include <inttypes.h>
#include <mtserver.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define KINDS (MTSI_RANK_LOG + 1)
#define STEPS 8 /* cells for each power of two */
#define CELLS (32 * STEPS)
#define TRIES 10000

struct usage {
	uint64_t takes;
	uint64_t contended;
	uint64_t holds[CELLS]; /* by how long they were */
};

/* What one thread counts. */
struct sheet {
	struct sheet *next;
	uint64_t calls; /* of the handler */
	uint64_t since[KINDS]; /* it holds the lock of this kind since then, */
	unsigned char found_taken[KINDS]; /* which was taken when it came */
	struct usage usage[KINDS];
};

static const char *const names[KINDS] = {
	[MTSI_RANK_LIFECYCLE] = "lifecycle",
	[MTSI_RANK_CHANGING] = "changing",
	[MTSI_RANK_LISTENERS] = "listeners",
	[MTSI_RANK_EVICTION] = "eviction",
	[MTSI_RANK_DOOR] = "door",
	[MTSI_RANK_CLIENTS] = "clients",
	[MTSI_RANK_CLIENT] = "client",
	[MTSI_RANK_ADDRESSES] = "addresses",
	[MTSI_RANK_LINGER] = "linger",
	[MTSI_RANK_DEADLINES] = "deadlines",
	[MTSI_RANK_MAILBOX] = "mailbox",
	[MTSI_RANK_CREW] = "crew",
	[MTSI_RANK_LOG] = "log",
};

static const pthread_mutex_t *single[KINDS]; /* written before there is a second thread */
static struct sheet *_Atomic sheets;
static _Thread_local struct sheet *own;
static _Atomic int over; /* the server is stopping: nothing counts any more */
static uint64_t clock_cost; /* of one reading, in nanoseconds */
static uint64_t wrap_cost; /* what taking and releasing costs more than it does without all this */

int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __real_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __real_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
int __real_pthread_cond_timedwait(
	pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until);
void __real_mtsi_lock_init(struct mtsi_lock *lock, unsigned rank);
void __real_contract_work(const struct contract *contract, const void *request, size_t size);
void __real_mts_server_stop(mts_server *server);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
int __wrap_pthread_cond_timedwait(
	pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until);
void __wrap_mtsi_lock_init(struct mtsi_lock *lock, unsigned rank);
void __wrap_contract_work(const struct contract *contract, const void *request, size_t size);
void __wrap_mts_server_stop(mts_server *server);

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static struct sheet *own_sheet(void)
{
	struct sheet *sheet = own;

	if (!sheet) {
		sheet = calloc(1, sizeof(*sheet));
		if (!sheet) {
			abort();
		}
		sheet->next = atomic_load(&sheets);
		while (!atomic_compare_exchange_weak(&sheets, &sheet->next, sheet)) {
			continue;
		}
		own = sheet;
	}
	return sheet;
}

static unsigned kind_of(const pthread_mutex_t *mutex)
{
	unsigned kind;

	for (kind = 1; kind < KINDS; kind++) {
		if (single[kind] == mutex) {
			return kind;
		}
	}
	return MTSI_RANK_CLIENT;
}

/* By the highest bit and the three bits below it. */
static unsigned cell_of(uint64_t span)
{
	unsigned shift;
	unsigned cell;

	if (span < STEPS) {
		return (unsigned)span;
	}
	shift = 63u - (unsigned)__builtin_clzll(span) - 3;
	cell = shift * STEPS + (unsigned)(span >> shift);
	return cell < CELLS ? cell : CELLS - 1;
}

static void note_hold(struct sheet *sheet, unsigned kind, uint64_t until)
{
	struct usage *usage = &sheet->usage[kind];
	uint64_t span = until - sheet->since[kind];

	if (atomic_load_explicit(&over, memory_order_relaxed)) {
		return;
	}
	usage->holds[cell_of(span > clock_cost ? span - clock_cost : 0)]++;
	usage->takes++;
	usage->contended += sheet->found_taken[kind];
	sheet->found_taken[kind] = 0;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
	struct sheet *sheet = own_sheet();
	unsigned kind = kind_of(mutex);
	int result = pthread_mutex_trylock(mutex);
	int contended = result == EBUSY;

	if (contended) {
		result = __real_pthread_mutex_lock(mutex);
	}
	if (result == 0) {
		sheet->found_taken[kind] = (unsigned char)contended;
		sheet->since[kind] = now();
	}
	return result;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	uint64_t until = now();
	int result = __real_pthread_mutex_unlock(mutex);

	note_hold(own_sheet(), kind_of(mutex), until); /* only its address is looked at */
	return result;
}

int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
	struct sheet *sheet = own_sheet();
	unsigned kind = kind_of(mutex);
	int result;

	note_hold(sheet, kind, now());
	result = __real_pthread_cond_wait(condition, mutex);
	sheet->since[kind] = now();
	return result;
}

int __wrap_pthread_cond_timedwait(
	pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until)
{
	struct sheet *sheet = own_sheet();
	unsigned kind = kind_of(mutex);
	int result;

	note_hold(sheet, kind, now());
	result = __real_pthread_cond_timedwait(condition, mutex, until);
	sheet->since[kind] = now();
	return result;
}

void __wrap_mtsi_lock_init(struct mtsi_lock *lock, unsigned rank)
{
	__real_mtsi_lock_init(lock, rank);
	if (rank != MTSI_RANK_CLIENT && rank < KINDS) {
		single[rank] = &lock->mutex;
	}
}

void __wrap_contract_work(const struct contract *contract, const void *request, size_t size)
{
	own_sheet()->calls++;
	__real_contract_work(contract, request, size);
}

void __wrap_mts_server_stop(mts_server *server)
{
	atomic_store(&over, 1);
	__real_mts_server_stop(server);
}

/* What a reading of the clock costs, and what a lock costs here and without this: the least of many. */
__attribute__((constructor)) static void find_costs(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	uint64_t wrapped = UINT64_MAX;
	uint64_t plain = UINT64_MAX;
	uint64_t reading = UINT64_MAX;
	unsigned i;

	for (i = 0; i < TRIES; i++) {
		uint64_t a = now();
		uint64_t b = now();
		uint64_t c, d;

		(void)__real_pthread_mutex_lock(&lock);
		(void)__real_pthread_mutex_unlock(&lock);
		c = now();
		(void)__wrap_pthread_mutex_lock(&lock);
		(void)__wrap_pthread_mutex_unlock(&lock);
		d = now();
		reading = b - a < reading ? b - a : reading;
		plain = c - b < plain ? c - b : plain;
		wrapped = d - c < wrapped ? d - c : wrapped;
	}
	clock_cost = reading;
	wrap_cost = wrapped - plain;
	free(own);
	own = NULL;
	atomic_store(&sheets, NULL);
}

static void add(struct usage *all, const struct usage *one)
{
	unsigned cell;

	all->takes += one->takes;
	all->contended += one->contended;
	for (cell = 0; cell < CELLS; cell++) {
		all->holds[cell] += one->holds[cell];
	}
}

/* To an eighth of itself: the middle of its cell. */
static double median_hold(const struct usage *usage)
{
	uint64_t seen = 0;
	unsigned cell = 0;
	unsigned shift;

	while (cell < CELLS - 1 && (seen += usage->holds[cell]) * 2 < usage->takes) {
		cell++;
	}
	if (cell < 2 * STEPS) {
		return cell;
	}
	shift = cell / STEPS - 1;
	return ((double)(STEPS + cell % STEPS) + 0.5) * (double)(1u << shift);
}

__attribute__((destructor)) static void report(void)
{
	static struct usage all[KINDS];
	const char *name = getenv("LOCKS_OUT");
	FILE *file = name ? fopen(name, "w") : NULL;
	uint64_t calls = 0;
	const struct sheet *sheet;
	unsigned kind;

	if (!file) {
		return;
	}
	for (sheet = atomic_load(&sheets); sheet; sheet = sheet->next) {
		calls += sheet->calls;
		for (kind = 1; kind < KINDS; kind++) {
			add(&all[kind], &sheet->usage[kind]);
		}
	}
	fprintf(file, "calls %" PRIu64 "\nclock_ns %" PRIu64 "\nwrap_ns %" PRIu64 "\n", calls,
		clock_cost, wrap_cost);
	for (kind = 1; kind < KINDS; kind++) {
		fprintf(file, "lock %s %" PRIu64 " %" PRIu64 " %.0f\n", names[kind], all[kind].takes,
			all[kind].contended, median_hold(&all[kind]));
	}
	fclose(file);
}
