/*
 * The header of the PROXY protocol: which version it is, and version 2.
 *
 * Both are read from their first byte each time, and as far as there are bytes. A byte is judged by
 * those in front of it alone, so the answer for some bytes never contradicts the one for more of
 * them, and a stranger is recognised by the first byte that is not the protocol's.
 *
 * Version 2 begins with 16 bytes that say how long all of it is. Its TLVs are walked as they come.
 * None is taken apart any further but the checksum, which is over the whole header. Those of type
 * NOOP are padding, and like all others here.
 */
#include "wire/proxy.h"

#include "wire/proxy_line.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

enum {
	FIXED = 16, /* what every header of version 2 begins with */
	TLV_HEAD = 3, /* a type, and two bytes of length */
	TYPE_CRC32C = 0x03
};

/* A number of two bytes, the most significant first. */
static unsigned number_at(const unsigned char *bytes)
{
	return (unsigned)bytes[0] << 8 | bytes[1];
}

/*
 * How many bytes the addresses of a family and protocol take; -EPROTO: it is not for us. Datagrams
 * are valid in the protocol, but what a client sends to a server of streams is a stream: who says
 * otherwise is confused, and what it says of the client is better not believed. Nor has the
 * protocol a stream of unknown addresses, or an address of no protocol, but for the byte 0.
 */
static int addresses_size(unsigned char family)
{
	switch (family) {
	case 0x00:
		return 0;
	case 0x11:
		return 2 * 4 + 2 * 2;
	case 0x21:
		return 2 * 16 + 2 * 2;
	case 0x31:
		return 2 * 108;
	default:
		return -EPROTO;
	}
}

/* The source, from addresses of a family that is known. */
static struct mtsi_peer announced(unsigned char family, const unsigned char *addresses)
{
	struct mtsi_peer peer = {.family = AF_UNSPEC};

	if (family == 0x11) {
		peer.family = AF_INET;
		memcpy(peer.ip, addresses, 4);
		peer.port = (uint16_t)number_at(addresses + 8);
	} else if (family == 0x21) {
		peer.family = AF_INET6;
		memcpy(peer.ip, addresses, 16);
		peer.port = (uint16_t)number_at(addresses + 32);
	} else if (family == 0x31) {
		peer.family = AF_UNIX;
		mtsi_peer_set_user(&peer, UINT32_MAX);
	}
	return peer;
}

/*
 * Walks the TLVs of a header of `total` bytes, of which `size` have come, as far as they have.
 * Returns where the value of the checksum is; 0: nowhere; -EPROTO: they are malformed.
 */
static ssize_t find_checksum(const unsigned char *bytes, size_t size, size_t at, size_t total)
{
	ssize_t checksum = 0;

	while (at < total) {
		if (total - at < TLV_HEAD) {
			return -EPROTO;
		}
		if (size < at + TLV_HEAD) {
			break;
		}

		const size_t length = number_at(bytes + at + 1);

		if (length > total - at - TLV_HEAD) {
			return -EPROTO;
		}
		if (bytes[at] == TYPE_CRC32C) {
			if (checksum != 0 || length != 4) {
				return -EPROTO;
			}
			checksum = (ssize_t)(at + TLV_HEAD);
		}
		at += TLV_HEAD + length;
	}
	return checksum;
}

/* The CRC-32C of a header (RFC 4960, appendix B), in which the checksum itself counts as zeros. */
static bool checksum_fits(const unsigned char *bytes, size_t size, size_t checksum)
{
	/* What four bits that are shifted out do to the rest. */
	static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc,
		0x5125dad3, 0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
		0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < size; i++) {
		crc ^= i >= checksum && i < checksum + 4 ? 0 : bytes[i];
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}

	const unsigned char *found = bytes + checksum;

	return ~crc == ((uint32_t)number_at(found) << 16 | number_at(found + 2));
}

/* The rest of version 2, once its fixed part is there and says PROXY, of a family that is known. */
static int parse_proxied(
	const unsigned char *bytes, size_t size, size_t total, struct mtsi_proxy *header)
{
	const size_t tlvs = FIXED + (size_t)addresses_size(bytes[13]);

	if (total < tlvs) {
		return -EPROTO;
	}

	const ssize_t checksum = find_checksum(bytes, size, tlvs, total);

	if (checksum < 0) {
		return -EPROTO;
	}
	if (size < total) {
		return 0;
	}
	if (checksum > 0 && !checksum_fits(bytes, total, (size_t)checksum)) {
		return -EBADMSG;
	}
	*header = (struct mtsi_proxy){.size = total,
		.real = tlvs == FIXED,
		.peer = announced(bytes[13], bytes + FIXED),
		.tlvs = tlvs,
		.tlvs_size = total - tlvs};
	return 1;
}

static int parse_binary(const unsigned char *bytes, size_t size, struct mtsi_proxy *header)
{
	static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";
	enum { LOCAL = 0x20, PROXY = 0x21 }; /* both with the version */

	if (memcmp(bytes, signature, size < 12 ? size : 12) != 0) {
		return -EPROTO;
	}
	if (size > 12 && bytes[12] != LOCAL && bytes[12] != PROXY) {
		return -EPROTO;
	}
	if (size > 13 && bytes[12] == PROXY && addresses_size(bytes[13]) < 0) {
		return -EPROTO;
	}
	if (size < FIXED) {
		return 0;
	}

	const size_t total = FIXED + number_at(bytes + 14);

	if (total > MTSI_PROXY_MOST) {
		return -EMSGSIZE;
	}
	if (bytes[12] == PROXY) {
		return parse_proxied(bytes, size, total, header);
	}
	if (size < total) {
		return 0;
	}
	*header = (struct mtsi_proxy){.size = total, .real = true, .local = true};
	return 1;
}

int mtsi_proxy_parse(const void *data, size_t size, struct mtsi_proxy *header)
{
	const unsigned char *bytes = data;

	if (size == 0) {
		return 0;
	}
	return bytes[0] == 'P' ? mtsi_proxy_line(bytes, size, header)
						   : parse_binary(bytes, size, header);
}

ssize_t mtsi_proxy_tlv(const void *tlvs, size_t size, int type, const void **value)
{
	const unsigned char *bytes = tlvs;

	for (size_t at = 0; size - at >= TLV_HEAD;) {
		const size_t length = number_at(bytes + at + 1);

		at += TLV_HEAD;
		if (length > size - at) {
			break;
		}
		if (bytes[at - TLV_HEAD] == type) {
			*value = bytes + at;
			return (ssize_t)length;
		}
		at += length;
	}
	return -ENOENT;
}
