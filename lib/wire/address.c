/*
 * Addresses as text.
 *
 * The parser is strict where a guess could open a server to more of the world than was meant: an
 * empty host is not "every address", a port is decimal digits only, and numbers are IPv4 addresses
 * only when written in full.  It works on spans of the caller's text and copies once all is known
 * to fit; it never looks anything up.  inet_pton and inet_ntop are the only library calls that know
 * about addresses, and both are pure.
 *
 * Every refusal goes through refuse(), so that none is without its clause.  The clause completes
 * "cannot listen on TEXT: ...".
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
#include <strings.h>

#define PATH_OFFSET offsetof(struct sockaddr_un, sun_path)
#define PATH_SIZE sizeof(((struct sockaddr_un *)NULL)->sun_path)

/* A piece of the caller's text, so without a NUL. */
struct span {
	const char *at;
	size_t size;
};

static const char digits[] = "0123456789";
static const char hex_digits[] = "0123456789abcdefABCDEF";
static const char name_bytes[] =
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
/* What Linux allows in an interface name is wider; this is what they look like. */
static const char zone_bytes[] =
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_@:";

static int refuse(const char **why, int error, const char *clause)
{
	*why = clause;
	return error;
}

static bool span_only(struct span span, const char *allowed)
{
	for (size_t i = 0; i < span.size; i++) {
		if (strchr(allowed, span.at[i]) == NULL) {
			return false;
		}
	}
	return true;
}

static bool span_is(struct span span, const char *text)
{
	return span.size == strlen(text) && strncasecmp(span.at, text, span.size) == 0;
}

/* Copies to a buffer with a NUL; false when it does not fit. */
static bool span_copy(struct span span, char *out, size_t size)
{
	if (span.size >= size) {
		return false;
	}
	memcpy(out, span.at, span.size);
	out[span.size] = '\0';
	return true;
}

static int parse_port(const char *text, uint16_t *port, const char **why)
{
	static const char clause[] = "the port is not a number between 0 and 65535";
	unsigned value = 0;

	if (*text == '\0') {
		return refuse(why, -EINVAL, "the port is missing, as in localhost:5000");
	}
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9') {
			return refuse(why, -EINVAL, clause);
		}
		value = 10 * value + (unsigned)(*text - '0');
		if (value > UINT16_MAX) {
			return refuse(why, -EINVAL, clause);
		}
	}
	*port = (uint16_t)value;
	return 0;
}

static int parse_unix(const char *path, struct mtsi_place *place, const char **why)
{
	size_t size = strlen(path);
	bool abstract = path[0] == '@';

	if (size == 0) {
		return refuse(why, -EINVAL, "the path of the Unix socket is missing");
	}
	/* An abstract name of no bytes would ask the kernel to pick one. */
	if (abstract && size == 1) {
		return refuse(why, -EINVAL, "the name of the abstract Unix socket is missing");
	}
	if (size >= PATH_SIZE) {
		return refuse(why, -ENAMETOOLONG, "the path of a Unix socket has at most 107 bytes");
	}

	place->kind = MTSI_PLACE_UNIX;
	place->path.sun_family = AF_UNIX;
	memcpy(place->path.sun_path, path, size + 1);
	if (abstract) {
		place->path.sun_path[0] = '\0';
	}
	/* The NUL ends a path; in an abstract name it would be one more byte of the name. */
	place->path_size = (socklen_t)(PATH_OFFSET + size + (abstract ? 0 : 1));
	return 0;
}

/* An IPv6 address, in brackets: text begins with the opening one. */
static int parse_brackets(const char *text, struct mtsi_place *place, const char **why)
{
	static const char clause[] = "what is in brackets is not an IPv6 address";
	const char *close = strchr(text, ']');

	if (close == NULL) {
		return refuse(why, -EINVAL, "the closing bracket is missing");
	}

	struct span host = {text + 1, (size_t)(close - text) - 1};
	const char *percent = memchr(host.at, '%', host.size);
	struct span ip = {host.at, percent == NULL ? host.size : (size_t)(percent - host.at)};
	char ip_text[INET6_ADDRSTRLEN];
	struct in6_addr ip_bytes;

	if (!span_copy(ip, ip_text, sizeof(ip_text)) || inet_pton(AF_INET6, ip_text, &ip_bytes) != 1) {
		return refuse(why, -EINVAL, clause);
	}
	if (percent != NULL) {
		struct span zone = {percent + 1, host.size - ip.size - 1};

		if (zone.size == 0 || !span_only(zone, zone_bytes)) {
			return refuse(why, -EINVAL, "what follows the % is not the name of an interface");
		}
	}
	if (!span_copy(host, place->host, sizeof(place->host))) {
		return refuse(why, -EINVAL, clause);
	}
	if (close[1] == '\0') {
		return refuse(why, -EINVAL, "the port is missing, as in [::1]:5000");
	}
	if (close[1] != ':') {
		return refuse(why, -EINVAL, "the closing bracket is not followed by a colon and a port");
	}
	place->kind = MTSI_PLACE_NAME;
	return parse_port(close + 2, &place->port, why);
}

/* Whether resolvers would read this as some form of IPv4 address: its last label is a number. */
static bool looks_numeric(struct span host)
{
	struct span label = host;

	for (size_t i = 0; i + 1 < host.size; i++) {
		if (host.at[i] == '.') {
			label = (struct span){host.at + i + 1, host.size - i - 1};
		}
	}
	if (label.size > 1 && label.at[label.size - 1] == '.') {
		label.size--;
	}
	if (span_only(label, digits)) {
		return true;
	}
	return label.size >= 2 && strncasecmp(label.at, "0x", 2) == 0
		&& span_only((struct span){label.at + 2, label.size - 2}, hex_digits);
}

static int parse_name(struct span host, struct mtsi_place *place, const char **why)
{
	struct in_addr ip;

	if (!span_only(host, name_bytes)) {
		return refuse(why, -EINVAL, "the host contains a character that no host name has");
	}
	if (!span_copy(host, place->host, sizeof(place->host))) {
		return refuse(why, -EINVAL, "the host is longer than any host name");
	}
	if (looks_numeric(host) && inet_pton(AF_INET, place->host, &ip) != 1) {
		return refuse(why, -EINVAL, "the host is not an IPv4 address of four decimal numbers");
	}
	place->kind = MTSI_PLACE_NAME;
	return 0;
}

static int parse_host(struct span host, struct mtsi_place *place, const char **why)
{
	if (host.size == 0) {
		return refuse(why, -EINVAL, "the host is missing; every address is written *:5000");
	}
	if (memchr(host.at, ':', host.size) != NULL) {
		return refuse(why, -EINVAL, "an IPv6 address is written in brackets, as in [::1]:5000");
	}
	if (span_is(host, "*")) {
		place->kind = MTSI_PLACE_ANY;
		return 0;
	}
	if (span_is(host, "localhost")) {
		place->kind = MTSI_PLACE_LOOPBACK;
		return 0;
	}
	return parse_name(host, place, why);
}

int mtsi_place_parse(const char *text, struct mtsi_place *place, const char **why)
{
	*place = (struct mtsi_place){.kind = MTSI_PLACE_ANY};
	*why = "";
	if (text == NULL || *text == '\0') {
		return refuse(why, -EINVAL, "the address is empty");
	}
	if (strncmp(text, "unix:", 5) == 0) {
		return parse_unix(text + 5, place, why);
	}
	if (text[0] == '[') {
		return parse_brackets(text, place, why);
	}

	const char *colon = strrchr(text, ':');

	if (colon == NULL) {
		if (span_only((struct span){text, strlen(text)}, digits)) {
			return parse_port(text, &place->port, why);
		}
		return refuse(why, -EINVAL, "the port is missing, as in localhost:5000");
	}

	int error = parse_host((struct span){text, (size_t)(colon - text)}, place, why);

	return error != 0 ? error : parse_port(colon + 1, &place->port, why);
}

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
 * name: the bytes of sun_path that the kernel gave.  For a path that fills all of them it counts a
 * NUL after the end, so count may be one more than there are.
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
	}
}

void mtsi_peer_set_user(struct mtsi_peer *peer, uint32_t user)
{
	memcpy(peer->ip, &user, sizeof(user));
}

/* The first bytes as a number, whatever the order: it is only compared. */
static uint64_t number_of(const unsigned char *bytes, size_t size)
{
	uint64_t number = 0;
	memcpy(&number, bytes, size);
	return number;
}

bool mtsi_peer_origin(const struct mtsi_peer *peer, struct mtsi_origin *origin)
{
	static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
	const bool ipv6 = peer->family == AF_INET6;
	origin->kind = peer->family;
	if (ipv6 && memcmp(peer->ip, mapped, sizeof(mapped)) == 0) {
		origin->kind = AF_INET;
		origin->number = number_of(peer->ip + sizeof(mapped), 4);
	} else {
		origin->number = number_of(peer->ip, ipv6 ? 8 : 4);
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
