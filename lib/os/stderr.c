/* SPDX-License-Identifier: MIT
 *
 * Standard error, for log lines. It may be anything: a terminal, a file, a pipe, the journal's
 * socket, or closed.
 *
 * The descriptor is written to, not the stream stderr: a stream has a lock that a thread of the
 * program may hold, and writes piece by piece. A pipe takes a line of up to PIPE_BUF bytes whole or
 * not at all (pipe(7)). If somebody has made the descriptor non-blocking, and it is full, its room
 * is waited for, as a blocking one does. What has taken a part of a line, such as a socket, gets the
 * rest of it. So a line ends early only where writing fails for good: the reader has gone, the disk
 * is full.
 *
 * The journal says in the environment which stream it reads, since standard error may have been
 * sent elsewhere after that. Both are asked each time, since both can change.
 */
#include "os/stderr.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/pause.h"
#include "os/sigpipe.h"
#include "os/thread.h"

bool mtsi_stderr_is_journal(void)
{
	char here[64];
	struct stat file;
	const char *journal = getenv("JOURNAL_STREAM");
	if (journal == NULL || fstat(STDERR_FILENO, &file) != 0) {
		return false;
	}
	(void)snprintf(here, sizeof(here), "%ju:%ju", (uintmax_t)file.st_dev, (uintmax_t)file.st_ino);
	return strcmp(journal, here) == 0;
}

static void wait_for_room(void)
{
	struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
	const int count = poll(&room, 1, -1);
	/* An error that is not the stream's end, as in a socket's error queue, is said at once for ever. */
	if ((count < 0 && errno != EINTR) || (count > 0 && (room.revents & POLLOUT) == 0)) {
		mtsi_pause_instead();
	}
}

static void write_all(const char *line, size_t size)
{
	while (size > 0) {
		const ssize_t count = write(STDERR_FILENO, line, size);
		if (count > 0) {
			line += count;
			size -= (size_t)count;
		} else if (count < 0 && errno == EAGAIN) {
			wait_for_room();
		} else if (count == 0 || errno != EINTR) {
			return;
		}
	}
}

/* Where a sandbox denies to hold off SIGPIPE the line is written all the same. */
void mtsi_stderr_write(const char *line, size_t size)
{
	struct mtsi_sigpipe before;
	const int state = mtsi_thread_shield();
	const bool held = mtsi_sigpipe_hold(&before);
	write_all(line, size);
	if (held) {
		mtsi_sigpipe_release(&before);
	}
	mtsi_thread_unshield(state);
}
