/*
 * Socket addresses as text, and peers.
 *
 * inet_ntop is the only library call that knows about addresses, and it is pure.
 *
 * struct mtsi_peer is a sockaddr without its padding.  Formatting goes from sockaddr to text alone;
 * a peer is turned back into a sockaddr first, which is no dearer than a second set of functions.
 */
#include "wire/address.h"

#include "wire/escape.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#define PATH_OFFSET offsetof(struct sockaddr_un, sun_path)
#define PATH_SIZE sizeof(((struct sockaddr_un *)NULL)->sun_path)

/* Whether an inet address came out whole; half of one would name another machine. */
static int fitted(int length, char *out, size_t size)
{
	if (length >= 0 && (size_t)length < size) {
		return length;
	}
	out[0] = '\0';
	return -EINVAL;
}

static int format_inet(const void *ip, uint16_t port, char *out, size_t size)
{
	char text[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, ip, text, sizeof(text));
	return fitted(snprintf(out, size, "%s:%u", text, (unsigned)port), out, size);
}

static int format_inet6(const struct sockaddr_in6 *address, char *out, size_t size)
{
	char text[INET6_ADDRSTRLEN];
	uint16_t port = ntohs(address->sin6_port);
	unsigned scope = address->sin6_scope_id;

	if (IN6_IS_ADDR_V4MAPPED(&address->sin6_addr)) {
		return format_inet(address->sin6_addr.s6_addr + 12, port, out, size);
	}
	inet_ntop(AF_INET6, &address->sin6_addr, text, sizeof(text));
	if (scope != 0) {
		return fitted(snprintf(out, size, "[%s%%%u]:%u", text, scope, (unsigned)port), out, size);
	}
	return fitted(snprintf(out, size, "[%s]:%u", text, (unsigned)port), out, size);
}

/*
 * name: the bytes of sun_path that the kernel gave. For a path that fills all of them the kernel
 * counts a NUL after the end, so count may be one more than there are.
 */
static int format_unix(const char *name, size_t count, char *out, size_t size)
{
	const char *kind = "unix:";

	if (count > PATH_SIZE) {
		count = PATH_SIZE;
	}

	if (count > 0 && name[0] == '\0') {
		kind = "unix:@";
		name++;
		count--;
	} else {
		count = strnlen(name, count);
		if (count == 0) {
			kind = "unix";
		}
	}

	size_t length = strlen(kind);

	if (length >= size) {
		return fitted(-1, out, size);
	}
	memcpy(out, kind, length);
	return (int)(length + mtsi_escape(out + length, size - length, name, count));
}

int mtsi_address_format(const struct sockaddr *address, socklen_t length, char *out, size_t size)
{
	struct sockaddr_storage copy = {0}; /* the caller's may be of any alignment */
	sa_family_t family;

	if (size == 0) {
		return -EINVAL;
	}
	out[0] = '\0';
	if (address == NULL || length < sizeof(family) || length > sizeof(copy)) {
		return -EINVAL;
	}
	memcpy(&copy, address, length);
	family = copy.ss_family;

	if (family == AF_INET && length >= sizeof(struct sockaddr_in)) {
		struct sockaddr_in in;
		memcpy(&in, &copy, sizeof(in));
		return format_inet(&in.sin_addr, ntohs(in.sin_port), out, size);
	}
	if (family == AF_INET6 && length >= sizeof(struct sockaddr_in6)) {
		struct sockaddr_in6 in6;
		memcpy(&in6, &copy, sizeof(in6));
		return format_inet6(&in6, out, size);
	}
	if (family == AF_UNIX) {
		return format_unix((const char *)&copy + PATH_OFFSET, length - PATH_OFFSET, out, size);
	}
	return -EINVAL;
}

void mtsi_peer_from(struct mtsi_peer *peer, const struct sockaddr *address, socklen_t length)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	sa_family_t family = AF_UNSPEC;

	*peer = (struct mtsi_peer){.family = AF_UNSPEC};
	if (address != NULL && length >= sizeof(family)) {
		memcpy(&family, address, sizeof(family));
	}

	if (family == AF_INET && length >= sizeof(in)) {
		memcpy(&in, address, sizeof(in));
		memcpy(peer->ip, &in.sin_addr, sizeof(in.sin_addr));
		peer->port = ntohs(in.sin_port);
		peer->family = AF_INET;
	} else if (family == AF_INET6 && length >= sizeof(in6)) {
		memcpy(&in6, address, sizeof(in6));
		memcpy(peer->ip, &in6.sin6_addr, sizeof(in6.sin6_addr));
		peer->port = ntohs(in6.sin6_port);
		peer->scope = in6.sin6_scope_id;
		peer->family = AF_INET6;
	} else if (family == AF_UNIX) {
		peer->family = AF_UNIX;
		peer->local = true;
	}
}

void mtsi_peer_set_user(struct mtsi_peer *peer, uint32_t user)
{
	memcpy(peer->ip, &user, sizeof(user));
}

/* The first bytes as a number, in whatever byte order: it is only compared. */
static uint64_t number_of(const unsigned char *bytes, size_t size)
{
	uint64_t number = 0;
	memcpy(&number, bytes, size);
	return number;
}

/* fe80::/10 (RFC 4291, 2.5.6). */
static bool link_local(const unsigned char *ip)
{
	return ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80;
}

bool mtsi_ip_is_mapped(const unsigned char *ip)
{
	static const unsigned char mapped[MTSI_MAPPED] = {[10] = 0xff, [11] = 0xff};
	return memcmp(ip, mapped, sizeof(mapped)) == 0;
}

bool mtsi_peer_origin(const struct mtsi_peer *peer, struct mtsi_origin *origin)
{
	const bool ipv6 = peer->family == AF_INET6;
	*origin = (struct mtsi_origin){.kind = peer->family};
	if (ipv6 && mtsi_ip_is_mapped(peer->ip)) {
		origin->kind = AF_INET;
		origin->number = number_of(peer->ip + MTSI_MAPPED, 4);
	} else {
		origin->number = number_of(peer->ip, ipv6 ? 8 : 4);
	}
	if (ipv6 && link_local(peer->ip)) {
		origin->host = number_of(peer->ip + 8, 8);
		origin->scope = peer->scope;
	}
	return peer->family != AF_UNSPEC;
}

socklen_t mtsi_peer_to(const struct mtsi_peer *peer, struct sockaddr_storage *storage)
{
	memset(storage, 0, sizeof(*storage));
	if (peer->family == AF_INET) {
		struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(peer->port)};
		memcpy(&in.sin_addr, peer->ip, sizeof(in.sin_addr));
		memcpy(storage, &in, sizeof(in));
		return sizeof(in);
	}
	if (peer->family == AF_INET6) {
		struct sockaddr_in6 in6 = {
			.sin6_family = AF_INET6, .sin6_port = htons(peer->port), .sin6_scope_id = peer->scope};
		memcpy(&in6.sin6_addr, peer->ip, sizeof(in6.sin6_addr));
		memcpy(storage, &in6, sizeof(in6));
		return sizeof(in6);
	}
	storage->ss_family = peer->family;
	return peer->family == AF_UNIX ? PATH_OFFSET : 0;
}

int mtsi_peer_format(const struct mtsi_peer *peer, char *out, size_t size)
{
	struct sockaddr_storage storage;
	socklen_t length = mtsi_peer_to(peer, &storage);

	return mtsi_address_format((const struct sockaddr *)&storage, length, out, size);
}
