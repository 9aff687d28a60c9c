/* SPDX-License-Identifier: MIT
 *
 * Third lesson: framing.
 *
 * Each line is a request, however the network cuts the stream, and each gets a reply. A last line
 * without newline counts too. Lines that are sent together are answered together.
 *
 *     upper [ADDRESS]
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mtserver.h>

static int upper(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	char *line = malloc(size + 1);
	if (line == NULL) {
		return MTS_CLOSE;
	}
	memcpy(line, request, size);
	for (size_t i = 0; i < size; i++) {
		line[i] = (char)toupper((unsigned char)line[i]);
	}
	line[size] = '\n';
	mts_client_write(client, line, size + 1);
	free(line);
	return MTS_KEEP;
}

int main(int argc, char **argv)
{
	mts_server *server = mts_server_create(upper, NULL);
	(void)mts_server_on_log(server, mts_log_stderr, MTS_LOG_INFO, NULL);
	/* Setters refuse values that make no sense; their sentence is found where listen's is. */
	if (mts_server_frame_lines(server) != 0 || mts_server_set_max_request(server, 4096) != 0
		|| mts_server_listen(server, argc > 1 ? argv[1] : "localhost:5000") != 0
		|| mts_server_run_until_signal(server) != 0) {
		(void)fprintf(stderr, "%s\n", server == NULL ? "out of memory" : mts_server_error(server));
		(void)mts_server_destroy(server);
		return EXIT_FAILURE;
	}
	return mts_server_destroy(server) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
