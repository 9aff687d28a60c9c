/*
 * Is it an HTTP server, and does it answer what all of them have to?
 *
 * wrk counts a response as good by its status alone, whatever the body.  So each server is asked
 * once before: the status is 200, the body is the one of the contract to the byte, and its size is
 * told by Content-Length, which is less work than chunks and the same for all.
 */
#include "http.h"

#include "dial.h"
#include "servers/contract.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
#define STATUS "HTTP/1.1 200 "
#define LENGTH "\r\nContent-Length:"
#define REPLY_MS 5000

/* Where the body begins; NULL as long as the head is not whole. */
static const char *body_of(const char *response)
{
	const char *end = strstr(response, "\r\n\r\n");

	return end ? end + 4 : NULL;
}

static int is_right(const char *response)
{
	const char *body = body_of(response);
	const char *length = strcasestr(response, LENGTH);

	return body && strncmp(response, STATUS, strlen(STATUS)) == 0 && length && length < body
		&& strtoul(length + strlen(LENGTH), NULL, 10) == strlen(CONTRACT_HELLO)
		&& strcmp(body, CONTRACT_HELLO) == 0;
}

/* Until there is as much of a body as there should be, or no more comes. */
static void receive(int fd, char *response, size_t size)
{
	struct pollfd readable = {.fd = fd, .events = POLLIN};
	size_t used = 0;

	response[0] = '\0';
	while (used + 1 < size && poll(&readable, 1, REPLY_MS) == 1) {
		ssize_t got = recv(fd, response + used, size - 1 - used, 0);
		const char *body;

		if (got <= 0) {
			break;
		}
		used += (size_t)got;
		response[used] = '\0';
		body = body_of(response);
		if (body && strlen(body) >= strlen(CONTRACT_HELLO)) {
			break;
		}
	}
}

enum client_error http_check(unsigned port)
{
	char response[4096] = "";
	int fd = dial_start(port, 0, 0);

	if (fd < 0 || dial_wait(fd) != 0) {
		fprintf(stderr, "cannot connect: %s\n", strerror(errno));
		if (fd >= 0) {
			close(fd);
		}
		return CLIENT_REFUSED;
	}
	if (contract_send_all(fd, REQUEST, strlen(REQUEST)) == 0) {
		receive(fd, response, sizeof(response));
	}
	close(fd);
	if (!is_right(response)) {
		fprintf(stderr, "the first response is wrong:\n%s\n", response);
		return CLIENT_WRONG;
	}
	return CLIENT_ERROR_KINDS;
}
