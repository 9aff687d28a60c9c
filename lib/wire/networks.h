/*
 * Sets of networks, each with a verdict: which of them an address belongs to, the smallest first.
 *
 * What the verdicts mean is the caller's business.  Nothing here is locked: a set is built by one
 * thread at a time; while nobody does, any number may look into it.
 */
#ifndef MTSI_WIRE_NETWORKS_H
#define MTSI_WIRE_NETWORKS_H

#include <stdbool.h>
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

/* An empty set, or a copy of one, which takes no more memory than it needs; NULL: no memory. */
struct mts_networks *mtsi_networks_new(void);
struct mts_networks *mtsi_networks_copy(const struct mts_networks *networks);

/* NULL is fine. */
void mtsi_networks_free(struct mts_networks *networks);

/*
 * Adds a network; if it is there already, the verdict replaces the one before.  `verdict` is from 0
 * to 127.  0; or -ENOMEM, and nothing has changed.
 */
int mtsi_networks_add(
	struct mts_networks *networks, const struct mtsi_network *network, int verdict);

/*
 * The verdict of the smallest network that has this peer; -ENOENT: none has it.  An IPv4 address
 * mapped into IPv6 is IPv4, a Unix peer is in the network UNIX, one that is not known in none.
 */
int mtsi_networks_find(const struct mts_networks *networks, const struct mtsi_peer *peer);

/* Whether this is the verdict of all addresses of some kind: 0.0.0.0/0, ::/0 or UNIX. */
bool mtsi_networks_has_whole(const struct mts_networks *networks, int verdict);

#endif
