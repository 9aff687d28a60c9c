/* SPDX-License-Identifier: MIT
 *
 * GET and HEAD.
 *
 * The file is opened, and all that is said about it comes from the open file; so it is one and the
 * same file, whatever is renamed meanwhile. mts_client_sendfile() sends it without copying it through
 * the program, and waits for the client as long as that takes, while all others are served.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conditions.h"
#include "dates.h"
#include "escape.h"
#include "range.h"
#include "reply.h"
#include "root.h"
#include "site.h"
#include "types.h"

/* O_NONBLOCK: a pipe that somebody has left there is opened at once, and refused then. */
enum { OPEN_FLAGS = O_RDONLY | O_NONBLOCK | O_NOCTTY };

/*
 * The file has become shorter after its length was promised, or cannot be read. Only the end of the
 * connection can say so: a negative answer of the handler cuts it off.
 */
static int send_part(mts_client *client, const struct request *request, int fd, struct range part)
{
	while (part.size > 0) {
		const ssize_t sent = mts_client_sendfile(client, fd, part.start, (size_t)part.size);
		if (sent <= 0) {
			return sent == 0 ? -EIO : (int)sent;
		}
		part.start += sent;
		part.size -= sent;
	}
	return reply_verdict(request);
}

static void write_validators(mts_client *client, const struct stat *file)
{
	char date[DATE_SIZE];
	char tag[TAG_SIZE];
	const time_t now = time(NULL);
	/* A date in the future would make no sense to the client. */
	const time_t changed = file->st_mtim.tv_sec < now ? file->st_mtim.tv_sec : now;
	mts_client_printf(client,
		"ETag: %s\r\n"
		"Last-Modified: %s\r\n"
		"Accept-Ranges: bytes\r\n",
		tag_print(tag, file), date_print(date, changed));
}

static int send_file(mts_client *client, const struct request *request, const char *name, int fd,
	const struct stat *file)
{
	const int status = conditions_check(request, file);
	if (status == HTTP_STATUS_NOT_MODIFIED) {
		reply_begin(client, request, status);
		write_validators(client, file);
		mts_client_puts(client, "\r\n");
		return reply_verdict(request);
	}
	if (status != 0) {
		return reply_status(client, request, status);
	}
	struct range part = {.start = 0, .size = file->st_size};
	enum range_result wanted = RANGE_NONE;
	if (request->method == HTTP_GET && conditions_range(request, file)) {
		wanted = range_read(request->fields[FIELD_RANGE], file->st_size, &part);
	}
	char range[96];
	if (wanted == RANGE_OUTSIDE) {
		(void)snprintf(
			range, sizeof(range), "Content-Range: bytes */%lld\r\n", (long long)file->st_size);
		return reply_fields(client, request, HTTP_STATUS_RANGE_NOT_SATISFIABLE, range);
	}
	if (wanted == RANGE_ONE) {
		reply_begin(client, request, HTTP_STATUS_PARTIAL_CONTENT);
		mts_client_printf(client, "Content-Range: bytes %lld-%lld/%lld\r\n", (long long)part.start,
			(long long)(part.start + part.size - 1), (long long)file->st_size);
	} else {
		reply_begin(client, request, HTTP_STATUS_OK);
	}
	write_validators(client, file);
	reply_body(client, type_of(name), part.size);
	return request->method == HTTP_HEAD ? reply_verdict(request)
										: send_part(client, request, fd, part);
}

/* Links on the page of a folder are relative to its name with the slash, so it has to have one. */
static int add_slash(mts_client *client, const struct request *request, const struct path *path)
{
	char location[3 * PATH_MAX + 32];
	char escaped[3 * PATH_MAX];
	(void)snprintf(location, sizeof(location), "Location: /%s/\r\n",
		escape_url(escaped, sizeof(escaped), path->name));
	return reply_fields(client, request, HTTP_STATUS_MOVED_PERMANENTLY, location);
}

static int send_folder(mts_client *client, struct request *request, const struct site *site,
	const struct path *path, int folder)
{
	char name[PATH_MAX + sizeof("/index.html")];
	struct stat file;
	(void)snprintf(name, sizeof(name), "%s/index.html", path->name);
	const int fd = root_open_file(site->root, name, OPEN_FLAGS);
	if (fd == -ENOENT) {
		return site_list(client, request, path, folder);
	}
	(void)close(folder);
	if (fd < 0) {
		return reply_status(client, request, root_status(-fd));
	}
	int verdict;
	if (fstat(fd, &file) == 0 && S_ISREG(file.st_mode)) {
		verdict = send_file(client, request, name, fd, &file);
	} else {
		verdict = reply_status(client, request, HTTP_STATUS_FORBIDDEN);
	}
	(void)close(fd);
	return verdict;
}

int site_get(
	mts_client *client, struct request *request, const struct site *site, const struct path *path)
{
	struct stat file;
	const int fd = root_open_file(site->root, path->name, OPEN_FLAGS);
	if (fd < 0) {
		return reply_status(client, request, root_status(-fd));
	}
	int verdict;
	if (fstat(fd, &file) != 0) {
		verdict = reply_status(client, request, HTTP_STATUS_INTERNAL_SERVER_ERROR);
	} else if (S_ISDIR(file.st_mode)) {
		if (path->folder) {
			return send_folder(client, request, site, path, fd);
		}
		verdict = add_slash(client, request, path);
	} else if (path->folder) {
		verdict = reply_status(client, request, HTTP_STATUS_NOT_FOUND);
	} else if (!S_ISREG(file.st_mode)) {
		verdict = reply_status(client, request, HTTP_STATUS_FORBIDDEN);
	} else {
		verdict = send_file(client, request, path->name, fd, &file);
	}
	(void)close(fd);
	return verdict;
}
