/* SPDX-License-Identifier: MIT
 *
 * Sets of networks: arguments are checked; what a server gets of a set is made with no lock held.
 */
#include <errno.h>
#include <stddef.h>

#include <mtserver/networks.h>

#include "api/failure.h"
#include "engine/door/access.h"
#include "wire/address.h"
#include "wire/network_text.h"
#include "wire/networks.h"
#include "wire/ranges.h"

mts_networks *mts_networks_create(void)
{
	return mtsi_networks_new();
}

int mts_networks_add(mts_networks *networks, const char *network, int verdict)
{
	struct mtsi_network parsed;
	if (networks == NULL || (verdict != MTS_ALLOW && verdict != MTS_DENY)
		|| mtsi_network_parse(network, &parsed) != 0) {
		return -EINVAL;
	}
	return mtsi_networks_add(networks, &parsed, verdict);
}

int mts_networks_test(const mts_networks *networks, const char *address)
{
	struct mtsi_peer peer;
	if (networks == NULL || mtsi_peer_parse(address, &peer) != 0) {
		return -EINVAL;
	}
	return mtsi_networks_find(networks, &peer);
}

void mts_networks_destroy(mts_networks *networks)
{
	mtsi_networks_free(networks);
}

static int replace(mts_server *server, enum mtsi_access_list which, const mts_networks *networks)
{
	const int result = mtsi_usable(server);
	if (result != 0) {
		return result;
	}
	struct mtsi_ranges *ranges = networks != NULL ? mtsi_ranges_new(networks) : NULL;
	if (ranges == NULL && networks != NULL) {
		return -ENOMEM;
	}
	mtsi_ranges_free(mtsi_access_replace(server, which, ranges));
	return 0;
}

int mts_server_set_access(mts_server *server, const mts_networks *networks)
{
	return replace(server, MTSI_ACCESS_CLIENTS, networks);
}

int mts_server_set_trusted_proxies(mts_server *server, const mts_networks *networks)
{
	return replace(server, MTSI_ACCESS_PROXIES, networks);
}
