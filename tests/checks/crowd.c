/*
 * Many clients of examples/poll.c at once.
 *
 *   crowd PORT COUNT
 *
 * COUNT clients on 127.0.0.1 wait; once the server says that all of them do, one more tells them the news,
 * and each gets it. Prints what that one was told. The whole takes two minutes at most.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void die(const char *what, const char *why)
{
	fprintf(stderr, "crowd: %s: %s\n", what, why);
	exit(EXIT_FAILURE);
}

static int join(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		die("connecting", strerror(errno));
	return fd;
}

static void say(int fd, const char *line)
{
	size_t size = strlen(line);
	if (send(fd, line, size, MSG_NOSIGNAL) != (ssize_t)size)
		die("sending", strerror(errno));
}

static void hear(int fd, char *line, size_t room)
{
	size_t size = 0;
	do {
		ssize_t got = recv(fd, line + size, 1, 0);
		if (got <= 0)
			die("receiving", got < 0 ? strerror(errno) : "the end of the stream");
	} while (line[size++] != '\n' && size < room - 1);
	line[size] = '\0';
}

int main(int argc, char **argv)
{
	if (argc != 3)
		die("usage", "crowd PORT COUNT");
	alarm(120);
	int port = atoi(argv[1]);
	int count = atoi(argv[2]);
	int *fds = calloc((size_t)count, sizeof(*fds));
	char line[64];
	char all[64];
	if (fds == NULL)
		die("beginning", "out of memory");
	for (int i = 0; i < count; i++) {
		fds[i] = join(port);
		say(fds[i], "wait\n");
	}
	int teller = join(port);
	snprintf(all, sizeof(all), "%d waiting\n", count);
	do {
		say(teller, "count\n");
		hear(teller, line, sizeof(line));
	} while (strcmp(line, all) != 0);
	say(teller, "tell the news\n");
	hear(teller, all, sizeof(all));
	for (int i = 0; i < count; i++) {
		hear(fds[i], line, sizeof(line));
		if (strcmp(line, "the news\n") != 0)
			die("the news", line);
		close(fds[i]);
	}
	close(teller);
	free(fds);
	printf("%s", all);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
