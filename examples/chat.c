/* SPDX-License-Identifier: MIT
 *
 * Fifth lesson: clients that hear of each other.
 *
 * A client may be used in its own callbacks only, but its number may go anywhere: with that, any
 * thread can send to it or end it. So this room keeps a list of numbers and names, and the handler
 * of whoever says something sends it to the others. A number is never used again, so a call that
 * comes too late reaches nobody. And none of these calls waits, so the list may stay locked
 * meanwhile.
 *
 * The first line is the client's name. /quit leaves; /kick NAME works only for the client that has
 * been there longest.
 *
 *     chat [ADDRESS]
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mtserver.h>

enum { NAME = 32, LINE = 1000 };

struct member {
	uint64_t id;
	char name[NAME];
	struct member *next; /* the one that came after this one */
};

static mts_server *server;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct member *members; /* the one that has been there longest comes first */

/* Tells everybody, also those who have not said their names yet. */
static void announce(const char *name, const char *what)
{
	char line[NAME + LINE];
	const int size = snprintf(line, sizeof(line), "* %s %s\n", name, what);
	(void)mts_server_broadcast(server, line, (size_t)size);
}

static int greet(mts_client *client, void *user)
{
	(void)user;
	mts_client_puts(client, "Your name?\n");
	return 0;
}

static int enter(mts_client *client, const char *name)
{
	struct member *self = calloc(1, sizeof(*self));
	if (self == NULL) {
		return MTS_CLOSE;
	}
	self->id = mts_client_id(client);
	(void)snprintf(self->name, sizeof(self->name), "%s", name[0] != '\0' ? name : "somebody");
	mts_client_set_data(client, self);

	pthread_mutex_lock(&lock);
	struct member **last = &members;
	while (*last != NULL) {
		last = &(*last)->next;
	}
	*last = self;
	pthread_mutex_unlock(&lock);
	announce(self->name, "is here");
	return MTS_KEEP;
}

static void say(const struct member *self, const char *text)
{
	char line[NAME + LINE];
	const int size = snprintf(line, sizeof(line), "%s: %.*s\n", self->name, LINE - 8, text);
	pthread_mutex_lock(&lock);
	for (const struct member *other = members; other != NULL; other = other->next) {
		/* Too much waits for a client that does not read; the others are not to wait for it. */
		if (other != self && mts_server_send(server, other->id, line, (size_t)size) == -ENOBUFS) {
			(void)mts_server_kick(server, other->id);
		}
	}
	pthread_mutex_unlock(&lock);
}

static void kick(mts_client *client, const struct member *self, const char *name)
{
	uint64_t id = 0;
	pthread_mutex_lock(&lock);
	for (const struct member *other = members; self == members && other != NULL;
		 other = other->next) {
		id = strcmp(other->name, name) == 0 ? other->id : id;
	}
	pthread_mutex_unlock(&lock);
	if (mts_server_kick(server, id) != 0) {
		mts_client_printf(client, "You cannot kick %s.\n", name);
	}
}

static int talk(mts_client *client, const void *request, size_t size, void *user)
{
	const char *text = request;
	const struct member *self = mts_client_data(client);
	(void)size;
	(void)user;
	if (self == NULL) {
		return enter(client, text);
	}
	if (strcmp(text, "/quit") == 0) {
		mts_client_puts(client, "Goodbye.\n");
		return MTS_CLOSE;
	}
	if (strncmp(text, "/kick ", 6) == 0) {
		kick(client, self, text + 6);
	} else {
		say(self, text);
	}
	return MTS_KEEP;
}

static void leave(mts_client *client, int reason, void *user)
{
	struct member *self = mts_client_data(client);
	(void)user;
	if (self == NULL) {
		return;
	}
	pthread_mutex_lock(&lock);
	struct member **at = &members;
	while (*at != self) {
		at = &(*at)->next;
	}
	*at = self->next;
	pthread_mutex_unlock(&lock);
	announce(self->name, reason == MTS_CLOSED_KICKED ? "was kicked" : "has left");
	free(self);
}

int main(int argc, char **argv)
{
	server = mts_server_create(talk, NULL);
	(void)mts_server_on_log(server, mts_log_stderr, MTS_LOG_INFO, NULL);
	(void)mts_server_on_open(server, greet, NULL);
	(void)mts_server_on_close(server, leave, NULL);
	if (mts_server_frame_lines(server) != 0 || mts_server_set_max_request(server, LINE) != 0
		|| mts_server_listen(server, argc > 1 ? argv[1] : "localhost:5000") != 0
		|| mts_server_run_until_signal(server) != 0) {
		(void)fprintf(stderr, "%s\n", server == NULL ? "out of memory" : mts_server_error(server));
		(void)mts_server_destroy(server);
		return EXIT_FAILURE;
	}
	return mts_server_destroy(server) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
