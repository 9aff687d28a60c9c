/*
 * Sets of networks, while they are built.
 *
 * A binary tree for each family.  A node stands for all addresses that begin with its bits; below it
 * are those whose next bit is 0, and those whose next bit is 1, as far as a network is there.  Nodes
 * with only one way to go are left out, unless they are networks (Morrison: PATRICIA, 1968).  So n
 * networks take less than 2n nodes, of 32 bytes.  An address goes down from the root as long as it
 * begins with the bits of the node; the last network that it meets is the smallest that has it.
 * That takes some log2(n) steps where networks are spread at random, and never more than there are
 * bits.
 *
 * The nodes lie in one array and refer to each other by their place in it, so freeing a set walks
 * through nothing.  There is no way to take a network out again, so no node is ever free.
 *
 * For an address that is looked for nearly each step is memory that is not in a cache.  So servers
 * look into something made of this (ranges.c); walking through the tree in order gives what that
 * needs.
 */
#include "wire/networks.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "wire/address.h"

enum {
	NO_VERDICT = -1,
	FAMILIES = 2, /* INET and INET6 */
	INET_BITS = 32,
	INET6_BITS = 128,
	FIRST_ROOM = 16,
	MOST_NODES = 1 << 26 /* 2 GiB, which even a size_t of 32 bits can say */
};

struct node {
	struct mtsi_bits bits;
	uint32_t below[2]; /* the nodes whose next bit is 0, and 1; 0: none */
	unsigned char length; /* how many bits */
	signed char verdict; /* NO_VERDICT: it is not a network, only where two ways part */
};

struct mts_networks {
	struct node *nodes; /* NULL: none yet; the first is not used, since 0 stands for none */
	uint32_t count; /* with the first */
	uint32_t room;
	uint32_t roots[FAMILIES]; /* 0: none */
	size_t counts[FAMILIES]; /* of networks */
	int local; /* the verdict for Unix peers */
};

/* The first bytes as a number, the most significant first. */
static uint64_t number_of(const unsigned char *bytes, unsigned count)
{
	uint64_t number = 0;
	for (unsigned i = 0; i < count; i++) {
		number = number << 8 | bytes[i];
	}
	return number;
}

struct mtsi_bits mtsi_bits_of_inet(const unsigned char *ip)
{
	return (struct mtsi_bits){number_of(ip, 4) << 32, 0};
}

struct mtsi_bits mtsi_bits_of_inet6(const unsigned char *ip)
{
	return (struct mtsi_bits){number_of(ip, 8), number_of(ip + 8, 8)};
}

struct mtsi_bits mtsi_bits_first(struct mtsi_bits bits, unsigned count)
{
	if (count <= 64) {
		return (struct mtsi_bits){count == 0 ? 0 : bits.high & UINT64_MAX << (64 - count), 0};
	}
	return (struct mtsi_bits){bits.high, bits.low & UINT64_MAX << (128 - count)};
}

/* How many bits two have in common, from the first. */
static unsigned in_common(struct mtsi_bits one, struct mtsi_bits other)
{
	const uint64_t high = one.high ^ other.high;
	const uint64_t low = one.low ^ other.low;
	if (high != 0) {
		return (unsigned)__builtin_clzll(high);
	}
	return low != 0 ? 64 + (unsigned)__builtin_clzll(low) : 128;
}

/* The bit behind the first so many; behind all of them there is 0. */
static unsigned bit_behind(struct mtsi_bits bits, unsigned count)
{
	if (count < 64) {
		return (unsigned)(bits.high >> (63 - count) & 1);
	}
	return count < 128 ? (unsigned)(bits.low >> (127 - count) & 1) : 0;
}

struct mts_networks *mtsi_networks_new(void)
{
	struct mts_networks *networks = calloc(1, sizeof(*networks));
	if (networks != NULL) {
		networks->count = 1;
		networks->local = NO_VERDICT;
	}
	return networks;
}

void mtsi_networks_free(struct mts_networks *networks)
{
	if (networks != NULL) {
		free(networks->nodes);
		free(networks);
	}
}

/* Makes room for two more nodes, which is the most that a network takes. */
static bool make_room(struct mts_networks *networks)
{
	if (networks->room >= networks->count + 2) {
		return true;
	}
	const uint32_t room = networks->room == 0 ? FIRST_ROOM : networks->room * 2;
	if (room > MOST_NODES) {
		return false;
	}
	struct node *nodes = realloc(networks->nodes, room * sizeof(*nodes));
	if (nodes == NULL) {
		return false;
	}
	networks->nodes = nodes;
	networks->room = room;
	return true;
}

/* A new node, with nothing below it. */
static uint32_t append(
	struct mts_networks *networks, struct mtsi_bits bits, unsigned length, int verdict)
{
	networks->nodes[networks->count] = (struct node){
		.bits = bits, .length = (unsigned char)length, .verdict = (signed char)verdict};
	return networks->count++;
}

/* Hangs one node under another. */
static void hang(struct mts_networks *networks, uint32_t above, uint32_t node)
{
	struct node *nodes = networks->nodes;
	nodes[above].below[bit_behind(nodes[node].bits, nodes[above].length)] = node;
}

/*
 * Puts a network where its way down the tree ends, at `link`. There is no node, or one that has `same`
 * bits in common with the network: not all bits of the node, or all of the network, or both.
 */
static void insert(struct mts_networks *networks, uint32_t *link, unsigned same,
	const struct mtsi_network *network, int verdict)
{
	const uint32_t there = *link;
	if (there != 0 && networks->nodes[there].length == same && network->length == same) {
		networks->counts[network->kind] += networks->nodes[there].verdict == NO_VERDICT;
		networks->nodes[there].verdict = (signed char)verdict;
		return;
	}
	networks->counts[network->kind]++;
	const uint32_t made = append(networks, network->bits, network->length, verdict);
	if (there == 0) {
		*link = made;
	} else if (network->length == same) {
		hang(networks, made, there);
		*link = made;
	} else {
		const struct mtsi_bits bits = mtsi_bits_first(network->bits, same);
		const uint32_t fork = append(networks, bits, same, NO_VERDICT);
		hang(networks, fork, there);
		hang(networks, fork, made);
		*link = fork;
	}
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

int mtsi_networks_add(
	struct mts_networks *networks, const struct mtsi_network *network, int verdict)
{
	if (network->kind == MTSI_NETWORK_UNIX) {
		networks->local = verdict;
		return 0;
	}
	if (!make_room(networks)) {
		return -ENOMEM;
	}
	uint32_t *link = &networks->roots[network->kind];
	unsigned same = 0;
	while (*link != 0) {
		struct node *node = &networks->nodes[*link];
		const unsigned both = least(node->length, network->length);
		same = least(in_common(node->bits, network->bits), both);
		if (same < node->length || same == network->length) {
			break;
		}
		link = &node->below[bit_behind(network->bits, node->length)];
	}
	insert(networks, link, same, network, verdict);
	return 0;
}

/* The verdict for an address, or NO_VERDICT. */
static int go_down(const struct mts_networks *networks, uint32_t at, struct mtsi_bits address)
{
	int verdict = NO_VERDICT;
	while (at != 0) {
		const struct node *node = &networks->nodes[at];
		if (in_common(node->bits, address) < node->length) {
			break;
		}
		verdict = node->verdict != NO_VERDICT ? node->verdict : verdict;
		at = node->below[bit_behind(address, node->length)];
	}
	return verdict;
}

bool mtsi_network_of(struct mtsi_network *network, const struct mtsi_peer *peer)
{
	const bool mapped = peer->family == AF_INET6 && mtsi_ip_is_mapped(peer->ip);
	if (peer->family == AF_INET || mapped) {
		network->kind = MTSI_NETWORK_INET;
		network->bits = mtsi_bits_of_inet(mapped ? peer->ip + MTSI_MAPPED : peer->ip);
		network->length = INET_BITS;
	} else if (peer->family == AF_INET6) {
		network->kind = MTSI_NETWORK_INET6;
		network->bits = mtsi_bits_of_inet6(peer->ip);
		network->length = INET6_BITS;
	} else {
		*network = (struct mtsi_network){.kind = MTSI_NETWORK_UNIX};
		return peer->family == AF_UNIX;
	}
	return true;
}

int mtsi_networks_find(const struct mts_networks *networks, const struct mtsi_peer *peer)
{
	struct mtsi_network single;
	int verdict = NO_VERDICT;
	if (mtsi_network_of(&single, peer)) {
		verdict = single.kind == MTSI_NETWORK_UNIX
			? networks->local
			: go_down(networks, networks->roots[single.kind], single.bits);
	}
	return verdict != NO_VERDICT ? verdict : -ENOENT;
}

int mtsi_networks_whole(const struct mts_networks *networks, enum mtsi_network_kind kind)
{
	int verdict = NO_VERDICT;
	if (kind == MTSI_NETWORK_UNIX) {
		verdict = networks->local;
	} else if (networks->roots[kind] != 0) {
		const struct node *root = &networks->nodes[networks->roots[kind]];
		verdict = root->length == 0 ? root->verdict : NO_VERDICT;
	}
	return verdict != NO_VERDICT ? verdict : -ENOENT;
}

size_t mtsi_networks_count(const struct mts_networks *networks, enum mtsi_network_kind kind)
{
	return networks->counts[kind];
}

/* The first address behind those of a node; false: there is none. */
static bool next_behind(const struct node *node, struct mtsi_bits *next)
{
	*next = node->bits;
	if (node->length > 64) {
		next->low += UINT64_C(1) << (INET6_BITS - node->length);
		next->high += next->low == 0 ? 1 : 0;
	} else if (node->length > 0) {
		next->high += UINT64_C(1) << (64 - node->length);
	} else {
		return false;
	}
	return next->high != 0 || next->low != 0;
}

/* The latest range, which is told when it is known where the next one begins. */
struct cuts {
	mtsi_networks_range range;
	void *context;
	struct mtsi_bits first;
	int verdict;
};

/*
 * From this address on, a verdict holds. They come in order; of several for one address the last
 * holds. Nodes that are no network bring the verdict that holds already, so they make no range.
 */
static void cut(struct cuts *cuts, struct mtsi_bits first, int verdict)
{
	const bool same = first.high == cuts->first.high && first.low == cuts->first.low;
	if (!same && verdict != cuts->verdict) {
		cuts->range(cuts->context, cuts->first, cuts->verdict);
		cuts->first = first;
	}
	cuts->verdict = verdict;
}

/* What is left to be done at a node: its addresses begin; or they are over, and `outer` holds again. */
struct step {
	uint32_t at;
	signed char outer;
	bool over;
};

/* On the way down each node leaves two steps behind, and the last one three. */
enum { MOST_STEPS = 2 * (INET6_BITS + 1) + 1 };

/* Leaves a step, if there is such a node: how many. */
static size_t leave(struct step *step, uint32_t at, signed char outer, bool over)
{
	if (at == 0) {
		return 0;
	}
	*step = (struct step){at, outer, over};
	return 1;
}

void mtsi_networks_each_range(const struct mts_networks *networks, enum mtsi_network_kind kind,
	mtsi_networks_range range, void *context)
{
	struct step steps[MOST_STEPS];
	struct cuts cuts = {range, context, {0, 0}, NO_VERDICT};
	size_t left = 0;
	left += leave(&steps[left], networks->roots[kind], NO_VERDICT, false);
	while (left > 0) {
		const struct step step = steps[--left];
		const struct node *node = &networks->nodes[step.at];
		struct mtsi_bits next;
		if (step.over && next_behind(node, &next)) {
			cut(&cuts, next, step.outer);
		} else if (!step.over) {
			const signed char inner = node->verdict != NO_VERDICT ? node->verdict : step.outer;
			cut(&cuts, node->bits, inner);
			left += leave(&steps[left], step.at, step.outer, true);
			left += leave(&steps[left], node->below[1], inner, false);
			left += leave(&steps[left], node->below[0], inner, false);
		}
	}
	range(context, cuts.first, cuts.verdict);
}
