/*
 * Addresses as text: what a listen address names, and how a socket address is shown.
 *
 * No names are resolved here: that is I/O, and belongs to the floor that makes system calls.
 */
#ifndef MTSI_WIRE_ADDRESS_H
#define MTSI_WIRE_ADDRESS_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

enum mtsi_place_kind {
	MTSI_PLACE_ANY, /* every address of the machine */
	MTSI_PLACE_LOOPBACK, /* 127.0.0.1 and ::1 */
	MTSI_PLACE_NAME, /* host: a name, or a numeric IPv4 or IPv6 address without brackets */
	MTSI_PLACE_UNIX /* path */
};

/* What a listen address names. */
struct mtsi_place {
	enum mtsi_place_kind kind;
	char host[256]; /* NAME only, otherwise "" */
	uint16_t port; /* host byte order; 0 for any free one; 0 for Unix sockets */
	struct sockaddr_un path; /* UNIX only: ready for bind() with path_size */
	socklen_t path_size;
};

/*
 * Reads a listen address.
 *
 *   5000, *:5000          every address of the machine
 *   localhost:5000        both loopback addresses; upper or lower case
 *   127.0.0.1:0           an IPv4 address, four decimal numbers
 *   [::1]:5000            an IPv6 address, in brackets, with %zone where it needs one
 *   name:5000             a host name: letters, digits, '.', '-' and '_'
 *   unix:/path            a socket in the file system; all that follows the colon, relative too
 *   unix:@name            an abstract one ("unix:./@name" is a file of that name)
 *
 * ":5000" is refused: it is most often a variable that was empty, and must not open a server to
 * the whole world.  A host whose last label is a number must be an IPv4 address in full, so that
 * no resolver reads "127.1" or "0x7f000001" its own way.
 *
 * Returns 0 and sets *place, or -EINVAL, or -ENAMETOOLONG for a Unix path that does not fit.  On
 * failure *why is a static clause that says what is wrong, and *place is not to be used.
 */
int mtsi_place_parse(const char *text, struct mtsi_place *place, const char **why);

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
	unsigned char ip[16]; /* network byte order; IPv4 in the first four; there too: a Unix user */
	uint32_t scope; /* IPv6 only */
	uint16_t port; /* host byte order */
	unsigned char family; /* AF_INET, AF_INET6, AF_UNIX, or AF_UNSPEC: not known */
};
static_assert(sizeof(struct mtsi_peer) == 24, "an idle client is paid for byte by byte");

/* Sets *peer; to AF_UNSPEC when the address is of another family or too short for its own. */
void mtsi_peer_from(struct mtsi_peer *peer, const struct sockaddr *address, socklen_t length);

/* Notes the user at the other end of a Unix socket. */
void mtsi_peer_set_user(struct mtsi_peer *peer, uint32_t user);

/* Where a peer comes from, as far as it makes a difference to limits. */
struct mtsi_origin {
	uint64_t number; /* the IPv4 address, the first 64 bits of the IPv6 address, or the user */
	int kind; /* AF_INET, AF_INET6, AF_UNIX */
};

/* Sets *origin; an IPv4 address mapped into IPv6 is IPv4.  False for AF_UNSPEC. */
bool mtsi_peer_origin(const struct mtsi_peer *peer, struct mtsi_origin *origin);

/* Sets *storage, unused bytes to 0, and returns how much of it counts; 0 for AF_UNSPEC. */
socklen_t mtsi_peer_to(const struct mtsi_peer *peer, struct sockaddr_storage *storage);

/* As mtsi_address_format(); "unix" for every Unix peer, -EINVAL for AF_UNSPEC. */
int mtsi_peer_format(const struct mtsi_peer *peer, char *out, size_t size);

#endif
