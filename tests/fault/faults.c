/* SPDX-License-Identifier: MIT
 *
 * A plan for each call, and a function around each call that asks the plan first. Plans are
 * atomics, so that a test can change them while the library's threads run; the order of the changes
 * keeps a plan switched off until it is complete.
 *
 * Check and the tests use the same functions. A mark on the thread tells the library's calls from
 * theirs. The wrapped pthread_create puts it on every new thread, so the library's threads have it
 * from the start; a thread that a test makes removes it.
 */
#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <check.h>

enum { PATIENCE_MS = 60000, SECOND = 1000000000, POPULATE_READ = 22 };
static const int64_t hour = INT64_C(3600) * SECOND;

struct plan {
	_Atomic int error; /* 0: switched off */
	_Atomic uint32_t skip;
	_Atomic uint32_t times;
	_Atomic uint32_t every;
	_Atomic uint32_t calls;
	_Atomic uint32_t hits;
	void (*_Atomic hook)(void);
};

enum event_state { EVENT_NONE, EVENT_WAITS, EVENT_TOLD };

static struct plan plans[FAULT_CALLS];
static _Atomic uint32_t watch_only;
static _Atomic size_t most_bytes;
static _Atomic uint32_t event_state; /* of enum event_state */
static struct epoll_event late_event; /* written while there is none */
static _Atomic int64_t ahead;
static _Atomic int64_t stopped_at; /* 0: the clock goes */
static _Thread_local bool counts;
static _Atomic uint32_t steps;
static _Atomic uint32_t hook_step;
static void (*_Atomic step_hook)(void);
static _Atomic size_t largest;
static _Atomic uint32_t short_sleeps; /* calls, at this moment */
static _Atomic int last_timer = -1; /* that was set */

void fault_inside(bool inside)
{
	counts = inside;
}

static void set(enum fault_call call, int error, uint32_t skip, uint32_t times, uint32_t every)
{
	struct plan *plan = &plans[call];
	atomic_store(&plan->error, 0);
	atomic_store(&plan->skip, skip);
	atomic_store(&plan->times, times);
	atomic_store(&plan->every, every);
	atomic_store(&plan->calls, 0);
	atomic_store(&plan->hits, 0);
	if (call == FAULT_MEMORY) {
		atomic_store(&largest, 0);
	}
	atomic_store(&plan->error, error);
}

void fault_fail(enum fault_call call, int error, uint32_t skip, uint32_t times)
{
	set(call, error, skip, times, 1);
}

void fault_every(enum fault_call call, int error, uint32_t n)
{
	set(call, error, n - 1, FAULT_FOREVER, n);
}

void fault_clear(enum fault_call call)
{
	set(call, 0, 0, 0, 1);
}

uint32_t fault_count(enum fault_call call)
{
	return atomic_load(&plans[call].calls);
}

uint32_t fault_hits(enum fault_call call)
{
	return atomic_load(&plans[call].hits);
}

static void wait_for(const _Atomic uint32_t *number, uint32_t least)
{
	for (int waited = 0; atomic_load(number) < least; waited++) {
		ck_assert_msg(waited < PATIENCE_MS, "waited for %u calls, there were %u", (unsigned)least,
			(unsigned)atomic_load(number));
		poll(NULL, 0, 1);
	}
}

void fault_wait_count(enum fault_call call, uint32_t count)
{
	wait_for(&plans[call].calls, count);
}

void fault_wait_hits(enum fault_call call, uint32_t hits)
{
	wait_for(&plans[call].hits, hits);
}

void fault_hook(enum fault_call call, void (*hook)(void))
{
	atomic_store(&plans[call].hook, hook);
}

void fault_at_step(uint32_t n, void (*hook)(void))
{
	atomic_store(&step_hook, NULL);
	atomic_store(&steps, UINT32_MAX / 2); /* no step meanwhile is the n-th; counting begins last */
	atomic_store(&hook_step, n);
	atomic_store(&step_hook, hook);
	atomic_store(&steps, 0);
}

uint32_t fault_steps(void)
{
	return atomic_load(&steps);
}

size_t fault_largest(void)
{
	return atomic_load(&largest);
}

/* A call that sleeps for so long at most begins: whether that is short, and has been counted. */
static bool begins_short_sleep(int64_t nanoseconds)
{
	const bool is_short = counts && nanoseconds < 600 * (int64_t)SECOND;
	if (is_short) {
		atomic_fetch_add(&short_sleeps, 1);
	}
	return is_short;
}

static void ends_short_sleep(bool was_short)
{
	if (was_short) {
		atomic_fetch_sub(&short_sleeps, 1);
	}
}

static int64_t nanoseconds_of(const struct timespec *span)
{
	return (int64_t)span->tv_sec * SECOND + span->tv_nsec;
}

uint32_t fault_short_sleeps(void)
{
	struct itimerspec left;
	const bool will_ring = timerfd_gettime(atomic_load(&last_timer), &left) == 0
		&& nanoseconds_of(&left.it_value) > 0;
	return atomic_load(&short_sleeps) + (will_ring ? 1 : 0);
}

void fault_watch_only(uint32_t events)
{
	atomic_store(&watch_only, events);
}

void fault_short(size_t most)
{
	atomic_store(&most_bytes, most);
}

void fault_event(uint64_t tag, uint32_t events)
{
	ck_assert_uint_eq(atomic_load(&event_state), EVENT_NONE);
	late_event.data.u64 = tag;
	late_event.events = events;
	atomic_store(&event_state, EVENT_WAITS);
}

void fault_wait_event(void)
{
	for (int waited = 0; atomic_load(&event_state) != EVENT_NONE; waited++) {
		ck_assert_msg(waited < PATIENCE_MS, "the late event was not dealt with");
		poll(NULL, 0, 1);
	}
}

/* Counts a call of any kind. */
static void step(void)
{
	const uint32_t number = atomic_fetch_add(&steps, 1);
	void (*hook)(void) = atomic_load(&step_hook);
	if (hook != NULL && number == atomic_load(&hook_step)) {
		hook();
	}
}

/* Counts a call; whether it is to fail, and then errno says how. */
static bool fails(enum fault_call call)
{
	struct plan *plan = &plans[call];
	if (!counts) {
		return false;
	}
	step();
	const int error = atomic_load(&plan->error);
	const uint32_t number = atomic_fetch_add(&plan->calls, 1);
	const uint32_t skip = atomic_load(&plan->skip);
	if (error == 0 || number < skip || number - skip >= atomic_load(&plan->times)
		|| (number - skip) % atomic_load(&plan->every) != 0) {
		return false;
	}
	void (*hook)(void) = atomic_load(&plan->hook);
	if (hook != NULL) {
		hook();
	}
	atomic_fetch_add(&plan->hits, 1);
	if (error == FAULT_NOTHING) {
		return false;
	}
	errno = error;
	return true;
}

/* The same for so much memory. */
static bool lacks(size_t size)
{
	size_t most = atomic_load(&largest);
	while (counts && size > most && !atomic_compare_exchange_weak(&largest, &most, size)) {
	}
	return fails(FAULT_MEMORY);
}

static size_t cut(size_t size)
{
	const size_t most = atomic_load(&most_bytes);
	return counts && most > 0 && size > most ? most : size;
}

/* The wrapped functions, and what they stand in front of. */

#ifdef __GLIBC__
#define RUSAGE_KIND __rusage_who_t
#else
#define RUSAGE_KIND int
#endif

#define WRAPPED(type, name, ...) \
	type __real_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__)

WRAPPED(int, accept4, int fd, struct sockaddr *address, socklen_t *size, int flags)
{
	return fails(FAULT_ACCEPT) ? -1 : __real_accept4(fd, address, size, flags);
}

WRAPPED(int, bind, int fd, const struct sockaddr *address, socklen_t size)
{
	return fails(FAULT_BIND) ? -1 : __real_bind(fd, address, size);
}

WRAPPED(int, connect, int fd, const struct sockaddr *address, socklen_t size)
{
	return fails(FAULT_CONNECT) ? -1 : __real_connect(fd, address, size);
}

WRAPPED(int, madvise, void *where, size_t size, int advice)
{
	return advice == POPULATE_READ && fails(FAULT_MADVISE) ? -1
														   : __real_madvise(where, size, advice);
}

WRAPPED(ssize_t, process_vm_readv, pid_t process, const struct iovec *ours, unsigned long count,
	const struct iovec *theirs, unsigned long their_count, unsigned long flags)
{
	return fails(FAULT_COPY)
		? -1
		: __real_process_vm_readv(process, ours, count, theirs, their_count, flags);
}

/*
 * A number that is closed twice belongs to something else by the second time, or, as here, to
 * nothing.
 */
WRAPPED(int, close, int fd)
{
	if (counts) {
		step();
	}
	const int result = __real_close(fd);
	if (result != 0 && errno == EBADF) {
		(void)fprintf(stderr, "descriptor %d is closed, but is not open\n", fd);
		abort();
	}
	return result;
}

WRAPPED(int, epoll_create1, int flags)
{
	return fails(FAULT_EPOLL_CREATE) ? -1 : __real_epoll_create1(flags);
}

WRAPPED(int, epoll_ctl, int epoll, int operation, int fd, struct epoll_event *event)
{
	const uint32_t only = atomic_load(&watch_only);
	const uint32_t kinds = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI;
	if (operation == EPOLL_CTL_ADD && (only == 0 || (event->events & kinds) == only)
		&& fails(FAULT_EPOLL_CTL)) {
		return -1;
	}
	return __real_epoll_ctl(epoll, operation, fd, event);
}

WRAPPED(int, epoll_wait, int epoll, struct epoll_event *events, int room, int timeout)
{
	if (fails(FAULT_EPOLL_WAIT)) {
		return -1;
	}
	if (atomic_load(&event_state) == EVENT_TOLD) {
		atomic_store(&event_state, EVENT_NONE);
	}
	if (atomic_load(&event_state) == EVENT_WAITS) {
		events[0] = late_event;
		atomic_store(&event_state, EVENT_TOLD);
		return 1;
	}
	const bool is_short = timeout >= 0 && begins_short_sleep((int64_t)timeout * 1000000);
	const int result = __real_epoll_wait(epoll, events, room, timeout);
	ends_short_sleep(is_short);
	return result;
}

WRAPPED(int, ppoll, struct pollfd *wanted, nfds_t count, const struct timespec *timeout,
	const sigset_t *mask)
{
	if (fails(FAULT_PPOLL)) {
		return -1;
	}
	const bool is_short = timeout != NULL && begins_short_sleep(nanoseconds_of(timeout));
	const int result = __real_ppoll(wanted, count, timeout, mask);
	ends_short_sleep(is_short);
	return result;
}

WRAPPED(int, poll, struct pollfd *wanted, nfds_t count, int timeout)
{
	return fails(FAULT_POLL) ? -1 : __real_poll(wanted, count, timeout);
}

WRAPPED(int, nanosleep, const struct timespec *span, struct timespec *left)
{
	return fails(FAULT_NANOSLEEP) ? -1 : __real_nanosleep(span, left);
}

WRAPPED(int, getrusage, RUSAGE_KIND who, struct rusage *usage)
{
	return fails(FAULT_GETRUSAGE) ? -1 : __real_getrusage(who, usage);
}

WRAPPED(int, sigpending, sigset_t *set)
{
	return fails(FAULT_SIGPENDING) ? -1 : __real_sigpending(set);
}

WRAPPED(int, sigtimedwait, const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
	return fails(FAULT_SIGTIMEDWAIT) ? -1 : __real_sigtimedwait(set, info, timeout);
}

WRAPPED(int, pthread_sigmask, int how, const sigset_t *set, sigset_t *before)
{
	return fails(FAULT_SIGMASK) ? errno : __real_pthread_sigmask(how, set, before);
}

WRAPPED(int, timerfd_settime, int timer, int flags, const struct itimerspec *when,
	struct itimerspec *before)
{
	if (fails(FAULT_TIMERFD_SET)) {
		return -1;
	}
	atomic_store(&last_timer, timer);
	return __real_timerfd_settime(timer, flags, when, before);
}

WRAPPED(int, timerfd_create, int clock, int flags)
{
	return fails(FAULT_TIMERFD) ? -1 : __real_timerfd_create(clock, flags);
}

WRAPPED(int, eventfd, unsigned start, int flags)
{
	return fails(FAULT_EVENTFD) ? -1 : __real_eventfd(start, flags);
}

/* The argument may be a number, too, which no platform passes otherwise. */
WRAPPED(int, fcntl, int fd, int command, ...)
{
	va_list arguments;
	va_start(arguments, command);
	void *argument = va_arg(arguments, void *);
	va_end(arguments);
	const bool changes = command == F_SETFL || command == F_SETFD;
	return changes && fails(FAULT_FCNTL) ? -1 : __real_fcntl(fd, command, argument);
}

WRAPPED(int, getsockname, int fd, struct sockaddr *address, socklen_t *size)
{
	return fails(FAULT_GETSOCKNAME) ? -1 : __real_getsockname(fd, address, size);
}

WRAPPED(int, listen, int fd, int backlog)
{
	return fails(FAULT_LISTEN) ? -1 : __real_listen(fd, backlog);
}

WRAPPED(void *, malloc, size_t size)
{
	return lacks(size) ? NULL : __real_malloc(size);
}

WRAPPED(void *, calloc, size_t count, size_t size)
{
	return lacks(count * size) ? NULL : __real_calloc(count, size);
}

WRAPPED(void *, realloc, void *old, size_t size)
{
	return lacks(size) ? NULL : __real_realloc(old, size);
}

WRAPPED(void *, mmap, void *where, size_t size, int protection, int flags, int fd, off_t offset)
{
	return lacks(size) ? MAP_FAILED : __real_mmap(where, size, protection, flags, fd, offset);
}

WRAPPED(char *, strdup, const char *text)
{
	return lacks(strlen(text) + 1) ? NULL : __real_strdup(text);
}

WRAPPED(void *, tsearch, const void *key, void **root, int (*compare)(const void *, const void *))
{
	return fails(FAULT_MEMORY) ? NULL : __real_tsearch(key, root, compare);
}

WRAPPED(ssize_t, mtsi_direct_recv, int fd, void *buffer, size_t size, int flags)
{
	const bool may_wait = (flags & MSG_DONTWAIT) == 0;
	if (!(may_wait && atomic_load(&plans[FAULT_RECV].error) == EAGAIN) && fails(FAULT_RECV)) {
		return -errno;
	}
	return __real_mtsi_direct_recv(fd, buffer, may_wait ? cut(size) : size, flags);
}

WRAPPED(ssize_t, mtsi_direct_send, int fd, const void *data, size_t size, int flags)
{
	return fails(FAULT_SEND) ? -errno : __real_mtsi_direct_send(fd, data, cut(size), flags);
}

WRAPPED(ssize_t, sendmsg, int fd, const struct msghdr *message, int flags)
{
	if (fails(FAULT_SEND)) {
		return -1;
	}
	const struct iovec *first = message->msg_iov;
	if (cut(SIZE_MAX) == SIZE_MAX) {
		return __real_sendmsg(fd, message, flags);
	}
	const ssize_t sent = __real_mtsi_direct_send(fd, first->iov_base, cut(first->iov_len), flags);
	errno = sent < 0 ? (int)-sent : 0;
	return sent < 0 ? -1 : sent;
}

WRAPPED(ssize_t, sendfile, int socket, int fd, off_t *offset, size_t count)
{
	return fails(FAULT_SENDFILE) ? -1 : __real_sendfile(socket, fd, offset, cut(count));
}

WRAPPED(int, pipe2, int ends[2], int flags)
{
	return fails(FAULT_PIPE) ? -1 : __real_pipe2(ends, flags);
}

WRAPPED(ssize_t, splice, int from, off_t *from_at, int to, off_t *to_at, size_t size,
	unsigned int flags)
{
	return fails(FAULT_SPLICE) ? -1 : __real_splice(from, from_at, to, to_at, cut(size), flags);
}

WRAPPED(int, open, const char *path, int flags, ...)
{
	mode_t mode = 0;
	if ((flags & O_CREAT) != 0) {
		va_list arguments;
		va_start(arguments, flags);
		mode = va_arg(arguments, mode_t);
		va_end(arguments);
	}
	return fails(FAULT_OPEN) ? -1 : __real_open(path, flags, mode);
}

WRAPPED(ssize_t, pread, int fd, void *buffer, size_t size, off_t offset)
{
	return fails(FAULT_PREAD) ? -1 : __real_pread(fd, buffer, cut(size), offset);
}

WRAPPED(int, setsockopt, int fd, int level, int option, const void *value, socklen_t size)
{
	return fails(FAULT_SETSOCKOPT) ? -1 : __real_setsockopt(fd, level, option, value, size);
}

WRAPPED(int, socket, int family, int type, int protocol)
{
	return fails(FAULT_SOCKET) ? -1 : __real_socket(family, type, protocol);
}

struct beginning {
	void *(*body)(void *);
	void *argument;
};

static void *marked(void *argument)
{
	const struct beginning beginning = *(struct beginning *)argument;
	free(argument);
	counts = true;
	return beginning.body(beginning.argument);
}

WRAPPED(int, pthread_create, pthread_t *thread, const pthread_attr_t *attributes,
	void *(*body)(void *), void *argument)
{
	if (fails(FAULT_THREAD)) {
		return errno;
	}
	struct beginning *beginning = __real_malloc(sizeof(*beginning));
	if (beginning == NULL) {
		return EAGAIN;
	}
	*beginning = (struct beginning){body, argument};
	const int result = __real_pthread_create(thread, attributes, marked, beginning);
	if (result != 0) {
		free(beginning);
	}
	return result;
}

WRAPPED(int, clock_gettime, clockid_t clock, struct timespec *now)
{
	const int result = __real_clock_gettime(clock, now);
	if (counts && clock == CLOCK_MONOTONIC && result == 0) {
		const int64_t stop = atomic_load(&stopped_at);
		const int64_t real = (int64_t)now->tv_sec * SECOND + now->tv_nsec;
		const int64_t shown = (stop != 0 ? stop : real) + atomic_load(&ahead);
		now->tv_sec = (time_t)(shown / SECOND);
		now->tv_nsec = (long)(shown % SECOND);
	}
	return result;
}

void fault_clock_ahead(uint64_t nanoseconds)
{
	atomic_fetch_add(&ahead, (int64_t)nanoseconds);
}

void fault_clock_stop(bool stop)
{
	struct timespec now;
	__real_clock_gettime(CLOCK_MONOTONIC, &now);
	const int64_t real = (int64_t)now.tv_sec * SECOND + now.tv_nsec;
	if (stop) {
		atomic_store(&stopped_at, real);
	} else {
		atomic_fetch_sub(&ahead, real - atomic_load(&stopped_at));
		atomic_store(&stopped_at, 0);
	}
}

/*
 * The kernel knows only the real clock. A wait that begins while the clock stands still does not
 * end.
 */
WRAPPED(int, pthread_cond_timedwait, pthread_cond_t *condition, pthread_mutex_t *mutex,
	const struct timespec *until)
{
	struct timespec real = *until;
	if (counts) {
		const int64_t pause = atomic_load(&stopped_at) != 0 ? hour : 0;
		const int64_t offset = atomic_load(&ahead) - pause;
		const int64_t shown = (int64_t)until->tv_sec * SECOND + until->tv_nsec;
		const int64_t wanted = shown > offset ? shown - offset : 0;
		real.tv_sec = (time_t)(wanted / SECOND);
		real.tv_nsec = (long)(wanted % SECOND);
	}
	struct timespec now;
	__real_clock_gettime(CLOCK_MONOTONIC, &now);
	const bool is_short = begins_short_sleep(nanoseconds_of(&real) - nanoseconds_of(&now));
	const int result = __real_pthread_cond_timedwait(condition, mutex, &real);
	ends_short_sleep(is_short);
	return result;
}
