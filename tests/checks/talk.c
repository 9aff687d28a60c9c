/*
 * A client for sample sessions, so that the scripts need no other program for it.
 *
 *   talk [-b] [-k] [-r] [-t] HOST:PORT|[HOST]:PORT|unix:PATH|unix:@NAME [LINE]...
 *
 * Sends each LINE with a newline, then ends its sending side, and prints what comes until the peer
 * closes. -k keeps the sending side open. -t takes turns: it waits for a line of the peer's before
 * each line of its own; "..." is not sent, so that it waits for one more. -r sends what it reads from
 * the standard input, as it is, instead of lines, and -b sends that byte by byte. The whole talk has
 * half a minute, so that a script never hangs.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static struct timespec deadline;

static void die(const char *what, const char *why)
{
	fflush(stdout);
	fprintf(stderr, "talk: %s: %s\n", what, why);
	exit(EXIT_FAILURE);
}

static void wait_for(int fd, short events)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	long left = (deadline.tv_sec - now.tv_sec) * 1000;
	struct pollfd entry = {.fd = fd, .events = events};
	if (left <= 0 || poll(&entry, 1, (int)left) == 0)
		die("waiting", "the time is up");
}

static int connect_unix(const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	size_t length = strlen(path);
	if (length >= sizeof(name.sun_path))
		die(path, "too long");
	memcpy(name.sun_path, path, length);
	if (path[0] == '@')
		name.sun_path[0] = '\0';
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&name, size) != 0)
		die(path, strerror(errno));
	return fd;
}

static int connect_tcp(const char *address)
{
	char host[256];
	const char *colon = strrchr(address, ':');
	if (colon == NULL || (size_t)(colon - address) >= sizeof(host))
		die(address, "not HOST:PORT");
	const char *start = address;
	const char *end = colon;
	if (*start == '[' && end[-1] == ']') {
		start++;
		end--;
	}
	snprintf(host, sizeof(host), "%.*s", (int)(end - start), start);
	/* The library knows this name without a resolver, and so must its tests. */
	if (strcmp(host, "localhost") == 0)
		strcpy(host, "127.0.0.1");

	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *list;
	int error = getaddrinfo(host, colon + 1, &hints, &list);
	if (error != 0)
		die(address, gai_strerror(error));
	int fd = socket(list->ai_family, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, list->ai_addr, list->ai_addrlen) != 0)
		die(address, strerror(errno));
	freeaddrinfo(list);
	return fd;
}

static void send_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		wait_for(fd, POLLOUT);
		ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
		if (sent < 0)
			die("sending", strerror(errno));
		data += sent;
		size -= (size_t)sent;
	}
}

/* In one piece: a peer that answers the first it receives, and closes, has then received all. */
static void send_line(int fd, const char *text)
{
	size_t size = strlen(text) + 1;
	char *line = malloc(size);
	if (line == NULL)
		die("sending", "out of memory");
	memcpy(line, text, size - 1);
	line[size - 1] = '\n';
	send_all(fd, line, size);
	free(line);
}

/* Whatever bytes they are. */
static void send_input(int fd, bool byte_by_byte)
{
	static char input[1 << 20];
	size_t size = fread(input, 1, sizeof(input), stdin);
	if (size == sizeof(input))
		die("the standard input", "too long");
	for (size_t at = 0; byte_by_byte && at < size; at++)
		send_all(fd, input + at, 1);
	if (!byte_by_byte)
		send_all(fd, input, size);
}

/* Prints up to the next newline when a line is asked for, else up to the end of the stream. */
static void print_what_comes(int fd, bool line)
{
	char buffer[4096];
	for (;;) {
		wait_for(fd, POLLIN);
		ssize_t got = recv(fd, buffer, line ? 1 : sizeof(buffer), 0);
		if (got < 0)
			die("receiving", strerror(errno));
		fwrite(buffer, 1, (size_t)got, stdout);
		if (got == 0 || (line && buffer[0] == '\n'))
			return;
	}
}

int main(int argc, char **argv)
{
	bool byte_by_byte = false;
	bool keep_open = false;
	bool raw = false;
	bool in_turns = false;
	for (int option; (option = getopt(argc, argv, "bkrt")) != -1;) {
		byte_by_byte = byte_by_byte || option == 'b';
		raw = raw || option == 'r';
		keep_open = keep_open || option == 'k';
		in_turns = in_turns || option == 't';
	}
	if (optind >= argc)
		die("usage", "talk [-b] [-k] [-r] [-t] ADDRESS [LINE]...");
	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += 30;
	/* Who waits for this talk to come to a point sees its lines as they come. */
	setvbuf(stdout, NULL, _IOLBF, 0);

	const char *address = argv[optind++];
	bool unix_socket = strncmp(address, "unix:", 5) == 0;
	int fd = unix_socket ? connect_unix(address + 5) : connect_tcp(address);
	if (raw)
		send_input(fd, byte_by_byte);
	for (; optind < argc; optind++) {
		if (in_turns)
			print_what_comes(fd, true);
		if (!in_turns || strcmp(argv[optind], "...") != 0)
			send_line(fd, argv[optind]);
	}
	if (!keep_open && shutdown(fd, SHUT_WR) != 0)
		die("ending", strerror(errno));
	print_what_comes(fd, false);
	close(fd);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
