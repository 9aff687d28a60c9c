/*
 * A client's connection to the server on the loopback.
 *
 * When each connection serves one request, the port numbers matter.  The server closes first, so
 * TIME_WAIT stays on its side, and the sources are spread over 127.0.1.1 to 127.0.1.16, the port
 * chosen at connect (IP_BIND_ADDRESS_NO_PORT), so that few need be reused within a run.
 */
#include "dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_MS 10000
#define SOURCES 16

static void choose_source(int fd, unsigned number)
{
	struct sockaddr_in source = {.sin_family = AF_INET};
	int yes = 1;

	source.sin_addr.s_addr = htonl(0x7f000101u + number % SOURCES);
	(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof(yes));
	(void)bind(fd, (struct sockaddr *)&source, sizeof(source));
}

int dial_start(unsigned port, int spread, unsigned number)
{
	struct sockaddr_in server = {.sin_family = AF_INET};
	int yes = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0) {
		return -1;
	}
	if (spread) {
		choose_source(fd, number);
	}
	server.sin_port = htons((uint16_t)port);
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	if (connect(fd, (struct sockaddr *)&server, sizeof(server)) != 0 && errno != EINPROGRESS) {
		int code = errno;

		close(fd);
		errno = code;
		return -1;
	}
	return fd;
}

int dial_result(int fd)
{
	int error = 0;
	socklen_t size = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
		error = errno;
	}
	errno = error;
	return error;
}

int dial_wait(int fd)
{
	struct pollfd writable = {.fd = fd, .events = POLLOUT};
	int done = poll(&writable, 1, CONNECT_MS);

	if (done != 1) {
		errno = ETIMEDOUT;
		return -1;
	}
	return dial_result(fd) == 0 ? 0 : -1;
}
