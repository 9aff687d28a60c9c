/* SPDX-License-Identifier: MIT
 *
 * Files on their way to the peer: every byte, in order with what is written, at the pace of the peer; and
 * what the caller is told when the file, or the peer, is not what it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

enum { KIB = 1024, MIB = 1024 * 1024, FILE_SIZE = 5 * MIB + 17 };

static struct gate entered;
static struct endings endings;
static int file; /* the pattern */
static _Atomic ssize_t
	answer; /* what the latest sendfile has said; written before `entered` counts it */
static _Atomic int sigpipes;

static void count_sigpipe(int signal)
{
	(void)signal;
	sigpipes++;
}

/* A file without a name that holds so much of the pattern. */
static int pattern_file(size_t size)
{
	static char bytes[MIB];
	FILE *stream = tmpfile();
	ck_assert_ptr_nonnull(stream);
	for (size_t at = 0; at < size; at += sizeof(bytes)) {
		const size_t count = size - at < sizeof(bytes) ? size - at : sizeof(bytes);
		pattern_fill(bytes, count, at);
		ck_assert_uint_eq(fwrite(bytes, 1, count, stream), count);
	}
	ck_assert_int_eq(fflush(stream), 0);
	const int fd = dup(fileno(stream));
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fclose(stream), 0);
	return fd;
}

static void setup(void)
{
	const struct sigaction action = {.sa_handler = count_sigpipe};
	entered = (struct gate)GATE;
	endings = (struct endings){.all = GATE};
	answer = 0;
	sigpipes = 0;
	ck_assert_int_eq(sigaction(SIGPIPE, &action, NULL), 0);
	file = pattern_file(FILE_SIZE);
}

static void teardown(void)
{
	close(file);
	ck_assert_int_eq(sigpipes, 0);
}

/* A server and a peer between whom the kernel holds as little as it can. */
static mts_server *narrow_server(mts_handler handler, void *user)
{
	mts_server *server = server_of_lines(handler, user, &endings);
	ck_assert_int_eq(mts_server_on_open(server, open_with_small_buffers, NULL), 0);
	return server;
}

static ssize_t send_file(mts_client *client, int fd, int64_t offset, size_t count)
{
	answer = mts_client_sendfile(client, fd, offset, count);
	gate_add(&entered);
	return answer;
}

/* "offset count": that much of `file`, and a dot; what is in front of it is on the same line. */
static int send_part(mts_client *client, const void *request, size_t size, void *user)
{
	char *end;
	const int64_t offset = strtoll(request, &end, 10);
	const size_t count = strtoull(end, NULL, 10);
	(void)size;
	(void)user;
	(void)mts_client_printf(client, "%s:", (const char *)request);
	(void)send_file(client, file, offset, count);
	return mts_client_puts(client, ".") == 0 ? MTS_KEEP : MTS_CLOSE;
}

static void expect_part(int peer, const char *line, size_t count, uint64_t offset)
{
	peer_expect_text(peer, line);
	peer_expect_text(peer, ":");
	peer_expect_pattern(peer, count, offset);
	peer_expect_text(peer, ".");
}

START_TEST(all_of_it_between_writes)
{
	mts_server *server = narrow_server(send_part, NULL);
	server_start(server);
	ck_assert_int_eq(lseek(file, 12345, SEEK_SET), 12345);
	const int peer = peer_connect_small(server);
	peer_puts(peer, "0 5242897\n4096 1000000\n1 1\n5000000 9\n7 0\n12345 70000\n");
	expect_part(peer, "0 5242897", FILE_SIZE, 0);
	expect_part(peer, "4096 1000000", 1000000, 4096);
	expect_part(peer, "1 1", 1, 1);
	expect_part(peer, "5000000 9", 9, 5000000);
	expect_part(peer, "7 0", 0, 7);
	expect_part(peer, "12345 70000", 70000, 12345);
	ck_assert_int_eq(lseek(file, 0, SEEK_CUR), 12345);
	peer_finish(peer);
	peer_expect_end(peer);
	endings_expect(&endings, MTS_CLOSED_BY_PEER, 1);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_BYTES_OUT),
		FILE_SIZE + 1000000 + 1 + 9 + 70000
			+ strlen("0 52428974096 10000001 15000000 9"
					 "7 012345 70000")
			+ 6 * 2);
	close(peer);
	server_end(server);
}
END_TEST

/* What was written before waits in the queue still, and goes out first. */
static int write_then_send(mts_client *client, const void *request, size_t size, void *user)
{
	static char bytes[200 * KIB];
	(void)request;
	(void)size;
	(void)user;
	pattern_fill(bytes, sizeof(bytes), 0);
	(void)mts_client_write(client, bytes, sizeof(bytes));
	(void)send_file(client, file, sizeof(bytes), MIB);
	pattern_fill(bytes, sizeof(bytes), sizeof(bytes) + MIB);
	(void)mts_client_write(client, bytes, sizeof(bytes));
	return MTS_CLOSE;
}

START_TEST(after_what_waits)
{
	mts_server *server = narrow_server(write_then_send, NULL);
	server_start(server);
	const int peer = peer_connect_small(server);
	peer_puts(peer, "go\n");
	peer_expect_pattern(peer, 400 * KIB + MIB, 0);
	peer_expect_end(peer);
	endings_expect(&endings, MTS_CLOSED_BY_HANDLER, 1);
	close(peer);
	server_end(server);
}
END_TEST

/* The file is shorter than what is asked for: large counts and offsets too. */
START_TEST(the_end_of_the_file)
{
	mts_server *server = server_of_lines(send_part, NULL, &endings);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "5242880 5000000000\n");
	expect_part(peer, "5242880 5000000000", 17, 5242880);
	ck_assert_int_eq(answer, 17);
	peer_puts(peer, "5242897 1\n");
	expect_part(peer, "5242897 1", 0, 0);
	ck_assert_int_eq(answer, 0);
	peer_puts(peer, "9000000000 1\n");
	expect_part(peer, "9000000000 1", 0, 0);
	ck_assert_int_eq(answer, 0);
	/* A hole of four gigabytes, and the pattern behind it. */
	char bytes[100];
	pattern_fill(bytes, sizeof(bytes), 0);
	ck_assert_int_eq(pwrite(file, bytes, sizeof(bytes), 5000000000), sizeof(bytes));
	peer_puts(peer, "5000000000 4000000000\n");
	expect_part(peer, "5000000000 4000000000", sizeof(bytes), 0);
	ck_assert_int_eq(answer, sizeof(bytes));
	close(peer);
	server_end(server);
}
END_TEST

START_TEST(it_is_truncated_meanwhile)
{
	mts_server *server = narrow_server(send_part, NULL);
	server_start(server);
	const int peer = peer_connect_small(server);
	peer_puts(peer, "0 5242897\n");
	ck_assert_uint_lt(server_settled_bytes(server), 3 * MIB);
	ck_assert_int_eq(gate_count(&entered), 0);
	ck_assert_int_eq(ftruncate(file, 3 * MIB), 0);
	expect_part(peer, "0 5242897", 3 * MIB, 0);
	ck_assert_int_eq(answer, 3 * MIB);
	close(peer);
	server_end(server);
}
END_TEST

static int send_descriptor(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)mts_client_puts(client, "before ");
	const ssize_t sent = send_file(client, *(const int *)user, 0, MIB);
	(void)mts_client_printf(client, " after %zd", sent);
	return MTS_CLOSE;
}

/* What is sent when this descriptor is; its end. */
static void check_descriptor(int fd, const char *middle, ssize_t sent)
{
	char after[32];
	mts_server *server = server_of_lines(send_descriptor, &fd, &endings);
	server_start(server);
	const int peer = peer_connect(server, 0);
	peer_puts(peer, "go\n");
	peer_expect_text(peer, "before ");
	peer_expect_text(peer, middle);
	(void)snprintf(after, sizeof(after), " after %zd", sent);
	peer_expect_text(peer, after);
	peer_expect_end(peer);
	close(peer);
	server_end(server);
	close(fd);
}

START_TEST(what_is_no_regular_file)
{
	char text[4096];
	int ends[2];
	const int version = open("/proc/version", O_RDONLY);
	ck_assert_int_ge(version, 0);
	const ssize_t size = pread(version, text, sizeof(text) - 1, 0);
	ck_assert_int_gt(size, 0);
	text[size] = '\0';
	check_descriptor(version, text, size);
	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(write(ends[1], "through a pipe", 14), 14);
	close(ends[1]);
	check_descriptor(ends[0], "through a pipe", 14);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	ck_assert_int_eq(write(ends[1], "through a socket", 16), 16);
	close(ends[1]);
	check_descriptor(ends[0], "through a socket", 16);
	check_descriptor(open("/dev/null", O_RDONLY), "", 0);
}
END_TEST

START_TEST(what_cannot_be_read)
{
	int ends[2];
	check_descriptor(open("/", O_RDONLY | O_DIRECTORY), "", -EISDIR);
	check_descriptor(open("/dev/null", O_WRONLY), "", -EBADF);
	check_descriptor(-1, "", -EBADF);
	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	check_descriptor(ends[0], "", -EAGAIN);
	close(ends[1]);
}
END_TEST

/* A pipe that is filled while it is sent: more than it holds, and than the socket does. */
static void *fill_pipe(void *argument)
{
	static char bytes[MIB];
	const int fd = *(int *)argument;
	pattern_fill(bytes, sizeof(bytes), 0);
	for (size_t done = 0; done < sizeof(bytes);) {
		const ssize_t count = write(fd, bytes + done, sizeof(bytes) - done);
		ck_assert_int_gt(count, 0);
		done += (size_t)count;
	}
	close(fd);
	return NULL;
}

START_TEST(a_long_pipe)
{
	int ends[2];
	pthread_t filler;
	ck_assert_int_eq(pipe(ends), 0);
	mts_server *server = narrow_server(send_descriptor, &ends[0]);
	server_start(server);
	ck_assert_int_eq(pthread_create(&filler, NULL, fill_pipe, &ends[1]), 0);
	const int peer = peer_connect_small(server);
	peer_puts(peer, "go\n");
	peer_expect_text(peer, "before ");
	peer_expect_pattern(peer, MIB, 0);
	peer_expect_text(peer, " after 1048576");
	ck_assert_int_eq(pthread_join(filler, NULL), 0);
	close(peer);
	close(ends[0]);
	server_end(server);
}
END_TEST

static bool sigpipe_waits(void)
{
	sigset_t pending;
	return sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

/* Sends again and again until that fails. With `user` SIGPIPE is open in this thread. */
static int send_until_lost(mts_client *client, const void *request, size_t size, void *user)
{
	sigset_t sigpipe;
	const bool *open = user;
	(void)request;
	(void)size;
	sigemptyset(&sigpipe);
	sigaddset(&sigpipe, SIGPIPE);
	(void)pthread_sigmask(*open ? SIG_UNBLOCK : SIG_BLOCK, &sigpipe, NULL);
	gate_add(&entered);
	ssize_t result;
	while ((result = mts_client_sendfile(client, file, 0, FILE_SIZE)) > 0) {
	}
	result = sigpipe_waits() ? SIGPIPE : result;
	(void)pthread_sigmask(SIG_BLOCK, &sigpipe, NULL);
	const ssize_t again = mts_client_sendfile(client, file, 0, 1);
	answer = again == -EPIPE ? result : again;
	gate_add(&entered);
	return MTS_KEEP;
}

START_TEST(the_peer_goes_away)
{
	static char bytes[64 * KIB];
	bool open = _i == 1;
	mts_server *server = narrow_server(send_until_lost, &open);
	server_start(server);
	for (int round = 1; round <= 20; round++) {
		const int peer = peer_connect_small(server);
		peer_puts(peer, "go\n");
		gate_wait(&entered, 2 * round - 1);
		if (round % 4 != 0) {
			ck_assert_int_gt(recv(peer, bytes, sizeof(bytes), MSG_WAITALL), 0);
		}
		if (round % 2 == 0) {
			peer_reset(peer);
		} else {
			close(peer);
		}
		gate_wait(&entered, 2 * round);
		ck_assert_int_eq(answer, -EPIPE);
		endings_expect(&endings, MTS_CLOSED_BY_PEER, round);
	}
	server_wait_stat(server, MTS_STAT_CLOSED, 20);
	server_end(server);
	ck_assert_int_eq(gate_count(&endings.all), 20);
}
END_TEST

static int converse(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	do {
		if (send_part(client, request, size, NULL) != MTS_KEEP) {
			return MTS_CLOSE;
		}
	} while (mts_client_next(client, &request, &size) == 1);
	return MTS_CLOSE;
}

START_TEST(in_a_conversation)
{
	mts_server *server = narrow_server(converse, NULL);
	server_start(server);
	const int peer = peer_connect_small(server);
	for (int i = 0; i < 3; i++) {
		peer_puts(peer, "100 600000\n");
		expect_part(peer, "100 600000", 600000, 100);
		peer_puts(peer, "5 5\n");
		expect_part(peer, "5 5", 5, 5);
	}
	peer_finish(peer);
	peer_expect_end(peer);
	close(peer);
	server_end(server);
}
END_TEST

/* Many at once, of one file, while others are served. */
static void *read_slowly(void *argument)
{
	const int peer = peer_connect_small(argument);
	peer_puts(peer, "0 5242897\n3 1000000\n");
	expect_part(peer, "0 5242897", FILE_SIZE, 0);
	expect_part(peer, "3 1000000", 1000000, 3);
	close(peer);
	return NULL;
}

START_TEST(many_at_once)
{
	enum { READERS = 8 };
	pthread_t readers[READERS];
	mts_server *server = narrow_server(send_part, NULL);
	server_start(server);
	for (int i = 0; i < READERS; i++) {
		ck_assert_int_eq(pthread_create(&readers[i], NULL, read_slowly, server), 0);
	}
	for (int i = 0; i < READERS; i++) {
		ck_assert_int_eq(pthread_join(readers[i], NULL), 0);
	}
	endings_expect(&endings, MTS_CLOSED_BY_PEER, READERS);
	server_end(server);
}
END_TEST

/* A peer that does not read: others are served meanwhile, and the write timeout or a stop ends it. */
static void check_stuck(bool stop, int reason, ssize_t wanted)
{
	mts_server *server = narrow_server(send_part, NULL);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_WRITE, 0), 0);
	ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_STOP, 200), 0);
	server_start(server);
	const int peer = peer_connect_small(server);
	peer_puts(peer, "0 5242897\n");
	(void)server_settled_bytes(server);
	ck_assert_int_eq(gate_count(&entered), 0);
	const int other = peer_connect(server, 0);
	peer_puts(other, "9 9\n");
	expect_part(other, "9 9", 9, 9);
	close(other);
	gate_wait(&endings.all, 1);
	ck_assert_int_eq(endings.reasons[MTS_CLOSED_BY_PEER], 1);
	if (stop) {
		mts_server_stop(server);
	} else {
		ck_assert_int_eq(mts_server_set_timeout(server, MTS_TIMEOUT_WRITE, 100), 0);
	}
	gate_wait(&endings.all, 2);
	ck_assert_int_eq(answer, wanted);
	ck_assert_int_eq(endings.reasons[reason], 1);
	close(peer);
	server_end(server);
}

START_TEST(a_peer_that_does_not_read)
{
	check_stuck(false, MTS_CLOSED_WRITE_TIMEOUT, -ETIMEDOUT);
	setup();
	check_stuck(true, MTS_CLOSED_STOP, -EPIPE);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("sendfile");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, all_of_it_between_writes);
	tcase_add_test(tcase, after_what_waits);
	tcase_add_test(tcase, the_end_of_the_file);
	tcase_add_test(tcase, it_is_truncated_meanwhile);
	tcase_add_test(tcase, what_is_no_regular_file);
	tcase_add_test(tcase, what_cannot_be_read);
	tcase_add_test(tcase, a_long_pipe);
	tcase_add_loop_test(tcase, the_peer_goes_away, 0, 2);
	tcase_add_test(tcase, in_a_conversation);
	tcase_add_test(tcase, many_at_once);
	tcase_add_test(tcase, a_peer_that_does_not_read);
	return suite_run();
}
