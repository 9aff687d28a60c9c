/* SPDX-License-Identifier: MIT
 *
 * epoll(7) and eventfd(2), behind the few calls that the engine needs.
 *
 * epoll_wait(2) counts in milliseconds: a deadline is rounded up, so that a wait never ends just
 * before it is due and then spins, and one that is far away is cut to what an int holds: the caller
 * looks at its clock again anyway. The wake descriptor is a counter that cannot block: writing to a
 * full one fails, and then it is readable already, which is all that is wanted.
 *
 * A sandbox may deny any of this. A wait that fails becomes a short pause. So does a wake-up that
 * cannot be taken, since it would end the next wait at once. So loops around them look now and
 * then.
 */
#include "os/poll.h"

#include <errno.h>
#include <limits.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/pause.h"

int mtsi_poll_open(void)
{
	const int poll = epoll_create1(EPOLL_CLOEXEC);
	return poll < 0 ? -errno : poll;
}

int mtsi_poll_add(int poll, int fd, uint32_t events, uint64_t tag)
{
	struct epoll_event event = {.events = events, .data.u64 = tag};
	return epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

int mtsi_poll_change(int poll, int fd, uint32_t events, uint64_t tag)
{
	struct epoll_event event = {.events = events, .data.u64 = tag};
	return epoll_ctl(poll, EPOLL_CTL_MOD, fd, &event) == 0 ? 0 : -errno;
}

void mtsi_poll_remove(int poll, int fd)
{
	(void)epoll_ctl(poll, EPOLL_CTL_DEL, fd, NULL);
}

static int milliseconds_until(uint64_t deadline)
{
	if (deadline == MTSI_NEVER) {
		return -1;
	}
	const uint64_t now = mtsi_clock_now();
	if (deadline <= now) {
		return 0;
	}
	const uint64_t left = (deadline - now - 1) / MTSI_MILLISECOND + 1;
	return left > INT_MAX ? INT_MAX : (int)left;
}

int mtsi_poll_wait(int poll, struct epoll_event *events, int room, uint64_t deadline)
{
	const int count = epoll_wait(poll, events, room, milliseconds_until(deadline));
	if (count < 0 && errno != EINTR) {
		const int error = errno;
		mtsi_pause_instead();
		return -error;
	}
	return count < 0 ? 0 : count;
}

int mtsi_wake_open(void)
{
	const int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return wake < 0 ? -errno : wake;
}

void mtsi_wake_up(int wake)
{
	const int before = errno;
	uint64_t one = 1;
	if (write(wake, &one, sizeof(one)) < 0) {
		if (errno != EAGAIN) { /* write(2) is denied; another call that does the same may not be */
			const struct iovec piece = {&one, sizeof(one)};
			(void)!writev(wake, &piece, 1);
		}
		errno = before;
	}
}

void mtsi_wake_clear(int wake)
{
	uint64_t count;
	if (read(wake, &count, sizeof(count)) < 0 && errno != EAGAIN && errno != EINTR) {
		mtsi_pause_instead();
	}
}
