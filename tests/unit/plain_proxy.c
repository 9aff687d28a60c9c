/*
 * PROXY headers, read plainly: the line is found first and cut at its spaces; version 2 is looked
 * at once all of it is there.
 */
#include "plain_proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 107, FIXED = 16 };

bool same_proxy(const struct mtsi_proxy *a, const struct mtsi_proxy *b)
{
	return a->size == b->size && a->real == b->real && a->local == b->local && a->line == b->line
		&& a->tlvs == b->tlvs && a->tlvs_size == b->tlvs_size
		&& memcmp(a->peer.ip, b->peer.ip, 16) == 0 && a->peer.scope == b->peer.scope
		&& a->peer.port == b->peer.port && a->peer.family == b->peer.family;
}

int exact_proxy(const void *data, size_t size, struct mtsi_proxy *header)
{
	void *block = malloc(size);
	int result;

	if (size > 0) {
		memcpy(block, data, size);
	}
	result = mtsi_proxy_parse(block, size, header);
	free(block);
	return result;
}

uint32_t plain_crc32c(const unsigned char *bytes, size_t size)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < size; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++) {
			crc = crc >> 1 ^ (crc % 2 == 1 ? UINT32_C(0x82f63b78) : 0);
		}
	}
	return ~crc;
}

static bool is_port(const char *text, uint16_t *port)
{
	char again[32];
	const unsigned long value = strtoul(text, NULL, 10);

	snprintf(again, sizeof(again), "%lu", value);
	*port = (uint16_t)value;
	return value <= UINT16_MAX && strcmp(text, again) == 0;
}

/* The six fields of a line of version 1, which is not that of an unknown protocol. */
static bool read_fields(char *line, struct mtsi_peer *peer)
{
	char *fields[6] = {line};
	unsigned char ip[16];
	uint16_t port;

	for (int i = 1; i < 6; i++) {
		char *space = strchr(fields[i - 1], ' ');

		if (space == NULL) {
			return false;
		}
		*space = '\0';
		fields[i] = space + 1;
	}
	peer->family = strcmp(fields[1], "TCP6") == 0 ? AF_INET6 : AF_INET;
	return strcmp(fields[0], "PROXY") == 0
		&& (peer->family == AF_INET6 || strcmp(fields[1], "TCP4") == 0)
		&& inet_pton(peer->family, fields[2], peer->ip) == 1
		&& inet_pton(peer->family, fields[3], ip) == 1 && is_port(fields[4], &peer->port)
		&& is_port(fields[5], &port);
}

static int plain_line(const char *bytes, size_t size, struct mtsi_proxy *header)
{
	static const char unknown[] = "PROXY UNKNOWN";
	const size_t window = size < LINE ? size : LINE;
	const char *end = memmem(bytes, window, "\r\n", 2);
	char line[LINE + 1];

	if (end == NULL) {
		return size < LINE ? 0 : -EPROTO;
	}

	const size_t length = (size_t)(end - bytes);

	memcpy(line, bytes, length);
	line[length] = '\0';
	*header = (struct mtsi_proxy){.size = length + 2, .line = true};
	if (strncmp(line, unknown, strlen(unknown)) == 0) {
		const size_t at = strlen(unknown);

		header->real = length == at || line[at] == ' ';
		return header->real ? 1 : -EPROTO;
	}
	return strlen(line) == length && read_fields(line, &header->peer) ? 1 : -EPROTO;
}

static bool tlvs_are_well(const unsigned char *tlvs, size_t size, size_t *checksum)
{
	size_t at = 0;

	*checksum = 0;
	while (at + 3 <= size) {
		const size_t length = 256u * tlvs[at + 1] + tlvs[at + 2];

		if (at + 3 + length > size) {
			return false;
		}
		if (tlvs[at] == 3) {
			if (*checksum != 0 || length != 4) {
				return false;
			}
			*checksum = at + 3;
		}
		at += 3 + length;
	}
	return at == size;
}

static int plain_tlvs(const unsigned char *bytes, const struct mtsi_proxy *header)
{
	unsigned char copy[MTSI_PROXY_MOST];
	uint32_t found;
	size_t checksum;

	if (!tlvs_are_well(bytes + header->tlvs, header->tlvs_size, &checksum)) {
		return -EPROTO;
	}
	if (checksum == 0) {
		return 1;
	}
	memcpy(copy, bytes, header->size);
	memcpy(&found, copy + header->tlvs + checksum, 4);
	memset(copy + header->tlvs + checksum, 0, 4);
	return ntohl(found) == plain_crc32c(copy, header->size) ? 1 : -EBADMSG;
}

/* How many bytes the addresses take, of a family that is known. */
static size_t addresses_size(unsigned char family)
{
	return family == 0x11 ? 12 : family == 0x21 ? 36 : family == 0x31 ? 216 : 0;
}

static void read_source(const unsigned char *bytes, struct mtsi_peer *peer)
{
	const unsigned char family = bytes[13];
	const size_t ip = family == 0x11 ? 4 : 16;

	if (family == 0x31) {
		peer->family = AF_UNIX;
		memset(peer->ip, 0xff, 4);
	} else if (family != 0) {
		peer->family = family == 0x11 ? AF_INET : AF_INET6;
		memcpy(peer->ip, bytes + FIXED, ip);
		peer->port = (uint16_t)(256u * bytes[FIXED + 2 * ip] + bytes[FIXED + 2 * ip + 1]);
	}
}

static int plain_binary(const unsigned char *bytes, size_t size, struct mtsi_proxy *header)
{
	if (size < FIXED) {
		return 0;
	}
	*header = (struct mtsi_proxy){.size = FIXED + 256u * bytes[14] + bytes[15]};
	header->local = bytes[12] == 0x20;
	if (!header->local && bytes[12] != 0x21) {
		return -EPROTO;
	}
	if (!header->local && memchr("\0\x11\x21\x31", bytes[13], 4) == NULL) {
		return -EPROTO;
	}
	if (header->size > MTSI_PROXY_MOST) {
		return -EMSGSIZE;
	}
	if (header->local) {
		header->real = true;
		return size < header->size ? 0 : 1;
	}
	header->real = bytes[13] == 0;
	header->tlvs = FIXED + addresses_size(bytes[13]);
	if (header->size < header->tlvs) {
		return -EPROTO;
	}
	if (size < header->size) {
		return 0;
	}
	header->tlvs_size = header->size - header->tlvs;
	read_source(bytes, &header->peer);
	return plain_tlvs(bytes, header);
}

int plain_proxy(const void *data, size_t size, struct mtsi_proxy *header)
{
	if (size >= 6 && memcmp(data, "PROXY ", 6) == 0) {
		return plain_line(data, size, header);
	}
	if (size >= 12 && memcmp(data, "\r\n\r\n\0\r\nQUIT\n", 12) == 0) {
		return plain_binary(data, size, header);
	}
	return size < 12 ? 0 : -EPROTO;
}
