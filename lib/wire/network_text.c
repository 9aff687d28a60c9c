/*
 * Networks and single addresses, as they are written.
 *
 * Each text is cut at its slash, percent sign or last colon into spans; what is an address is left
 * to inet_pton, which is pure, and takes IPv4 addresses in full and in decimal only.  Numbers have
 * no sign and no leading zeros, which some read as octal.
 */
#include "wire/network_text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "wire/address.h"
#include "wire/networks.h"

enum { INET_BITS = 32, INET6_BITS = 128, MAPPED_BITS = 96, MOST_PORT = 65535 };

/* A piece of the caller's text. */
struct span {
	const char *at;
	size_t size;
};

/* The piece before the first such byte, or all; `*rest` is what follows it, or NULL. */
static struct span before(const char *text, char byte, const char **rest)
{
	const char *end = strchr(text, byte);
	*rest = end != NULL ? end + 1 : NULL;
	return (struct span){text, end != NULL ? (size_t)(end - text) : strlen(text)};
}

/* Whether all of it is a decimal number up to that. */
static bool is_number(struct span span, unsigned most, unsigned *number)
{
	*number = 0;
	for (size_t i = 0; i < span.size; i++) {
		if (span.at[i] < '0' || span.at[i] > '9') {
			return false;
		}
		*number = 10 * *number + (unsigned)(span.at[i] - '0');
		if (*number > most) {
			return false;
		}
	}
	return span.size == 1 || (span.size > 1 && span.at[0] != '0');
}

/* Whether it is an address of that family, without a zone; into `ip`, with other bytes left alone. */
static bool is_ip(int family, struct span span, unsigned char *ip)
{
	char text[INET6_ADDRSTRLEN];
	if (span.size >= sizeof(text)) {
		return false;
	}
	memcpy(text, span.at, span.size);
	text[span.size] = '\0';
	return inet_pton(family, text, ip) == 1;
}

/* An address, and the length of the network that it is by itself. */
static bool is_network(struct span span, struct mtsi_network *network)
{
	unsigned char ip[16];
	if (is_ip(AF_INET, span, ip)) {
		*network = (struct mtsi_network){MTSI_NETWORK_INET, mtsi_bits_of_inet(ip), INET_BITS};
	} else if (is_ip(AF_INET6, span, ip)) {
		*network = (struct mtsi_network){MTSI_NETWORK_INET6, mtsi_bits_of_inet6(ip), INET6_BITS};
	} else {
		return false;
	}
	return true;
}

/* A network of addresses that are mapped into IPv6 is one of IPv4. */
static void unmap(struct mtsi_network *network)
{
	const struct mtsi_bits *bits = &network->bits;
	if (network->kind == MTSI_NETWORK_INET6 && network->length >= MAPPED_BITS && bits->high == 0
		&& bits->low >> 32 == 0xffff) {
		*network = (struct mtsi_network){
			MTSI_NETWORK_INET, {bits->low << 32, 0}, network->length - MAPPED_BITS};
	}
}

int mtsi_network_parse(const char *text, struct mtsi_network *network)
{
	const char *rest;
	if (text == NULL) {
		return -EINVAL;
	}
	if (strcmp(text, "unix") == 0) {
		*network = (struct mtsi_network){MTSI_NETWORK_UNIX, {0, 0}, 0};
		return 0;
	}
	if (!is_network(before(text, '/', &rest), network)) {
		return -EINVAL;
	}
	if (rest != NULL
		&& !is_number((struct span){rest, strlen(rest)}, network->length, &network->length)) {
		return -EINVAL;
	}
	const struct mtsi_bits first = mtsi_bits_first(network->bits, network->length);
	if (first.high != network->bits.high || first.low != network->bits.low) {
		return -EINVAL;
	}
	unmap(network);
	return 0;
}

/* An IPv6 address, with a zone or without. */
static int parse_inet6(struct span span, struct mtsi_peer *peer)
{
	const char *percent = memchr(span.at, '%', span.size);
	const struct span ip = {span.at, percent != NULL ? (size_t)(percent - span.at) : span.size};
	if (percent != NULL && ip.size + 1 == span.size) {
		return -EINVAL;
	}
	peer->family = AF_INET6;
	return is_ip(AF_INET6, ip, peer->ip) ? 0 : -EINVAL;
}

/* What may follow an address in brackets, or an IPv4 address: nothing, or a port. */
static int parse_port(const char *text, struct mtsi_peer *peer)
{
	unsigned port = 0;
	if (text != NULL && !is_number((struct span){text, strlen(text)}, MOST_PORT, &port)) {
		return -EINVAL;
	}
	peer->port = (uint16_t)port;
	return 0;
}

static int parse_brackets(const char *text, struct mtsi_peer *peer)
{
	const char *rest;
	const struct span inside = before(text + 1, ']', &rest);
	if (rest == NULL || (*rest != '\0' && *rest != ':')) {
		return -EINVAL;
	}
	const int result = parse_inet6(inside, peer);
	return result != 0 ? result : parse_port(*rest == ':' ? rest + 1 : NULL, peer);
}

int mtsi_peer_parse(const char *text, struct mtsi_peer *peer)
{
	const char *port;
	*peer = (struct mtsi_peer){.family = AF_UNSPEC};
	if (text == NULL) {
		return -EINVAL;
	}
	if (strcmp(text, "unix") == 0 || (strncmp(text, "unix:", 5) == 0 && text[5] != '\0')) {
		peer->family = AF_UNIX;
		return 0;
	}
	if (text[0] == '[') {
		return parse_brackets(text, peer);
	}
	if (is_ip(AF_INET, before(text, ':', &port), peer->ip)) {
		peer->family = AF_INET;
		return parse_port(port, peer);
	}
	return parse_inet6((struct span){text, strlen(text)}, peer);
}
