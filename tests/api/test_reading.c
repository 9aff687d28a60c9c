/* SPDX-License-Identifier: MIT
 *
 * Framing, next, read, read_exact, read_line and unread take from one stream, in one order, wherever
 * the network has cut it. A model in this file knows the whole stream beforehand, and does each step
 * of the handler too, in a few lines: what they find must be the same. One client comes at a time.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "chance.h"
#include "stage.h"

enum { FIXED = 3, SPACE = 1024 * 1024, USUAL = 64 * 1024, LARGE = 16 * 1024 };

/* The framings: what each request is, for the server and for the model. */
enum kind { LINES, FIXEDS, PREFIXED, BARS, KINDS };

static struct {
	enum kind kind;
	size_t limit;
	char bytes[SPACE]; /* those that are not consumed yet: [start, end) */
	size_t start;
	size_t end;
	int failed; /* a request was cut off, so there is no further one */
} model;

/* Where the next line or request lies: 1; 0 or an error. */
struct found {
	size_t offset;
	size_t size;
	size_t consumed;
};

static int model_line(struct found *found)
{
	const char *bytes = model.bytes + model.start;
	const size_t here = model.end - model.start;
	const char *newline = memchr(bytes, '\n', here);
	size_t size = newline == NULL ? here : (size_t)(newline - bytes);
	*found = (struct found){0, size, newline == NULL ? size : size + 1};
	if (newline != NULL && size > 0 && bytes[size - 1] == '\r') {
		found->size--;
	}
	return here == 0 ? 0 : found->size > model.limit ? -EMSGSIZE : 1;
}

static int model_frame(struct found *found)
{
	const char *bytes = model.bytes + model.start;
	const size_t here = model.end - model.start;
	if (model.kind == LINES) {
		return model_line(found);
	}
	if (model.failed != 0 || here == 0) {
		return model.failed;
	}
	if (model.kind == FIXEDS) {
		*found = (struct found){0, FIXED, FIXED};
	} else if (model.kind == PREFIXED) {
		const size_t size = (unsigned char)bytes[0];
		*found = (struct found){1, size, size + 1};
	} else {
		const char *bar = memchr(bytes, '|', here);
		const size_t size = bar == NULL ? here + 1 : (size_t)(bar - bytes) + 1;
		*found = (struct found){0, size, size};
	}
	model.failed = found->consumed > here ? -EPROTO : 0;
	return model.failed == 0 ? 1 : model.failed;
}

static ssize_t find_bar(const void *data, size_t size, size_t scanned, void *user)
{
	(void)user;
	const char *bar = memchr((const char *)data + scanned, '|', size - scanned);
	return bar == NULL ? 0 : bar - (const char *)data + 1;
}

/* These have been consumed. */
static void model_take(const void *bytes, size_t size)
{
	ck_assert_uint_le(size, model.end - model.start);
	ck_assert_mem_eq(bytes, model.bytes + model.start, size);
	model.start += size;
}

/* What the handler has now: it must stay until the next one comes, with its NUL. */
static struct {
	const char *bytes;
	size_t size;
	char copy[USUAL + 1];
} current;

static void current_is(const void *bytes, size_t size, const struct found *found)
{
	ck_assert_uint_eq(size, found->size);
	ck_assert_mem_eq(bytes, model.bytes + model.start + found->offset, size);
	ck_assert_int_eq(((const char *)bytes)[size], '\0');
	model.start += found->consumed;
	current.bytes = bytes;
	current.size = size;
	memcpy(current.copy, bytes, size + 1);
}

static void current_stays(void)
{
	ck_assert(current.bytes == NULL || memcmp(current.bytes, current.copy, current.size) == 0);
}

/* Steps of the handler; each has a number, mostly how many bytes. */
enum what { RETURN, NEXT, LINE, EXACT, READ, UNREAD, BACK, WRITE, WHATS };
struct step {
	enum what what;
	size_t size;
};

static struct {
	const struct step *steps; /* NULL: random ones */
	size_t left;
	size_t most; /* of a random step */
	uint64_t chance;
} script;

static void random_bytes(char *bytes, size_t size)
{
	static const char letters[] = "abcdefgh\n\r|\3\1\0";
	for (size_t i = 0; i < size; i++) {
		bytes[i] = letters[chance_below(&script.chance, sizeof(letters) - 1)];
	}
}

static void get(mts_client *client, bool line)
{
	struct found found;
	const void *bytes;
	size_t size;
	const int expected = line ? model_line(&found) : model_frame(&found);
	current.bytes = NULL;
	ck_assert_int_eq(
		line ? mts_client_read_line(client, &bytes, &size) : mts_client_next(client, &bytes, &size),
		expected);
	if (expected == 1) {
		current_is(bytes, size, &found);
	} else {
		ck_assert_ptr_null(bytes);
		ck_assert_uint_eq(size, 0);
	}
}

static void read_bytes(mts_client *client, size_t most, bool exact)
{
	static char bytes[SPACE];
	const size_t here = model.end - model.start;
	const size_t whole = most < here ? most : here;
	const ssize_t count = exact ? mts_client_read_exact(client, bytes, most)
								: mts_client_read(client, bytes, most);
	ck_assert_int_le(count, (ssize_t)whole);
	ck_assert_int_ge(count, exact ? (ssize_t)whole : here > 0);
	model_take(bytes, (size_t)count);
}

static void put_back(mts_client *client, const char *bytes, size_t size)
{
	const size_t most = model.limit > LARGE ? model.limit : LARGE;
	const size_t before = (size_t)mts_client_pending(client);
	ck_assert_uint_le(before, model.end - model.start);
	if (before + size > most) {
		ck_assert_int_eq(mts_client_unread(client, bytes, size), -EMSGSIZE);
		ck_assert_int_eq(mts_client_pending(client), (ssize_t)before);
		return;
	}
	ck_assert_uint_le(size, model.start);
	model.start -= size;
	memcpy(model.bytes + model.start, bytes, size);
	ck_assert_int_eq(mts_client_unread(client, bytes, size), 0);
	ck_assert_int_eq(mts_client_pending(client), (ssize_t)(before + size));
}

static void take_step(mts_client *client, struct step step)
{
	static char bytes[SPACE];
	switch (step.what) {
	case NEXT:
	case LINE:
		get(client, step.what == LINE);
		break;
	case EXACT:
	case READ:
		read_bytes(client, step.size + 1, step.what == EXACT);
		break;
	case UNREAD:
		random_bytes(bytes, step.size);
		put_back(client, bytes, step.size);
		break;
	case BACK:
		if (current.bytes != NULL) {
			put_back(client, current.bytes, current.size);
		}
		break;
	default:
		ck_assert_int_eq(mts_client_write(client, bytes, step.size), 0);
		break;
	}
	current_stays();
}

static struct step next_step(void)
{
	if (script.steps != NULL) {
		return *script.steps++;
	}
	const size_t most = chance_below(&script.chance, 4) > 0 ? 20 : script.most;
	return (struct step){
		(enum what)chance_below(&script.chance, WHATS), chance_below(&script.chance, most)};
}

static int handle(mts_client *client, const void *request, size_t size, void *user)
{
	struct found found;
	(void)user;
	ck_assert_int_eq(model_frame(&found), 1);
	current_is(request, size, &found);
	for (; script.left > 0; script.left--) {
		const struct step step = next_step();
		if (step.what == RETURN) {
			script.left--;
			break;
		}
		take_step(client, step);
	}
	return MTS_KEEP;
}

static struct gate ready; /* for the next client */
static int opened;

static int opens(mts_client *client, void *user)
{
	(void)client;
	(void)user;
	gate_wait(&ready, ++opened);
	return 0;
}

static void closes(mts_client *client, int reason, void *user)
{
	struct found found;
	ck_assert_int_eq(mts_client_pending(client), -EPIPE);
	ck_assert_int_eq(mts_client_unread(client, "x", 1), -EPIPE);
	ck_assert_int_eq(mts_client_read_exact(client, &found, 1), -EPIPE);
	const int left = model_frame(&found);
	ck_assert_int_ne(left, 1);
	ck_assert_int_eq(reason, left == 0 ? MTS_CLOSED_BY_PEER : MTS_CLOSED_PROTOCOL);
	endings_note(client, reason, user);
}

static mts_server *server_of(int kind, size_t limit)
{
	mts_server *server = server_new(handle, NULL);
	const int results[] = {
		kind == LINES ? mts_server_frame_lines(server) : 0,
		kind == FIXEDS ? mts_server_frame_fixed(server, FIXED) : 0,
		kind == PREFIXED ? mts_server_frame_prefixed(server, 1, MTS_BIG_ENDIAN) : 0,
		kind == BARS ? mts_server_frame_custom(server, find_bar, NULL) : 0,
	};
	for (int i = 0; i < KINDS; i++) {
		ck_assert_int_eq(results[i], 0);
	}
	ck_assert_int_eq(mts_server_set_max_request(server, limit), 0);
	ck_assert_int_eq(mts_server_on_open(server, opens, NULL), 0);
	ck_assert_int_eq(mts_server_on_close(server, closes, &endings), 0);
	ready = (struct gate)GATE;
	opened = 0;
	model.kind = (enum kind)kind;
	model.limit = limit;
	server_start(server);
	return server;
}

/* The next client comes, with this stream, and with room before it for what is put back. */
static int begin_client(const mts_server *server, const char *bytes, size_t size)
{
	model.end = SPACE;
	model.start = SPACE - size;
	model.failed = 0;
	memcpy(model.bytes + model.start, bytes, size);
	current.bytes = NULL;
	gate_add(&ready);
	return peer_connect(server, 0);
}

static uint64_t sent; /* by all peers of the server */

/* Sends a piece, and waits until it has been received. */
static void send_piece(mts_server *server, int peer, const char *bytes, size_t size)
{
	peer_send(peer, bytes, size);
	sent += size;
	server_wait_stat(server, MTS_STAT_BYTES_IN, sent);
}

static void end_client(int peer)
{
	const int before = gate_count(&endings.all);
	peer_finish(peer);
	gate_wait(&endings.all, before + 1);
	close(peer);
}

static void end_server(mts_server *server)
{
	server_wait_stat(server, MTS_STAT_MEMORY, 0);
	server_end(server);
}

static const char stream[] = "ab\ncd\r\n\3abcd|xyz\r|\n\nlast\rline|\2\1\0\0ab|abcdefghi\n|\3\n\nc";
enum { STREAM = sizeof(stream) - 1 };
static const struct step scripts[][16] = {
	{{LINE, 0}, {EXACT, 2}, {UNREAD, 4}, {LINE, 0}, {RETURN, 0}, {BACK, 0}, {EXACT, 1}, {LINE, 0},
		{NEXT, 0}, {UNREAD, 3}, {RETURN, 0}, {EXACT, 100}},
	{{READ, 3}, {UNREAD, 2}, {WRITE, 500}, {UNREAD, 9}, {WRITE, 500}, {NEXT, 0}, {BACK, 0},
		{BACK, 0}, {RETURN, 0}, {LINE, 0}, {LINE, 0}, {LINE, 0}, {UNREAD, 1}, {READ, 9}, {LINE, 0},
		{LINE, 0}},
	{{NEXT, 0}, {UNREAD, 2000}, {WRITE, 1100}, {EXACT, 1990}, {NEXT, 0}, {EXACT, 4}, {UNREAD, 3},
		{NEXT, 0}, {LINE, 0}, {BACK, 0}, {UNREAD, 600}, {RETURN, 0}, {RETURN, 0}, {LINE, 0},
		{NEXT, 0}},
};
enum { SCRIPTS = sizeof(scripts) / sizeof(scripts[0]) };

static int begin_script(const mts_server *server, size_t which, size_t size)
{
	script.steps = scripts[which];
	script.left = 16;
	script.chance = 7;
	return begin_client(server, stream, size);
}

START_TEST(cut_at_every_place)
{
	mts_server *server = server_of(_i, USUAL);
	for (size_t which = 0; which < SCRIPTS; which++) {
		for (size_t cut = 0; cut <= STREAM; cut++) {
			const int peer = begin_script(server, which, STREAM);
			send_piece(server, peer, stream, cut);
			send_piece(server, peer, stream + cut, STREAM - cut);
			end_client(peer);
		}
	}
	end_server(server);
}
END_TEST

START_TEST(byte_by_byte)
{
	mts_server *server = server_of(_i, USUAL);
	for (size_t which = 0; which < SCRIPTS; which++) {
		const int peer = begin_script(server, which, STREAM);
		for (size_t i = 0; i < STREAM; i++) {
			send_piece(server, peer, stream + i, 1);
		}
		end_client(peer);
	}
	end_server(server);
}
END_TEST

/* Whole streams end at every place, too. */
START_TEST(ended_at_every_place)
{
	mts_server *server = server_of(_i, USUAL);
	for (size_t which = 0; which < SCRIPTS; which++) {
		for (size_t size = 0; size < STREAM; size++) {
			const int peer = begin_script(server, which, size);
			peer_send(peer, stream, size);
			end_client(peer);
		}
	}
	end_server(server);
}
END_TEST

/* Random steps, in which much is put back, and a random stream in random pieces. */
START_TEST(random_steps)
{
	enum { LONGEST = 100000 };
	/* The model looks at each byte, which is slow where each step of it is looked at as well. */
	const int clients = under_valgrind() ? 3 : 30;
	const size_t longest = under_valgrind() ? 20000 : LONGEST;
	static char bytes[LONGEST];
	uint64_t chance = chance_variable("MTS_TEST_SEED", (uint64_t)_i + 1);
	mts_server *server = server_of(_i % KINDS, USUAL);
	for (int i = 0; i < clients; i++) {
		const size_t size = chance_below(&chance, chance_below(&chance, 2) > 0 ? longest : 500);
		script.chance = chance_next(&chance);
		random_bytes(bytes, size);
		script.steps = NULL;
		script.left = 40;
		script.most = chance_below(&chance, 2) > 0 ? 20000 : 1500;
		const int peer = begin_client(server, bytes, size);
		for (size_t done = 0; done < size;) {
			const size_t most = chance_below(&chance, 30000) + 1;
			const size_t piece = most < size - done ? most : size - done;
			peer_send(peer, bytes + done, piece);
			done += piece;
		}
		end_client(peer);
	}
	end_server(server);
}
END_TEST

int main(void)
{
	TCase *tcase = suite_begin("reading");
	tcase_add_checked_fixture(tcase, stage_setup, NULL);
	tcase_add_loop_test(tcase, cut_at_every_place, 0, KINDS);
	tcase_add_loop_test(tcase, byte_by_byte, 0, KINDS);
	tcase_add_loop_test(tcase, ended_at_every_place, 0, KINDS);
	tcase_add_loop_test(tcase, random_steps, 0, 2 * KINDS);
	return suite_run();
}
