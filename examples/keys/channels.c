/* SPDX-License-Identifier: MIT
 *
 * One list of all subscriptions. A client is known by its number, so whoever publishes can send to
 * it from another thread; none of these calls waits, so the list stays locked meanwhile.
 *
 * A subscription is confirmed in the same way, under the same lock: so no message comes before the
 * confirmation, and none after it is missed.
 */
#include "channels.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct subscription {
	struct subscription *next;
	uint64_t id;
	size_t size;
	char channel[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct subscription *subscriptions;

/* What happened, on which channel, and the message, or else how many channels there are now. */
static char *describe(
	const char *event, struct word channel, const struct word *message, size_t count, size_t *size)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, size);
	if (out == NULL) {
		return NULL;
	}
	(void)fprintf(out, "*3\r\n$%zu\r\n%s\r\n$%zu\r\n", strlen(event), event, channel.size);
	(void)fwrite(channel.text, 1, channel.size, out);
	(void)fprintf(out, "\r\n%c%zu\r\n", message ? '$' : ':', message ? message->size : count);
	if (message != NULL) {
		(void)fwrite(message->text, 1, message->size, out);
		(void)fputs("\r\n", out);
	}
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* Whoever cannot take it is ended: the others do not wait for it, and it misses nothing unknowingly. */
static bool push(mts_server *server, uint64_t id, const char *text, size_t size)
{
	const int result = text != NULL ? mts_server_send(server, id, text, size) : -ENOMEM;
	if (result == -ENOBUFS || result == -ENOMEM) {
		(void)mts_server_kick(server, id);
	}
	return result == 0;
}

size_t channels_of(const mts_client *client)
{
	return (size_t)(uintptr_t)mts_client_data(client);
}

static void confirm_locked(mts_client *client, const char *event, struct word channel, size_t count)
{
	size_t size;
	char *text = describe(event, channel, NULL, count, &size);
	mts_client_set_data(client, (void *)(uintptr_t)count);
	(void)push(mts_client_server(client), mts_client_id(client), text, size);
	free(text);
}

static bool is_it(const struct subscription *self, uint64_t id, const struct word *channel)
{
	return self->id == id
		&& (channel == NULL
			|| (self->size == channel->size
				&& memcmp(self->channel, channel->text, self->size) == 0));
}

int channels_subscribe(mts_client *client, struct word channel)
{
	struct subscription *self = malloc(sizeof(*self) + channel.size);
	struct subscription **at = &subscriptions;
	if (self == NULL) {
		return -ENOMEM;
	}
	*self = (struct subscription){.id = mts_client_id(client), .size = channel.size};
	memcpy(self->channel, channel.text, channel.size);

	pthread_mutex_lock(&lock);
	while (*at != NULL && !is_it(*at, self->id, &channel)) {
		at = &(*at)->next;
	}
	const bool is_new = *at == NULL;
	if (is_new) {
		*at = self;
	} else {
		free(self);
	}
	confirm_locked(client, "subscribe", channel, channels_of(client) + is_new);
	pthread_mutex_unlock(&lock);
	return 0;
}

void channels_unsubscribe(mts_client *client, const struct word *channel)
{
	const uint64_t id = mts_client_id(client);
	const size_t was = channels_of(client);
	size_t count = was;
	pthread_mutex_lock(&lock);
	for (struct subscription **at = &subscriptions; *at != NULL && count > 0;) {
		struct subscription *self = *at;
		if (!is_it(self, id, channel)) {
			at = &self->next;
			continue;
		}
		*at = self->next;
		confirm_locked(client, "unsubscribe", (struct word){self->channel, self->size}, --count);
		free(self);
	}
	if (channel != NULL && was == count) {
		confirm_locked(client, "unsubscribe", *channel, count);
	}
	pthread_mutex_unlock(&lock);
}

int channels_publish(mts_server *server, struct word channel, struct word message)
{
	size_t size;
	int told = 0;
	char *text = describe("message", channel, &message, 0, &size);
	pthread_mutex_lock(&lock);
	for (const struct subscription *self = subscriptions; text && self; self = self->next) {
		told += is_it(self, self->id, &channel) && push(server, self->id, text, size);
	}
	pthread_mutex_unlock(&lock);
	free(text);
	return told;
}
