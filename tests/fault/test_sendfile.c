/* SPDX-License-Identifier: MIT
 *
 * Files that go out in pieces, are interrupted, refused by the kernel, or cannot be read: the stream stays
 * the same, byte for byte, as long as the connection lives, and the caller learns what became of the rest.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scene.h"

enum { SIZE = 60000, PIECE = 1000 };

static int file;
static _Atomic ssize_t answer;

static void setup(void)
{
	static char bytes[SIZE];
	FILE *stream = tmpfile();
	ck_assert_ptr_nonnull(stream);
	pattern_fill(bytes, SIZE, 0);
	ck_assert_uint_eq(fwrite(bytes, 1, SIZE, stream), SIZE);
	ck_assert_int_eq(fflush(stream), 0);
	file = dup(fileno(stream));
	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(fclose(stream), 0);
}

static void teardown(void)
{
	close(file);
}

/* The file, and after it what has come of that: the client can be written to as long as it lives. */
static int give(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	(void)mts_client_puts(client, "<");
	answer = mts_client_sendfile(client, file, 0, SIZE);
	(void)mts_client_printf(client, ">%zd\n", answer);
	return MTS_KEEP;
}

static const struct {
	size_t most; /* bytes at once; 0: as many as they like */
	uint32_t interrupted; /* every n-th is; 0: none */
	uint32_t refused; /* every n-th is told to come again; 0: none */
	bool copied; /* the kernel declines from the third call on */
} ways[] = {
	{0, 2, 0, false},
	{0, 0, 2, false},
	{1, 0, 0, false},
	{7, 3, 0, false},
	{PIECE, 0, 2, false},
	{PIECE, 2, 0, true},
	{0, 0, 0, true},
	{3, 2, 0, true},
};
enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

static void behave(int way)
{
	fault_short(ways[way].most);
	if (ways[way].interrupted > 0) {
		fault_every(FAULT_SENDFILE, EINTR, ways[way].interrupted);
		fault_every(FAULT_PREAD, EINTR, ways[way].interrupted);
	}
	if (ways[way].refused > 0) {
		fault_every(FAULT_SENDFILE, EAGAIN, ways[way].refused);
	}
	if (ways[way].copied) {
		fault_fail(FAULT_SENDFILE, ways[way].most == PIECE ? ENOSYS : EINVAL, 2, FAULT_FOREVER);
	}
}

START_TEST(the_stream_is_the_same)
{
	struct scene scene;
	scene_make(&scene, give);
	scene.small = true;
	scene_start(&scene);
	behave(_i);
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, "a\nb\n");
	peer_finish(peer);
	for (int i = 0; i < 2; i++) {
		peer_expect_text(peer, "<");
		peer_expect_pattern(peer, SIZE, 0);
		peer_expect_text(peer, ">60000\n");
	}
	peer_expect_end(peer);
	ck_assert_uint_gt(fault_count(FAULT_SENDFILE), 0);
	close(peer);
	scene_end(&scene);
	fault_short(0);
}
END_TEST

/* The last ones a call of the library says when the client is lost, or late. */
static const int of_the_file[] = {EIO, ESTALE, ENOMEM, ENOBUFS, EBADF, ETIMEDOUT, ECANCELED, EPIPE};
enum { OF_THE_FILE = sizeof(of_the_file) / sizeof(of_the_file[0]) };

/* At once, or in the middle; then the client goes on. */
static void check_file(enum fault_call call, int error, uint32_t skip, size_t sent)
{
	struct scene scene;
	char text[32];
	scene_make(&scene, give);
	scene_start(&scene);
	fault_short(PIECE);
	if (call == FAULT_PREAD) {
		fault_fail(FAULT_SENDFILE, EINVAL, 0, FAULT_FOREVER);
	}
	fault_fail(call, error, skip, FAULT_FOREVER);
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, "a\nb\n");
	const bool mistakable = error == ETIMEDOUT || error == ECANCELED || error == EPIPE;
	const int said = mistakable ? -EIO : -error;
	(void)snprintf(text, sizeof(text), ">%d\n", sent > 0 ? (int)sent : said);
	peer_expect_text(peer, "<");
	peer_expect_pattern(peer, sent, 0);
	peer_expect_text(peer, text);
	(void)snprintf(text, sizeof(text), "<>%d\n", said);
	peer_expect_text(peer, text);
	fault_clear(call);
	peer_puts(peer, "c\n");
	peer_expect_text(peer, "<");
	peer_expect_pattern(peer, SIZE, 0);
	peer_expect_text(peer, ">60000\n");
	close(peer);
	scene_end(&scene);
	fault_clear(FAULT_SENDFILE);
	fault_short(0);
}

START_TEST(the_file_fails)
{
	if (of_the_file[_i] != EPIPE) { /* that is asked again */
		check_file(FAULT_SENDFILE, of_the_file[_i], 0, 0);
		check_file(FAULT_SENDFILE, of_the_file[_i], 5, 5 * PIECE);
	}
	check_file(FAULT_PREAD, of_the_file[_i], 0, 0);
	check_file(FAULT_PREAD, of_the_file[_i], 7, 7 * PIECE);
}
END_TEST

static const struct {
	enum fault_call call;
	int error;
	uint32_t skip;
} losses[] = {
	{FAULT_SEND, EPIPE, 0}, /* what was written before */
	{FAULT_SEND, ECONNRESET, 4}, /* a copy */
};
enum { LOSSES = sizeof(losses) / sizeof(losses[0]) };

/* What both a file and a socket may say is asked again, of one after the other: here it was neither. */
START_TEST(it_is_not_said_whose)
{
	static const int errors[] = {EPIPE, ECONNRESET};
	struct scene scene;
	scene_make(&scene, give);
	scene_start(&scene);
	fault_short(PIECE);
	fault_fail(FAULT_SENDFILE, errors[_i], 3, 1);
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, "a\n");
	peer_expect_text(peer, "<");
	peer_expect_pattern(peer, SIZE, 0);
	peer_expect_text(peer, ">60000\n");
	ck_assert_uint_eq(fault_hits(FAULT_SENDFILE), 1);
	close(peer);
	scene_end(&scene);
	fault_clear(FAULT_SENDFILE);
	fault_short(0);
}
END_TEST

START_TEST(the_client_is_lost)
{
	struct scene scene;
	scene_make(&scene, give);
	scene_start(&scene);
	fault_short(PIECE);
	if (losses[_i].call == FAULT_SEND) {
		fault_fail(FAULT_SENDFILE, EINVAL, 0, FAULT_FOREVER);
	}
	fault_fail(losses[_i].call, losses[_i].error, losses[_i].skip, 1);
	const int peer = peer_connect(scene.server, 0);
	peer_puts(peer, "a\n");
	peer_expect_gone(peer);
	gate_wait(&scene.reasons[MTS_CLOSED_BY_PEER], 1);
	ck_assert_int_eq(answer, -EPIPE);
	close(peer);
	scene_end(&scene);
	ck_assert_int_eq(gate_count(&scene.closed), 1);
	fault_clear(FAULT_SENDFILE);
	fault_short(0);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("sendfile");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_loop_test(cases, the_stream_is_the_same, 0, WAYS);
	tcase_add_loop_test(cases, the_file_fails, 0, OF_THE_FILE);
	tcase_add_loop_test(cases, it_is_not_said_whose, 0, 2);
	tcase_add_loop_test(cases, the_client_is_lost, 0, LOSSES);
	return suite_run();
}
