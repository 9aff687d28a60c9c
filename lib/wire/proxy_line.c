/*
 * Version 1 of the PROXY protocol: a line.
 *
 * Each function takes a part of the line and answers as the whole does: 1, the part is there; 0,
 * the bytes end before it does; -EPROTO, with the first byte after which no line could be whole any
 * more. Only that a line becomes too long is seen no sooner than at its end.
 *
 * Addresses have a grammar of their own here, instead of inet_pton, which wants the whole text and
 * does not say when it has turned bad. It takes the same ones: four decimal numbers without leading
 * zeros; eight groups of hexadecimal digits with one "::" at most, of which the last two may be an
 * IPv4 address.
 */
#include "wire/proxy_line.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

enum { LINE_MOST = 107 }; /* with its CR LF */

/* Bytes, of which those before `at` have been taken. */
struct text {
	const unsigned char *bytes;
	size_t at;
	size_t size;
};

static int take(struct text *text, const char *expected)
{
	for (; *expected != '\0'; expected++, text->at++) {
		if (text->at == text->size) {
			return 0;
		}
		if (text->bytes[text->at] != (unsigned char)*expected) {
			return -EPROTO;
		}
	}
	return 1;
}

/* The value of a digit; 16 or more: it is none. */
static unsigned digit_value(unsigned char byte)
{
	if (byte >= '0' && byte <= '9') {
		return byte - (unsigned)'0';
	}
	byte |= 0x20; /* lower case */
	return byte >= 'a' && byte <= 'f' ? byte - (unsigned)'a' + 10 : 16;
}

/* A decimal number without leading zeros. The byte behind it, which shows its end, is not taken. */
static int take_number(struct text *text, unsigned most, unsigned *value)
{
	const size_t begun = text->at;

	*value = 0;
	for (; text->at < text->size; text->at++) {
		const unsigned digit = digit_value(text->bytes[text->at]);

		if (digit > 9) {
			return text->at > begun ? 1 : -EPROTO;
		}
		if (text->at > begun && *value == 0) {
			return -EPROTO;
		}
		*value = 10 * *value + digit;
		if (*value > most) {
			return -EPROTO;
		}
	}
	return 0;
}

static int take_port(struct text *text, uint16_t *port)
{
	unsigned value;
	const int result = take_number(text, UINT16_MAX, &value);

	*port = (uint16_t)value;
	return result;
}

static int take_ipv4(struct text *text, unsigned char ip[4])
{
	for (int i = 0; i < 4; i++) {
		unsigned value = 0;
		int result = take(text, i == 0 ? "" : ".");

		if (result == 1) {
			result = take_number(text, 255, &value);
		}
		if (result != 1) {
			return result;
		}
		ip[i] = (unsigned char)value;
	}
	return 1;
}

/* Up to four hexadecimal digits, or none. The byte behind them is left, as by take_number(). */
static int take_group(struct text *text, unsigned *value)
{
	const size_t begun = text->at;

	*value = 0;
	for (; text->at < text->size; text->at++) {
		const unsigned digit = digit_value(text->bytes[text->at]);

		if (digit > 15) {
			return 1;
		}
		if (text->at - begun == 4) {
			return -EPROTO;
		}
		*value = 16 * *value + digit;
	}
	return 0;
}

/* An IPv6 address so far. */
struct groups {
	unsigned char ip[16];
	size_t used; /* bytes of ip */
	size_t gap; /* where "::" stands; NO_GAP: nowhere yet */
	bool open; /* behind a "::", where the address may end, or a group follow */
};

enum { NO_GAP = 16 };

/* "::" stands for one group at least. */
static size_t most_bytes(const struct groups *groups)
{
	return groups->gap == NO_GAP ? 16 : 14;
}

/* An IPv4 address at the end, in place of two groups. */
static int take_last_ipv4(struct text *text, struct groups *groups)
{
	const size_t left = most_bytes(groups) - groups->used;

	if (groups->gap == NO_GAP ? left != 4 : left < 4) {
		return -EPROTO;
	}

	const int result = take_ipv4(text, groups->ip + groups->used);

	groups->used += 4;
	return result;
}

/* What follows a group. 1: the address ends; EAGAIN: a group may follow, or has to. */
static int take_colons(struct text *text, struct groups *groups)
{
	groups->open = false;
	if (text->bytes[text->at] != ':') {
		return 1;
	}
	if (groups->used == most_bytes(groups)) {
		return -EPROTO;
	}
	text->at++;
	if (text->at < text->size && text->bytes[text->at] == ':' && groups->gap == NO_GAP) {
		text->at++;
		groups->gap = groups->used;
		groups->open = true;
	}
	return EAGAIN;
}

/* A group with what follows it: as take_colons(), or 0: the bytes end. */
static int take_next_group(struct text *text, struct groups *groups)
{
	const size_t begun = text->at;
	unsigned value;
	const int result = take_group(text, &value);

	if (text->at == begun) {
		return groups->open || result == 0 ? result : -EPROTO;
	}
	if (groups->used == most_bytes(groups)) {
		return -EPROTO;
	}
	if (result != 1) {
		return result;
	}
	if (text->bytes[text->at] == '.') {
		text->at = begun;
		return take_last_ipv4(text, groups);
	}
	groups->ip[groups->used++] = (unsigned char)(value >> 8);
	groups->ip[groups->used++] = (unsigned char)(value & 0xff);
	return take_colons(text, groups);
}

static int take_ipv6(struct text *text, unsigned char ip[16])
{
	struct groups groups = {.gap = NO_GAP};
	int result = 1;

	if (text->at < text->size && text->bytes[text->at] == ':') {
		result = take(text, "::");
		groups.gap = 0;
		groups.open = true;
	}
	if (result != 1) {
		return result;
	}
	do {
		result = take_next_group(text, &groups);
	} while (result == EAGAIN);
	if (result != 1) {
		return result;
	}
	if (groups.gap == NO_GAP) {
		memcpy(ip, groups.ip, 16);
		return groups.used == 16 ? 1 : -EPROTO;
	}

	const size_t behind = groups.used - groups.gap;

	memset(ip, 0, 16);
	memcpy(ip, groups.ip, groups.gap);
	memcpy(ip + 16 - behind, groups.ip + groups.gap, behind);
	return 1;
}

static int take_ip(struct text *text, int family, unsigned char ip[16])
{
	return family == AF_INET ? take_ipv4(text, ip) : take_ipv6(text, ip);
}

/* What was proxied is not said: whatever follows up to the first CR LF means nothing. */
static int take_unknown(struct text *text)
{
	const int result = take(text, "UNKNOWN");

	if (result != 1) {
		return result;
	}
	if (text->at < text->size && text->bytes[text->at] != ' ') {
		return take(text, "\r\n");
	}
	for (; text->at + 1 < text->size; text->at++) {
		if (memcmp(text->bytes + text->at, "\r\n", 2) == 0) {
			text->at += 2;
			return 1;
		}
	}
	return 0;
}

/* Both addresses, and both ports. Of the receiver's, which are known, the form counts alone. */
static int take_endpoints(struct text *text, int family, struct mtsi_peer *peer)
{
	unsigned char ignored_ip[16];
	uint16_t ignored_port;
	int result = take_ip(text, family, peer->ip);

	if (result == 1) {
		result = take(text, " ");
	}
	if (result == 1) {
		result = take_ip(text, family, ignored_ip);
	}
	if (result == 1) {
		result = take(text, " ");
	}
	if (result == 1) {
		result = take_port(text, &peer->port);
	}
	if (result == 1) {
		result = take(text, " ");
	}
	if (result == 1) {
		result = take_port(text, &ignored_port);
	}
	return result == 1 ? take(text, "\r\n") : result;
}

static int take_line(struct text *text, struct mtsi_peer *peer)
{
	int result = take(text, "PROXY ");

	if (result == 1 && text->at < text->size && text->bytes[text->at] == 'U') {
		return take_unknown(text);
	}
	if (result == 1) {
		result = take(text, "TCP");
	}
	if (result == 1) {
		peer->family = text->at < text->size && text->bytes[text->at] == '6' ? AF_INET6 : AF_INET;
		result = take(text, peer->family == AF_INET ? "4 " : "6 ");
	}
	return result == 1 ? take_endpoints(text, peer->family, peer) : result;
}

int mtsi_proxy_line(const unsigned char *bytes, size_t size, struct mtsi_proxy *header)
{
	struct text text = {.bytes = bytes, .size = size < LINE_MOST ? size : LINE_MOST};
	struct mtsi_peer peer = {.family = AF_UNSPEC};
	const int result = take_line(&text, &peer);

	/* The longest line ends with its 107th byte, so that the one before must be the CR. */
	if (result == 0 && (size >= LINE_MOST || (size == LINE_MOST - 1 && bytes[size - 1] != '\r'))) {
		return -EPROTO;
	}
	if (result == 1) {
		*header = (struct mtsi_proxy){
			.size = text.at, .real = peer.family == AF_UNSPEC, .peer = peer, .line = true};
	}
	return result;
}
