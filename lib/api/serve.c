/* SPDX-License-Identifier: MIT
 *
 * A whole server in one call. What fails is printed, since its caller has no server to ask.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mtserver/server.h>

int mts_serve(const char *address, mts_handler handler, void *user)
{
	mts_server *server = mts_server_create(handler, user);
	if (server == NULL) {
		(void)fprintf(
			stderr, "cannot serve: %s\n", handler == NULL ? "no handler" : strerror(ENOMEM));
		return EXIT_FAILURE;
	}
	int result = mts_server_listen(server, address);
	if (result == 0) {
		result = mts_server_run_until_signal(server);
	}
	if (result == -EBUSY) {
		(void)fprintf(stderr, "stopped while a callback was still running\n");
	} else if (result != 0) {
		(void)fprintf(stderr, "%s\n", mts_server_error(server));
	}
	/* If a callback hangs, nothing is freed; the program is about to end anyway. */
	(void)mts_server_destroy(server);
	return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
