/* Socket addresses as text, and what is kept of a peer's. */
#ifndef MTSI_WIRE_ADDRESS_H
#define MTSI_WIRE_ADDRESS_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* A buffer that takes every address: "unix:", 108 bytes that are all escaped, and the NUL. */
#define MTSI_ADDRESS_TEXT 440

/*
 * Shows a socket address: "127.0.0.1:49152", "[::1]:49152", "[fe80::1%2]:5", "unix:/path",
 * "unix:@name", "unix" for a socket without a name.  An IPv4 address mapped into IPv6 is shown as
 * IPv4.  Bytes of a path or name that are not printable are escaped, a path that does not fit is
 * cut between two of them.
 *
 * Returns the length of the text, or -EINVAL, with out empty, when the address is of another
 * family, shorter than its family needs, or (not for Unix paths) does not fit.  Always terminated
 * when size is not 0.
 */
int mtsi_address_format(const struct sockaddr *address, socklen_t length, char *out, size_t size);

/*
 * A peer's address as it is kept for each client.  The name of a Unix socket is not kept, but the
 * user at its other end is.
 */
struct mtsi_peer {
	unsigned char ip[16]; /* network byte order; IPv4, and a Unix user, in the first four */
	uint32_t scope; /* IPv6 only */
	uint16_t port; /* host byte order */
	unsigned char family; /* AF_INET, AF_INET6, AF_UNIX, or AF_UNSPEC: not known */
	bool local; /* its socket is a Unix socket, whatever address a proxy has announced for it */
};
static_assert(sizeof(struct mtsi_peer) == 24, "an idle client is paid for byte by byte");

/* Sets *peer; to AF_UNSPEC when the address is of another family, or too short for its own. */
void mtsi_peer_from(struct mtsi_peer *peer, const struct sockaddr *address, socklen_t length);

/* Notes the user at the other end of a Unix socket. */
void mtsi_peer_set_user(struct mtsi_peer *peer, uint32_t user);

/*
 * Where a peer comes from, as far as it makes a difference to limits.  A peer that has one address
 * of an IPv6 network has all that begin with the same 64 bits.  But all neighbours on all links
 * share the first 64 bits of link-local addresses, so of these the whole address counts, and the
 * link.
 */
struct mtsi_origin {
	uint64_t number; /* the IPv4 address, the first 64 bits of the IPv6 address, or the user */
	uint64_t host; /* the other 64 bits of a link-local address; else 0 */
	uint32_t scope; /* its interface; else 0 */
	int kind; /* AF_INET, AF_INET6, AF_UNIX */
};

/* Whether these 16 bytes are an IPv4 address mapped into IPv6 (RFC 4291, 2.5.5.2). */
bool mtsi_ip_is_mapped(const unsigned char *ip);

enum { MTSI_MAPPED = 12 }; /* then that begins here */

/* Sets *origin; an IPv4 address mapped into IPv6 is IPv4.  False for AF_UNSPEC. */
bool mtsi_peer_origin(const struct mtsi_peer *peer, struct mtsi_origin *origin);

/* Sets *storage, with unused bytes 0, and returns the size of the address; 0 for AF_UNSPEC. */
socklen_t mtsi_peer_to(const struct mtsi_peer *peer, struct sockaddr_storage *storage);

/* As mtsi_address_format(); "unix" for every Unix peer, -EINVAL for AF_UNSPEC. */
int mtsi_peer_format(const struct mtsi_peer *peer, char *out, size_t size);

#endif
