/* SPDX-License-Identifier: MIT
 *
 * Files on their way to a client: the kernel moves them into the socket by itself, or, where it
 * declines, they are read into the worker's buffer and pushed.
 *
 * The kernel may have to wait for the disk, so files are sent without the client's lock. Meanwhile
 * the way out is seized (output.h): what was written before is sent, the queue is empty and stays
 * so, and nobody else sends. The descriptor stays open, since only the owner closes it, and the
 * owner is the thread that does this. Whoever cuts the client off meanwhile shuts the socket down,
 * which ends the present call or wait for room, and any that would follow.
 *
 * Both the file and the socket can fail, and the kernel does not say which one did. While the
 * connection is dead, any error is taken to be the client's. While it is alive, an error that a
 * socket can also have is found out about by reading the file and pushing the bytes, since each of
 * these concerns only one of the two. All other errors are the file's: then the stream is intact,
 * and the client lives on. If the file's error is a number by which the library says that a client
 * is lost or late, -EIO is returned instead.
 */
#include "engine/serve/file.h"

#include <errno.h>
#include <stdbool.h>

#include "engine/base/counters.h"
#include "engine/client/client.h"
#include "engine/client/conn.h"
#include "engine/serve/fault.h"
#include "engine/serve/output.h"
#include "engine/serve/worker.h"
#include "os/sendfile.h"

/* A part of a file that is being sent. */
struct part {
	int fd;
	int64_t offset; /* the next byte */
	size_t left; /* how many are still to be sent */
	bool copies; /* the kernel declines to do it alone */
	bool progress; /* something was sent since the last wait */
	bool lost; /* the client is lost */
};

/* An error of the file, as a number that nobody takes for an error of the client. */
static ssize_t of_the_file(ssize_t error)
{
	const bool mistakable = error == -EPIPE || error == -ETIMEDOUT || error == -ECANCELED;
	return mistakable ? -EIO : error;
}

static bool a_socket_says_that(ssize_t error)
{
	return error == -EPIPE || error == -ECONNRESET;
}

/*
 * Has the kernel send: how many bytes, 0 at the end of the file, or an error. -EAGAIN: call again.
 */
static ssize_t send_some(struct mtsi_worker *worker, struct part *part)
{
	if (atomic_load(&worker->member.client->lost)) {
		/* If it could not be reset, the socket may still take something. */
		part->lost = true;
		return mtsi_output_lost(worker);
	}
	const ssize_t sent = mtsi_conn_sendfile_now(
		worker->member.client, part->fd, part->offset, part->left);
	if (sent == -EAGAIN && !part->progress) {
		/* There was room, so the file is what is not ready. Reading it will tell. */
		part->copies = true;
		return -EAGAIN;
	}
	if (sent == -EAGAIN) {
		const int result = mtsi_output_wait(worker, part->progress);
		part->progress = false;
		part->lost = result != 0;
		return result != 0 ? result : -EAGAIN;
	}
	if (sent == -ENOSYS) {
		part->copies = true;
		return -EAGAIN;
	}
	if (sent < 0 && mtsi_conn_state(worker->member.client) == MTSI_SOCKET_DEAD) {
		part->lost = true;
		return mtsi_output_lost(worker);
	}
	if (a_socket_says_that(sent)) {
		part->copies = true;
		return -EAGAIN;
	}
	if (sent < 0) {
		return of_the_file(sent);
	}
	if (sent > 0) {
		part->progress = true;
		mtsi_count(&worker->member.counters, MTS_STAT_BYTES_OUT, (uint64_t)sent);
	}
	return sent;
}

/* Reads a piece, and pushes it: how many bytes, 0 at the end of the file, or an error. */
static ssize_t copy_piece(struct mtsi_worker *worker, struct part *part)
{
	size_t room = part->left;
	char *space = mtsi_output_space(worker, &room);
	const ssize_t count = mtsi_read_at(part->fd, part->offset, space, room);
	if (count <= 0) {
		return of_the_file(count);
	}
	const int result = mtsi_output_push(worker, space, (size_t)count);
	part->lost = result != 0;
	return result != 0 ? result : count;
}

/* Sends all of it; returns what mtsi_file_send() does. */
static ssize_t send_part(struct mtsi_worker *worker, struct part *part)
{
	const size_t all = part->left;
	while (part->left > 0) {
		const bool copies = part->copies;
		const ssize_t count = copies ? copy_piece(worker, part) : send_some(worker, part);
		if (part->lost) {
			return count;
		}
		if (count == -EAGAIN && !copies) {
			continue;
		}
		if (count <= 0) {
			return part->left < all ? (ssize_t)(all - part->left) : count;
		}
		part->offset += count;
		part->left -= (size_t)count;
	}
	return (ssize_t)all;
}

ssize_t mtsi_file_send(struct mtsi_worker *worker, int fd, int64_t offset, size_t count)
{
	struct part part = {.fd = fd, .offset = offset, .left = count, .progress = true};
	struct mtsi_sigpipe before;
	const bool silent = mtsi_fault_is_silent(worker);
	if (mtsi_client_is_shut(worker->member.client)) {
		return -EPIPE;
	}
	if (count == 0) {
		return atomic_load(&worker->member.client->lost) ? -EPIPE : 0;
	}
	ssize_t result = mtsi_output_seize(worker);
	if (result == 0) {
		part.copies = !mtsi_conn_sendfile_begin(worker->member.client, &before);
		const bool begun = !part.copies;
		result = send_part(worker, &part);
		if (begun) {
			mtsi_conn_sendfile_end(worker->member.client, &before);
		}
	}
	mtsi_output_yield(worker);
	if (result <= 0 && silent) {
		mtsi_fault_stays_silent(worker);
	}
	return result;
}
