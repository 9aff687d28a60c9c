/* SPDX-License-Identifier: MIT
 *
 * A hash table in parts, each with a lock of its own, so that threads seldom meet. A lock is held for
 * moments only: a value is never changed but replaced, and whoever sends the old one holds it until
 * that is done, however long it takes.
 *
 * It keeps all that it is given, as long as there is memory.
 */
#include "store.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS = 64, CHAINS = 1024 };

struct entry {
	struct entry *next;
	struct value *value;
	size_t size;
	char key[];
};

static struct part {
	pthread_mutex_t lock;
	struct entry *chains[CHAINS];
} parts[PARTS];

static bool same(struct word word, const char *text, size_t size)
{
	return word.size == size && memcmp(word.text, text, size) == 0;
}

static struct value *make_value(struct word word)
{
	struct value *value = malloc(sizeof(*value) + word.size + 2);
	if (value != NULL) {
		atomic_init(&value->holders, 1);
		value->size = word.size;
		memcpy(value->text, word.text, word.size);
		memcpy(value->text + word.size, "\r\n", 2);
	}
	return value;
}

void store_let_go(struct value *value)
{
	if (value != NULL && atomic_fetch_sub(&value->holders, 1) == 1) {
		free(value);
	}
}

/* Locks the part where the key belongs, and finds the place where it is or would be. */
static struct part *lock_key(struct word key, struct entry ***place)
{
	uint64_t hash = 14695981039346656037U; /* FNV-1a */
	for (size_t i = 0; i < key.size; i++) {
		hash = (hash ^ (unsigned char)key.text[i]) * 1099511628211U;
	}
	struct part *part = &parts[hash % PARTS];
	struct entry **at = &part->chains[hash / PARTS % CHAINS];
	pthread_mutex_lock(&part->lock);
	while (*at != NULL && !same(key, (*at)->key, (*at)->size)) {
		at = &(*at)->next;
	}
	*place = at;
	return part;
}

/* Takes the value over; false where memory is short. */
static bool put_locked(struct entry **at, struct word key, struct value *value)
{
	if (value != NULL && *at == NULL) {
		struct entry *entry = malloc(sizeof(*entry) + key.size);
		if (entry != NULL) {
			*entry = (struct entry){.size = key.size};
			memcpy(entry->key, key.text, key.size);
		}
		*at = entry;
	}
	if (value == NULL || *at == NULL) {
		store_let_go(value);
		return false;
	}
	store_let_go((*at)->value);
	(*at)->value = value;
	return true;
}

void store_begin(void)
{
	for (size_t i = 0; i < PARTS; i++) {
		(void)pthread_mutex_init(&parts[i].lock, NULL);
	}
}

struct value *store_get(struct word key)
{
	struct entry **at;
	struct part *part = lock_key(key, &at);
	struct value *value = *at != NULL ? (*at)->value : NULL;
	if (value != NULL) {
		atomic_fetch_add(&value->holders, 1);
	}
	pthread_mutex_unlock(&part->lock);
	return value;
}

bool store_set(struct word key, struct word text)
{
	struct entry **at;
	struct value *value = make_value(text);
	struct part *part = lock_key(key, &at);
	const bool done = put_locked(at, key, value);
	pthread_mutex_unlock(&part->lock);
	return done;
}

bool store_remove(struct word key)
{
	struct entry **at;
	struct part *part = lock_key(key, &at);
	struct entry *entry = *at;
	if (entry != NULL) {
		*at = entry->next;
		store_let_go(entry->value);
		free(entry);
	}
	pthread_mutex_unlock(&part->lock);
	return entry != NULL;
}

static bool is_number(const struct value *value, long long *number)
{
	char *end;
	errno = 0;
	*number = strtoll(value->text, &end, 10);
	return errno == 0 && value->size > 0 && !isspace((unsigned char)value->text[0])
		&& end == value->text + value->size;
}

int store_increment(struct word key, long long *number)
{
	char text[24];
	int result = -ERANGE;
	struct entry **at;
	struct part *part = lock_key(key, &at);
	*number = 0;
	if ((*at == NULL || is_number((*at)->value, number)) && *number < LLONG_MAX) {
		const int size = snprintf(text, sizeof(text), "%lld", ++*number);
		struct value *value = make_value((struct word){text, (size_t)size});
		result = put_locked(at, key, value) ? 0 : -ENOMEM;
	}
	pthread_mutex_unlock(&part->lock);
	return result;
}
