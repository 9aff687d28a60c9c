/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_CLIENT_LIST_H
#define MTSI_ENGINE_CLIENT_LIST_H

#include <stddef.h>

#include "engine/client/client.h"

/*
 * Clients in a line, first come, first served. They are linked by their member `next`. All zero is
 * an empty line. It has no lock: its owner says who may touch it.
 */
struct mtsi_list {
	struct mts_client *first;
	struct mts_client *last; /* undefined when the line is empty */
	size_t count;
};

/* Puts a client at the end. */
static inline void mtsi_list_add(struct mtsi_list *line, struct mts_client *client)
{
	client->next = NULL;
	if (line->first == NULL) {
		line->first = client;
	} else {
		line->last->next = client;
	}
	line->last = client;
	line->count++;
}

/* Moves all clients of another line to the end of this one. */
static inline void mtsi_list_join(struct mtsi_list *line, struct mtsi_list *more)
{
	if (more->first != NULL) {
		if (line->first == NULL) {
			line->first = more->first;
		} else {
			line->last->next = more->first;
		}
		line->last = more->last;
		line->count += more->count;
		more->first = NULL;
		more->count = 0;
	}
}

/* Takes the first one out; NULL when there is none. */
static inline struct mts_client *mtsi_list_take(struct mtsi_list *line)
{
	struct mts_client *client = line->first;
	if (client != NULL) {
		line->first = client->next;
		line->count--;
	}
	return client;
}

/* Takes this one out, wherever it is; false when it is not in the line. */
static inline bool mtsi_list_remove(struct mtsi_list *line, const struct mts_client *client)
{
	struct mtsi_list others = {NULL, NULL, 0};
	struct mts_client *one;
	const size_t before = line->count;
	while ((one = mtsi_list_take(line)) != NULL) {
		if (one != client) {
			mtsi_list_add(&others, one);
		}
	}
	*line = others;
	return line->count < before;
}

#endif
