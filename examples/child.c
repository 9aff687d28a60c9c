/* SPDX-License-Identifier: MIT
 *
 * Sixth lesson: other programs.
 *
 * Each line is handed to expr(1), word by word, and what that prints is the reply. The handler
 * waits for it, and no other client does. The threads of the library block all signals, and a child
 * inherits that. So each child is given a mask of its own; and the signal of a profiler is
 * unblocked in the hook for new threads.
 *
 *     child [ADDRESS]
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mtserver.h>

enum { WORDS = 16 };

/* [profiler] */
static void thread_begins(void *user)
{
	sigset_t profiler;
	(void)user;
	(void)sigemptyset(&profiler);
	(void)sigaddset(&profiler, SIGPROF);
	(void)pthread_sigmask(SIG_UNBLOCK, &profiler, NULL);
}
/* [profiler] */

/* [child] */
static pid_t start_child(char *const words[], int output)
{
	posix_spawnattr_t attributes;
	posix_spawn_file_actions_t files;
	sigset_t none;
	pid_t child;
	(void)sigemptyset(&none);
	(void)posix_spawnattr_init(&attributes);
	(void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	(void)posix_spawnattr_setsigmask(&attributes, &none);
	(void)posix_spawn_file_actions_init(&files);
	(void)posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
	const int result = posix_spawnp(&child, words[0], &files, &attributes, words, environ);
	(void)posix_spawn_file_actions_destroy(&files);
	(void)posix_spawnattr_destroy(&attributes);
	return result == 0 ? child : -1;
}
/* [child] */

/* Sends what the child prints, and waits for its end. */
static void reply(mts_client *client, char *const words[])
{
	char text[256];
	ssize_t size;
	int ends[2];
	/*
	 * So that a child that another handler makes at this moment does not inherit the pipe and hold
	 * it open.
	 */
	if (pipe2(ends, O_CLOEXEC) != 0) {
		mts_client_puts(client, "no pipe\n");
		return;
	}
	const pid_t child = start_child(words, ends[1]);
	(void)close(ends[1]);
	while ((size = read(ends[0], text, sizeof(text))) > 0) {
		mts_client_write(client, text, (size_t)size);
	}
	(void)close(ends[0]);
	if (child < 0 || waitpid(child, NULL, 0) != child) {
		mts_client_puts(client, "no child\n");
	}
}

static int calculate(mts_client *client, const void *request, size_t size, void *user)
{
	char program[] = "expr";
	char *words[WORDS + 2] = {program};
	char *rest;
	char *line = strndup(request, size);
	(void)user;
	if (line == NULL) {
		return MTS_CLOSE;
	}
	char *word = strtok_r(line, " ", &rest);
	for (int i = 1; i <= WORDS && word != NULL; i++) {
		words[i] = word;
		word = strtok_r(NULL, " ", &rest);
	}
	reply(client, words);
	free(line);
	return MTS_KEEP;
}

int main(int argc, char **argv)
{
	mts_server *server = mts_server_create(calculate, NULL);
	(void)mts_server_on_log(server, mts_log_stderr, MTS_LOG_INFO, NULL);
	(void)mts_server_on_thread(server, thread_begins, NULL, NULL);
	if (mts_server_frame_lines(server) != 0
		|| mts_server_listen(server, argc > 1 ? argv[1] : "localhost:5000") != 0
		|| mts_server_run_until_signal(server) != 0) {
		(void)fprintf(stderr, "%s\n", server == NULL ? "out of memory" : mts_server_error(server));
		(void)mts_server_destroy(server);
		return EXIT_FAILURE;
	}
	return mts_server_destroy(server) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
