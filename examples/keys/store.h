/* SPDX-License-Identifier: MIT
 *
 * Keys with values, for all threads at the same time. It never waits for long.
 */
#ifndef STORE_H
#define STORE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "resp.h"

/* It is never changed, so it can be read without a lock by who holds it. */
struct value {
	atomic_uint holders;
	size_t size;
	char text[]; /* with CR LF behind it, as it is sent */
};

/* Once, before the others. */
void store_begin(void);

/* The value, to be let go afterwards; NULL when there is none. */
struct value *store_get(struct word key);
void store_let_go(struct value *value);

/* False when memory is short; then nothing has changed. */
bool store_set(struct word key, struct word text);

/* Whether it was there. */
bool store_remove(struct word key);

/* 0, or -ERANGE when it is no number or the largest, or -ENOMEM. */
int store_increment(struct word key, long long *number);

#endif
