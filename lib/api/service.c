/* SPDX-License-Identifier: MIT
 *
 * Being a service: arguments checked, then one call down.
 */
#include <mtserver/service.h>

#include <errno.h>
#include <string.h>

#include "api/failure.h"
#include "engine/run/notify.h"
#include "os/notify.h"

int mts_server_set_notify(mts_server *server, int on)
{
	const char *why;
	int result = mtsi_configurable(server, "choose whether the service manager is told");
	if (result != 0) {
		return result;
	}
	result = mtsi_notify_set(server, on != 0, &why);
	return result == 0 ? 0
					   : mtsi_fail(server, result, "cannot tell the service manager: %s",
						   why != NULL ? why : strerror(-result));
}

int mts_notify(const char *state)
{
	return state == NULL || *state == '\0' ? -EINVAL : mtsi_notify_once(state);
}
