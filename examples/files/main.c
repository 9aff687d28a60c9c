/* SPDX-License-Identifier: MIT
 *
 * Eleventh lesson: a protocol that everybody speaks, HTTP/1.1, and files.
 *
 *     files [-c CLIENTS] [-t SECONDS] [-w BYTES] [ADDRESS [FOLDER]]
 *
 * Serves the files of a folder: the current one, unless another is given. -w lets everybody who can
 * connect upload files of up to so many bytes. -t says how long a request may take to arrive, and -c
 * how many clients there may be.
 *
 * To be read in this order: here, what becomes of a request; request.c and syntax.c, its head;
 * path.c and root.c, from a URL to a file that is certainly in the folder; get.c, with conditions.c,
 * range.c and listing.c; put.c, with body.c and chunks.c; reply.c, what all replies have.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mtserver.h>

#include "reply.h"
#include "root.h"
#include "site.h"

static int answer(mts_client *client, struct request *request, const struct site *site)
{
	struct path path;
	const int status = path_decode(request->target, &path);
	const bool writes = site->max_upload > 0;
	if (request->method == HTTP_PUT && writes && status == 0) {
		return site_put(client, request, site, &path);
	}
	/* A body that nobody reads would be taken for the next request. */
	request->keep = request->keep && !request_has_body(request);
	if (request->method != HTTP_GET && request->method != HTTP_HEAD
		&& (request->method != HTTP_PUT || !writes)) {
		return reply_fields(client, request, HTTP_STATUS_METHOD_NOT_ALLOWED,
			writes ? "Allow: GET, HEAD, PUT\r\n" : "Allow: GET, HEAD\r\n");
	}
	if (status != 0) {
		return reply_status(client, request, status);
	}
	return site_get(client, request, site, &path);
}

/* A request is the head of a message; request_end() has found its end. */
static int handle(mts_client *client, const void *head, size_t size, void *user)
{
	struct request request;
	/* Some clients send an empty line too much after a body. */
	if (size == 2 && memcmp(head, "\r\n", 2) == 0) {
		return MTS_KEEP;
	}
	const int status = request_parse(&request, head, size);
	if (status != 0) {
		return reply_and_close(client, &request, status);
	}
	return answer(client, &request, user);
}

/*
 * The library ends a client before the handler has seen a whole head; the client is told why. One
 * that has just been silent between two requests is not: the answer would be taken for that to the
 * next one, which may be under way.
 */
static void last_word(mts_client *client, int reason, void *user)
{
	struct request none = {.keep = false};
	(void)user;
	if (reason == MTS_CLOSED_TOO_LARGE) {
		(void)reply_status(client, &none, HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE);
	} else if (reason == MTS_CLOSED_REQUEST_TIMEOUT) {
		(void)reply_status(client, &none, HTTP_STATUS_REQUEST_TIMEOUT);
	} else if (reason == MTS_CLOSED_PROTOCOL) {
		(void)reply_status(client, &none, HTTP_STATUS_BAD_REQUEST);
	}
}

struct options {
	size_t clients;
	unsigned seconds;
	const char *address;
};

static bool number(const char *text, unsigned long long most, unsigned long long *value)
{
	char *end;
	*value = strtoull(text, &end, 10);
	return *text >= '0' && *text <= '9' && *end == '\0' && *value <= most;
}

static bool read_options(int argc, char **argv, struct options *options, struct site *site)
{
	unsigned long long value;
	for (int option; (option = getopt(argc, argv, "c:t:w:")) != -1;) {
		if (option == 'c' && number(optarg, 1000000, &value)) {
			options->clients = (size_t)value;
		} else if (option == 't' && number(optarg, 86400, &value)) {
			options->seconds = (unsigned)value;
		} else if (option == 'w' && number(optarg, INT64_MAX, &value)) {
			site->max_upload = value;
		} else {
			(void)fprintf(
				stderr, "usage: files [-c CLIENTS] [-t SECONDS] [-w BYTES] [ADDRESS [FOLDER]]\n");
			return false;
		}
	}
	options->address = optind < argc ? argv[optind++] : "localhost:8080";
	const char *folder = optind < argc ? argv[optind] : ".";
	site->root = root_open(folder);
	if (site->root < 0) {
		perror(folder);
	}
	return site->root >= 0;
}

/* All other limits are the library's: each of them is finite. */
static int set_limits(mts_server *server, const struct options *options)
{
	/* A client for whom there is no room is told so, and can come again. */
	static const char full[] = "HTTP/1.1 503 Service Unavailable\r\n"
							   "Connection: close\r\n"
							   "Retry-After: 5\r\n"
							   "Content-Length: 0\r\n"
							   "\r\n";
	int result = mts_server_set_overload(server, MTS_OVERLOAD_REFUSE);
	if (result == 0) {
		result = mts_server_set_refusal(server, full, sizeof(full) - 1);
	}
	if (result == 0 && options->clients != 0) {
		result = mts_server_set_max_clients(server, options->clients);
	}
	if (result == 0) {
		result = mts_server_set_timeout(server, MTS_TIMEOUT_REQUEST, options->seconds * 1000);
	}
	return result;
}

static int prepare(mts_server *server, const struct options *options)
{
	int result = mts_server_frame_custom(server, request_end, NULL);
	if (result == 0) {
		result = mts_server_set_max_request(server, HEAD_MAX);
	}
	if (result == 0) {
		result = mts_server_on_fault(server, last_word, NULL);
	}
	if (result == 0) {
		result = mts_server_on_log(server, mts_log_stderr, MTS_LOG_INFO, NULL);
	}
	if (result == 0) {
		result = set_limits(server, options);
	}
	return result == 0 ? mts_server_listen(server, options->address) : result;
}

int main(int argc, char **argv)
{
	struct site site = {.root = -1};
	struct options options = {.seconds = 30};
	if (!read_options(argc, argv, &options, &site)) {
		return EXIT_FAILURE;
	}
	mts_server *server = mts_server_create(handle, &site);
	if (server == NULL) {
		(void)fprintf(stderr, "out of memory\n");
		return EXIT_FAILURE;
	}
	if (prepare(server, &options) != 0) {
		(void)fprintf(stderr, "%s\n", mts_server_error(server));
		(void)mts_server_destroy(server);
		return EXIT_FAILURE;
	}
	const int result = mts_server_run_until_signal(server);
	if (result != 0) {
		(void)fprintf(stderr, "%s\n", mts_strerror(result));
	}
	(void)mts_server_destroy(server);
	(void)close(site.root);
	return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
