/*
 * The peer GLib: GThreadedSocketService, a thread for each client, in which `run` blocks.
 *
 * The main loop accepts and hands the connection to a pool of threads, here without a limit (-1),
 * since each client holds its thread until it has gone.  The handler is what GIO's documentation
 * teaches for blocking use: g_input_stream_read and g_output_stream_write_all for blocks, a
 * GDataInputStream for lines.  Their replies go through a GBufferedOutputStream, which is flushed
 * when the input holds no further complete line: one write for all that have come together.
 *
 * The sockets are non-blocking underneath: where there is nothing yet to read, GIO polls and then
 * reads once more.  The stacks have the system's default size, which GLib gives no way to change.
 */
#include "contract.h"

#include <gio/gio.h>

#include <stdlib.h>
#include <string.h>

#define BUFFER_SIZE (16 * 1024)

static struct contract contract;

static void echo_blocks(GInputStream *input, GOutputStream *output)
{
	char buffer[BUFFER_SIZE];
	gssize got;

	while ((got = g_input_stream_read(input, buffer, sizeof(buffer), NULL, NULL)) > 0) {
		contract_work(&contract, buffer, (size_t)got);
		if (!g_output_stream_write_all(output, buffer, (gsize)got, NULL, NULL, NULL)) {
			return;
		}
	}
}

static void say_hello(GInputStream *input, GOutputStream *output)
{
	char buffer[BUFFER_SIZE];
	gssize got = g_input_stream_read(input, buffer, sizeof(buffer), NULL, NULL);

	if (got > 0) {
		contract_work(&contract, buffer, (size_t)got);
		(void)g_output_stream_write_all(
			output, CONTRACT_HELLO, sizeof(CONTRACT_HELLO) - 1, NULL, NULL, NULL);
	}
}

static gboolean line_is_there(GBufferedInputStream *input)
{
	gsize size;
	const void *data = g_buffered_input_stream_peek_buffer(input, &size);

	return memchr(data, '\n', size) != NULL;
}

/* FALSE when the client has gone. */
static gboolean echo_line(GDataInputStream *input, GOutputStream *output)
{
	gsize size;
	char *line = g_data_input_stream_read_line(input, &size, NULL, NULL);
	gboolean written;

	if (!line) {
		return FALSE;
	}
	line[size++] = '\n'; /* in place of the final NUL */
	contract_work(&contract, line, size);
	written = g_output_stream_write_all(output, line, size, NULL, NULL, NULL);
	g_free(line);
	if (written && !line_is_there(G_BUFFERED_INPUT_STREAM(input))) {
		written = g_output_stream_flush(output, NULL, NULL);
	}
	return written;
}

static void echo_lines(GInputStream *input, GOutputStream *output)
{
	GDataInputStream *lines = g_data_input_stream_new(input);
	GOutputStream *replies = g_buffered_output_stream_new_sized(output, BUFFER_SIZE);

	g_buffered_input_stream_set_buffer_size(G_BUFFERED_INPUT_STREAM(lines), BUFFER_SIZE);
	while (echo_line(lines, replies)) {
		continue;
	}
	g_object_unref(replies);
	g_object_unref(lines);
}

/* The service drops the connection, which closes it, when this returns. */
static gboolean serve(
	GThreadedSocketService *service, GSocketConnection *connection, GObject *source, void *user)
{
	GInputStream *input = g_io_stream_get_input_stream(G_IO_STREAM(connection));
	GOutputStream *output = g_io_stream_get_output_stream(G_IO_STREAM(connection));

	(void)service;
	(void)source;
	(void)user;
	if (contract.lines) {
		echo_lines(input, output);
	} else if (contract.hello) {
		say_hello(input, output);
	} else {
		echo_blocks(input, output);
	}
	return TRUE;
}

static void check(GError *error)
{
	if (error) {
		g_printerr("glib: %s\n", error->message);
		exit(1);
	}
}

static void listen_on(GSocketService *service, int fd)
{
	GError *error = NULL;
	GSocket *listener = g_socket_new_from_fd(fd, &error);

	check(error);
	g_socket_listener_add_socket(G_SOCKET_LISTENER(service), listener, NULL, &error);
	check(error);
	g_object_unref(listener);
}

int main(int argc, char **argv)
{
	GSocketService *service;
	int fd;
	int i;

	for (i = 1; i < argc; i++) {
		if (!contract_option(&contract, argc, argv, &i)) {
			contract_usage(argv[0], argv[i]);
		}
	}
	fd = contract_listen(&contract, 0);
	service = g_threaded_socket_service_new(-1);
	g_signal_connect(service, "run", G_CALLBACK(serve), NULL);
	listen_on(service, fd);
	g_socket_service_start(service);
	contract_announce(contract_port(fd));
	g_main_loop_run(g_main_loop_new(NULL, FALSE));
	return 0;
}
