/* SPDX-License-Identifier: MIT
 *
 * Memory of the program that takes its time, or is gone: a mapped file on a slow disk, or one that was
 * truncated. Whoever waits for a page of it holds up nobody else; whoever writes what cannot be read is
 * told, and its client goes on.
 *
 * The slow disk is userfaultfd(2): a page is there when the test says so. Where the system does not allow
 * it to be used, those tests are passed over, and say so.
 */
#include "reach.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SIZE = 256 * 1024, HERE = 64 * 1024 };

/* Of ioctl_userfaultfd(2), as far as it is needed. */
enum { FAULTS_VERSION = 0xAA, FAULTS_MISSING = 1 };
struct faults_begin {
	uint64_t version;
	uint64_t features;
	uint64_t ioctls;
};
struct faults_register {
	uint64_t start;
	uint64_t size;
	uint64_t mode;
	uint64_t ioctls;
};
struct faults_copy {
	uint64_t to;
	uint64_t from;
	uint64_t size;
	uint64_t mode;
	int64_t copied;
};
#define FAULTS_BEGIN _IOWR(FAULTS_VERSION, 0x3F, struct faults_begin)
#define FAULTS_REGISTER _IOWR(FAULTS_VERSION, 0x00, struct faults_register)
#define FAULTS_COPY _IOWR(FAULTS_VERSION, 0x03, struct faults_copy)

static char *memory; /* SIZE bytes that take their time, or of which only the first are here */
static int faults = -1; /* the descriptor of userfaultfd */
static FILE *file;

/* C libraries differ in the type of ioctl's number. */
static int control(unsigned long which, void *argument)
{
	return (int)syscall(SYS_ioctl, faults, which, argument);
}

/* Memory whose pages are not there before page_in(); false: it cannot be had. */
static bool slow_memory(void)
{
	struct faults_begin begin = {.version = FAULTS_VERSION};
	faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (faults < 0 || control(FAULTS_BEGIN, &begin) != 0) {
		(void)fprintf(stderr, "passed over: no userfaultfd: %s\n", strerror(errno));
		return false;
	}
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(memory, MAP_FAILED);
	struct faults_register range = {
		.start = (uintptr_t)memory, .size = SIZE, .mode = FAULTS_MISSING};
	ck_assert_int_eq(control(FAULTS_REGISTER, &range), 0);
	return true;
}

/* Until somebody waits for a page. */
static void wait_for_fault(void)
{
	struct pollfd wanted = {.fd = faults, .events = POLLIN};
	ck_assert_int_eq(poll(&wanted, 1, PATIENCE * 1000), 1);
	ck_assert_int_eq(wanted.revents, POLLIN);
}

/* All of it is there, and is the pattern. */
static void page_in(void)
{
	char *source = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(source, MAP_FAILED);
	pattern_fill(source, SIZE, 0);
	struct faults_copy copy = {.to = (uintptr_t)memory, .from = (uintptr_t)source, .size = SIZE};
	ck_assert_int_eq(control(FAULTS_COPY, &copy), 0);
	ck_assert_int_eq(munmap(source, SIZE), 0);
}

static void map_truncated(void)
{
	file = tmpfile();
	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(ftruncate(fileno(file), SIZE), 0);
	memory = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fileno(file), 0);
	ck_assert_ptr_ne(memory, MAP_FAILED);
	ck_assert_int_eq(ftruncate(fileno(file), HERE), 0);
}

static void setup(void)
{
	reach_setup();
	memory = NULL;
	file = NULL;
	faults = -1;
}

static void teardown(void)
{
	if (memory != NULL) {
		(void)munmap(memory, SIZE);
	}
	if (file != NULL) {
		(void)fclose(file);
	}
	if (faults >= 0) {
		close(faults);
	}
}

enum { WRITE, SEND, BROADCAST, READ, WAYS };

/* "here" is echoed; anything else does with the memory what `user` says. */
static int use(mts_client *client, const void *request, size_t size, void *user)
{
	mts_server *server = mts_client_server(client);
	if (size == 4) {
		return reach_echo(client, request, size, NULL);
	}
	ck_assert_int_eq(mts_client_puts(client, "<"), 0);
	gate_add(&reach.entered);
	switch (*(const int *)user) {
	case WRITE:
		reach.answers[0] = mts_client_write(client, memory, SIZE);
		break;
	case SEND:
		reach.answers[0] = mts_server_send(server, mts_client_id(client), memory, SIZE);
		break;
	case BROADCAST:
		reach.answers[0] = mts_server_broadcast(server, memory, SIZE);
		break;
	default:
		reach.answers[0] = (int)mts_client_read(client, memory, SIZE);
	}
	reach.answers[1] = mts_client_puts(client, ">");
	gate_add(&reach.leave);
	return MTS_KEEP;
}

/* The page is waited for: others are sent to, served and let in, and the client can be cut off. */
START_TEST(others_do_not_wait)
{
	if (!slow_memory()) {
		return;
	}
	const int way = _i / 2;
	const bool kicks = _i % 2 != 0;
	mts_server *server = reach_server(use, (void *)(uintptr_t)&way);
	ck_assert_int_eq(mts_server_set_max_output(server, 4 * SIZE), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go\nbytes");
	wait_for_fault();
	/* It is open, and nothing more: its messages come before what it writes. */
	ck_assert_int_eq(mts_server_broadcast(server, "B", 1), 1);
	const int other = reach_join(server);
	if (kicks) {
		ck_assert_int_eq(mts_server_kick(server, reach.ids[0]), 0);
		peer_expect_gone(peer);
	}
	peer_ask(other, "here\n");
	page_in();
	gate_wait(&reach.leave, 1);
	if (kicks) {
		endings_expect(&reach.endings, MTS_CLOSED_KICKED, 1);
	} else {
		ck_assert_int_eq(reach.answers[0], way == BROADCAST ? 2 : way == READ ? 5 : 0);
		peer_expect_text(peer, way == READ ? "<B>" : way == WRITE ? "B<" : "B");
		if (way != READ) {
			peer_expect_pattern(peer, SIZE, 0);
			peer_expect_text(peer, way == WRITE ? ">" : "<>");
		}
	}
	close(peer);
	close(other);
	server_end(server);
}
END_TEST

/* A stop does not wait for it either: it ends at its deadline, and says that a handler hangs. */
START_TEST(a_stop_does_not_wait)
{
	if (!slow_memory()) {
		return;
	}
	mts_server *server = reach_server(use, &_i);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, 20), 0);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go\nbytes");
	wait_for_fault();
	mts_server_stop(server);
	ck_assert_int_eq(mts_server_join(server), -EBUSY);
	peer_expect_gone(peer);
	page_in();
	gate_wait(&reach.leave, 1);
	wait_until(mts_server_destroy(server) == 0);
	close(peer);
}
END_TEST

/* What cannot be read is refused as a whole, and costs nothing else. */
START_TEST(what_is_gone_is_refused)
{
	map_truncated();
	mts_server *server = reach_server(use, &_i);
	server_start(server);
	const int peer = peer_connect(server, 0);
	for (int i = 0; i < 3; i++) {
		peer_puts(peer, "go\nhere\n");
		peer_expect_text(peer, "<>here\n");
		ck_assert_int_eq(reach.answers[0], -EFAULT);
		ck_assert_int_eq(reach.answers[1], 0);
	}
	ck_assert_int_eq(mts_server_send(server, reach.ids[0], memory, SIZE), -EFAULT);
	ck_assert_int_eq(mts_server_broadcast(server, memory, SIZE), -EFAULT);
	ck_assert_int_eq(gate_count(&reach.endings.all), 0);
	close(peer);
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("mapped");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_loop_test(cases, others_do_not_wait, 0, 2 * WAYS);
	tcase_add_loop_test(cases, a_stop_does_not_wait, 0, WAYS);
	tcase_add_loop_test(cases, what_is_gone_is_refused, 0, READ);
	return suite_run();
}
