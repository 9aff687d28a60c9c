/* SPDX-License-Identifier: MIT
 *
 * Whether a name leads out of a folder cannot be told from the name: symbolic links may, and folders
 * are moved while one looks. The kernel can tell while it opens the file: openat2(2) with
 * RESOLVE_BENEATH, since Linux 5.6. Where that is missing, or a sandbox denies it, the name is gone
 * through part by part, and symbolic links are not followed at all.
 */
#include "root.h"

#include <errno.h>
#include <fcntl.h>
#include <http_parser.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As openat2(2) has them; the C library has no function for it yet. */
struct how {
	uint64_t flags;
	uint64_t mode;
	uint64_t resolve;
};
enum { BENEATH = 0x08, NO_MAGIC_LINKS = 0x02 };
#ifndef SYS_openat2
#define SYS_openat2 437
#endif

int root_open(const char *folder)
{
	return open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int step_by_step(int root, const char *name, int flags)
{
	char part[256];
	int folder = root;
	int next;
	for (;;) {
		const size_t size = strcspn(name, "/");
		if (size >= sizeof(part)) {
			next = -1;
			errno = ENAMETOOLONG;
		} else {
			memcpy(part, name, size);
			part[size] = '\0';
			next = openat(folder, part,
				(name[size] == '/' ? O_PATH | O_DIRECTORY : flags) | O_NOFOLLOW | O_CLOEXEC);
		}
		const int error = errno;
		if (folder != root) {
			(void)close(folder);
		}
		if (next < 0 || name[size] == '\0') {
			return next < 0 ? -error : next;
		}
		folder = next;
		name += size + 1;
	}
}

int root_open_file(int root, const char *name, int flags)
{
	const struct how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC), .resolve = BENEATH | NO_MAGIC_LINKS};
	long fd;
	do {
		fd = syscall(SYS_openat2, root, name, &how, sizeof(how));
		/* EAGAIN: something was renamed meanwhile, so that the kernel could not be sure. */
	} while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	if (fd < 0 && (errno == ENOSYS || errno == EPERM)) {
		return step_by_step(root, name, flags);
	}
	return fd < 0 ? -errno : (int)fd;
}

int root_status(int error)
{
	switch (error) {
	case EACCES:
	case EPERM:
	case EROFS:
		return HTTP_STATUS_FORBIDDEN;
	case EXDEV: /* nobody learns from the answer what there is outside */
	case ELOOP:
	case ENOENT:
	case ENOTDIR:
	case ENAMETOOLONG:
	case ENXIO:
		return HTTP_STATUS_NOT_FOUND;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		return HTTP_STATUS_SERVICE_UNAVAILABLE;
	case EDQUOT:
	case ENOSPC:
	case EFBIG:
		return HTTP_STATUS_INSUFFICIENT_STORAGE;
	default:
		return HTTP_STATUS_INTERNAL_SERVER_ERROR;
	}
}
