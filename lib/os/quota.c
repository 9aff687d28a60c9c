/* SPDX-License-Identifier: MIT
 *
 * A control group may have less CPU time than its CPUs could give (cgroups(7), cpu.max): the kernel
 * then stops all of its threads until the next period. Each group on the way to the root may set a
 * limit; the lowest one counts. Inside a container the root that can be seen is the container's own
 * group. Only version 2 is asked; with version 1, as elsewhere, no limit is known.
 */
#include "os/quota.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH = 1024, TEXT = 4096 };

static bool read_text(const char *path, char *text, size_t room)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return false;
	}
	const ssize_t size = read(fd, text, room - 1);
	(void)close(fd);
	text[size > 0 ? size : 0] = '\0';
	return size > 0;
}

/* The group of this process, as a path below the root: the line that begins with "0::". */
static bool find_group(const char *groups, char *group, size_t room)
{
	char text[TEXT];
	if (!read_text(groups, text, sizeof(text))) {
		return false;
	}
	const char *line = text;
	while (line != NULL && strncmp(line, "0::/", 4) != 0) {
		line = strchr(line, '\n');
		line = line != NULL ? line + 1 : NULL;
	}
	if (line == NULL) {
		return false;
	}
	const size_t size = strcspn(line + 3, "\n");
	if (size >= room) {
		return false;
	}
	memcpy(group, line + 3, size);
	group[size] = '\0';
	return true;
}

uint64_t mtsi_quota_in(const char *text)
{
	uint64_t quota;
	uint64_t period;
	if (sscanf(text, "%" SCNu64 " %" SCNu64, &quota, &period) != 2 || period == 0
		|| quota > UINT64_MAX / 1000) {
		return MTSI_NO_QUOTA; /* "max", for example */
	}
	return quota * 1000 / period;
}

uint64_t mtsi_quota_of(const char *groups, const char *root)
{
	char group[PATH];
	char path[2 * PATH];
	char text[64];
	uint64_t least = MTSI_NO_QUOTA;
	if (!find_group(groups, group, sizeof(group))) {
		return least;
	}
	for (;;) {
		const int size = snprintf(path, sizeof(path), "%s%s/cpu.max", root, group);
		if (size > 0 && (size_t)size < sizeof(path) && read_text(path, text, sizeof(text))) {
			const uint64_t quota = mtsi_quota_in(text);
			least = quota < least ? quota : least;
		}
		char *last = strrchr(group, '/');
		if (last == NULL) {
			return least;
		}
		*last = '\0';
	}
}

uint64_t mtsi_quota(void)
{
	return mtsi_quota_of("/proc/self/cgroup", "/sys/fs/cgroup");
}
