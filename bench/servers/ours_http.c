/*
 * An HTTP hello with the benchmarked library: what its users write when they need no more than
 * that, as it knows nothing of HTTP itself.
 *
 * A request is what ends with an empty line.  The handler looks at the first line alone, so this
 * does less than the HTTP libraries it is compared with, which take every header apart, answer in
 * the form that they ask for, and so on.  The difference is what such a library costs.
 *
 * All of it goes out as one constant, and the connection stays.  Anything but "GET /" is refused
 * and ends the connection, since a body may follow, which would be taken for a request.
 *
 * With --close the connection ends after its response: for selftest.sh, as that is an error here.
 * --mode means nothing here, and --sleep and --burn concern every request.
 */
#include "ours_common.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_LINE "GET / HTTP/1.1\r\n"

static const char ok[] = "HTTP/1.1 200 OK\r\n"
						 "Content-Type: text/plain\r\n"
						 "Content-Length: 21\r\n"
						 "\r\n" CONTRACT_HELLO;
static const char ok_and_close[] = "HTTP/1.1 200 OK\r\n"
								   "Connection: close\r\n"
								   "Content-Length: 21\r\n"
								   "\r\n" CONTRACT_HELLO;
static const char refusal[] = "HTTP/1.1 404 Not Found\r\n"
							  "Connection: close\r\n"
							  "Content-Length: 0\r\n"
							  "\r\n";

_Static_assert(sizeof(CONTRACT_HELLO) - 1 == 21, "the Content-Length above");

static struct contract contract;
static int closes;

static int answer(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	if (size < sizeof(FIRST_LINE) - 1 || memcmp(request, FIRST_LINE, sizeof(FIRST_LINE) - 1) != 0) {
		mts_client_puts(client, refusal);
		return MTS_CLOSE;
	}
	contract_work_always(&contract);
	if (closes) {
		mts_client_puts(client, ok_and_close);
		return MTS_CLOSE;
	}
	mts_client_write(client, ok, sizeof(ok) - 1);
	return MTS_KEEP;
}

int main(int argc, char **argv)
{
	mts_server *server = mts_server_create(answer, NULL);
	int i;

	if (!server) {
		return 1;
	}
	for (i = 1; i < argc; i++) {
		if (contract_option(&contract, argc, argv, &i)) {
			continue;
		}
		if (strcmp(argv[i], "--threads") == 0) {
			int model = ours_thread_model(argc, argv, &i);

			ours_check(server, "threads", mts_server_set_threads(server, model));
		} else if (strcmp(argv[i], "--close") == 0) {
			closes = 1;
		} else {
			contract_usage(argv[0], argv[i]);
		}
	}
	ours_check(server, "framing", mts_server_frame_delimited(server, "\r\n\r\n", 4));
	ours_run(server, &contract);
	return 0;
}
