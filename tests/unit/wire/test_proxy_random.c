/*
 * PROXY headers made by chance: well-formed ones, such as are nearly so, and what a few changed bytes
 * make of them. What is required of each is in tests/fuzz/fuzz_proxy.c, which libFuzzer feeds as well
 * (`make fuzz`); this needs no other compiler than the library does.
 *
 * A part of a second by default; MTS_TEST_HEADERS says how many (`make check-lives`). They are the
 * same in every run, but for MTS_TEST_SEED; an input that fails is shown.
 */
#include "../plain_proxy.h"

#include "../../api/chance.h"
#include "../../api/support.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { USUAL_HEADERS = 200000, SLOW_HEADERS = 20000, ROOM = MTSI_PROXY_MOST + 512 };

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

struct input {
	uint8_t bytes[ROOM];
	size_t size;
};

static void add(struct input *input, const void *bytes, size_t size)
{
	if (size > ROOM - input->size) {
		size = ROOM - input->size;
	}
	memcpy(input->bytes + input->size, bytes, size);
	input->size += size;
}

static void add_text(struct input *input, const char *text)
{
	add(input, text, strlen(text));
}

static void add_byte(struct input *input, unsigned byte)
{
	const uint8_t bytes[1] = {(uint8_t)byte};

	add(input, bytes, 1);
}

#define PICK(state, list) (list)[chance_below(state, sizeof(list) / sizeof(*(list)))]

static void add_ipv4(struct input *input, uint64_t *state)
{
	static const char *const numbers[] = {"0", "1", "9", "10", "99", "127", "200", "249", "255"};

	for (int i = 0; i < 4; i++) {
		add_text(input, i == 0 ? "" : ".");
		add_text(input, PICK(state, numbers));
	}
}

/* About as many groups as there have to be, with "::" somewhere, or nowhere, or twice. */
static void add_ipv6(struct input *input, uint64_t *state)
{
	static const char *const groups[] = {"0", "1", "a", "fF", "00", "2001", "db8", "ffff", "09aF"};
	const bool gap = chance_below(state, 4) > 0;
	const size_t count = gap ? chance_below(state, 9) : 7 + chance_below(state, 2);
	const size_t at = gap ? chance_below(state, count + 1) : count + 1;

	for (size_t i = 0; i <= count; i++) {
		if (i == at || chance_below(state, 40) == 0) {
			add_text(input, i == 0 || i == count ? "::" : ":");
		}
		if (i == count) {
			break;
		}
		add_text(input, PICK(state, groups));
		if (i + 1 < count) {
			add_text(input, ":");
		}
	}
	if (chance_below(state, 4) == 0) {
		add_text(input, chance_below(state, 2) == 0 ? ":" : "");
		add_ipv4(input, state);
	}
}

static void make_line(struct input *input, uint64_t *state)
{
	static const char *const protocols[] = {
		"TCP4", "TCP4", "TCP6", "TCP6", "TCP6", "UNKNOWN", "TCP", "UDP4"};
	static const char *const ports[] = {"0", "1", "80", "443", "49152", "65535", "65536", "00"};
	const char *protocol = PICK(state, protocols);

	add_text(input, "PROXY ");
	add_text(input, protocol);
	for (int i = 0; i < 2; i++) {
		add_text(input, " ");
		if (protocol[3] == '6') {
			add_ipv6(input, state);
		} else {
			add_ipv4(input, state);
		}
	}
	for (int i = 0; i < 2; i++) {
		add_text(input, " ");
		add_text(input, PICK(state, ports));
	}
	add_text(input, "\r\n");
}

static void add_tlv(struct input *input, uint64_t *state, unsigned type, size_t length)
{
	add_byte(input, type);
	add_byte(input, (unsigned)(length >> 8));
	add_byte(input, length & 0xff);
	for (size_t i = 0; i < length; i++) {
		add_byte(input, type == 3 ? 0 : (unsigned)chance_below(state, 256));
	}
}

/* Sets the length, and the checksum, to what they have to be. */
static void seal(struct input *input, size_t checksum)
{
	uint32_t crc;

	input->bytes[14] = (uint8_t)((input->size - 16) >> 8);
	input->bytes[15] = (uint8_t)((input->size - 16) & 0xff);
	if (checksum == 0 || checksum + 4 > input->size) {
		return;
	}
	crc = plain_crc32c(input->bytes, input->size);
	for (size_t i = 0; i < 4; i++) {
		input->bytes[checksum + i] = (uint8_t)(crc >> (24 - 8 * i) & 0xff);
	}
}

static void make_binary(struct input *input, uint64_t *state)
{
	static const uint8_t commands[] = {0x21, 0x21, 0x21, 0x21, 0x21, 0x21, 0x20, 0x22, 0x11};
	static const uint8_t families[] = {0x11, 0x11, 0x21, 0x21, 0x31, 0x00, 0x12, 0x01, 0x10};
	static const uint8_t types[] = {1, 2, 3, 3, 4, 5, 0x20, 0x30, 0xe0, 0xff};
	const uint8_t family = PICK(state, families);
	const size_t addresses = family >> 4 == 1 ? 12
		: family >> 4 == 2                    ? 36
		: family >> 4 == 3                    ? 216
											  : 0;
	const size_t count = chance_below(state, 5);
	const bool large = chance_below(state, 64) == 0;
	size_t checksum = 0;

	add(input, "\r\n\r\n\0\r\nQUIT\n", 12);
	add_byte(input, PICK(state, commands));
	add_byte(input, family);
	add_text(input, "..");
	for (size_t i = 0; i < addresses; i++) {
		add_byte(input, (unsigned)chance_below(state, 256));
	}
	for (size_t i = 0; i < count; i++) {
		const unsigned type = PICK(state, types);

		if (type == 3) {
			checksum = input->size + 3;
		}
		add_tlv(
			input, state, type, type == 3 ? 4 : chance_below(state, large ? MTSI_PROXY_MOST : 24));
	}
	seal(input, checksum);
}

/* One byte, or a piece, is changed, left out or put in. */
static void change(struct input *input, uint64_t *state)
{
	static const char texts[] = "0123456789afFgG:.: .\r\n-+";
	const uint8_t byte = (uint8_t)(chance_below(state, 2) == 0
			? (size_t)(unsigned char)PICK(state, texts)
			: chance_below(state, 256));
	const size_t at = chance_below(state, input->size < 128 ? input->size : 128);

	switch (chance_below(state, 4)) {
	case 0:
		input->bytes[at] = byte;
		break;
	case 1:
		input->bytes[at] ^= (uint8_t)(1u << chance_below(state, 8));
		break;
	case 2:
		memmove(input->bytes + at, input->bytes + at + 1, input->size - at - 1);
		input->size--;
		break;
	default:
		if (input->size < ROOM) {
			memmove(input->bytes + at + 1, input->bytes + at, input->size - at);
			input->bytes[at] = byte;
			input->size++;
		}
	}
}

static void make_input(struct input *input, uint64_t *state)
{
	input->size = 0;
	if (chance_below(state, 2) == 0) {
		make_line(input, state);
	} else {
		make_binary(input, state);
	}
	for (size_t changes = chance_below(state, 4); changes > 1; changes--) {
		change(input, state);
	}
	if (chance_below(state, 4) == 0) {
		add_text(input, "GET / HTTP/1.1\r\n\r\n");
	}
	if (chance_below(state, 4) == 0) {
		input->size = chance_below(state, input->size + 1);
	}
}

START_TEST(headers_by_chance)
{
	static struct input input;
	const uint64_t rounds = chance_variable(
		"MTS_TEST_HEADERS", is_slowed() ? SLOW_HEADERS : USUAL_HEADERS);
	uint64_t state = chance_variable("MTS_TEST_SEED", 20260101) | UINT64_C(1) << 63;
	uint64_t whole = 0;

	for (uint64_t round = 0; round < rounds; round++) {
		struct mtsi_proxy header;

		make_input(&input, &state);
		LLVMFuzzerTestOneInput(input.bytes, input.size);
		whole += mtsi_proxy_parse(input.bytes, input.size, &header) == 1;
	}
	/* What is made is worth it: neither all well-formed nor all refused. */
	ck_assert_msg(whole > rounds / 10 && whole < rounds - rounds / 10, "%llu of %llu were headers",
		(unsigned long long)whole, (unsigned long long)rounds);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("proxy_random");

	tcase_set_timeout(cases, 120 + (double)chance_variable("MTS_TEST_HEADERS", 0) / 20000);
	tcase_add_test(cases, headers_by_chance);

	return suite_run_once();
}
