/* SPDX-License-Identifier: MIT
 *
 * Seventh lesson: replies that come later.
 *
 * Clients that wait for news, thousands of them, and no thread waits for any. The handler of a client
 * that asks takes a ticket and returns: MTS_LATER. When somebody has news, it goes to each of those
 * who wait, and completes the reply; then they may ask again. (What has news could as well be a thread
 * of the program's own.) Nobody waits for longer than MTS_TIMEOUT_LATER, a minute.
 *
 * A line is `wait`, `count` (who waits), or `tell NEWS`.
 *
 *     poll [ADDRESS [CLIENTS]]
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mtserver.h>

enum { LINE = 1000 };

/* A client that waits, or has waited. It belongs to the client, and the list to the lock. */
struct waiter {
	uint64_t id;
	int64_t ticket;
	struct waiter *next;
	struct waiter **at; /* what points to it; NULL: it does not wait */
};

static mts_server *server;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct waiter *waiters;
static int waiting;

static void put(struct waiter *waiter)
{
	waiter->next = waiters;
	waiter->at = &waiters;
	if (waiters != NULL) {
		waiters->at = &waiter->next;
	}
	waiters = waiter;
	waiting++;
}

static void take(struct waiter *waiter)
{
	*waiter->at = waiter->next;
	if (waiter->next != NULL) {
		waiter->next->at = waiter->at;
	}
	waiter->at = NULL;
	waiting--;
}

static int wait_for_news(mts_client *client)
{
	struct waiter *self = mts_client_data(client);
	if (self == NULL) {
		self = calloc(1, sizeof(*self));
		if (self == NULL) {
			return MTS_CLOSE;
		}
		self->id = mts_client_id(client);
		mts_client_set_data(client, self);
	}
	self->ticket = mts_client_defer(client);
	if (self->ticket < 0) {
		return MTS_CLOSE;
	}
	/* From here on the news may come, even before this handler has returned. */
	pthread_mutex_lock(&lock);
	put(self);
	pthread_mutex_unlock(&lock);
	return MTS_LATER;
}

/* None of these calls waits for anybody, so the list may stay locked. */
static int tell(const char *news)
{
	char line[LINE + 2];
	const int size = snprintf(line, sizeof(line), "%s\n", news);
	int told = 0;
	pthread_mutex_lock(&lock);
	while (waiters != NULL) {
		const struct waiter *one = waiters;
		take(waiters);
		const int sent = mts_server_send(server, one->id, line, (size_t)size);
		const int verdict = sent == 0 ? MTS_KEEP : MTS_CLOSE;
		told += mts_server_complete(server, one->id, one->ticket, verdict) == 0 ? 1 : 0;
	}
	pthread_mutex_unlock(&lock);
	return told;
}

static int answer(mts_client *client, const void *request, size_t size, void *user)
{
	const char *line = request;
	(void)size;
	(void)user;
	if (strcmp(line, "wait") == 0) {
		return wait_for_news(client);
	}
	if (strncmp(line, "tell ", 5) == 0) {
		mts_client_printf(client, "%d told\n", tell(line + 5));
	} else if (strcmp(line, "count") == 0) {
		pthread_mutex_lock(&lock);
		const int count = waiting;
		pthread_mutex_unlock(&lock);
		mts_client_printf(client, "%d waiting\n", count);
	} else {
		mts_client_puts(client, "wait, count, or tell NEWS?\n");
	}
	return MTS_KEEP;
}

/* Whoever goes, also while it waits, is not in the list any more. */
static void leave(mts_client *client, int reason, void *user)
{
	struct waiter *self = mts_client_data(client);
	(void)reason;
	(void)user;
	pthread_mutex_lock(&lock);
	if (self != NULL && self->at != NULL) {
		take(self);
	}
	pthread_mutex_unlock(&lock);
	free(self);
}

int main(int argc, char **argv)
{
	server = mts_server_create(answer, NULL);
	if (server == NULL) {
		(void)fprintf(stderr, "out of memory\n");
		return EXIT_FAILURE;
	}
	(void)mts_server_on_log(server, mts_log_stderr, MTS_LOG_INFO, NULL);
	(void)mts_server_on_close(server, leave, NULL);
	if (argc > 2) {
		(void)mts_server_set_max_clients(server, strtoul(argv[2], NULL, 10));
	}
	if (mts_server_frame_lines(server) != 0 || mts_server_set_max_request(server, LINE) != 0
		|| mts_server_listen(server, argc > 1 ? argv[1] : "localhost:5000") != 0
		|| mts_server_run_until_signal(server) != 0) {
		(void)fprintf(stderr, "%s\n", mts_server_error(server));
		(void)mts_server_destroy(server);
		return EXIT_FAILURE;
	}
	return mts_server_destroy(server) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
