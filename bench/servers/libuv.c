/*
 * The peer libuv: one loop in one thread, as its guide teaches, and its pool for work that blocks.
 *
 * A reply is tried at once with uv_try_write, and only what the socket does not take goes to a
 * uv_write, whose request and copy of the data are freed in its callback.  That is how Node.js, for
 * which libuv was made, writes, and it spares small replies an allocation and a callback in the
 * next round of the loop.  Likewise all clients are received into one buffer of the loop's: libuv
 * asks for it right before it reads, and the callback is done with it when it returns.  What is
 * not done by then (an incomplete line, say) is kept in a buffer of the client's own.
 *
 * A marked request goes to uv_queue_work, copied.  The pool has the four threads that it has by
 * default (UV_THREADPOOL_SIZE), so four such requests are in work at a time and the rest queue up.
 * While anything of a client is outstanding, work or a write, nothing more is read from it, which
 * keeps its replies in order and the memory bounded.
 */
#include "contract.h"

#include <uv.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_SIZE (16 * 1024)

struct client {
	uv_tcp_t tcp; /* first, so that the handle is the client */
	unsigned pending; /* writes and works that are not done */
	int over; /* to be closed as soon as nothing is pending */
	char *kept; /* BUFFER_SIZE, when anything has ever been kept */
	size_t kept_size;
};

struct reply {
	uv_write_t write;
	char data[];
};

struct job {
	uv_work_t work;
	struct client *client;
	size_t size;
	char request[];
};

static struct contract contract;
static char shared[BUFFER_SIZE];

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer);
static void serve(struct client *client, char *data, size_t size);

static void on_close(uv_handle_t *handle)
{
	struct client *client = (struct client *)handle;

	free(client->kept);
	free(client);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	struct client *client = (struct client *)handle;

	(void)suggested;
	if (client->kept_size > 0) {
		/* When that is full libuv reports UV_ENOBUFS: a line too long. */
		*buffer = uv_buf_init(
			client->kept + client->kept_size, (unsigned)(BUFFER_SIZE - client->kept_size));
	} else {
		*buffer = uv_buf_init(shared, sizeof(shared));
	}
}

/* Something of the client's is done: goes on with it when it was the last. */
static void settle(struct client *client)
{
	if (--client->pending > 0) {
		return;
	}
	if (!client->over && client->kept_size > 0) {
		serve(client, client->kept, client->kept_size);
	}
	if (client->pending > 0) {
		return;
	}
	if (client->over || uv_read_start((uv_stream_t *)&client->tcp, on_alloc, on_read) != 0) {
		uv_close((uv_handle_t *)&client->tcp, on_close);
	}
}

static void on_written(uv_write_t *write, int status)
{
	struct client *client = (struct client *)write->handle;

	free(write->data);
	if (status != 0) {
		client->over = 1;
	}
	settle(client);
}

static void send_later(struct client *client, const char *data, size_t size)
{
	struct reply *reply = malloc(sizeof(*reply) + size);
	uv_buf_t buffer;

	if (!reply) {
		client->over = 1;
		return;
	}
	memcpy(reply->data, data, size);
	reply->write.data = reply;
	buffer = uv_buf_init(reply->data, (unsigned)size);
	if (uv_write(&reply->write, (uv_stream_t *)&client->tcp, &buffer, 1, on_written) != 0) {
		client->over = 1;
		free(reply);
		return;
	}
	client->pending++;
}

static void send_now(struct client *client, char *data, size_t size)
{
	uv_buf_t buffer = uv_buf_init(data, (unsigned)size);
	int sent = uv_try_write((uv_stream_t *)&client->tcp, &buffer, 1);

	if (sent == UV_EAGAIN) {
		sent = 0;
	}
	if (sent < 0) {
		client->over = 1;
	} else if ((size_t)sent < size) {
		send_later(client, data + sent, size - (size_t)sent);
	}
}

static void answer(struct client *client, char *request, size_t size)
{
	static char hello[] = CONTRACT_HELLO;

	if (!contract.hello) {
		send_now(client, request, size);
		return;
	}
	send_now(client, hello, sizeof(hello) - 1);
	client->over = 1;
}

/* In one of the pool's threads. */
static void do_work(uv_work_t *work)
{
	struct job *job = work->data;

	contract_work(&contract, job->request, job->size);
}

static void after_work(uv_work_t *work, int status)
{
	struct job *job = work->data;
	struct client *client = job->client;

	(void)status;
	answer(client, job->request, job->size);
	free(job);
	settle(client);
}

static void hand_over(struct client *client, const char *request, size_t size)
{
	struct job *job = malloc(sizeof(*job) + size);

	if (!job) {
		client->over = 1;
		return;
	}
	job->work.data = job;
	job->client = client;
	job->size = size;
	memcpy(job->request, request, size);
	if (uv_queue_work(client->tcp.loop, &job->work, do_work, after_work) != 0) {
		client->over = 1;
		free(job);
		return;
	}
	client->pending++;
}

static void keep(struct client *client, const char *data, size_t size)
{
	client->kept_size = size;
	if (size == 0) {
		return;
	}
	if (!client->kept) {
		client->kept = malloc(BUFFER_SIZE);
	}
	if (!client->kept) {
		client->over = 1;
		return;
	}
	memmove(client->kept, data, size);
}

/* The size of the first request in there, 0 when it is not complete. */
static size_t first_request(const char *data, size_t size)
{
	const char *end;

	if (!contract.lines || size == 0) {
		return size;
	}
	end = memchr(data, '\n', size);
	return end ? (size_t)(end - data) + 1 : 0;
}

/* All requests up to the first that has to go to the pool, or is incomplete: their replies gather. */
static void serve(struct client *client, char *data, size_t size)
{
	static char replies[BUFFER_SIZE];
	size_t done = 0;
	size_t next;

	while ((next = first_request(data + done, size - done)) > 0
		&& !contract_marked(&contract, data + done, next)) {
		if (contract.lines) {
			memcpy(replies + done, data + done, next);
		}
		done += next;
	}
	if (done > 0) {
		answer(client, contract.lines ? replies : data, done);
	}
	if (next > 0) {
		hand_over(client, data + done, next);
	}
	keep(client, data + done + next, size - done - next);
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
	struct client *client = (struct client *)stream;
	size_t kept = client->kept_size;

	if (got == 0) { /* nothing there after all */
		return;
	}
	if (got < 0) { /* UV_EOF, or an error */
		client->over = 1;
	} else {
		serve(client, buffer->base - kept, kept + (size_t)got);
	}
	if (client->pending > 0) {
		uv_read_stop(stream);
	} else if (client->over) {
		uv_close((uv_handle_t *)stream, on_close);
	}
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct client *client;

	if (status != 0) {
		fprintf(stderr, "libuv: cannot accept: %s\n", uv_strerror(status));
		return;
	}
	client = calloc(1, sizeof(*client));
	if (!client) {
		return;
	}
	uv_tcp_init(listener->loop, &client->tcp);
	if (uv_accept(listener, (uv_stream_t *)&client->tcp) != 0
		|| uv_read_start((uv_stream_t *)&client->tcp, on_alloc, on_read) != 0) {
		uv_close((uv_handle_t *)&client->tcp, on_close);
	}
}

int main(int argc, char **argv)
{
	uv_loop_t *loop = uv_default_loop();
	uv_tcp_t listener;
	int error;
	int fd;
	int i;

	for (i = 1; i < argc; i++) {
		if (!contract_option(&contract, argc, argv, &i)) {
			contract_usage(argv[0], argv[i]);
		}
	}
	signal(SIGPIPE, SIG_IGN);
	fd = contract_listen(&contract, SOCK_NONBLOCK);
	error = uv_tcp_init(loop, &listener);
	if (error == 0) {
		error = uv_tcp_open(&listener, fd);
	}
	if (error == 0) {
		error = uv_listen((uv_stream_t *)&listener, SOMAXCONN, on_connection);
	}
	if (error != 0) {
		fprintf(stderr, "libuv: %s\n", uv_strerror(error));
		return 1;
	}
	contract_announce(contract_port(fd));
	uv_run(loop, UV_RUN_DEFAULT);
	return 1;
}
