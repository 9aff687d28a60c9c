/* SPDX-License-Identifier: MIT
 *
 * Eighth lesson: a whole protocol as a conversation, here SMTP (RFC 5321).
 *
 * A sink: it takes all mail and hands none on. The handler stays from a client's first command to
 * its last, so what the session knows is a variable of that function. Each command is a request:
 * mts_client_next(). The lines of a message are none, since they belong to the command DATA:
 * mts_client_read_line(). So a stop lets a message come to its end, and ends the session before its
 * next command, and the client is told.
 *
 * With a folder, each message becomes a file there. The names are the program's own: nothing that a
 * client says gets into one. Without a folder messages are only counted.
 *
 * LF alone ends a line, as CR LF does. A server that hands mail on must not be so kind.
 *
 *     mail [ADDRESS [FOLDER]]
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include <mtserver.h>

enum { ADDRESS = 256, RECIPIENTS = 100, LARGEST = 10 << 20, PATIENCE = 5 * 60 * 1000 };

struct session {
	mts_client *client;
	const char *argument; /* of the command */
	bool greeted;
	unsigned recipients;
	FILE *mail; /* the message; NULL where none has begun */
	char file[8]; /* where it is as long as it is not whole; or "" */
};

static char host[256] = "localhost";
static const char *folder; /* where the program is then; NULL: none */
static atomic_ulong received;

static int say(struct session *self, const char *reply)
{
	mts_client_printf(self->client, "%s\r\n", reply);
	return MTS_KEEP;
}

/* The file is a hidden one until it is whole. It begins with what the message does not say: who
 * sent it, and to whom. */
static bool begin_mail(struct session *self, const char *sender)
{
	(void)strcpy(self->file, folder != NULL ? ".XXXXXX" : "");
	const int fd = folder != NULL ? mkostemp(self->file, O_CLOEXEC)
								  : open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (fd < 0) {
		self->file[0] = '\0';
		return false;
	}
	self->mail = fdopen(fd, "w");
	if (self->mail == NULL) {
		(void)close(fd);
	}
	return self->mail != NULL && fprintf(self->mail, "Return-Path: <%s>\n", sender) > 0;
}

static void drop_mail(struct session *self)
{
	if (self->mail != NULL) {
		(void)fclose(self->mail);
	}
	if (self->file[0] != '\0') {
		(void)unlink(self->file);
	}
	self->mail = NULL;
	self->file[0] = '\0';
	self->recipients = 0;
}

/* Who says 250 answers for the message from then on, so it has to be on the disk. Nobody but this
 * client waits for that. */
static bool keep_mail(struct session *self)
{
	static atomic_ulong number;
	char name[80];
	bool good = ferror(self->mail) == 0 && fflush(self->mail) == 0;
	if (good && folder != NULL) {
		(void)snprintf(name, sizeof(name), "%lld.%ld.%lu.eml", (long long)time(NULL),
			(long)getpid(), atomic_fetch_add(&number, 1));
		good = fsync(fileno(self->mail)) == 0 && rename(self->file, name) == 0;
		self->file[0] = good ? '\0' : self->file[0];
	}
	atomic_fetch_add(&received, good ? 1 : 0);
	drop_mail(self);
	return good;
}

/* Copies the path out of `FROM:<path>` or `TO:<path>`, and gives what follows it; NULL where there
 * is none. Control characters have no place in one, nor in the file. */
static const char *take_path(const char *text, const char *word, char path[ADDRESS])
{
	const size_t length = strlen(word);
	const char *end = strrchr(text, '>');
	if (strncasecmp(text, word, length) != 0 || end == NULL) {
		return NULL;
	}
	text += length + strspn(text + length, " ");
	if (text >= end || *text != '<' || end - text > ADDRESS) {
		return NULL;
	}
	(void)snprintf(path, ADDRESS, "%.*s", (int)(end - text - 1), text + 1);
	for (const char *at = path; *at != '\0'; at++) {
		const bool needs_quotes = strchr("<> ", *at) != NULL;
		if (iscntrl((unsigned char)*at) || (needs_quotes && strchr(path, '"') == NULL)) {
			return NULL;
		}
	}
	return end + 1;
}

/* What MAIL may say about the message; gives the reply that refuses it, or NULL. */
static const char *refuse_parameters(const char *text)
{
	while (*(text += strspn(text, " ")) != '\0') {
		const size_t size = strcspn(text, " ");
		char *end;
		if (strncasecmp(text, "SIZE=", 5) == 0) {
			const unsigned long long bytes = strtoull(text + 5, &end, 10);
			if (!isdigit((unsigned char)text[5]) || end != text + size) {
				return "501 That is no size";
			}
			if (bytes > LARGEST) {
				return "552 That is too large";
			}
		} else if (!(size == 9 && strncasecmp(text, "BODY=7BIT", size) == 0)
			&& !(size == 13 && strncasecmp(text, "BODY=8BITMIME", size) == 0)) {
			return "555 That parameter is not known here";
		}
		text += size;
	}
	return NULL;
}

static int helo(struct session *self)
{
	drop_mail(self);
	self->greeted = true;
	mts_client_printf(self->client, "250 %s\r\n", host);
	return MTS_KEEP;
}

static int ehlo(struct session *self)
{
	drop_mail(self);
	self->greeted = true;
	mts_client_printf(
		self->client, "250-%s\r\n250-8BITMIME\r\n250-PIPELINING\r\n250 SIZE %d\r\n", host, LARGEST);
	return MTS_KEEP;
}

static int mail(struct session *self)
{
	char sender[ADDRESS];
	if (!self->greeted || self->mail != NULL) {
		return say(self, self->greeted ? "503 There is a mail already" : "503 Say HELO first");
	}
	const char *parameters = take_path(self->argument, "FROM:", sender);
	if (parameters == NULL) {
		return say(self, "501 MAIL FROM:<address>");
	}
	const char *refusal = refuse_parameters(parameters);
	if (refusal == NULL && !begin_mail(self, sender)) {
		drop_mail(self);
		refusal = "451 No file can be made";
	}
	return say(self, refusal != NULL ? refusal : "250 OK");
}

static int rcpt(struct session *self)
{
	char recipient[ADDRESS];
	if (self->mail == NULL) {
		return say(self, "503 Say MAIL first");
	}
	const char *parameters = take_path(self->argument, "TO:", recipient);
	if (parameters == NULL || recipient[0] == '\0') {
		return say(self, "501 RCPT TO:<address>");
	}
	if (parameters[strspn(parameters, " ")] != '\0') {
		return say(self, "555 That parameter is not known here");
	}
	if (self->recipients == RECIPIENTS) {
		return say(self, "452 Too many recipients");
	}
	self->recipients++;
	(void)fprintf(self->mail, "Delivered-To: <%s>\n", recipient);
	return say(self, "250 OK");
}

/* Up to the line with a dot alone; elsewhere a dot that begins a line has another one before it.
 * What is too large is read all the same, so that the client hears of it. */
static int data(struct session *self)
{
	size_t bytes = 0;
	size_t size;
	const void *line;
	int result;
	if (self->recipients == 0) {
		return say(self, "503 Say MAIL and RCPT first");
	}
	(void)say(self, "354 Go on, and end with a dot");
	while ((result = mts_client_read_line(self->client, &line, &size)) == 1) {
		const char *text = line;
		const bool dot = size > 0 && text[0] == '.';
		if (dot && size == 1) {
			break;
		}
		bytes += bytes > LARGEST ? 0 : size - dot + 2;
		if (bytes <= LARGEST) {
			(void)fwrite(text + dot, 1, size - dot, self->mail);
			(void)fputc('\n', self->mail);
		}
	}
	if (result != 1) {
		return result == 0 ? MTS_CLOSE : result;
	}
	if (bytes > LARGEST) {
		drop_mail(self);
		return say(self, "552 That was too large");
	}
	return say(self, keep_mail(self) ? "250 Kept" : "451 It could not be kept");
}

static int rset(struct session *self)
{
	drop_mail(self);
	return say(self, "250 OK");
}

static int quit(struct session *self)
{
	(void)say(self, "221 Goodbye");
	return MTS_CLOSE;
}

enum { NOTHING, ANYTHING, SOMETHING };

static const struct command {
	const char *name;
	int argument;
	int (*obey)(struct session *self); /* NULL: there is just a reply */
	const char *reply;
} commands[] = {
	{"HELO", SOMETHING, helo, NULL},
	{"EHLO", SOMETHING, ehlo, NULL},
	{"MAIL", SOMETHING, mail, NULL},
	{"RCPT", SOMETHING, rcpt, NULL},
	{"DATA", NOTHING, data, NULL},
	{"RSET", NOTHING, rset, NULL},
	{"NOOP", ANYTHING, NULL, "250 OK"},
	{"VRFY", SOMETHING, NULL, "252 Send it, and see"},
	{"QUIT", NOTHING, quit, NULL},
};

static int obey(struct session *self, const char *line, size_t size)
{
	const size_t word = strcspn(line, " ");
	const struct command *command = commands;
	const struct command *end = commands + sizeof(commands) / sizeof(commands[0]);
	while (command < end && (word != 4 || strncasecmp(line, command->name, word) != 0)) {
		command++;
	}
	if (command == end || strlen(line) != size) {
		return say(self, "500 What?");
	}
	self->argument = line + word + strspn(line + word, " ");
	if (command->argument == NOTHING && *self->argument != '\0') {
		return say(self, "501 And nothing else");
	}
	if (command->argument == SOMETHING && *self->argument == '\0') {
		return say(self, "501 And what?");
	}
	return command->obey != NULL ? command->obey(self) : say(self, command->reply);
}

static int greet(mts_client *client, void *user)
{
	(void)user;
	mts_client_printf(client, "220 %s ESMTP\r\n", host);
	return 0;
}

/* Before the first command the library ends the session, and this is its hook; afterwards the handler
 * does. */
static void last_word(mts_client *client, int reason, void *user)
{
	(void)user;
	if (reason == MTS_CLOSED_TOO_LARGE) {
		mts_client_puts(client, "500 That line is too long\r\n");
	} else if (reason == MTS_CLOSED_IDLE || reason == MTS_CLOSED_REQUEST_TIMEOUT
		|| reason == MTS_CLOSED_STOP) {
		mts_client_puts(client, "421 Not any longer\r\n");
	}
}

static int converse(mts_client *client, const void *request, size_t size, void *user)
{
	struct session self = {.client = client};
	int result = obey(&self, request, size);
	(void)user;
	while (result == MTS_KEEP) {
		result = mts_client_next(client, &request, &size);
		if (result == 1) {
			result = obey(&self, request, size);
		} else if (result == 0) {
			result = MTS_CLOSE;
		}
	}
	drop_mail(&self);
	if (result == -EMSGSIZE) {
		last_word(client, MTS_CLOSED_TOO_LARGE, NULL);
	} else if (result == -ECANCELED || result == -ETIMEDOUT) {
		last_word(client, MTS_CLOSED_STOP, NULL);
	}
	return result;
}

int main(int argc, char **argv)
{
	mts_server *server = mts_server_create(converse, NULL);
	folder = argc > 2 ? argv[2] : NULL;
	(void)gethostname(host, sizeof(host) - 1);
	(void)mts_server_on_open(server, greet, NULL);
	(void)mts_server_on_fault(server, last_word, NULL);
	(void)mts_server_set_timeout(server, MTS_TIMEOUT_IDLE, PATIENCE);
	(void)mts_server_set_timeout(server, MTS_TIMEOUT_REQUEST, PATIENCE);
	(void)mts_server_on_log(server, mts_log_stderr, MTS_LOG_INFO, NULL);
	if (mts_server_frame_lines(server) != 0
		|| mts_server_listen(server, argc > 1 ? argv[1] : "localhost:5000") != 0) {
		(void)fprintf(stderr, "%s\n", server == NULL ? "out of memory" : mts_server_error(server));
		(void)mts_server_destroy(server);
		return EXIT_FAILURE;
	}
	if (folder != NULL && chdir(folder) != 0) {
		perror(folder);
		(void)mts_server_destroy(server);
		return EXIT_FAILURE;
	}
	const int result = mts_server_run_until_signal(server);
	if (result != 0) {
		(void)fprintf(stderr, "%s\n", mts_strerror(result));
	}
	(void)printf("Received %lu\n", atomic_load(&received));
	(void)mts_server_destroy(server);
	return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
