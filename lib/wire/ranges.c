/*
 * Ranges of addresses.
 *
 * Networks, one in the other, cut the addresses of a family into ranges, each of which has one
 * verdict: n networks make at most 2n + 1 of them.  Kept are the first address of each, in order,
 * and its verdict, some 17 bytes.  To look for an address is to find the last that is not above it.
 *
 * Of these first addresses every eighth is put down again, of those every eighth, and so on, until
 * eight or fewer are left.  The search begins with these, and at each level looks at one block of
 * eight, which lie side by side in two lines of a cache: six steps for 100,000 networks, where the
 * tree takes twenty.  (It is a B-tree whose places follow from each other, so it has no pointers.)
 * How many of a block are not above the address is counted, without a branch that could be guessed
 * wrongly.
 */
#include "wire/ranges.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "wire/address.h"
#include "wire/networks.h"

enum {
	FAMILIES = 2, /* INET and INET6 */
	BLOCK = 8,
	MOST_LEVELS = 12
};

/* The ranges of one family. */
struct table {
	struct mtsi_bits *firsts; /* level by level, from the lowest, which has all of them */
	signed char *verdicts; /* -1: none */
	size_t sizes[MOST_LEVELS]; /* of the levels; without what fills their last blocks */
	size_t begins[MOST_LEVELS]; /* where they begin */
	unsigned levels;
};

struct mtsi_ranges {
	struct table tables[FAMILIES];
	int local; /* the verdict for Unix peers, or -ENOENT */
	int whole[FAMILIES]; /* the verdicts of 0.0.0.0/0 and ::/0, or -ENOENT */
};

static size_t whole_blocks(size_t count)
{
	return (count + BLOCK - 1) / BLOCK * BLOCK;
}

/* Room for so many ranges: false, and nothing is allocated. */
static bool allocate(struct table *table, size_t most)
{
	size_t all = 0;
	for (size_t size = most; size > BLOCK; size = whole_blocks(size) / BLOCK) {
		all += whole_blocks(size);
	}
	table->firsts = malloc((all + BLOCK) * sizeof(*table->firsts));
	table->verdicts = malloc(most);
	if (table->firsts == NULL || table->verdicts == NULL) {
		free(table->firsts);
		free(table->verdicts);
		return false;
	}
	return true;
}

/* Takes one range; they come in order. */
static void append(void *context, struct mtsi_bits first, int verdict)
{
	struct table *table = context;
	const size_t at = table->sizes[0]++;
	table->firsts[at] = first;
	table->verdicts[at] = (signed char)verdict;
}

/* Fills the last block of a level with what is above each address, but for the last one. */
static size_t fill(struct table *table, size_t end)
{
	for (; end % BLOCK != 0; end++) {
		table->firsts[end] = (struct mtsi_bits){UINT64_MAX, UINT64_MAX};
	}
	return end;
}

/* Puts down the first of each block of the level below, until there is one block only. */
static void pile_up(struct table *table)
{
	size_t end = fill(table, table->sizes[0]);
	for (table->levels = 1; table->sizes[table->levels - 1] > BLOCK; table->levels++) {
		const struct mtsi_bits *below = table->firsts + table->begins[table->levels - 1];
		const size_t size = whole_blocks(table->sizes[table->levels - 1]) / BLOCK;
		table->begins[table->levels] = end;
		table->sizes[table->levels] = size;
		for (size_t i = 0; i < size; i++) {
			table->firsts[end++] = below[i * BLOCK];
		}
		end = fill(table, end);
	}
}

struct mtsi_ranges *mtsi_ranges_new(const struct mts_networks *networks)
{
	struct mtsi_ranges *ranges = calloc(1, sizeof(*ranges));
	if (ranges == NULL) {
		return NULL;
	}
	for (int i = 0; i < FAMILIES; i++) {
		struct table *table = &ranges->tables[i];
		const enum mtsi_network_kind kind = (enum mtsi_network_kind)i;
		if (!allocate(table, 2 * mtsi_networks_count(networks, kind) + 1)) {
			*table = (struct table){.levels = 0};
			mtsi_ranges_free(ranges);
			return NULL;
		}
		mtsi_networks_each_range(networks, kind, append, table);
		pile_up(table);
		ranges->whole[i] = mtsi_networks_whole(networks, kind);
	}
	ranges->local = mtsi_networks_whole(networks, MTSI_NETWORK_UNIX);
	return ranges;
}

void mtsi_ranges_free(struct mtsi_ranges *ranges)
{
	if (ranges == NULL) {
		return;
	}
	for (int i = 0; i < FAMILIES; i++) {
		free(ranges->tables[i].firsts);
		free(ranges->tables[i].verdicts);
	}
	free(ranges);
}

/* How many of a block are not above the address. */
static size_t count_up_to(const struct mtsi_bits *block, struct mtsi_bits address)
{
	size_t count = 0;
	for (int i = 0; i < BLOCK; i++) {
		const int same = block[i].high == address.high;
		count += (size_t)((block[i].high < address.high) | (same & (block[i].low <= address.low)));
	}
	return count;
}

/* The first range begins with address 0, so there is always one. */
static int look_up(const struct table *table, struct mtsi_bits address)
{
	size_t at = 0;
	for (unsigned level = table->levels; level-- > 0;) {
		const struct mtsi_bits *block = table->firsts + table->begins[level] + at * BLOCK;
		const size_t last = table->sizes[level] - 1;
		at = at * BLOCK + count_up_to(block, address) - 1;
		at = at < last ? at : last; /* the last address is not below what fills the block */
	}
	return table->verdicts[at] >= 0 ? table->verdicts[at] : -ENOENT;
}

int mtsi_ranges_find(const struct mtsi_ranges *ranges, const struct mtsi_peer *peer)
{
	struct mtsi_network single;
	if (!mtsi_network_of(&single, peer)) {
		return -ENOENT;
	}
	return single.kind == MTSI_NETWORK_UNIX ? ranges->local
											: look_up(&ranges->tables[single.kind], single.bits);
}

bool mtsi_ranges_has_whole(const struct mtsi_ranges *ranges, int verdict)
{
	return ranges->local == verdict || ranges->whole[MTSI_NETWORK_INET] == verdict
		|| ranges->whole[MTSI_NETWORK_INET6] == verdict;
}
