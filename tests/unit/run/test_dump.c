/* SPDX-License-Identifier: MIT
 *
 * What a developer is told of a server: who is where, and all of it bounded, also with every lock held;
 * and that a debug build tells it when it ends the process.
 */
#include "engine/run/dump.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../../api/support.h"
#include "engine/run/server.h"
#include "os/must.h"

enum { MANY = 100, TEXT = 64 * 1024, UNREAD = 64 * 1024 };

static struct gate entered;
static struct gate go;
static struct gate sent;
static mts_server *server;
static char told[TEXT];

static int serve(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	(void)size;
	if (*(const char *)request == 'w') {
		gate_add(&entered);
		gate_wait(&go, 1);
	}
	if (*(const char *)request == 'c') {
		gate_wait(&sent, 1);
	}
	mts_client_puts(client, "x");
	return *(const char *)request == 'c' ? MTS_CLOSE : MTS_KEEP;
}

static void setup(void)
{
	entered = (struct gate)GATE;
	go = (struct gate)GATE;
	sent = (struct gate)GATE;
	server = server_new(serve, NULL);
	ck_assert_int_eq(mts_server_set_max_threads(server, MANY), 0);
	server_start(server);
}

static void teardown(void)
{
	gate_add(&go);
	server_end(server);
}

/* Fills `told` with what was written into a file. */
static void read_back(FILE *file)
{
	rewind(file);
	const size_t size = fread(told, 1, sizeof(told) - 1, file);
	told[size] = '\0';
	ck_assert_int_eq(fclose(file), 0);
}

static void dump(void)
{
	FILE *file = tmpfile();
	ck_assert_ptr_nonnull(file);
	mtsi_dump(server, fileno(file));
	read_back(file);
}

static void expect(const char *text)
{
	ck_assert_msg(strstr(told, text) != NULL, "\"%s\" is not in: %s", text, told);
}

static bool dumps(const char *text)
{
	dump();
	return strstr(told, text) != NULL;
}

static int ask(const char *request)
{
	const int peer = peer_connect(server, 0);
	peer_puts(peer, request);
	if (*request != 'w') {
		peer_expect_text(peer, "x");
	}
	return peer;
}

/* It has sent more than is read of it when its handler closes, so that its socket waits for it. */
static int ask_to_close(void)
{
	char much[UNREAD];
	const int peer = peer_connect(server, 0);
	memset(much, 'c', sizeof(much));
	peer_send(peer, much, sizeof(much));
	gate_add(&sent);
	peer_expect_text(peer, "x");
	return peer;
}

/* One that is at rest, one whose handler runs, and one whose socket waits for its peer to finish. */
START_TEST(it_names_what_there_is)
{
	const bool on_demand = test_model == MTS_THREAD_ON_DEMAND;
	const int quiet = ask("q");
	const int busy = ask("w");
	const int closed = ask_to_close();
	gate_wait(&entered, 1);
	server_wait_stat(server, MTS_STAT_LINGERING, 1);
	wait_until(dumps(", 0 waiting, 0 opening, 2 served, 0 ending, 0 sealed, 1 lingering"));
	/* One that lingers is its worker's for a moment still. */
	wait_until(dumps(on_demand ? "clients: 2 parked," : "clients: 1 parked,"));
	if (on_demand) {
		expect(": served, parked, descriptor ");
	}
	expect(on_demand ? "running, on demand, stopping: no" : "running, per client, stopping: no");
	expect(": served, owned");
	expect(": lingering, parked");
	expect("door: 2 clients of ");
	expect("limits: threads 100");
	expect("lingering: 1, of these sending ");
	expect("ledger: ");
	expect("deadlines, the first is in ");
	expect("lists: ready 0, later 0, mailbox 0; jobs 0, of 0 tasks");
	expect("log: 0 bytes wait");
	expect("watchdog: ");
	expect("  worker 0x");
	close(closed);
	close(busy);
	close(quiet);
}
END_TEST

/* So many are named, the others counted. */
START_TEST(it_is_bounded)
{
	int peers[MANY];
	size_t named = 0;
	for (int i = 0; i < MANY; i++) {
		peers[i] = ask("q");
	}
	dump();
	expect(", 100 served, 0 ending, 0 sealed, 0 lingering");
	for (const char *at = told; (at = strstr(at, "\n  client ")) != NULL; at++) {
		named++;
	}
	ck_assert_uint_eq(named, MTSI_DUMP_NAMED);
	for (int i = 0; i < MANY; i++) {
		close(peers[i]);
	}
}
END_TEST

/* Whoever holds what: it is asked for while all stand still. */
START_TEST(it_takes_no_lock)
{
	struct mtsi_lock *const locks[] = {&server->lifecycle.lock,
		&mtsi_door_floor(server)->listeners.lock, &mtsi_door_floor(server)->door.lock,
		&mtsi_client_floor(server)->clients.lock, &mtsi_door_floor(server)->addresses.lock,
		&mtsi_door_floor(server)->linger.lock, &mtsi_client_floor(server)->deadlines.lock,
		&mtsi_serve_floor(server)->mailbox.lock, &mtsi_crew_floor(server)->crew.lock,
		&mtsi_base_floor(server)->log.lock};
	const size_t count = sizeof(locks) / sizeof(locks[0]);
	for (size_t i = 0; i < count; i++) {
		mtsi_lock_take(locks[i]);
		dump();
		mtsi_lock_release(locks[i]);
	}
	expect("running");
}
END_TEST

#ifdef MTSI_DEBUG

static FILE *caught;

/* In the process that ends: what it has said by then is what it was to say. */
static void look(int signal)
{
	(void)signal;
	read_back(caught);
	_exit(strstr(told, "test_dump.c") != NULL && strstr(told, "1 == 2") != NULL
				&& strstr(told, "running") != NULL && strstr(told, "clients: ") != NULL
			? 42
			: 1);
}

START_TEST(it_is_told_at_the_end)
{
	caught = tmpfile();
	ck_assert_ptr_nonnull(caught);
	ck_assert_int_eq(dup2(fileno(caught), STDERR_FILENO), STDERR_FILENO);
	ck_assert(signal(SIGABRT, look) != SIG_ERR);
	mtsi_must(1 == 2);
}
END_TEST

#endif

int main(void)
{
#ifdef __SANITIZE_THREAD__
	return 77; /* it reads what others write, with no lock: that is what it is for */
#endif
	TCase *cases = suite_begin("dump");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, it_names_what_there_is);
	tcase_add_test(cases, it_is_bounded);
	tcase_add_test(cases, it_takes_no_lock);
#ifdef MTSI_DEBUG
	tcase_add_exit_test(cases, it_is_told_at_the_end, 42);
#endif
	return suite_run();
}
