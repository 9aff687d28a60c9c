/*
 * What a listen address names.
 *
 * No names are resolved here: that is I/O, and belongs to the floor that makes system calls.
 */
#ifndef MTSI_WIRE_PLACE_H
#define MTSI_WIRE_PLACE_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

enum mtsi_place_kind {
	MTSI_PLACE_ANY, /* every address of the machine */
	MTSI_PLACE_LOOPBACK, /* 127.0.0.1 and ::1 */
	MTSI_PLACE_NAME, /* host: a name, or a numeric IPv4 or IPv6 address without brackets */
	MTSI_PLACE_UNIX, /* path */
	MTSI_PLACE_PASSED /* sockets that a service manager has passed; host: their name */
};

/* What a listen address names. */
struct mtsi_place {
	enum mtsi_place_kind kind;
	char host[256]; /* NAME; PASSED: "" for all; otherwise "" */
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
 *   systemd:name          the sockets of that name that a service manager has passed; all that follows
 *   systemd:              all that it has passed
 *
 * ":5000" is refused: it is most often a variable that was empty, and must not open a server to
 * the whole world.  A host whose last label is a number must be an IPv4 address in full, so that
 * no resolver reads "127.1" or "0x7f000001" its own way.
 *
 * Returns 0 and sets *place, or -EINVAL, or -ENAMETOOLONG for a Unix path, or the name of a passed
 * socket, that does not fit.  On failure *why is a static clause that says what is wrong, and *place
 * is not to be used.
 */
int mtsi_place_parse(const char *text, struct mtsi_place *place, const char **why);

/*
 * Why nobody can ever be served at such an address, on any machine: a static clause; NULL: there is
 * no such reason.
 *
 *   ::ffff:127.0.0.1      an IPv4 address as IPv6 sees it: our IPv6 sockets take IPv6 only
 *   fe80::1               link-local, so each interface may have it, and which one is not said
 *   224.0.0.1, ff02::1    multicast
 *   255.255.255.255       everybody on the network: Linux binds it, but no connection can go there
 */
const char *mtsi_place_unfit(const struct sockaddr *address, socklen_t size);

#endif
