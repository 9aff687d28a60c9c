/*
 * What a listen address names.
 *
 * The parser is strict where a guess could open a server to more of the world than was meant: an
 * empty host is not "every address", a port is decimal digits only, and numbers are IPv4 addresses
 * only when written in full.  It works on spans of the caller's text and copies once all is known
 * to fit; it never looks anything up.  inet_pton is the only library call here that knows about
 * addresses, and it is pure.
 *
 * What can never be listened on is refused here, whatever the machine: an answer of bind(2) would
 * say "invalid argument", or nothing at all, and a server that listens where nobody can reach it is
 * worse than one that does not start. The same rules are applied to the addresses of a name, which
 * the parser does not see.
 *
 * Every refusal goes through refuse_text(), so that none is without its clause.  The clause completes
 * "cannot listen on TEXT: ...".
 */
#include "wire/place.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
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
/* Linux allows more in an interface name; these are the bytes that such names have in practice. */
static const char zone_bytes[] =
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_@:";

static int refuse_text(const char **why, int error, const char *clause)
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
		return refuse_text(why, -EINVAL, "the port is missing, as in localhost:5000");
	}
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9') {
			return refuse_text(why, -EINVAL, clause);
		}
		value = 10 * value + (unsigned)(*text - '0');
		if (value > UINT16_MAX) {
			return refuse_text(why, -EINVAL, clause);
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
		return refuse_text(why, -EINVAL, "the path of the Unix socket is missing");
	}
	/* An abstract name of no bytes would ask the kernel to pick one. */
	if (abstract && size == 1) {
		return refuse_text(why, -EINVAL, "the name of the abstract Unix socket is missing");
	}
	if (size >= PATH_SIZE) {
		return refuse_text(why, -ENAMETOOLONG, "the path of a Unix socket has at most 107 bytes");
	}

	place->kind = MTSI_PLACE_UNIX;
	place->path.sun_family = AF_UNIX;
	memcpy(place->path.sun_path, path, size + 1);
	if (abstract) {
		place->path.sun_path[0] = '\0';
	}
	/* A path ends with the NUL; in an abstract name it would be one more byte of the name. */
	place->path_size = (socklen_t)(PATH_OFFSET + size + (abstract ? 0 : 1));
	return 0;
}

/* Whatever the name, it is compared with names that were given by others. */
static int parse_passed(const char *name, struct mtsi_place *place, const char **why)
{
	struct span span = {name, strlen(name)};

	if (!span_copy(span, place->host, sizeof(place->host))) {
		return refuse_text(why, -ENAMETOOLONG, "the name of a passed socket has at most 255 bytes");
	}
	place->kind = MTSI_PLACE_PASSED;
	return 0;
}

/* The clause for IPv4, in the order of the bytes on the wire. */
static const char *unfit_inet(struct in_addr ip)
{
	const uint32_t number = ntohl(ip.s_addr);

	if (number == INADDR_BROADCAST) {
		return "nobody can connect to the broadcast address";
	}
	return IN_MULTICAST(number) ? "nobody can connect to a multicast address" : NULL;
}

/* The same for IPv6; `scoped`: an interface is named with it. */
static const char *unfit_inet6(const struct in6_addr *ip, bool scoped)
{
	if (IN6_IS_ADDR_V4MAPPED(ip)) {
		return "an IPv4 address is written as its four numbers alone, as in 127.0.0.1:5000";
	}
	if (IN6_IS_ADDR_MULTICAST(ip)) {
		return "nobody can connect to a multicast address";
	}
	if (IN6_IS_ADDR_LINKLOCAL(ip) && !scoped) {
		return "a link-local address needs its interface, as in [fe80::1%eth0]:5000";
	}
	return NULL;
}

const char *mtsi_place_unfit(const struct sockaddr *address, socklen_t size)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (address->sa_family == AF_INET && size >= sizeof(in)) {
		memcpy(&in, address, sizeof(in));
		return unfit_inet(in.sin_addr);
	}
	if (address->sa_family == AF_INET6 && size >= sizeof(in6)) {
		memcpy(&in6, address, sizeof(in6));
		return unfit_inet6(&in6.sin6_addr, in6.sin6_scope_id != 0);
	}
	return NULL;
}

/* An IPv6 address in brackets; text begins with the opening one. */
static int parse_brackets(const char *text, struct mtsi_place *place, const char **why)
{
	static const char clause[] = "what is in brackets is not an IPv6 address";
	const char *close = strchr(text, ']');

	if (close == NULL) {
		return refuse_text(why, -EINVAL, "the closing bracket is missing");
	}

	struct span host = {text + 1, (size_t)(close - text) - 1};
	const char *percent = memchr(host.at, '%', host.size);
	struct span ip = {host.at, percent == NULL ? host.size : (size_t)(percent - host.at)};
	char ip_text[INET6_ADDRSTRLEN];
	struct in6_addr ip_bytes;
	bool scoped = false;

	if (!span_copy(ip, ip_text, sizeof(ip_text)) || inet_pton(AF_INET6, ip_text, &ip_bytes) != 1) {
		return refuse_text(why, -EINVAL, clause);
	}
	if (percent != NULL) {
		struct span zone = {percent + 1, host.size - ip.size - 1};

		if (zone.size == 0 || !span_only(zone, zone_bytes)) {
			return refuse_text(why, -EINVAL, "what follows the % is not the name of an interface");
		}
		scoped = !span_only(zone, "0"); /* 0 stands for none */
	}

	const char *unfit = unfit_inet6(&ip_bytes, scoped);

	if (unfit != NULL) {
		return refuse_text(why, -EINVAL, unfit);
	}
	if (!span_copy(host, place->host, sizeof(place->host))) {
		return refuse_text(why, -EINVAL, clause);
	}
	if (close[1] == '\0') {
		return refuse_text(why, -EINVAL, "the port is missing, as in [::1]:5000");
	}
	if (close[1] != ':') {
		return refuse_text(
			why, -EINVAL, "the closing bracket is not followed by a colon and a port");
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
		return refuse_text(why, -EINVAL, "the host contains a character that no host name has");
	}
	if (!span_copy(host, place->host, sizeof(place->host))) {
		return refuse_text(why, -EINVAL, "the host is longer than any host name");
	}
	if (looks_numeric(host)) {
		if (inet_pton(AF_INET, place->host, &ip) != 1) {
			return refuse_text(
				why, -EINVAL, "the host is not an IPv4 address of four decimal numbers");
		}

		const char *unfit = unfit_inet(ip);

		if (unfit != NULL) {
			return refuse_text(why, -EINVAL, unfit);
		}
	}
	place->kind = MTSI_PLACE_NAME;
	return 0;
}

static int parse_host(struct span host, struct mtsi_place *place, const char **why)
{
	if (host.size == 0) {
		return refuse_text(why, -EINVAL, "the host is missing; every address is written *:5000");
	}
	if (memchr(host.at, ':', host.size) != NULL) {
		return refuse_text(
			why, -EINVAL, "an IPv6 address is written in brackets, as in [::1]:5000");
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
		return refuse_text(why, -EINVAL, "the address is empty");
	}
	if (strncmp(text, "unix:", 5) == 0) {
		return parse_unix(text + 5, place, why);
	}
	if (strncmp(text, "systemd:", 8) == 0) {
		return parse_passed(text + 8, place, why);
	}
	if (text[0] == '[') {
		return parse_brackets(text, place, why);
	}
	if (strstr(text, "://") != NULL) {
		return refuse_text(why, -EINVAL, "an address is host:port, without http:// or the like");
	}

	const char *colon = strrchr(text, ':');

	if (colon == NULL) {
		if (span_only((struct span){text, strlen(text)}, digits)) {
			return parse_port(text, &place->port, why);
		}
		return refuse_text(why, -EINVAL, "the port is missing, as in localhost:5000");
	}

	int error = parse_host((struct span){text, (size_t)(colon - text)}, place, why);

	return error != 0 ? error : parse_port(colon + 1, &place->port, why);
}
