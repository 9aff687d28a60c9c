/* SPDX-License-Identifier: MIT
 *
 * Twelfth lesson: a new process takes over, and no connection is lost.
 *
 * It is given the listening sockets themselves, so there is one queue of connections all the while,
 * and it does not matter which of the two processes accepts. The new one says when it is ready, but accepts
 * nobody before the old one has told it to go on. That is the old one's decision alone: once it has said
 * so it accepts nobody any more, and stops, with some time for its clients. If the new one fails before, or
 * takes too long, the old one goes on as if nothing had happened; nor has the new one any client to lose.
 * If the old one ends without having decided, the new one goes on.
 *
 * There are two ways to a new process. On SIGHUP the old one starts PROGRAM, by default itself, which
 * inherits the sockets by name, as from a service manager (sd_listen_fds(3)). Or somebody starts one
 * with the same DOOR, a Unix socket: there it asks the old one, and gets them by SCM_RIGHTS (unix(7)).
 * Who may connect to the door may take the service over, so only this user may. The door is handed on
 * like the rest.
 *
 * Each line is answered with the number of the process, and whether there will be a next answer.
 *
 *     upgrade [ADDRESS [DOOR [PROGRAM]]]
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mtserver.h>

/* In milliseconds: for a new process to begin, and for the old one's clients. */
enum { PATIENCE = 10000, GRACE = 10000 };

enum { FIRST = 3, MOST = 16 }; /* descriptors: SD_LISTEN_FDS_START, and how many are passed */

static const char door_and_name[] = "door:";

/* What is passed: the door first, and then the listeners. */
struct sockets {
	int fds[MOST];
	size_t count;
};

/* Asked before the answer is sent: whoever is told "more" is sure to get another one. */
static int answer(mts_client *client, const void *request, size_t size, void *user)
{
	(void)request;
	(void)size;
	(void)user;
	const bool last = mts_client_gone(client) == MTS_GONE_STOP;
	mts_client_printf(client, "%d %s\n", (int)getpid(), last ? "last" : "more");
	return last ? MTS_CLOSE : MTS_KEEP;
}

/* All of them; false: they are more than can be passed. */
static bool collect(struct sockets *sockets, mts_server *server, int door)
{
	int fd;
	sockets->fds[0] = door;
	sockets->count = 1;
	while ((fd = mts_server_listener_fd(server, sockets->count - 1)) >= 0) {
		if (sockets->count == MOST) {
			return false;
		}
		sockets->fds[sockets->count++] = fd;
	}
	return true;
}

/* What the two processes say to each other, a byte each: first the new one, then the old one. */
enum { READY = 'r', GO_ON = 'g', GO_AWAY = 'a' };

static bool say(int channel, char word)
{
	return send(channel, &word, 1, MSG_NOSIGNAL) == 1;
}

/* What is said; 0: the other process has ended instead; -1: nothing in that time. */
static int hear(int channel, int milliseconds)
{
	char word;
	struct pollfd wait = {.fd = channel, .events = POLLIN};
	if (poll(&wait, 1, milliseconds) != 1) {
		return -1;
	}
	return read(channel, &word, 1) == 1 ? word : 0;
}

/* The old process: whether the new one is ready in time, and goes on. */
static bool give_way(int channel)
{
	const bool ready = hear(channel, PATIENCE) == READY;
	return say(channel, ready ? GO_ON : GO_AWAY) && ready;
}

/*
 * The new process: whether it may go on. It waits for as long as the old one takes to decide, since after
 * some time of its own it could not know whether that has just told it to. If that one has ended without a
 * word, who waits in the queue has nobody else.
 */
static bool take_over(int channel)
{
	(void)say(channel, READY);
	return hear(channel, -1) != GO_AWAY;
}

/* The message that carries sockets: one byte, and they beside it. */
union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(MOST * sizeof(int))];
};

static bool send_sockets(int channel, const struct sockets *sockets)
{
	const size_t size = sockets->count * sizeof(int);
	union control control = {.bytes = {0}};
	struct iovec byte = {.iov_base = &(char){0}, .iov_len = 1};
	struct msghdr message = {.msg_iov = &byte, .msg_iovlen = 1};
	message.msg_control = &control;
	message.msg_controllen = (socklen_t)CMSG_SPACE(size);
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = (socklen_t)CMSG_LEN(size);
	memcpy(CMSG_DATA(&control.header), sockets->fds, size);
	return sendmsg(channel, &message, MSG_NOSIGNAL) == 1;
}

static bool receive_sockets(int channel, struct sockets *sockets)
{
	union control control;
	struct iovec byte = {.iov_base = &(char){0}, .iov_len = 1};
	struct msghdr message = {.msg_iov = &byte, .msg_iovlen = 1};
	message.msg_control = &control;
	message.msg_controllen = sizeof(control);
	if (recvmsg(channel, &message, MSG_CMSG_CLOEXEC) != 1
		|| (message.msg_flags & MSG_CTRUNC) != 0) { /* some are missing */
		return false;
	}
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	if (header == NULL || header->cmsg_type != SCM_RIGHTS) {
		return false;
	}
	sockets->count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(sockets->fds, CMSG_DATA(header), sockets->count * sizeof(int));
	return true;
}

/* Somebody asks at the door: whether that one takes over. */
static bool hand_over(mts_server *server, int door)
{
	struct sockets sockets;
	const int channel = accept4(door, NULL, NULL, SOCK_CLOEXEC);
	if (channel < 0) {
		return false;
	}
	const bool replaced = collect(&sockets, server, door) && send_sockets(channel, &sockets)
		&& give_way(channel);
	(void)close(channel);
	return replaced;
}

/*
 * Starts the program with these as its descriptors from FIRST on, and what it is told about them. Only
 * the new process knows its number, which has to be in LISTEN_PID: so a shell becomes the program.
 */
static pid_t spawn(const struct sockets *sockets, char **program)
{
	static char shell[] = "sh";
	static char option[] = "-c";
	static char command[] = "LISTEN_PID=$$; export LISTEN_PID; exec \"$0\" \"$@\"";
	char *arguments[] = {
		shell, option, command, program[2], program[0], program[1], program[2], NULL};
	char count[16];
	char names[MOST * sizeof("serve:")] = "";
	int copies[MOST];
	pid_t child = -1;
	posix_spawn_file_actions_t actions;
	if (posix_spawn_file_actions_init(&actions) != 0) {
		return -1;
	}
	for (size_t i = 0; i < sockets->count; i++) {
		/* A copy far up first, so that no number is taken from under another one. */
		copies[i] = fcntl(sockets->fds[i], F_DUPFD_CLOEXEC, FIRST + MOST);
		(void)posix_spawn_file_actions_adddup2(&actions, copies[i], FIRST + (int)i);
		(void)strcat(names, i == 0 ? door_and_name : i + 1 < sockets->count ? "serve:" : "ready");
	}
	(void)snprintf(count, sizeof(count), "%zu", sockets->count);
	(void)setenv("LISTEN_FDS", count, 1);
	(void)setenv("LISTEN_FDNAMES", names, 1);
	if (posix_spawn(&child, "/bin/sh", &actions, NULL, arguments, environ) != 0) {
		child = -1;
	}
	for (size_t i = 0; i < sockets->count; i++) {
		(void)close(copies[i]);
	}
	(void)posix_spawn_file_actions_destroy(&actions);
	return child;
}

/* Starts a new process: whether it takes over. The last of its descriptors is the one to say so on. */
static bool start_successor(mts_server *server, int door, char **program)
{
	struct sockets sockets;
	int channel[2];
	if (!collect(&sockets, server, door) || sockets.count == MOST
		|| socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) != 0) {
		return false;
	}
	sockets.fds[sockets.count++] = channel[1];
	const pid_t child = spawn(&sockets, program);
	(void)close(channel[1]);
	const bool replaced = child > 0 && give_way(channel[0]);
	(void)close(channel[0]);
	if (child > 0 && !replaced) {
		(void)kill(child, SIGKILL); /* it has accepted nobody */
		(void)waitpid(child, NULL, 0);
	}
	return replaced;
}

/* Whether a process has passed sockets to this one: then the last one, to say on that it serves; or -1. */
static int inherited(void)
{
	const char *process = getenv("LISTEN_PID");
	const char *count = getenv("LISTEN_FDS");
	const char *names = getenv("LISTEN_FDNAMES");
	if (process == NULL || count == NULL || names == NULL || atoi(process) != (int)getpid()
		|| strncmp(names, door_and_name, strlen(door_and_name)) != 0) {
		return -1;
	}
	for (int fd = FIRST; fd < FIRST + atoi(count); fd++) {
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	}
	return FIRST + atoi(count) - 1;
}

static int door_socket(const char *path, int flags, struct sockaddr_un *name)
{
	memset(name, 0, sizeof(*name));
	name->sun_family = AF_UNIX;
	(void)snprintf(name->sun_path, sizeof(name->sun_path), "%s", path);
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
}

/* Asks an old process at its door for its sockets: the connection to that; -1: nobody is there. */
static int ask_at(const char *path, struct sockets *sockets)
{
	struct sockaddr_un name;
	const int channel = door_socket(path, 0, &name);
	if (connect(channel, (const struct sockaddr *)&name, sizeof(name)) == 0
		&& receive_sockets(channel, sockets)) {
		return channel;
	}
	(void)close(channel);
	return -1;
}

/*
 * A door of one's own. What is left of another one's, at which nobody is, is removed. Nobody waits in
 * accept at it: for a moment two processes may have it.
 */
static int open_door(const char *path)
{
	struct sockaddr_un name;
	struct stat status;
	const int door = door_socket(path, SOCK_NONBLOCK, &name);
	const mode_t before = umask(077);
	if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode)) {
		(void)unlink(path);
	}
	const int result = bind(door, (const struct sockaddr *)&name, sizeof(name));
	(void)umask(before);
	if (result != 0 || listen(door, 1) != 0) {
		perror(path);
		(void)close(door);
		return -1;
	}
	return door;
}

/*
 * Listens, on what an old process has or on sockets of its own: the door, or -1 when that has failed.
 * `*channel`: where the old one waits for word; -1: there is none.
 */
static int begin(mts_server *server, char **program, int *channel)
{
	struct sockets sockets = {.count = 0};
	int result = 0;
	int door = FIRST;
	*channel = inherited();
	if (*channel >= 0) {
		result = mts_server_listen(server, "systemd:serve");
	} else if ((*channel = ask_at(program[1], &sockets)) >= 0) {
		door = sockets.fds[0];
		for (size_t i = 1; i < sockets.count && result == 0; i++) {
			result = mts_server_listen_fd(server, sockets.fds[i]);
		}
	} else {
		result = mts_server_listen(server, program[0]);
		door = result == 0 ? open_door(program[1]) : -1;
	}
	return result == 0 ? door : -1;
}

/* Waits for a signal that ends it: false; or for a new process that serves: true. */
static bool wait_for_the_end(mts_server *server, int door, int signals, char **program)
{
	struct pollfd wait[2] = {{.fd = signals, .events = POLLIN}, {.fd = door, .events = POLLIN}};
	for (;;) {
		struct signalfd_siginfo signal = {.ssi_signo = 0};
		bool replaced = false;
		(void)poll(wait, 2, -1);
		if (wait[1].revents != 0) {
			replaced = hand_over(server, door);
		} else if (wait[0].revents == 0 || read(signals, &signal, sizeof(signal)) <= 0) {
			continue;
		} else if (signal.ssi_signo != SIGHUP) {
			return false;
		} else {
			replaced = start_successor(server, door, program);
		}
		if (replaced) {
			return true;
		}
		(void)printf("%d goes on, no other process has taken over\n", (int)getpid());
		(void)fflush(stdout);
	}
}

static int serve(mts_server *server, int signals, char **program)
{
	int channel;
	const int door = begin(server, program, &channel);
	if (channel >= 0) {
		(void)mts_server_suspend(server);
	}
	if (door < 0 || mts_server_start(server) != 0) {
		(void)fprintf(stderr, "%s\n", mts_server_error(server));
		return EXIT_FAILURE;
	}
	if (channel >= 0 && !take_over(channel)) {
		return EXIT_FAILURE; /* that took too long: the old process goes on */
	}
	if (channel >= 0) {
		(void)close(channel);
		(void)mts_server_resume(server);
	}
	const char *address;
	for (size_t i = 0; (address = mts_server_address(server, i)) != NULL; i++) {
		(void)printf("Listening on %s\n", address);
	}
	(void)printf("%d serves\n", (int)getpid());
	(void)fflush(stdout);

	if (wait_for_the_end(server, door, signals, program)) {
		(void)mts_server_suspend(server); /* what comes from now on is for the other process */
		(void)mts_server_keep_paths(server, 1);
	} else {
		(void)unlink(program[1]);
	}
	mts_server_stop(server);
	return mts_server_join(server) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	static char address[] = "localhost:5000";
	static char door[] = "upgrade.door";
	char *program[] = {
		argc > 1 ? argv[1] : address, argc > 2 ? argv[2] : door, argc > 3 ? argv[3] : argv[0]};
	sigset_t wanted;
	(void)sigemptyset(&wanted);
	(void)sigaddset(&wanted, SIGHUP);
	(void)sigaddset(&wanted, SIGINT);
	(void)sigaddset(&wanted, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &wanted, NULL); /* they come by a descriptor instead */
	const int signals = signalfd(-1, &wanted, SFD_CLOEXEC);
	mts_server *server = mts_server_create(answer, NULL);
	if (server == NULL || signals < 0) {
		(void)fprintf(stderr, "out of memory or descriptors\n");
		return EXIT_FAILURE;
	}
	(void)mts_server_frame_lines(server);
	(void)mts_server_set_drain(server, GRACE);
	(void)mts_server_on_log(server, mts_log_stderr, MTS_LOG_NOTICE, NULL);
	const int status = serve(server, signals, program);
	(void)mts_server_destroy(server);
	return status;
}
