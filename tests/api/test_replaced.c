/* SPDX-License-Identifier: MIT
 *
 * A program, or a library that it preloads, has functions of its own in place of recv and send, as
 * network stacks in user space and sanitizers do: they see each receive and each send.
 */
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "callbacks.h"
#include "peer.h"
#include "support.h"

static _Atomic int received; /* calls */
static _Atomic int sent;

/* Under other names here, since headers that check sizes have recv and send as inline functions. */
#define IN_PLACE_OF(name) __asm__(name) __attribute__((visibility("default")))

ssize_t counted_recv(int fd, void *buffer, size_t size, int flags) IN_PLACE_OF("recv");
ssize_t counted_send(int fd, const void *data, size_t size, int flags) IN_PLACE_OF("send");

ssize_t counted_recv(int fd, void *buffer, size_t size, int flags)
{
	received++;
	return syscall(SYS_recvfrom, fd, buffer, size, flags, NULL, NULL);
}

ssize_t counted_send(int fd, const void *data, size_t size, int flags)
{
	sent++;
	return syscall(SYS_sendto, fd, data, size, flags, NULL, 0);
}

START_TEST(each_call_is_seen)
{
	mts_server *server = server_new(answer_echo, NULL);
	server_start(server);
	const int peer = peer_connect(server, 0);
	received = 0;
	sent = 0;
	for (int i = 0; i < 1000; i++) {
		char bytes[5];
		ck_assert_int_eq(write(peer, "hello", 5), 5);
		ck_assert_int_eq(read(peer, bytes, 5), 5);
	}
	ck_assert_int_ge(received, 999); /* a thread of its own may be in the first one before */
	ck_assert_int_ge(sent, 1000);
	close(peer);
	server_end(server);
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("replaced");
	tcase_add_test(cases, each_call_is_seen);
	return suite_run();
}
