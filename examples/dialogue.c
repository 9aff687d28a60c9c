/* SPDX-License-Identifier: MIT
 *
 * Fourth lesson: a conversation, written from top to bottom.
 *
 * The open hook greets. The handler gets the first answer, asks the next question, and waits for
 * its answer right there: mts_client_next() blocks this client's thread and no other. No state
 * machine, no state to keep.
 *
 *     dialogue [ADDRESS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mtserver.h>

static int greet(mts_client *client, void *user)
{
	(void)user;
	mts_client_puts(client, "Who are you?\n");
	return 0;
}

static int converse(mts_client *client, const void *request, size_t size, void *user)
{
	(void)size;
	(void)user;
	/* The bytes of a request are gone once the next one is asked for, so the name is kept. */
	char name[64];
	(void)snprintf(name, sizeof(name), "%s", (const char *)request);
	mts_client_printf(client, "And where do you live, %s?\n", name);

	const void *place;
	if (mts_client_next(client, &place, &size) != 1) {
		return MTS_CLOSE;
	}
	mts_client_printf(client, "Goodbye, %s of %s.\n", name, (const char *)place);
	return MTS_CLOSE;
}

int main(int argc, char **argv)
{
	mts_server *server = mts_server_create(converse, NULL);
	(void)mts_server_on_log(server, mts_log_stderr, MTS_LOG_INFO, NULL);
	(void)mts_server_on_open(server, greet, NULL);
	if (mts_server_frame_lines(server) != 0
		|| mts_server_listen(server, argc > 1 ? argv[1] : "localhost:5000") != 0
		|| mts_server_run_until_signal(server) != 0) {
		(void)fprintf(stderr, "%s\n", server == NULL ? "out of memory" : mts_server_error(server));
		(void)mts_server_destroy(server);
		return EXIT_FAILURE;
	}
	return mts_server_destroy(server) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
