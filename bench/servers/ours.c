/*
 * The benchmarked library, through its public header only, as any program would use it.
 *
 * Everything that has no option here is left at its default, since that is what users get: the
 * limits, the log's rate, the buffers.  Beyond the contract of all servers there are two options: the
 * thread model, and --by-id, with which an echo goes out as a message to the client's number, the way
 * any other thread would send it.
 */
#include "ours_common.h"

#include <stdlib.h>
#include <string.h>

static struct contract contract;
static int by_id;

static int echo(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	contract_work(&contract, request, size);
	mts_client_write(client, request, size);
	return MTS_KEEP;
}

static int echo_by_id(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	contract_work(&contract, request, size);
	return mts_server_send(mts_client_server(client), mts_client_id(client), request, size) == 0
		? MTS_KEEP
		: MTS_CLOSE;
}

static int echo_line(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	contract_work(&contract, request, size);
	mts_client_write(client, request, size);
	mts_client_write(client, "\n", 1);
	return MTS_KEEP;
}

static int hello(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	contract_work(&contract, request, size);
	mts_client_puts(client, CONTRACT_HELLO);
	return MTS_CLOSE;
}

static mts_server *make_server(int model)
{
	mts_handler handler = contract.hello ? hello
		: contract.lines                 ? echo_line
		: by_id                          ? echo_by_id
										 : echo;
	mts_server *server = mts_server_create(handler, NULL);

	if (!server) {
		exit(1);
	}
	if (model >= 0) {
		ours_check(server, "threads", mts_server_set_threads(server, model));
	}
	ours_check(server, "framing",
		contract.lines ? mts_server_frame_lines(server) : mts_server_frame_raw(server));
	if (contract.defer_accept > 0) {
		ours_check(
			server, "defer accept", mts_server_set_defer_accept(server, contract.defer_accept));
	}
	return server;
}

int main(int argc, char **argv)
{
	int model = -1;
	int i;

	for (i = 1; i < argc; i++) {
		if (contract_option(&contract, argc, argv, &i)) {
			continue;
		}
		if (strcmp(argv[i], "--threads") == 0) {
			model = ours_thread_model(argc, argv, &i);
		} else if (strcmp(argv[i], "--by-id") == 0) {
			by_id = 1;
		} else {
			contract_usage(argv[0], argv[i]);
		}
	}
	ours_run(make_server(model), &contract);
	return 0;
}
