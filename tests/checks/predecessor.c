/*
 * For the example upgrade: an old process that hands its sockets over, and then lets the new one go on, or
 * not. It has no time of its own in which it would do that; so what is tried here does not depend on time.
 *
 *   predecessor go|ends|no|late DOOR COMMAND...
 *
 * Starts the command, which asks at DOOR. A client connects as soon as the new process has said that it is
 * ready; before that with "late", where nobody waits for that word. With "go" the new one has to answer that
 * client, and with "ends" too, where the old one ends instead. Otherwise it is told to go away, and has to end, and must not have accepted it: it is still in the queue.
 */
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE = 60, SOCKETS = 2 };

static void must(bool holds, const char *what)
{
	if (!holds) {
		(void)fprintf(stderr, "predecessor: not so: %s\n", what);
		exit(EXIT_FAILURE);
	}
}

static int listen_inet(struct sockaddr_in *address)
{
	socklen_t size = sizeof(*address);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	*address = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	must(bind(fd, (struct sockaddr *)address, size) == 0 && listen(fd, 5) == 0, "it listens");
	must(getsockname(fd, (struct sockaddr *)address, &size) == 0, "it has an address");
	return fd;
}

static int listen_unix(const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(strlen(path) < sizeof(name.sun_path), "the path of the door is short");
	memcpy(name.sun_path, path, strlen(path));
	must(bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0 && listen(fd, 1) == 0,
		"there is a door");
	return fd;
}

/* The door first, then the listener. */
static void send_sockets(int channel, int door, int listener)
{
	const int fds[SOCKETS] = {door, listener};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(fds))];
	} control = {.bytes = {0}};
	struct iovec byte = {.iov_base = &(char){0}, .iov_len = 1};
	struct msghdr message = {.msg_iov = &byte, .msg_iovlen = 1};
	message.msg_control = &control;
	message.msg_controllen = sizeof(control);
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(&control.header), fds, sizeof(fds));
	must(sendmsg(channel, &message, MSG_NOSIGNAL) == 1, "the sockets are sent");
}

static int connect_and_ask(const struct sockaddr_in *address)
{
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0, "a client connects");
	must(send(fd, "hello\n", 6, MSG_NOSIGNAL) == 6, "it asks");
	return fd;
}

/* The new process has taken over. */
static void expect_an_answer(int client, pid_t successor)
{
	char wanted[32];
	char got[32] = "";
	const size_t size = (size_t)snprintf(wanted, sizeof(wanted), "%d more\n", (int)successor);
	must(recv(client, got, size, MSG_WAITALL) == (ssize_t)size && strcmp(got, wanted) == 0,
		"the new process answers");
}

/* It has ended, and the client is where it was. */
static void expect_nobody_accepted(int listener, pid_t successor)
{
	char got[6];
	int status;
	must(waitpid(successor, &status, 0) == successor && WIFEXITED(status)
			&& WEXITSTATUS(status) == EXIT_FAILURE,
		"the new process ends, and has failed");
	const int accepted = accept(listener, NULL, NULL);
	must(accepted >= 0, "the client is still in the queue");
	must(recv(accepted, got, sizeof(got), MSG_WAITALL) == sizeof(got), "with what it has sent");
}

int main(int argc, char **argv)
{
	struct sockaddr_in address;
	pid_t successor;
	char byte;
	must(argc > 3, "predecessor go|ends|no|late DOOR COMMAND...");
	const bool late = strcmp(argv[1], "late") == 0;
	const bool ends = strcmp(argv[1], "ends") == 0;
	const bool goes = strcmp(argv[1], "go") == 0;
	(void)alarm(PATIENCE);
	const int listener = listen_inet(&address);
	const int door = listen_unix(argv[2]);
	must(posix_spawnp(&successor, argv[3], NULL, NULL, argv + 3, environ) == 0, "it is started");
	const int channel = accept(door, NULL, NULL);
	must(channel >= 0, "it comes to the door");
	const int early = late ? connect_and_ask(&address) : -1;
	send_sockets(channel, door, listener);
	if (!late) {
		must(recv(channel, &byte, 1, 0) == 1, "it says that it is ready");
	}
	const int client = late ? early : connect_and_ask(&address);
	if (!ends) {
		must(send(channel, goes ? "g" : "a", 1, MSG_NOSIGNAL) == 1, "it hears what it is to do");
	}
	(void)close(channel);
	if (goes || ends) {
		expect_an_answer(client, successor);
		must(kill(successor, SIGTERM) == 0 && waitpid(successor, NULL, 0) == successor, "it ends");
	} else {
		expect_nobody_accepted(listener, successor);
	}
	return EXIT_SUCCESS;
}
