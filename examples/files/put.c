/* SPDX-License-Identifier: MIT
 *
 * PUT: an upload.
 *
 * The bytes go to a new file in the same folder, whose name begins with a dot, so that nobody is
 * served from it. When all of them are there, and on the disk, it gets the right name in one step.
 * So whoever asks meanwhile gets the old file or the new one, never half of one; and an upload that
 * breaks off leaves nothing behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "body.h"
#include "conditions.h"
#include "reply.h"
#include "root.h"
#include "site.h"

/* Where an upload goes. */
struct upload {
	int folder;
	const char *name; /* in the folder */
	char new_name[64]; /* until it is complete */
	int fd;
};

/* Opens the folder that a file is to be in, and finds the file's name in the path. */
static int open_folder(struct upload *upload, const struct site *site, const struct path *path)
{
	char folder[PATH_MAX] = ".";
	const char *slash = strrchr(path->name, '/');
	if (slash != NULL) {
		memcpy(folder, path->name, (size_t)(slash - path->name));
		folder[slash - path->name] = '\0';
	}
	upload->name = slash != NULL ? slash + 1 : path->name;
	upload->folder = root_open_file(site->root, folder, O_PATH | O_DIRECTORY);
	return upload->folder < 0 ? upload->folder : 0;
}

/* A client has one upload at a time, and its number is never used again while the server lives. */
static int open_new_file(struct upload *upload, mts_client *client)
{
	(void)snprintf(upload->new_name, sizeof(upload->new_name), ".upload-%ld-%llu", (long)getpid(),
		(unsigned long long)mts_client_id(client));
	(void)unlinkat(upload->folder, upload->new_name, 0);
	upload->fd = openat(upload->folder, upload->new_name,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	return upload->fd < 0 ? -errno : 0;
}

static int write_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		const ssize_t written = write(fd, data, size);
		if (written < 0 && errno != EINTR) {
			return -errno;
		}
		if (written > 0) {
			data += written;
			size -= (size_t)written;
		}
	}
	return 0;
}

/* Returns 0, a status, or the negative errno value of a client that is lost. */
static int receive(
	mts_client *client, const struct request *request, const struct site *site, int fd)
{
	struct body body;
	const char *data;
	ssize_t count;
	uint64_t total = 0;
	body_begin(&body, client, request);
	while ((count = body_next(&body, &data)) > 0) {
		total += (uint64_t)count;
		if (total > site->max_upload) {
			return HTTP_STATUS_PAYLOAD_TOO_LARGE;
		}
		const int result = write_all(fd, data, (size_t)count);
		if (result != 0) {
			return root_status(-result);
		}
	}
	switch (count) {
	case 0:
		return fsync(fd) == 0 ? 0 : root_status(errno);
	case -EPROTO:
		return HTTP_STATUS_BAD_REQUEST;
	case -ETIMEDOUT:
		return HTTP_STATUS_REQUEST_TIMEOUT;
	case -ECANCELED:
		return HTTP_STATUS_SERVICE_UNAVAILABLE;
	default:
		return (int)count;
	}
}

/* Returns 201 or 204 when the new file has its place, else what receive() does. */
static int store(mts_client *client, const struct request *request, const struct site *site,
	struct upload *upload, bool replaces)
{
	int status = open_new_file(upload, client);
	if (status != 0) {
		return root_status(-status);
	}
	status = receive(client, request, site, upload->fd);
	if (close(upload->fd) != 0 && status == 0) {
		status = root_status(errno);
	}
	if (status == 0
		&& renameat(upload->folder, upload->new_name, upload->folder, upload->name) != 0) {
		status = errno == EISDIR ? HTTP_STATUS_CONFLICT : root_status(errno);
	}
	if (status != 0) {
		(void)unlinkat(upload->folder, upload->new_name, 0);
		return status;
	}
	return replaces ? HTTP_STATUS_NO_CONTENT : HTTP_STATUS_CREATED;
}

/* What can be said before the body is read; 0: it is welcome. */
static int refusal(const struct request *request, const struct site *site, const struct path *path)
{
	if (request->fields[FIELD_CONTENT_LENGTH] == NULL && !request->chunked) {
		return HTTP_STATUS_LENGTH_REQUIRED;
	}
	if (request->fields[FIELD_CONTENT_RANGE] != NULL) {
		return HTTP_STATUS_BAD_REQUEST; /* a part of a file would replace the whole of it */
	}
	if (request->length > site->max_upload) {
		return HTTP_STATUS_PAYLOAD_TOO_LARGE;
	}
	return path->folder ? HTTP_STATUS_CONFLICT : 0;
}

static int put_there(
	mts_client *client, struct request *request, const struct site *site, struct upload *upload)
{
	struct stat file;
	const bool replaces = fstatat(upload->folder, upload->name, &file, AT_SYMLINK_NOFOLLOW) == 0;
	int status = conditions_check(request, replaces ? &file : NULL);
	if (status == 0 && replaces && S_ISDIR(file.st_mode)) {
		status = HTTP_STATUS_CONFLICT;
	}
	if (status != 0) {
		return reply_and_close(client, request, status);
	}
	/* A client that waits for this word sends a large body only when it is welcome. */
	if (request->fields[FIELD_EXPECT] != NULL && !request->old) {
		mts_client_puts(client, "HTTP/1.1 100 Continue\r\n\r\n");
	}
	status = store(client, request, site, upload, replaces);
	if (status < 0) {
		return status;
	}
	if (status == HTTP_STATUS_CREATED || status == HTTP_STATUS_NO_CONTENT) {
		return reply_status(client, request, status);
	}
	return reply_and_close(client, request, status);
}

int site_put(
	mts_client *client, struct request *request, const struct site *site, const struct path *path)
{
	struct upload upload;
	int status = refusal(request, site, path);
	if (status == 0) {
		const int result = open_folder(&upload, site, path);
		status = result != 0 ? root_status(-result) : 0;
	}
	if (status != 0) {
		return reply_and_close(client, request, status);
	}
	const int verdict = put_there(client, request, site, &upload);
	(void)close(upload.folder);
	return verdict;
}
