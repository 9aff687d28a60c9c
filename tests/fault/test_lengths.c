/* SPDX-License-Identifier: MIT
 *
 * Lengths that peers claim: whatever the prefix says, no memory is asked for before the bytes are here, and
 * what is above the limit is refused on sight, also where a sum of it and anything would overflow.
 */
#include "scene.h"

#include <string.h>
#include <unistd.h>

enum { LIMIT = 64 * 1024, LARGEST = 1024 * 1024 * 1024 };
enum { LITTLE = 512 }; /* bytes that a new thread of the library may want */

/* The length, and whether it is above the limit of this round. */
static const uint64_t lengths[] = {(uint64_t)LIMIT + 1, (uint64_t)LARGEST + 1, INT32_MAX,
	UINT64_C(1) << 31, UINT32_MAX - 8, UINT32_MAX - 4, UINT32_MAX - 1, UINT32_MAX,
	UINT64_C(1) << 32, UINT64_C(1) << 62, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX - 16,
	UINT64_MAX - 8, UINT64_MAX - 1, UINT64_MAX};
enum { LENGTHS = sizeof(lengths) / sizeof(lengths[0]) };

static const struct {
	unsigned bytes;
	int order;
	size_t limit;
} rounds[] = {
	{4, MTS_BIG_ENDIAN, LIMIT},
	{4, MTS_LITTLE_ENDIAN, LIMIT},
	{8, MTS_BIG_ENDIAN, LIMIT},
	{8, MTS_LITTLE_ENDIAN, LIMIT},
	{4, MTS_BIG_ENDIAN, LARGEST},
	{8, MTS_LITTLE_ENDIAN, LARGEST},
};
enum { ROUNDS = sizeof(rounds) / sizeof(rounds[0]) };

static int reply_with_size(mts_client *client, const void *request, size_t size, void *user)
{
	const unsigned char byte = (unsigned char)size;
	(void)request;
	(void)user;
	return mts_client_write(client, &byte, 1) == 0 ? MTS_KEEP : MTS_CLOSE;
}

static void put_length(unsigned char *prefix, int i, uint64_t length)
{
	for (unsigned at = 0; at < rounds[i].bytes; at++) {
		const unsigned to = rounds[i].order == MTS_BIG_ENDIAN ? rounds[i].bytes - 1 - at : at;
		prefix[to] = (unsigned char)(length >> (8 * at));
	}
}

/* A peer that has had a reply, so that there is a place for a client and for a thread. */
static void be_served(struct scene *scene, int i)
{
	unsigned char frame[8 + 3] = "";
	const int peer = peer_connect(scene->server, 0);
	put_length(frame, i, 0);
	peer_send(peer, frame, rounds[i].bytes);
	peer_expect(peer, "", 1);
	put_length(frame, i, 3);
	peer_send(peer, frame, rounds[i].bytes + 3);
	peer_expect(peer, "\3", 1);
	close(peer);
}

static bool fits(int i, uint64_t length)
{
	return rounds[i].bytes == 8 || length <= UINT32_MAX;
}

/* Only what it claims is here, and a few bytes more. */
static void claim(struct scene *scene, int i, uint64_t length)
{
	unsigned char frame[8 + 3] = "";
	const bool above = length > rounds[i].limit;
	const int refused = gate_count(&scene->reasons[MTS_CLOSED_TOO_LARGE]);
	const int cut = gate_count(&scene->reasons[MTS_CLOSED_PROTOCOL]);
	fault_clear(FAULT_MEMORY);
	const int peer = peer_connect(scene->server, 0);
	const uint64_t before = mts_server_stat(scene->server, MTS_STAT_BYTES_IN);
	put_length(frame, i, length);
	peer_send(peer, frame, rounds[i].bytes + 3);
	if (above) {
		peer_expect_gone(peer);
		gate_wait(&scene->reasons[MTS_CLOSED_TOO_LARGE], refused + 1);
	} else {
		server_wait_stat(scene->server, MTS_STAT_BYTES_IN, before + rounds[i].bytes + 3);
		peer_finish(peer);
		peer_expect_end(peer);
		gate_wait(&scene->reasons[MTS_CLOSED_PROTOCOL], cut + 1);
	}
	ck_assert_uint_le(fault_largest(), LITTLE);
	close(peer);
}

START_TEST(nothing_is_allocated_for_a_claim)
{
	struct scene scene;
	scene_make(&scene, reply_with_size);
	ck_assert_int_eq(
		mts_server_frame_prefixed(scene.server, rounds[_i].bytes, rounds[_i].order), 0);
	ck_assert_int_eq(mts_server_set_max_request(scene.server, rounds[_i].limit), 0);
	scene_start(&scene);
	be_served(&scene, _i);
	claim(&scene, _i, rounds[_i].limit);
	for (int at = 0; at < LENGTHS; at++) {
		if (fits(_i, lengths[at])) {
			claim(&scene, _i, lengths[at]);
		}
	}
	be_served(&scene, _i);
	scene_end(&scene);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("lengths");
	tcase_add_loop_test(cases, nothing_is_allocated_for_a_claim, 0, ROUNDS);
	return suite_run();
}
