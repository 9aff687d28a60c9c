/*
 * A program that serves one client and ends. It has pointers to recv and others: where a program is not
 * position-independent, the addresses of these functions are those of stubs in the program, for all.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mtserver.h>

typedef ssize_t receiver(int fd, void *buffer, size_t size, int flags);
typedef ssize_t sender(int fd, const void *data, size_t size, int flags);

/* By code, not by data, since that needs no stubs. */
static void point_at_them(void)
{
	receiver *volatile receives = recv;
	sender *volatile sends = send;
	pid_t (*volatile asks)(void) = getppid;
	(void)receives;
	(void)sends;
	(void)asks;
}

static int answer(mts_client *client, const void *request, size_t size, void *user)
{
	(void)user;
	return mts_client_write(client, request, size);
}

int main(void)
{
	int ends[2];
	char got[5];
	point_at_them();
	mts_server *server = mts_server_create(answer, NULL);
	bool good = mts_server_listen(server, "127.0.0.1:0") == 0 && mts_server_start(server) == 0
		&& socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0
		&& mts_server_adopt(server, ends[0], NULL) == 0;
	for (int i = 0; i < 3 && good; i++) {
		good = write(ends[1], "hello", sizeof(got)) == sizeof(got)
			&& read(ends[1], got, sizeof(got)) == sizeof(got);
	}
	return mts_server_destroy(server) == 0 && good ? EXIT_SUCCESS : EXIT_FAILURE;
}
