/* SPDX-License-Identifier: MIT
 *
 * A Unix socket's file outlives its server. Whether it is stale can only be found out by
 * connecting: ECONNREFUSED means that nobody listens. A file is left alone if somebody answers on
 * it, or if it is no socket.
 *
 * Looking, removing, binding and listening are four steps. Between them another server may take the
 * same steps: it would remove a file that has just become ours. So a server that takes them holds a
 * lock on the folder (flock(2)), which leaves nothing behind and ends with its process. Anybody who
 * may read the folder can hold that lock, so it is waited for only briefly.
 *
 * At the end the path may mean something else, after chdir(2) or chroot(2), or another file may be
 * there. So the folder is kept open from the beginning (O_PATH: it need not be readable), and the
 * file is removed only if it is the same one. While the socket is open, its file's number is not
 * given to another file, so that comparison cannot be wrong.
 *
 * Several processes may have copies of one server, by fork(2): the one that has bound the socket,
 * which may end before the socket is served (daemon(3)), and those that serve on it. These have an
 * interest in the file. The last of them to be done with it removes it, so that none takes it from
 * under another. Each has a record lock on a file without a name, which is made with the path and
 * inherited by all: such locks belong to the process, are not inherited, and end with it
 * (fcntl(2)). A process that is done first gives up its own lock, and then asks for all of the
 * file: of the processes that are done at the same time at least one gets it, and only when no
 * process holds a lock any more. Process numbers would not do: they are used again, a process that
 * has ended and was not waited for still has one, and each namespace has its own. Where no such
 * file or lock can be had, the process that has bound the file removes it.
 */
#include "os/unix_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE = 200 }; /* milliseconds */

struct mtsi_path {
	struct sockaddr_un address;
	const char *name; /* the last part of the path: the file's name in the folder */
	int folder;
	int holders; /* the file on which processes with an interest hold a lock; -1: none */
	bool taken; /* the file has been made; the next members say which it is */
	dev_t device;
	ino_t number;
	pid_t maker; /* the process that has made it */
	pid_t server; /* this process, or one that it was copied from, serves on it; 0: none */
};

static int open_folder(const struct mtsi_path *path)
{
	char folder[sizeof(path->address.sun_path)];
	const size_t size = (size_t)(path->name - path->address.sun_path);
	memcpy(folder, path->address.sun_path, size);
	folder[size] = '\0';
	const int fd = open(size == 0 ? "." : folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 ? fd : -errno;
}

/* A file without a name, to hold locks on; -1: this system has none. */
static int open_holders(void)
{
	int fd = -1;
#ifdef MFD_CLOEXEC
#ifdef MFD_NOEXEC_SEAL
	/* Some systems allow only such files; older ones do not know the flag. */
	fd = memfd_create("mtserver-path", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
#endif
	if (fd < 0) {
		fd = memfd_create("mtserver-path", MFD_CLOEXEC);
	}
#endif
	return fd;
}

/* Sets F_RDLCK, F_WRLCK or F_UNLCK on that file, without waiting: 0 or a negative errno value. */
static int hold(const struct mtsi_path *path, short type)
{
	struct flock all = {.l_type = type, .l_whence = SEEK_SET};
	return fcntl(path->holders, F_SETLK, &all) == 0 ? 0 : -errno;
}

int mtsi_path_open(const struct sockaddr_un *address, struct mtsi_path **path)
{
	struct mtsi_path *made = calloc(1, sizeof(*made));
	if (made == NULL) {
		return -ENOMEM;
	}
	made->address = *address;
	const char *slash = strrchr(made->address.sun_path, '/');
	made->name = slash == NULL ? made->address.sun_path : slash + 1;
	made->folder = open_folder(made);
	if (made->folder < 0) {
		const int result = made->folder;
		free(made);
		return result;
	}
	made->holders = open_holders();
	*path = made;
	return 0;
}

void mtsi_path_abandon(struct mtsi_path *path)
{
	if (path->folder >= 0) {
		(void)close(path->folder);
	}
	if (path->holders >= 0) {
		(void)close(path->holders);
	}
	path->folder = -1;
	path->holders = -1;
}

void mtsi_path_close(struct mtsi_path *path)
{
	if (path != NULL) {
		mtsi_path_abandon(path);
		free(path);
	}
}

/* Waits for the lock, for `*patience` at most, and subtracts what it has waited. */
static int reserve_path(const struct mtsi_path *path, unsigned *patience)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	const int folder = openat(path->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (folder >= 0 && flock(folder, LOCK_EX | LOCK_NB) != 0 && *patience > 0) {
		(void)nanosleep(&pause, NULL);
		(*patience)--;
	}
	return folder;
}

int mtsi_path_reserve(const struct mtsi_path *path)
{
	unsigned patience = PATIENCE;
	return reserve_path(path, &patience);
}

void mtsi_path_release(int reservation)
{
	if (reservation >= 0) {
		(void)close(reservation);
	}
}

static bool somebody_listens(const struct sockaddr_un *address)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return true;
	}
	const bool refused = connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0
		&& errno == ECONNREFUSED;
	(void)close(fd);
	return !refused;
}

/* Looks at the file: 0, or a negative errno value, -ENOENT when there is none. */
static int look_at_path(const struct mtsi_path *path, struct stat *file)
{
	return fstatat(path->folder, path->name, file, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : -errno;
}

/* Removes it: 0, also when it is gone, or a negative errno value. */
static int unlink_it(const struct mtsi_path *path)
{
	return unlinkat(path->folder, path->name, 0) == 0 || errno == ENOENT ? 0 : -errno;
}

int mtsi_path_make_room(const struct mtsi_path *path)
{
	struct stat file;
	const int result = look_at_path(path, &file);
	if (result != 0) {
		return result == -ENOENT ? 0 : result;
	}
	if (!S_ISSOCK(file.st_mode) || somebody_listens(&path->address)) {
		return -EADDRINUSE;
	}
	return unlink_it(path);
}

void mtsi_path_take(struct mtsi_path *path)
{
	struct stat file;
	if (look_at_path(path, &file) == 0) {
		path->taken = true;
		path->device = file.st_dev;
		path->number = file.st_ino;
		path->maker = getpid();
		(void)hold(path, F_RDLCK);
	}
}

void mtsi_path_serve(struct mtsi_path *path)
{
	path->server = getpid();
	(void)hold(path, F_RDLCK);
}

/* Whether this process has to remove the file; it gives up its own interest in it. */
static bool falls_to_us(struct mtsi_path *path)
{
	const pid_t self = getpid();
	const bool made_here = path->maker == self;
	if (!path->taken || (!made_here && path->server != self)) {
		return false;
	}
	const int given_up = hold(path, F_UNLCK);
	const int result = given_up != 0 ? given_up : hold(path, F_WRLCK);
	if (result == -EAGAIN || result == -EACCES) {
		return false; /* another process has an interest, and will see to it */
	}
	return result == 0 || made_here;
}

int mtsi_path_undo(struct mtsi_path *path)
{
	struct stat file;
	if (!falls_to_us(path)) {
		return 0;
	}
	int result = look_at_path(path, &file);
	if (result == 0 && file.st_dev == path->device && file.st_ino == path->number) {
		result = unlink_it(path);
	}
	path->taken = false;
	return result == -ENOENT ? 0 : result;
}

int mtsi_path_remove(struct mtsi_path *path, unsigned *patience)
{
	if (!path->taken) {
		return 0;
	}
	const int reservation = reserve_path(path, patience);
	const int result = mtsi_path_undo(path);
	mtsi_path_release(reservation);
	return result;
}
