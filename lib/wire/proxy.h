/*
 * The header of the PROXY protocol, versions 1 and 2: what a proxy sends in front of a connection's
 * own bytes, to say on whose behalf it has connected (haproxy's doc/proxy-protocol.txt).
 *
 * Pure functions over bytes that the caller holds. Nothing is kept between two calls: who gets
 * further bytes shows all of them again. That is cheap enough, since a header is short and comes in
 * one piece; and one that comes byte by byte is read again at most MTSI_PROXY_MOST times.
 */
#ifndef MTSI_WIRE_PROXY_H
#define MTSI_WIRE_PROXY_H

#include "wire/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { MTSI_PROXY_MOST = 4096 }; /* the longest header that is taken */

/* What a header says. */
struct mtsi_proxy {
	size_t size; /* of the whole header; the connection's own bytes begin there */
	bool real; /* LOCAL, UNKNOWN, AF_UNSPEC: the connection's own endpoints hold */
	/*
	 * Who was announced; AF_UNSPEC when real. An IPv4 address mapped into IPv6 stays as it came,
	 * as of a socket. The user of a Unix socket is UINT32_MAX: unknown.
	 */
	struct mtsi_peer peer;
	bool local; /* version 2's LOCAL: a health check */
	bool line; /* version 1, which has no word for that */
	size_t tlvs; /* where the TLVs begin in the header, */
	size_t tlvs_size; /* and how long they are; 0: none */
};

/*
 * Looks at the first `size` bytes of a connection; NULL will do for none. What follows the header
 * makes no difference.
 *
 * Returns 1: the header is whole.
 *         0: it goes on, and the bytes so far may be the beginning of one. Never with
 *            MTSI_PROXY_MOST bytes or more.
 *         -EPROTO: this is no header, or a malformed one. A line of version 1 that is too long is
 *            malformed: 107 bytes are all that the protocol allows.
 *         -EMSGSIZE: it is longer than is taken.
 *         -EBADMSG: its checksum is wrong.
 * *header is set with 1 only. An error is reported with the first byte that makes it certain (of a
 * TLV, with its length), and is then the same however many bytes follow.
 */
int mtsi_proxy_parse(const void *data, size_t size, struct mtsi_proxy *header);

/*
 * The value of the first TLV of that type: its size, and *value points into tlvs; -ENOENT, with
 * *value left alone. Takes the TLVs of a header that was parsed; of other bytes it finds nonsense,
 * but stays within them.
 */
ssize_t mtsi_proxy_tlv(const void *tlvs, size_t size, int type, const void **value);

#endif
