/*
 * Sets of networks, each with a verdict: which of them an address belongs to, the smallest first.
 *
 * What the verdicts mean is the caller's business.  Nothing here is locked: a set is built by one
 * thread at a time; while nobody does, any number may look into it.
 */
#ifndef MTSI_WIRE_NETWORKS_H
#define MTSI_WIRE_NETWORKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mts_networks;
struct mtsi_peer;

enum mtsi_network_kind { MTSI_NETWORK_INET, MTSI_NETWORK_INET6, MTSI_NETWORK_UNIX };

/* Up to 128 bits, the first of them the most significant of `high`; those that do not count are 0. */
struct mtsi_bits {
	uint64_t high;
	uint64_t low;
};

/* All addresses of a kind that begin with the same bits. */
struct mtsi_network {
	enum mtsi_network_kind kind;
	struct mtsi_bits bits;
	unsigned length; /* how many bits: at most 32 for INET, 128 for INET6; 0 for UNIX */
};

/* So many bits of these, from the first. */
struct mtsi_bits mtsi_bits_first(struct mtsi_bits bits, unsigned count);

/* The bits of 4 or 16 bytes in network byte order. */
struct mtsi_bits mtsi_bits_of_inet(const unsigned char *ip);
struct mtsi_bits mtsi_bits_of_inet6(const unsigned char *ip);

/*
 * A peer's address as a network of its own; an IPv4 address mapped into IPv6 is IPv4.  False: it is
 * not known.
 */
bool mtsi_network_of(struct mtsi_network *network, const struct mtsi_peer *peer);

/* An empty set; NULL: no memory. */
struct mts_networks *mtsi_networks_new(void);

/* NULL is fine. */
void mtsi_networks_free(struct mts_networks *networks);

/*
 * Adds a network; if it is there already, the verdict replaces the one before.  `verdict` is from 0
 * to 127.  0; or -ENOMEM, and nothing has changed.
 */
int mtsi_networks_add(
	struct mts_networks *networks, const struct mtsi_network *network, int verdict);

/* The verdict of the smallest network that has this peer; -ENOENT: none has it, or it is not known. */
int mtsi_networks_find(const struct mts_networks *networks, const struct mtsi_peer *peer);

/* The verdict of all that are of a kind: of 0.0.0.0/0, ::/0 or UNIX; -ENOENT: there is none. */
int mtsi_networks_whole(const struct mts_networks *networks, enum mtsi_network_kind kind);

/* How many networks there are of INET or INET6. */
size_t mtsi_networks_count(const struct mts_networks *networks, enum mtsi_network_kind kind);

/*
 * Tells the ranges that the networks of INET or INET6 make, in order, from address 0 on: each begins
 * with `first`, and ends where the next one begins, or with the last address.  `verdict` is -1 where
 * there is none.  n networks make at most 2n + 1 ranges.
 */
typedef void (*mtsi_networks_range)(void *context, struct mtsi_bits first, int verdict);
void mtsi_networks_each_range(const struct mts_networks *networks, enum mtsi_network_kind kind,
	mtsi_networks_range range, void *context);

#endif
