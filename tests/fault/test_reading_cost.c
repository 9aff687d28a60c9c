/* SPDX-License-Identifier: MIT
 *
 * What it costs to read beside requests, in calls to receive; and putting back when an allocation
 * fails.
 */
#include "scene.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK = 8 * 1024, CHUNKS = 128, BODY = CHUNK * CHUNKS };

static char body[CHUNKS * (CHUNK + 8) + 16];
static size_t body_size;
static bool chunked;
static _Atomic uint32_t receives;

static void read_chunks(mts_client *client)
{
	static char chunk[CHUNK];
	const void *line;
	size_t size;
	uint64_t position = 0;
	do {
		ck_assert_int_eq(mts_client_read_line(client, &line, &size), 1);
		const size_t count = strtoul(line, NULL, 16);
		if (count > 0) {
			ck_assert_int_eq(mts_client_read_exact(client, chunk, count), (ssize_t)count);
			ck_assert_mem_eq(chunk, body + position + 6, count);
		}
		position += count + 8;
		ck_assert_int_eq(mts_client_read_line(client, &line, &size), 1);
		ck_assert_uint_eq(size, 0);
	} while (position < body_size);
}

static void read_raw(mts_client *client)
{
	static char piece[CHUNK];
	for (size_t done = 0; done < body_size;) {
		const size_t left = body_size - done;
		const ssize_t count = mts_client_read(client, piece, left < CHUNK ? left : CHUNK);
		ck_assert_int_gt(count, 0);
		ck_assert_mem_eq(piece, body + done, (size_t)count);
		done += (size_t)count;
	}
}

static int read_body(mts_client *client, const void *request, size_t size, void *user)
{
	struct scene *scene = user;
	(void)request;
	(void)size;
	gate_add(&scene->entered);
	scene_wait(&scene->release, gate_count(&scene->entered));
	const uint32_t before = fault_count(FAULT_RECV);
	if (chunked) {
		read_chunks(client);
	} else {
		read_raw(client);
	}
	receives = fault_count(FAULT_RECV) - before;
	ck_assert_int_eq(mts_client_puts(client, "all"), 0);
	return MTS_KEEP;
}

static void make_body(void)
{
	for (int i = 0; i < CHUNKS; i++) {
		memcpy(body + body_size, "2000\r\n", 6);
		pattern_fill(body + body_size + 6, CHUNK, (uint64_t)i * CHUNK);
		memcpy(body + body_size + 6 + CHUNK, "\r\n", 2);
		body_size += CHUNK + 8;
	}
	memcpy(body + body_size, "0\r\n\r\n", 5);
	body_size += 5;
}

/* How many receives it takes when all of the body has been sent before. */
static uint32_t receives_for(struct scene *scene, bool in_chunks, int times)
{
	const int peer = peer_connect(scene->server, 0);
	const int room = 2 * (int)sizeof(body);
	(void)setsockopt(peer, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	chunked = in_chunks;
	peer_puts(peer, "go\n");
	gate_wait(&scene->entered, times);
	peer_send(peer, body, body_size);
	gate_add(&scene->release);
	peer_expect_text(peer, "all");
	close(peer);
	gate_wait(&scene->closed, times);
	return receives;
}

START_TEST(a_chunked_body)
{
	struct scene scene;
	scene_make(&scene, read_body);
	ck_assert_int_eq(mts_server_frame_lines(scene.server), 0);
	scene_start(&scene);
	make_body();
	fault_clear(FAULT_RECV);
	const uint32_t raw = receives_for(&scene, false, 1);
	const uint32_t chunks = receives_for(&scene, true, 2);
	ck_assert_uint_ge(raw, CHUNKS);
	ck_assert_msg(chunks * 10 <= raw * 12, "%u receives, and %u raw ones", chunks, raw);
	scene_end(&scene);
}
END_TEST

/* The allocation of a put-back fails: nothing has changed, and the next one goes well. */
static int put_back(mts_client *client, const void *request, size_t size, void *user)
{
	const mts_server *server = mts_client_server(client);
	const uint64_t before = mts_server_stat(server, MTS_STAT_MEMORY); /* half a line was kept */
	char bytes[8];
	(void)user;
	fault_fail(FAULT_MEMORY, ENOMEM, 0, 1);
	ck_assert_int_eq(mts_client_unread(client, "again", 5), -ENOMEM);
	ck_assert_uint_eq(fault_hits(FAULT_MEMORY), 1);
	ck_assert_int_eq(mts_client_pending(client), 0);
	ck_assert_uint_eq(mts_server_stat(server, MTS_STAT_MEMORY), before);
	ck_assert_int_eq(mts_client_unread(client, "again", 5), 0);
	ck_assert_int_eq(mts_client_read_exact(client, bytes, 5), 5);
	ck_assert_mem_eq(bytes, "again", 5);
	ck_assert_int_eq(mts_client_write(client, request, size), 0);
	ck_assert_int_eq(mts_client_puts(client, "\n"), 0);
	return MTS_KEEP;
}

START_TEST(no_memory_to_put_back)
{
	struct scene scene;
	scene_make(&scene, put_back);
	scene_start(&scene);
	const int peer = peer_connect(scene.server, 0);
	scene_ask(peer, "stays");
	scene_ask(peer, "and stays");
	close(peer);
	gate_wait(&scene.closed, 1);
	server_wait_stat(scene.server, MTS_STAT_MEMORY, 0);
	scene_end(&scene);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("reading_cost");
	tcase_add_test(tcase, a_chunked_body);
	tcase_add_test(tcase, no_memory_to_put_back);
	return suite_run();
}
