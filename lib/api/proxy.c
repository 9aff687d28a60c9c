/* SPDX-License-Identifier: MIT
 *
 * The PROXY protocol: which listeners have it, and what a header has said.
 */
#include <mtserver/proxy.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "api/failure.h"
#include "engine/client/via.h"
#include "engine/door/floor.h"
#include "wire/proxy.h"

int mts_server_set_proxy_protocol(mts_server *server, int mode)
{
	const int result = mtsi_configurable(server, "choose the PROXY protocol");
	if (result != 0) {
		return result;
	}
	if (mode < MTS_PROXY_OFF || mode > MTS_PROXY_FROM_TRUSTED) {
		return mtsi_fail(server, -EINVAL, "%d is no choice of the PROXY protocol", mode);
	}
	mtsi_door_floor(server)->listeners.proxy = (unsigned char)mode;
	return 0;
}

const char *mts_client_via(mts_client *client)
{
	const struct mtsi_via *via = client != NULL ? mtsi_via(client) : NULL;
	return via != NULL ? via->bytes : "";
}

ssize_t mts_client_proxy_tlv(const mts_client *client, int type, void *buffer, size_t size)
{
	const void *value;
	if (client == NULL || type < 0 || type > UINT8_MAX || (buffer == NULL && size > 0)) {
		return -EINVAL;
	}
	const struct mtsi_via *via = mtsi_via(client);
	const ssize_t found = via != NULL
		? mtsi_proxy_tlv(via->bytes + via->text, via->tlvs, type, &value)
		: -ENOENT;
	if (found > 0 && size > 0) {
		memcpy(buffer, value, size < (size_t)found ? size : (size_t)found);
	}
	return found;
}
