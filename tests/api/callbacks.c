/* SPDX-License-Identifier: MIT
 *
 * What they return is what they are for; whether the peer is still there to hear of it is not.
 */
#include "callbacks.h"

#include <stdatomic.h>
#include <unistd.h>

#include "support.h"

int answer_echo(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	(void)mts_client_write(client, request, size);
	return MTS_KEEP;
}

int answer_close(mts_client *client, const void *request, size_t size, void *user)
{
	(void)client;
	(void)request;
	(void)size;
	(void)user;
	return MTS_CLOSE;
}

int answer_keep(mts_client *client, const void *request, size_t size, void *user)
{
	(void)client;
	(void)request;
	(void)size;
	(void)user;
	return MTS_KEEP;
}

int answer_process(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	(void)mts_client_printf(client, "%d", (int)getpid());
	return MTS_CLOSE;
}

int open_with_small_buffers(mts_client *client, void *user)
{
	(void)user;
	small_buffers(mts_client_fd(client));
	return 0;
}

void endings_note(mts_client *client, int reason, void *user)
{
	struct endings *endings = user;
	(void)client;
	ck_assert_msg(reason >= 0 && reason <= MTS_CLOSED_LATER_TIMEOUT, "%d is no reason", reason);
	endings->reasons[reason]++;
	gate_add(&endings->all);
}

void endings_expect(struct endings *endings, int reason, int count)
{
	gate_wait(&endings->all, count);
	ck_assert_int_eq(gate_count(&endings->all), count);
	ck_assert_msg(endings->reasons[reason] == count, "%d of %d were closed %s",
		endings->reasons[reason], count, mts_closed_name(reason));
}

void worker_begins(void *user)
{
	struct workers *workers = user;
	const int now = ++workers->now;
	int most = workers->most;
	while (now > most && !atomic_compare_exchange_weak(&workers->most, &most, now)) {
	}
}

void worker_ends(void *user)
{
	((struct workers *)user)->now--;
}
