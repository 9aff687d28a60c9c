/*
 * Sets of networks, and the ranges made of them, against a plain list of the networks, which is searched
 * from end to end, and compares bytes bit by bit: whatever is added, in whatever order, each address gets the
 * verdict of the smallest network that has it.
 */
#include "wire/networks.h"

#include "../../api/chance.h"
#include "../../api/support.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "wire/address.h"
#include "wire/ranges.h"

enum { MOST = 20000, INET_BITS = 32, INET6_BITS = 128 };

/* A network as the reference knows it: the bytes of an address, of which so many bits count. */
struct entry {
	int family; /* AF_INET, AF_INET6, AF_UNIX */
	unsigned char ip[16];
	unsigned length;
	int verdict;
};

static struct entry entries[MOST];
static size_t count;

static unsigned bits_of(int family)
{
	return family == AF_INET ? INET_BITS : INET6_BITS;
}

static unsigned bit(const unsigned char *ip, unsigned at)
{
	return ip[at / 8] >> (7 - at % 8) & 1;
}

static void flip(unsigned char *ip, unsigned at)
{
	ip[at / 8] = (unsigned char)(ip[at / 8] ^ 1 << (7 - at % 8));
}

static void clear_from(unsigned char *ip, unsigned at, unsigned end)
{
	for (; at < end; at++) {
		if (bit(ip, at)) {
			flip(ip, at);
		}
	}
}

static bool same_bits(const unsigned char *one, const unsigned char *other, unsigned length)
{
	for (unsigned i = 0; i < length; i++) {
		if (bit(one, i) != bit(other, i)) {
			return false;
		}
	}
	return true;
}

static int look_for(const struct entry *list, size_t size, const struct mtsi_peer *peer)
{
	const struct entry *best = NULL;
	for (const struct entry *entry = list; entry < list + size; entry++) {
		if (entry->family == peer->family && (best == NULL || entry->length > best->length)
			&& same_bits(entry->ip, peer->ip, entry->length)) {
			best = entry;
		}
	}
	return best != NULL ? best->verdict : -ENOENT;
}

/* Puts it into the list, where the same network is replaced. */
static void note(const struct entry *added)
{
	for (struct entry *entry = entries; entry < entries + count; entry++) {
		if (entry->family == added->family && entry->length == added->length
			&& memcmp(entry->ip, added->ip, sizeof(added->ip)) == 0) {
			entry->verdict = added->verdict;
			return;
		}
	}
	ck_assert_uint_lt(count, MOST);
	entries[count++] = *added;
}

static void add(struct mts_networks *networks, const struct entry *entry)
{
	struct mtsi_network network = {.kind = MTSI_NETWORK_UNIX};
	if (entry->family == AF_INET) {
		network = (struct mtsi_network){
			MTSI_NETWORK_INET, mtsi_bits_of_inet(entry->ip), entry->length};
	} else if (entry->family == AF_INET6) {
		network = (struct mtsi_network){
			MTSI_NETWORK_INET6, mtsi_bits_of_inet6(entry->ip), entry->length};
	}
	ck_assert_int_eq(mtsi_networks_add(networks, &network, entry->verdict), 0);
}

static void check(const char *where, int found, const struct mtsi_peer *peer, int verdict)
{
	char text[MTSI_ADDRESS_TEXT] = "";
	(void)mtsi_peer_format(peer, text, sizeof(text));
	ck_assert_msg(found == verdict, "%s in %s: %d instead of %d", text, where, found, verdict);
}

static void expect_in(const struct mtsi_ranges *ranges, const struct mtsi_peer *peer, int verdict)
{
	check("ranges", mtsi_ranges_find(ranges, peer), peer, verdict);
}

/* In a set, and in the ranges made of it. */
static void expect(const struct mts_networks *networks, const struct mtsi_peer *peer, int verdict)
{
	struct mtsi_ranges *ranges = mtsi_ranges_new(networks);
	check("a set", mtsi_networks_find(networks, peer), peer, verdict);
	expect_in(ranges, peer, verdict);
	mtsi_ranges_free(ranges);
}

static void set_from(unsigned char *ip, unsigned at, unsigned end)
{
	for (; at < end; at++) {
		if (!bit(ip, at)) {
			flip(ip, at);
		}
	}
}

/* The next address, or the one before. */
static void step_up(unsigned char *ip, unsigned bits)
{
	while (bits-- > 0) {
		flip(ip, bits);
		if (bit(ip, bits)) {
			break;
		}
	}
}

static void step_down(unsigned char *ip, unsigned bits)
{
	while (bits-- > 0) {
		flip(ip, bits);
		if (!bit(ip, bits)) {
			break;
		}
	}
}

/* At the edge of a network: its first or last address, or the one in front of it or behind it. */
static void choose_edge(
	uint64_t *chance, const struct entry *entry, unsigned bits, unsigned char *ip)
{
	const size_t which = chance_below(chance, 4);
	memcpy(ip, entry->ip, bits / 8);
	if (which >= 2) {
		set_from(ip, entry->length < bits ? entry->length : bits, bits);
	}
	if (which == 1) {
		step_down(ip, bits);
	} else if (which == 3) {
		step_up(ip, bits);
	}
}

/* Mostly an address that begins like one of those in the list; else any. */
static void choose_ip(uint64_t *chance, int family, unsigned char *ip)
{
	const unsigned bits = bits_of(family);
	const size_t way = chance_below(chance, 8);
	memset(ip, 0, 16);
	if (count > 0 && way < 3) {
		choose_edge(chance, &entries[chance_below(chance, count)], bits, ip);
		return;
	}
	if (count > 0 && way < 6) {
		memcpy(ip, entries[chance_below(chance, count)].ip, bits / 8);
		for (size_t flips = chance_below(chance, 4); flips > 0; flips--) {
			flip(ip, (unsigned)chance_below(chance, bits));
		}
		return;
	}
	for (unsigned i = 0; i < bits / 8; i++) {
		ip[i] = (unsigned char)chance_next(chance);
	}
}

static int choose_family(uint64_t *chance)
{
	static const int families[] = {
		AF_INET, AF_INET, AF_INET, AF_INET6, AF_INET6, AF_INET6, AF_UNIX};
	return families[chance_below(chance, 7)];
}

static struct entry choose_entry(uint64_t *chance)
{
	struct entry entry = {.family = choose_family(chance)};
	entry.verdict = (int)chance_below(chance, 128);
	if (entry.family != AF_UNIX) {
		choose_ip(chance, entry.family, entry.ip);
		entry.length = (unsigned)chance_below(chance, bits_of(entry.family) + 1);
		clear_from(entry.ip, entry.length, bits_of(entry.family));
	}
	return entry;
}

static struct mtsi_peer choose_peer(uint64_t *chance)
{
	struct mtsi_peer peer = {.family = (unsigned char)choose_family(chance), .port = 5000};
	choose_ip(chance, peer.family == AF_INET ? AF_INET : AF_INET6, peer.ip);
	if (peer.family == AF_INET6) {
		peer.ip[0] |= mtsi_ip_is_mapped(peer.ip) ? 1 : 0;
	}
	return peer;
}

/* So many addresses, in a set, and in the ranges made of it. */
static void compare(const struct mts_networks *networks, int times, uint64_t *chance)
{
	static const unsigned char last[16] = {
		255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
	struct mtsi_ranges *ranges = mtsi_ranges_new(networks);
	for (int i = 0; i < times; i++) {
		struct mtsi_peer peer = choose_peer(chance);
		if (i == 0) {
			memcpy(peer.ip, last, peer.family == AF_INET ? 4 : 16);
		}
		const int verdict = look_for(entries, count, &peer);
		check("a set", mtsi_networks_find(networks, &peer), &peer, verdict);
		expect_in(ranges, &peer, verdict);
	}
	mtsi_ranges_free(ranges);
}

static void setup(void)
{
	count = 0;
}

/* Looked into after each that is added. Ranges keep what was there, whatever is added to the set. */
START_TEST(as_a_list_would)
{
	enum { STEPS = 400 };
	static struct entry old[STEPS];
	uint64_t chance = (uint64_t)_i + 1;
	size_t old_count = 0;
	struct mts_networks *networks = mtsi_networks_new();
	struct mtsi_ranges *old_ranges = mtsi_ranges_new(networks);
	for (int step = 0; step < STEPS; step++) {
		const struct entry entry = choose_entry(&chance);
		add(networks, &entry);
		note(&entry);
		compare(networks, 20, &chance);
		if (chance_below(&chance, 20) == 0) {
			mtsi_ranges_free(old_ranges);
			old_ranges = mtsi_ranges_new(networks);
			memcpy(old, entries, count * sizeof(entries[0]));
			old_count = count;
		}
	}
	mtsi_networks_free(networks);
	for (int i = 0; i < 500; i++) {
		const struct mtsi_peer peer = choose_peer(&chance);
		expect_in(old_ranges, &peer, look_for(old, old_count, &peer));
	}
	mtsi_ranges_free(old_ranges);
}
END_TEST

/* Each of them is there once: a list that has to be searched for that would take too long. */
START_TEST(many)
{
	uint64_t chance = 1;
	struct mts_networks *networks = mtsi_networks_new();
	for (int i = 0; i < MOST; i++) {
		struct entry entry = {.family = i % 2 == 0 ? AF_INET : AF_INET6, .verdict = i % 128};
		const unsigned bits = bits_of(entry.family);
		choose_ip(&chance, entry.family, entry.ip);
		entry.ip[0] = (unsigned char)(i >> 8);
		entry.ip[1] = (unsigned char)i;
		entry.length = 16 + (unsigned)chance_below(&chance, bits - 15);
		clear_from(entry.ip, entry.length, bits);
		add(networks, &entry);
		entries[count++] = entry;
	}
	compare(networks, 500, &chance);
	struct mtsi_ranges *ranges = mtsi_ranges_new(networks);
	for (size_t i = 0; i < count; i += 7) {
		struct mtsi_peer peer = {.family = (unsigned char)entries[i].family};
		memcpy(peer.ip, entries[i].ip, sizeof(peer.ip));
		expect_in(ranges, &peer, look_for(entries, count, &peer));
	}
	mtsi_ranges_free(ranges);
	mtsi_networks_free(networks);
}
END_TEST

static const int families[] = {AF_INET, AF_INET6};

/* Of each length: the last bit that counts makes the difference, and the first that does not makes none. */
START_TEST(each_length)
{
	const int family = families[_i];
	const unsigned bits = bits_of(family);
	struct entry entry = {.family = family, .verdict = 7};
	uint64_t chance = 1;
	choose_ip(&chance, family, entry.ip);
	for (unsigned length = 0; length <= bits; length++) {
		struct mts_networks *networks = mtsi_networks_new();
		struct mtsi_peer peer = {.family = (unsigned char)family};
		memcpy(peer.ip, entry.ip, sizeof(peer.ip));
		struct entry network = entry;
		network.length = length;
		clear_from(network.ip, length, bits);
		add(networks, &network);
		expect(networks, &peer, 7);
		if (length < bits) {
			flip(peer.ip, length);
			expect(networks, &peer, 7);
		}
		if (length > 0) {
			flip(peer.ip, length - 1);
			expect(networks, &peer, -ENOENT);
		}
		mtsi_networks_free(networks);
	}
}
END_TEST

/* Networks of all lengths, one in the other, from the largest to the smallest or the other way round. */
START_TEST(one_in_the_other)
{
	const int family = families[_i / 2];
	const unsigned bits = bits_of(family);
	struct mts_networks *networks = mtsi_networks_new();
	struct entry entry = {.family = family};
	uint64_t chance = 1;
	choose_ip(&chance, family, entry.ip);
	for (unsigned i = 0; i <= bits; i++) {
		struct entry network = entry;
		network.length = _i % 2 == 0 ? i : bits - i;
		network.verdict = (int)network.length % 100;
		clear_from(network.ip, network.length, bits);
		add(networks, &network);
	}
	for (unsigned i = 0; i <= bits; i++) {
		struct mtsi_peer peer = {.family = (unsigned char)family};
		memcpy(peer.ip, entry.ip, sizeof(peer.ip));
		if (i < bits) {
			flip(peer.ip, i);
		}
		expect(networks, &peer, (int)i % 100);
	}
	mtsi_networks_free(networks);
}
END_TEST

/* IPv4 in IPv6 form is IPv4, and nothing of IPv6 has it. */
START_TEST(mapped)
{
	struct mts_networks *networks = mtsi_networks_new();
	struct mtsi_peer peer = {.family = AF_INET6, .ip = {[10] = 0xff, [11] = 0xff, 10, 1, 2, 3}};
	const struct entry all_inet6 = {.family = AF_INET6, .verdict = 1};
	const struct entry as_inet6 = {
		.family = AF_INET6, .ip = {[10] = 0xff, [11] = 0xff, 10}, .length = 104, .verdict = 2};
	const struct entry inet = {.family = AF_INET, .ip = {10}, .length = 8, .verdict = 3};
	expect(networks, &peer, -ENOENT);
	add(networks, &all_inet6);
	add(networks, &as_inet6);
	expect(networks, &peer, -ENOENT);
	add(networks, &inet);
	expect(networks, &peer, 3);
	peer.ip[11] = 0xfe;
	expect(networks, &peer, 1);
	mtsi_networks_free(networks);
}
END_TEST

static void expect_whole(const struct mts_networks *networks, int verdict, bool whole)
{
	struct mtsi_ranges *ranges = mtsi_ranges_new(networks);
	ck_assert_int_eq(mtsi_ranges_has_whole(ranges, verdict), whole);
	mtsi_ranges_free(ranges);
}

/* Unix peers by themselves, and peers that are not known in no network. */
START_TEST(other_kinds)
{
	struct mts_networks *networks = mtsi_networks_new();
	const struct entry kinds[] = {{.family = AF_INET, .verdict = 1},
		{.family = AF_INET6, .verdict = 2}, {.family = AF_UNIX, .verdict = 3}};
	const struct mtsi_peer unix_peer = {.family = AF_UNIX, .ip = {1, 2, 3, 4}};
	const struct mtsi_peer unknown = {.family = AF_UNSPEC};
	for (int i = 0; i < 3; i++) {
		expect(networks, &unix_peer, -ENOENT);
		expect_whole(networks, i + 1, false);
		add(networks, &kinds[i]);
		expect_whole(networks, i + 1, true);
	}
	expect(networks, &unix_peer, 3);
	expect(networks, &unknown, -ENOENT);
	mtsi_networks_free(networks);
	networks = mtsi_networks_new();
	const struct entry half = {.family = AF_INET, .length = 1, .verdict = 1};
	add(networks, &half);
	expect_whole(networks, 1, false);
	mtsi_networks_free(networks);
	mtsi_networks_free(NULL);
	mtsi_ranges_free(NULL);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("networks");
	tcase_add_checked_fixture(cases, setup, NULL);
	tcase_add_loop_test(cases, as_a_list_would, 0, 20);
	tcase_add_test(cases, many);
	tcase_add_loop_test(cases, each_length, 0, 2);
	tcase_add_loop_test(cases, one_in_the_other, 0, 4);
	tcase_add_test(cases, mapped);
	tcase_add_test(cases, other_kinds);
	return suite_run_once();
}
