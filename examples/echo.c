/* SPDX-License-Identifier: MIT
 *
 * Second lesson: a client that stays.
 *
 * The handler returns MTS_KEEP, so the connection lives until the peer ends it. Sending back what came
 * is all there is to it.
 *
 * What the library has to say goes to standard error. If a service manager has started this, it is told
 * when echo serves; systemd/ has the units for that.
 *
 *     echo [ADDRESS]
 */
#include <stdio.h>
#include <stdlib.h>

#include <mtserver.h>

static int echo(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	mts_client_write(client, request, size);
	return MTS_KEEP;
}

int main(int argc, char **argv)
{
	mts_server *server = mts_server_create(echo, NULL);
	/* It says where it serves, among other things. */
	(void)mts_server_on_log(server, mts_log_stderr, MTS_LOG_INFO, NULL);
	if (mts_server_set_notify(server, 1) != 0
		|| mts_server_listen(server, argc > 1 ? argv[1] : "localhost:5000") != 0
		|| mts_server_run_until_signal(server) != 0) {
		(void)fprintf(stderr, "%s\n", server == NULL ? "out of memory" : mts_server_error(server));
		(void)mts_server_destroy(server);
		return EXIT_FAILURE;
	}
	return mts_server_destroy(server) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
