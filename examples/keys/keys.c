/* SPDX-License-Identifier: MIT
 *
 * Tenth lesson: a framing of the program's own, and data that all clients share.
 *
 * A store for the clients of Redis, such as redis-cli: try PING, SET, GET, MGET, DEL, INCR, and
 * SUBSCRIBE, UNSUBSCRIBE and PUBLISH. One function, resp_take(), is asked twice: by the framing, where a
 * command ends, and by the handler, what its words are. What the clients share is in store.c and
 * channels.c, behind locks that are never held while somebody waits. When a client breaks the
 * protocol, the framing says so to the library, and a hook to the client, before it is closed.
 *
 *     keys [ADDRESS]
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <mtserver.h>

#include "channels.h"
#include "store.h"

static ssize_t frame(const void *data, size_t size, size_t scanned, void *user)
{
	struct command command;
	(void)user;
	return resp_take(data, size, scanned, &command);
}

static void last_word(mts_client *client, int reason, void *user)
{
	(void)user;
	if (reason == MTS_CLOSED_PROTOCOL) {
		mts_client_puts(client, "-ERR Protocol error\r\n");
	} else if (reason == MTS_CLOSED_TOO_LARGE) {
		mts_client_puts(client, "-ERR Protocol error: too large\r\n");
	}
}

/*
 * What a command answers is what its last call of the library answers: an error means that the
 * client is lost, and ends the handler too.
 */
static int ping(mts_client *client, const struct command *command)
{
	if (channels_of(client) > 0) {
		return mts_client_puts(client, "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
	}
	if (command->count == 1) {
		return mts_client_puts(client, "+PONG\r\n");
	}
	mts_client_printf(client, "$%zu\r\n", command->words[1].size);
	mts_client_write(client, command->words[1].text, command->words[1].size);
	return mts_client_puts(client, "\r\n");
}

static int send_value(mts_client *client, struct word key)
{
	struct value *value = store_get(key);
	if (value == NULL) {
		return mts_client_puts(client, "$-1\r\n");
	}
	mts_client_printf(client, "$%zu\r\n", value->size);
	const int result = mts_client_write(client, value->text, value->size + 2);
	store_let_go(value);
	return result;
}

static int get(mts_client *client, const struct command *command)
{
	return send_value(client, command->words[1]);
}

static int mget(mts_client *client, const struct command *command)
{
	int result = mts_client_printf(client, "*%d\r\n", command->count - 1);
	for (int i = 1; result == 0 && i < command->count; i++) {
		result = send_value(client, command->words[i]);
	}
	return result;
}

static int set(mts_client *client, const struct command *command)
{
	const bool done = store_set(command->words[1], command->words[2]);
	return mts_client_puts(client, done ? "+OK\r\n" : "-ERR out of memory\r\n");
}

static int del(mts_client *client, const struct command *command)
{
	int removed = 0;
	for (int i = 1; i < command->count; i++) {
		removed += store_remove(command->words[i]);
	}
	return mts_client_printf(client, ":%d\r\n", removed);
}

static int incr(mts_client *client, const struct command *command)
{
	long long number;
	const int result = store_increment(command->words[1], &number);
	if (result == 0) {
		return mts_client_printf(client, ":%lld\r\n", number);
	}
	return mts_client_puts(client,
		result == -ENOMEM ? "-ERR out of memory\r\n"
						  : "-ERR value is not an integer or out of range\r\n");
}

/* What was written so far goes out first, since what is sent would overtake it. */
static int subscribe(mts_client *client, const struct command *command)
{
	int result = mts_client_flush(client);
	for (int i = 1; result == 0 && i < command->count; i++) {
		result = channels_subscribe(client, command->words[i]);
	}
	return result;
}

static int unsubscribe(mts_client *client, const struct command *command)
{
	if (command->count == 1 && channels_of(client) == 0) {
		return mts_client_puts(client, "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n");
	}
	const int result = mts_client_flush(client);
	for (int i = 1; result == 0 && i < command->count; i++) {
		channels_unsubscribe(client, &command->words[i]);
	}
	if (result == 0 && command->count == 1) {
		channels_unsubscribe(client, NULL);
	}
	return result;
}

static int publish(mts_client *client, const struct command *command)
{
	mts_server *server = mts_client_server(client);
	const int told = channels_publish(server, command->words[1], command->words[2]);
	return mts_client_printf(client, ":%d\r\n", told);
}

static const struct known {
	const char *name;
	int (*run)(mts_client *client, const struct command *command);
	int least; /* so many words, the name among them */
	int most;
	bool always; /* also for who has subscribed, and else waits for messages only */
} known[] = {
	{"ping", ping, 1, 2, true},
	{"get", get, 2, 2, false},
	{"set", set, 3, 3, false},
	{"mget", mget, 2, RESP_WORDS, false},
	{"del", del, 2, RESP_WORDS, false},
	{"incr", incr, 2, 2, false},
	{"publish", publish, 3, 3, false},
	{"subscribe", subscribe, 2, RESP_WORDS, true},
	{"unsubscribe", unsubscribe, 1, RESP_WORDS, true},
};

static bool is_called(const struct known *self, struct word name)
{
	return strlen(self->name) == name.size && strncasecmp(self->name, name.text, name.size) == 0;
}

static int serve(mts_client *client, const void *request, size_t size, void *user)
{
	struct command command;
	const struct known *end = known + sizeof(known) / sizeof(known[0]);
	const struct known *self = known;
	(void)user;
	if (resp_take(request, size, 0, &command) <= 0 || command.count == 0) {
		return MTS_KEEP;
	}
	while (self < end && !is_called(self, command.words[0])) {
		self++;
	}
	if (self == end) {
		return mts_client_puts(client, "-ERR unknown command\r\n");
	}
	if (command.count < self->least || command.count > self->most) {
		return mts_client_printf(
			client, "-ERR wrong number of arguments for '%s' command\r\n", self->name);
	}
	if (!self->always && channels_of(client) > 0) {
		return mts_client_puts(client, "-ERR only (UN)SUBSCRIBE and PING while subscribed\r\n");
	}
	return self->run(client, &command);
}

static void closed(mts_client *client, int reason, void *user)
{
	(void)reason;
	(void)user;
	if (channels_of(client) > 0) {
		channels_unsubscribe(client, NULL);
	}
}

int main(int argc, char **argv)
{
	mts_server *server = mts_server_create(serve, NULL);
	(void)mts_server_on_log(server, mts_log_stderr, MTS_LOG_INFO, NULL);
	store_begin();
	(void)mts_server_on_close(server, closed, NULL);
	(void)mts_server_on_fault(server, last_word, NULL);
	if (mts_server_frame_custom(server, frame, NULL) != 0
		|| mts_server_set_max_request(server, RESP_LARGEST) != 0
		|| mts_server_listen(server, argc > 1 ? argv[1] : "localhost:5000") != 0
		|| mts_server_run_until_signal(server) != 0) {
		(void)fprintf(stderr, "%s\n", server == NULL ? "out of memory" : mts_server_error(server));
		(void)mts_server_destroy(server);
		return EXIT_FAILURE;
	}
	return mts_server_destroy(server) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
