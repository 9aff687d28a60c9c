/* SPDX-License-Identifier: MIT
 *
 * A Unix socket's file outlives its server. Whether it is stale can only be found out by
 * connecting: ECONNREFUSED means that nobody listens. Anything else that answers, or is no socket,
 * is left alone.
 *
 * Looking, removing, binding and listening are four steps, between which another server may take
 * the same ones: it would remove a file that has just become ours. So whoever takes them holds a
 * lock on the folder (flock(2)), which leaves nothing behind and ends with its process. Anybody who
 * may read the folder can hold that lock, so it is waited for only briefly.
 */
#include "os/unix_path.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TRIES = 200 };

static int open_folder(const char *path)
{
	char folder[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1];
	const char *slash = strrchr(path, '/');
	const size_t size = slash == NULL ? 0 : (size_t)(slash - path) + 1;
	memcpy(folder, path, size);
	folder[size] = '\0';
	return open(size == 0 ? "." : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int mtsi_unix_reserve(const char *path)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	const int folder = open_folder(path);
	for (int i = 0; folder >= 0 && i < TRIES && flock(folder, LOCK_EX | LOCK_NB) != 0; i++) {
		(void)nanosleep(&pause, NULL);
	}
	return folder;
}

void mtsi_unix_release(int reservation)
{
	if (reservation >= 0) {
		(void)close(reservation);
	}
}

static bool somebody_listens(const struct sockaddr_un *address, socklen_t size)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return true;
	}
	const bool refused = connect(fd, (const struct sockaddr *)address, size) != 0
		&& errno == ECONNREFUSED;
	(void)close(fd);
	return !refused;
}

int mtsi_unix_make_room(const struct sockaddr_un *address, socklen_t size)
{
	struct stat file;
	if (lstat(address->sun_path, &file) != 0) {
		return errno == ENOENT ? 0 : -errno;
	}
	if (!S_ISSOCK(file.st_mode) || somebody_listens(address, size)) {
		return -EADDRINUSE;
	}
	return unlink(address->sun_path) == 0 || errno == ENOENT ? 0 : -errno;
}

bool mtsi_unix_file(const char *path, struct mtsi_file *file)
{
	struct stat status;
	if (lstat(path, &status) != 0) {
		return false;
	}
	file->device = status.st_dev;
	file->number = status.st_ino;
	return true;
}

void mtsi_unix_remove(const char *path, const struct mtsi_file *file)
{
	struct mtsi_file now;
	if (mtsi_unix_file(path, &now) && now.device == file->device && now.number == file->number) {
		(void)unlink(path);
	}
}
