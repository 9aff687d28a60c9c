/* SPDX-License-Identifier: MIT
 *
 * What it costs to look for an address among many networks, IPv4 and IPv6 by halves, at random; and to replace
 * the set of a server while another thread asks for verdicts all the time:
 *
 *     bench/access_cost [networks]
 *
 *   bytes      memory for each network: of the set, and of what a server makes of it
 *   add        ns, to add one
 *   inet       ns, to look for an IPv4 address that is in one of the networks; for any
 *   inet6      the same for IPv6
 *   replace    us, for a call of mts_server_set_access()
 *   verdict    ns, for a verdict of the server; with a set that is never replaced; and while it is replaced
 *              all the time: the mean, and what 1 of 100,000 takes longer than
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <mtserver.h>

#include "engine/door/access.h"
#include "wire/address.h"
#include "wire/networks.h"
#include "wire/ranges.h"

enum { LOOKUPS = 1 << 20, ASKED = 1 << 21, REPLACEMENTS = 50 };

static size_t many = 100000;
static struct mtsi_network *listed;
static struct mtsi_peer *peers; /* LOOKUPS of them */
static uint64_t chance = 1;
static mts_server *server;
static _Atomic int over;

static uint64_t next(void)
{
	chance ^= chance << 13;
	chance ^= chance >> 7;
	chance ^= chance << 17;
	return chance * 0x2545f4914f6cdd1d;
}

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void must(int good, const char *what)
{
	if (!good) {
		fprintf(stderr, "access_cost: %s\n", what);
		exit(1);
	}
}

static int handle(mts_client *client, const void *request, size_t size, void *user)
{
	(void)client;
	(void)request;
	(void)size;
	(void)user;
	return MTS_CLOSE;
}

static double used(void)
{
	const struct mallinfo2 info = mallinfo2();
	return (double)(info.uordblks + info.hblkhd);
}

/* As networks are mostly: IPv4 of 12 to 32 bits, IPv6 below 2000::/3 of 20 to 64. */
static struct mtsi_network choose(size_t i)
{
	struct mtsi_network network;
	if (i % 2 == 0) {
		network.kind = MTSI_NETWORK_INET;
		network.length = 12 + (unsigned)(next() >> 8) % 21;
		network.bits = (struct mtsi_bits){next() & 0xffffffff00000000, 0};
	} else {
		network.kind = MTSI_NETWORK_INET6;
		network.length = 20 + (unsigned)(next() >> 8) % 45;
		network.bits = (struct mtsi_bits){next() >> 3 | 0x2000000000000000, next()};
	}
	network.bits = mtsi_bits_first(network.bits, network.length);
	return network;
}

static void put(unsigned char *bytes, uint64_t number)
{
	for (int i = 7; i >= 0; i--) {
		bytes[i] = (unsigned char)number;
		number >>= 8;
	}
}

/* An address of that kind, in one of the networks or any. */
static struct mtsi_peer choose_peer(enum mtsi_network_kind kind, int within)
{
	const unsigned char family = kind == MTSI_NETWORK_INET ? AF_INET : AF_INET6;
	struct mtsi_peer peer = {.family = family};
	const struct mtsi_network any = {kind, {kind == MTSI_NETWORK_INET ? 0 : 0x2000000000000000, 0},
		kind == MTSI_NETWORK_INET ? 0 : 3};
	const size_t which = (size_t)(next() >> 16) % (many / 2) * 2 + (size_t)kind;
	const struct mtsi_network *in = within ? &listed[which] : &any;
	const struct mtsi_bits rest = {next(), next()};
	const struct mtsi_bits fixed = mtsi_bits_first(rest, in->length);
	unsigned char bytes[16];
	put(bytes, in->bits.high | (rest.high ^ fixed.high));
	put(bytes + 8, in->bits.low | (rest.low ^ fixed.low));
	memcpy(peer.ip, bytes, kind == MTSI_NETWORK_INET ? 4 : 16);
	return peer;
}

static void choose_peers(enum mtsi_network_kind kind, int within)
{
	for (size_t i = 0; i < LOOKUPS; i++) {
		peers[i] = choose_peer(kind, within);
	}
}

/* The best of five rounds, in each of which one look waits for the one before. */
static double look_up(const struct mtsi_ranges *ranges, enum mtsi_network_kind kind, int within)
{
	double best = 1e9;
	long found = 0;
	choose_peers(kind, within);
	for (int round = 0; round < 5; round++) {
		const double begun = now();
		for (size_t i = 0, skip = 0; i < LOOKUPS; i++) {
			const int verdict = mtsi_ranges_find(ranges, &peers[i + skip]);
			skip = (size_t)(verdict + ENOENT) >> 8; /* always 0, which nobody knows before */
			found += verdict >= 0;
		}
		const double taken = (now() - begun) / LOOKUPS;
		best = taken < best ? taken : best;
	}
	must(!within || found == 5L * LOOKUPS, "an address was not found");
	return best;
}

static mts_networks *build(double *add)
{
	mts_networks *networks = mts_networks_create();
	must(networks != NULL, "no memory");
	for (size_t i = 0; i < many; i++) {
		listed[i] = choose(i);
	}
	const double begun = now();
	for (size_t i = 0; i < many; i++) {
		must(mtsi_networks_add(networks, &listed[i], (int)(i / 2 % 2)) == 0, "no memory");
	}
	*add = (now() - begun) / (double)many;
	return networks;
}

static void *replace(void *networks)
{
	while (!over) {
		must(mts_server_set_access(server, networks) == 0, "set_access");
	}
	return NULL;
}

static int compare(const void *one, const void *other)
{
	const float a = *(const float *)one;
	const float b = *(const float *)other;
	return (a > b) - (a < b);
}

/* Asks for verdicts: the mean time, and that which 1 of 100,000 takes longer than. */
static double ask(float *worst)
{
	static float times[ASKED];
	const double begun = now();
	for (size_t i = 0; i < ASKED; i++) {
		(void)mtsi_access_verdict(server, &peers[i % LOOKUPS]);
	}
	const double mean = (now() - begun) / ASKED;
	for (size_t i = 0; i < ASKED; i++) {
		const double before = now();
		(void)mtsi_access_verdict(server, &peers[i % LOOKUPS]);
		times[i] = (float)(now() - before);
	}
	qsort(times, ASKED, sizeof(times[0]), compare);
	*worst = times[ASKED - ASKED / 100000];
	return mean;
}

static double replacements(const mts_networks *networks)
{
	const double begun = now();
	for (int i = 0; i < REPLACEMENTS; i++) {
		must(mts_server_set_access(server, networks) == 0, "set_access");
	}
	return (now() - begun) / REPLACEMENTS / 1000;
}

static void measure_server(mts_networks *networks)
{
	float worst, worst_meanwhile;
	pthread_t thread;
	server = mts_server_create(handle, NULL);
	must(server != NULL, "no server");
	const double without = ask(&worst);
	const double taken = replacements(networks);
	const double alone = ask(&worst);
	must(pthread_create(&thread, NULL, replace, networks) == 0, "pthread_create");
	const double meanwhile = ask(&worst_meanwhile);
	over = 1;
	pthread_join(thread, NULL);
	printf(
		"replace=%.0f verdict: without a set %.1f, with one %.0f (%.0f), while it is replaced %.0f (%.0f)\n",
		taken, without, alone, (double)worst, meanwhile, (double)worst_meanwhile);
	(void)mts_server_destroy(server);
}

int main(int argc, char **argv)
{
	double add;
	many = argc > 1 ? strtoul(argv[1], NULL, 10) : many;
	must(many >= 2, "at least two networks");
	many += many % 2;
	listed = calloc(many, sizeof(*listed));
	peers = calloc(LOOKUPS, sizeof(*peers));
	must(listed != NULL && peers != NULL, "no memory");
	const double before = used();
	mts_networks *networks = build(&add);
	const double set = used() - before;
	struct mtsi_ranges *ranges = mtsi_ranges_new(networks);
	must(ranges != NULL, "no memory");
	const double more = used() - before - set;
	printf("networks=%zu bytes=%.1f/%.1f add=%.0f ", many, set / (double)many, more / (double)many,
		add);
	printf("inet=%.0f/%.0f ", look_up(ranges, MTSI_NETWORK_INET, 1),
		look_up(ranges, MTSI_NETWORK_INET, 0));
	printf("inet6=%.0f/%.0f ", look_up(ranges, MTSI_NETWORK_INET6, 1),
		look_up(ranges, MTSI_NETWORK_INET6, 0));
	mtsi_ranges_free(ranges);
	measure_server(networks);
	mts_networks_destroy(networks);
	free(listed);
	free(peers);
	return 0;
}
