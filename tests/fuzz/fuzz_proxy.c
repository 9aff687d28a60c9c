/*
 * A libFuzzer entry point for PROXY headers: an input is the beginning of a connection.
 *
 * What is found in it must be what a second, plainer reading finds, and must not be contradicted by
 * what is found in fewer of the bytes: all of the header, all but its last byte, and some that the
 * input itself chooses. Each time the bytes are in a block of exactly their size, so that a
 * sanitizer sees any access outside.
 *
 * tests/unit/wire/test_proxy_random.c calls it where there is no libFuzzer, with mutations of its
 * own.
 *
 * Build: clang -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -Ilib -Itests/unit
 *        tests/fuzz/fuzz_proxy.c tests/unit/plain_proxy.c lib/wire/proxy.c lib/wire/proxy_line.c
 *        lib/wire/address.c lib/wire/escape.c
 */
#include "wire/proxy.h"

#include "../unit/plain_proxy.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

/* Bytes in a block of their own, and what was found in them. */
struct reading {
	uint8_t *block;
	size_t size;
	struct mtsi_proxy header;
	int result;
};

/* Shows the input, from which everything else follows. */
static void fail(const char *why, const uint8_t *input, size_t size)
{
	fprintf(stderr, "this does not hold: %s; the input, in hexadecimal:\n", why);
	for (size_t i = 0; i < size; i++) {
		fprintf(stderr, "%02x", input[i]);
	}
	fprintf(stderr, "\n");
	abort();
}

#define REQUIRE(holds) \
	do { \
		if (!(holds)) { \
			fail(#holds, input, size); \
		} \
	} while (0)

static struct reading read_bytes(const uint8_t *bytes, size_t size)
{
	struct reading reading = {.block = malloc(size), .size = size};

	if (size > 0) {
		memcpy(reading.block, bytes, size);
	}
	reading.result = mtsi_proxy_parse(reading.block, size, &reading.header);
	return reading;
}

/* Reads the first `cut` bytes too, and compares that with the reading of all. */
static void check_cut(const uint8_t *input, size_t size, size_t cut, const struct reading *whole)
{
	const struct reading part = read_bytes(input, cut);

	free(part.block);
	if (part.result == 0) {
		REQUIRE(whole->result != 1 || whole->header.size > cut);
		return;
	}
	REQUIRE(part.result == whole->result);
	REQUIRE(part.result != 1 || same_proxy(&part.header, &whole->header));
}

/* A number that the input determines, to choose by. */
static uint32_t choice_of(const uint8_t *input, size_t size)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < size; i++) {
		hash = (hash ^ input[i]) * 16777619u;
	}
	return hash ^ hash >> 15;
}

static void check_plain(const uint8_t *input, size_t size, const struct reading *whole)
{
	struct mtsi_proxy header;
	const int result = plain_proxy(whole->block, size, &header);

	if (result == 0) {
		REQUIRE(whole->result == 0 || whole->result == -EPROTO);
		return;
	}
	REQUIRE(whole->result == result);
	REQUIRE(result != 1 || same_proxy(&header, &whole->header));
}

/* Looks for a TLV in any bytes, which need not be of a header. */
static ssize_t check_tlv(
	const uint8_t *input, size_t size, const uint8_t *tlvs, size_t tlvs_size, int type)
{
	const void *value = NULL;
	const ssize_t found = mtsi_proxy_tlv(tlvs, tlvs_size, type, &value);

	if (found < 0) {
		REQUIRE(found == -ENOENT && value == NULL);
		return found;
	}
	REQUIRE((const uint8_t *)value >= tlvs + 3);
	REQUIRE((const uint8_t *)value + found <= tlvs + tlvs_size);
	REQUIRE(((const uint8_t *)value)[-3] == type);
	return found;
}

static void check_whole(const uint8_t *input, size_t size, const struct reading *whole)
{
	const struct mtsi_proxy *header = &whole->header;

	REQUIRE(header->size > 0 && header->size <= size && header->size <= MTSI_PROXY_MOST);
	REQUIRE(header->tlvs <= header->size && header->tlvs_size <= header->size - header->tlvs);
	REQUIRE(header->real == (header->peer.family == AF_UNSPEC));
	REQUIRE(header->real || !header->local);
	check_cut(input, size, header->size, whole);
	check_cut(input, size, header->size - 1, whole);
	if (header->tlvs_size > 0) {
		const uint8_t *tlvs = whole->block + header->tlvs;

		REQUIRE(
			check_tlv(input, size, tlvs, header->tlvs_size, tlvs[0]) == 256 * tlvs[1] + tlvs[2]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	const struct reading whole = read_bytes(input, size);
	const uint32_t choice = choice_of(input, size);

	REQUIRE(whole.result == 1 || whole.result == 0 || whole.result == -EPROTO
		|| whole.result == -EMSGSIZE || whole.result == -EBADMSG);
	REQUIRE(whole.result != 0 || size < MTSI_PROXY_MOST);
	check_plain(input, size, &whole);
	if (whole.result == 1) {
		check_whole(input, size, &whole);
	}
	check_cut(input, size, (choice & 0xffff) % (size + 1), &whole);
	check_cut(input, size, (choice >> 16) % (size + 1), &whole);
	check_tlv(input, size, whole.block, size, choice & 0xff);
	free(whole.block);
	return 0;
}
