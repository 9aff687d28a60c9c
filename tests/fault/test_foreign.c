/* SPDX-License-Identifier: MIT
 *
 * The program's memory is not touched under a lock: it is faulted in before, or copied where the kernel
 * cannot do that, and the stream is the same. Memory that can be read no more costs the write, and
 * nobody a signal. And a reset that some kernels refuse is made up for.
 */
#include "scene.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/client/clients.h"
#include "engine/client/deadline.h"

enum { KIB = 1024, SIZE = 300 * KIB, PAGE = 64 * KIB, LIMIT = 40 * KIB };

static struct scene scene;
static int peer;
static FILE *file;
static char *mapped; /* SIZE bytes of the file */
static _Atomic int answers[3];

static void visit(mts_handler handler)
{
	scene_make(&scene, handler);
	scene.small = true;
	ck_assert_int_eq(mts_server_set_max_output(scene.server, LIMIT), 0);
	scene_start(&scene);
	peer = peer_connect(scene.server, 0);
	server_wait_stat(scene.server, MTS_STAT_ACCEPTED, 1);
}

static void end(void)
{
	close(peer);
	scene_end(&scene);
}

static void map(void)
{
	static char bytes[SIZE];
	file = tmpfile();
	ck_assert_ptr_nonnull(file);
	pattern_fill(bytes, SIZE, 0);
	ck_assert_uint_eq(fwrite(bytes, 1, SIZE, file), SIZE);
	ck_assert_int_eq(fflush(file), 0);
	mapped = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fileno(file), 0);
	ck_assert_ptr_ne(mapped, MAP_FAILED);
	answers[0] = answers[1] = answers[2] = 1;
}

static void unmap(void)
{
	ck_assert_int_eq(munmap(mapped, SIZE), 0);
	ck_assert_int_eq(fclose(file), 0);
}

static void truncate_it(void)
{
	ck_assert_int_eq(ftruncate(fileno(file), PAGE), 0);
}

/* Writes from the mapped file, between two short replies; then whatever the client is still good for. */
static int give(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	answers[0] = mts_client_puts(client, "<");
	answers[1] = mts_client_write(client, mapped, SIZE);
	answers[2] = mts_client_puts(client, ">\n");
	return MTS_KEEP;
}

static const int unknown[] = {EINVAL, ENOSYS, EPERM};
enum { UNKNOWN = sizeof(unknown) / sizeof(unknown[0]) };

/* The kernel does not know how to fault it in; in the second half it may not copy it either. */
START_TEST(the_stream_is_the_same)
{
	visit(give);
	fault_fail(FAULT_MADVISE, unknown[_i % UNKNOWN], 0, FAULT_FOREVER);
	if (_i >= UNKNOWN) {
		fault_fail(FAULT_COPY, unknown[_i % UNKNOWN], 0, FAULT_FOREVER);
	}
	peer_puts(peer, "a\nb\n");
	for (int i = 0; i < 2; i++) {
		peer_expect_text(peer, "<");
		peer_expect_pattern(peer, SIZE, 0);
		peer_expect_text(peer, ">\n");
	}
	fault_inside(true);
	static char bytes[SIZE];
	pattern_fill(bytes, sizeof(bytes), 0);
	wait_until(mts_server_send(scene.server, MTSI_FIRST_ID, bytes, sizeof(bytes)) == 0);
	fault_inside(false);
	peer_expect_pattern(peer, sizeof(bytes), 0);
	ck_assert_uint_ge(fault_hits(FAULT_MADVISE), 2);
	end();
}
END_TEST

static int short_reply(mts_client *client, const void *request, size_t size, void *user)
{
	static char bytes[10000];
	(void)request;
	(void)size;
	(void)user;
	return mts_client_write(client, bytes, sizeof(bytes)) == 0 ? MTS_KEEP : MTS_CLOSE;
}

/* Small writes and messages are copied, which costs no system call. */
START_TEST(small_ones_are_copied)
{
	static char bytes[10000];
	visit(short_reply);
	fault_clear(FAULT_MADVISE);
	peer_puts(peer, "go\n");
	peer_expect(peer, bytes, sizeof(bytes));
	fault_inside(true);
	ck_assert_int_eq(mts_server_send(scene.server, MTSI_FIRST_ID, bytes, 4096), 0);
	ck_assert_int_eq(mts_server_broadcast(scene.server, bytes, 4096), 1);
	ck_assert_uint_eq(fault_count(FAULT_MADVISE), 0);
	ck_assert_int_eq(mts_server_broadcast(scene.server, bytes, sizeof(bytes)), 1);
	ck_assert_uint_eq(fault_count(FAULT_MADVISE), 1);
	fault_inside(false);
	end();
}
END_TEST

/* What was written before goes, and a part, and then no more for a moment, however fast the peer reads. */
static void wait_in_the_middle(void)
{
	fault_short(PAGE);
	fault_fail(FAULT_SEND, EAGAIN, 2, 1);
}

static _Atomic int hooked;

/* What takes the client's lock can be done while its memory is waited for. */
static void others_go_on(void)
{
	hooked++;
	fault_inside(false);
	(void)mts_server_broadcast(scene.server, "", 0);
	if (hooked == 1) {
		ck_assert_int_eq(mts_server_send(scene.server, MTSI_FIRST_ID, "first", 5), 0);
	}
	fault_inside(true);
}

START_TEST(no_lock_is_held)
{
	hooked = 0;
	visit(give);
	fault_hook(FAULT_MADVISE, others_go_on);
	fault_fail(FAULT_MADVISE, FAULT_NOTHING, 0, FAULT_FOREVER);
	wait_in_the_middle();
	peer_puts(peer, "go\n");
	peer_expect_text(peer, "first<");
	peer_expect_pattern(peer, SIZE, 0);
	peer_expect_text(peer, ">\n");
	ck_assert_int_ge(hooked, 2); /* before each wait for room again */
	fault_hook(FAULT_MADVISE, NULL);
	end();
}
END_TEST

static void kick_it(void)
{
	fault_inside(false);
	ck_assert_int_eq(mts_server_kick(scene.server, MTSI_FIRST_ID), 0);
	fault_inside(true);
}

START_TEST(kicked_while_it_is_faulted_in)
{
	visit(give);
	fault_hook(FAULT_MADVISE, kick_it);
	fault_fail(FAULT_MADVISE, FAULT_NOTHING, 0, 1);
	peer_puts(peer, "go\n");
	/* The reply before it was written, and is dropped. */
	ck_assert_uint_eq(peer_expect_torn(peer), 0);
	gate_wait(&scene.reasons[MTS_CLOSED_KICKED], 1);
	ck_assert_int_eq(answers[1], -EPIPE);
	fault_hook(FAULT_MADVISE, NULL);
	end();
}
END_TEST

/* It cannot be read from the start; or it is truncated between the look and the first send. */
START_TEST(it_cannot_be_read)
{
	visit(give);
	if (_i == 0) {
		truncate_it();
	} else {
		fault_hook(FAULT_SEND, truncate_it);
		fault_fail(FAULT_SEND, EFAULT, 0, 1);
	}
	peer_puts(peer, "a\n");
	peer_expect_text(peer, "<>\n");
	ck_assert_int_eq(answers[1], -EFAULT);
	peer_puts(peer, "b\n");
	peer_expect_text(peer, "<>\n");
	ck_assert_int_eq(gate_count(&scene.closed), 0);
	ck_assert_int_eq(mts_server_send(scene.server, MTSI_FIRST_ID, mapped, SIZE), -EFAULT);
	ck_assert_int_eq(mts_server_broadcast(scene.server, mapped, SIZE), -EFAULT);
	fault_hook(FAULT_SEND, NULL);
	peer_puts(peer, "c\n");
	peer_expect_text(peer, "<>\n");
	end();
}
END_TEST

static int gives_up(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	(void)mts_client_puts(client, "<");
	return -EIO;
}

static void last_word(mts_client *client, int reason, void *user)
{
	(void)reason;
	(void)user;
	answers[1] = mts_client_write(client, mapped, SIZE);
}

/* The same in the hook for faults, whose only write it is: a failed handler has sent nothing whole. */
START_TEST(the_last_word_cannot_be_read)
{
	scene_make(&scene, gives_up);
	ck_assert_int_eq(mts_server_on_fault(scene.server, last_word, NULL), 0);
	scene_start(&scene);
	peer = peer_connect(scene.server, 0);
	if (_i == 0) {
		truncate_it();
	} else {
		fault_hook(FAULT_SEND, truncate_it);
		fault_fail(FAULT_SEND, EFAULT, 0, 1);
	}
	peer_puts(peer, "a\n");
	ck_assert_uint_le(peer_expect_torn(peer), 1);
	gate_wait(&scene.reasons[MTS_CLOSED_ERROR], 1);
	ck_assert_int_eq(answers[1], -EFAULT);
	fault_hook(FAULT_SEND, NULL);
	end();
}
END_TEST

/* The same where it is copied. */
START_TEST(it_cannot_be_copied)
{
	visit(give);
	fault_fail(FAULT_MADVISE, EINVAL, 0, FAULT_FOREVER);
	fault_fail(FAULT_COPY, EFAULT, 0, FAULT_FOREVER);
	peer_puts(peer, "a\nb\n");
	peer_expect_text(peer, "<>\n<>\n");
	ck_assert_int_eq(answers[1], -EFAULT);
	fault_inside(true);
	ck_assert_int_eq(mts_server_send(scene.server, MTSI_FIRST_ID, mapped, SIZE), -EFAULT);
	ck_assert_int_eq(mts_server_broadcast(scene.server, mapped, SIZE), -EFAULT);
	fault_inside(false);
	fault_clear(FAULT_COPY);
	peer_puts(peer, "c\n");
	peer_expect_text(peer, "<");
	peer_expect_pattern(peer, SIZE, 0);
	end();
}
END_TEST

/* A part has gone by then: that client is lost, and its peer knows; in the second, as it was copied. */
START_TEST(it_is_truncated_in_the_middle)
{
	visit(give);
	if (_i == 0) {
		wait_in_the_middle();
		fault_fail(FAULT_MADVISE, EFAULT, 1, 1);
	} else {
		fault_fail(FAULT_MADVISE, EINVAL, 0, FAULT_FOREVER);
		fault_fail(FAULT_COPY, EFAULT, 10, 1);
	}
	peer_puts(peer, "go\n");
	ck_assert_uint_lt(peer_expect_torn(peer), SIZE);
	gate_wait(&scene.reasons[MTS_CLOSED_ERROR], 1);
	ck_assert_int_eq(answers[1], -EFAULT);
	ck_assert_int_eq(answers[2], -EPIPE);
	end();
}
END_TEST

static int converse(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	gate_add(&scene.entered);
	answers[0] = mts_client_next(client, &request, &size);
	scene_wait(&scene.release, 1);
	return MTS_KEEP;
}

/* Where the thread sanitizer looks, a reset does not go through connect(): see lib/os/socket.c. */
#ifdef __SANITIZE_THREAD__
enum { CALLS_CONNECT = 0 };
#else
enum { CALLS_CONNECT = 1 };
#endif

/*
 * A kernel refuses the reset while the handler sleeps in a receive: it is woken, and does it itself,
 * before it goes on. Or nothing but closing the socket does it.
 */
START_TEST(a_reset_is_refused)
{
	visit(converse);
	peer_puts(peer, "go\n");
	gate_wait(&scene.entered, 1);
	wait_until(mtsi_deadline_blocks(mtsi_clients_find(scene.server, MTSI_FIRST_ID)));
	fault_inside(true);
	fault_fail(FAULT_SEND, EAGAIN, 0, FAULT_FOREVER);
	wait_until(mts_server_send(scene.server, MTSI_FIRST_ID, "dropped", 7) == 0);
	fault_fail(FAULT_CONNECT, _i == 0 ? EBUSY : EPERM, 0, _i == 0 ? 1 : FAULT_FOREVER);
	ck_assert_int_eq(mts_server_kick(scene.server, MTSI_FIRST_ID), 0);
	fault_inside(false);
	if (_i == 1) {
		gate_add(&scene.release);
	}
	ck_assert_uint_eq(peer_expect_torn(peer), 0);
	ck_assert_uint_ge(fault_count(FAULT_CONNECT), 2);
	if (_i == 0) {
		ck_assert_int_eq(gate_count(&scene.closed), 0);
		gate_add(&scene.release);
	}
	gate_wait(&scene.reasons[MTS_CLOSED_KICKED], 1);
	ck_assert_int_eq(answers[0], -EPIPE);
	fault_clear(FAULT_CONNECT);
	fault_clear(FAULT_SEND);
	end();
}
END_TEST

static const int send_errors[] = {ENOBUFS, ENOMEM, EPIPE};
enum { SEND_ERRORS = sizeof(send_errors) / sizeof(send_errors[0]) };

/* A send that fails on a connection that lives; memory that is short for what waits. */
START_TEST(what_could_not_be_sent)
{
	visit(scene_echo);
	scene_ask(peer, "are you there?");
	if (_i < SEND_ERRORS) {
		fault_fail(FAULT_SEND, send_errors[_i], 0, 1);
	} else {
		fault_fail(FAULT_SEND, EAGAIN, 0, FAULT_FOREVER);
		fault_fail(FAULT_MEMORY, ENOMEM, 0, FAULT_FOREVER);
	}
	peer_puts(peer, "lost\n");
	ck_assert_uint_eq(peer_expect_torn(peer), 0);
	gate_wait(&scene.closed, 1);
	fault_clear(FAULT_SEND);
	fault_clear(FAULT_MEMORY);
	end();
}
END_TEST

static void teardown(void)
{
	for (int call = 0; call < FAULT_CALLS; call++) {
		fault_clear((enum fault_call)call);
	}
	fault_short(0);
	unmap();
}

int main(void)
{
	TCase *cases = suite_begin("foreign");
	tcase_add_checked_fixture(cases, map, teardown);
	tcase_add_loop_test(cases, the_stream_is_the_same, 0, 2 * UNKNOWN);
	tcase_add_test(cases, small_ones_are_copied);
	tcase_add_test(cases, no_lock_is_held);
	tcase_add_test(cases, kicked_while_it_is_faulted_in);
	tcase_add_loop_test(cases, it_cannot_be_read, 0, 2);
	tcase_add_loop_test(cases, the_last_word_cannot_be_read, 0, 2);
	tcase_add_test(cases, it_cannot_be_copied);
	tcase_add_loop_test(cases, it_is_truncated_in_the_middle, 0, 2);
	if (CALLS_CONNECT) {
		tcase_add_loop_test(cases, a_reset_is_refused, 0, 2);
	}
	tcase_add_loop_test(cases, what_could_not_be_sent, 0, SEND_ERRORS + 1);
	return suite_run();
}
