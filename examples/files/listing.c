/* SPDX-License-Identifier: MIT
 *
 * The page of a folder: a link to each file in it, in alphabetical order. It is made in memory, so
 * that its length is known before it is sent, and the connection can stay.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "escape.h"
#include "reply.h"
#include "root.h"
#include "site.h"

/* So much is shown at most; a page with more would be of no use to anybody. */
enum { ENTRIES_MAX = 10000 };

struct entries {
	char **names; /* a folder's ends with a slash */
	size_t count;
	size_t room;
};

static int add(struct entries *entries, int folder, const char *name)
{
	struct stat file;
	if (name[0] == '.') {
		return 0; /* nor would it be served */
	}
	if (entries->count == entries->room) {
		const size_t room = entries->room == 0 ? 64 : entries->room * 2;
		char **more = realloc(entries->names, room * sizeof(*more));
		if (more == NULL) {
			return -ENOMEM;
		}
		entries->names = more;
		entries->room = room;
	}
	const size_t size = strlen(name);
	char *copy = malloc(size + sizeof("/"));
	if (copy == NULL) {
		return -ENOMEM;
	}
	memcpy(copy, name, size + 1);
	if (fstatat(folder, name, &file, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(file.st_mode)) {
		memcpy(copy + size, "/", sizeof("/"));
	}
	entries->names[entries->count++] = copy;
	return 0;
}

static int read_entries(struct entries *entries, DIR *directory)
{
	for (;;) {
		errno = 0;
		const struct dirent *entry = readdir(directory);
		if (entry == NULL || entries->count >= ENTRIES_MAX) {
			return -errno;
		}
		const int result = add(entries, dirfd(directory), entry->d_name);
		if (result != 0) {
			return result;
		}
	}
}

static void free_entries(struct entries *entries)
{
	for (size_t i = 0; i < entries->count; i++) {
		free(entries->names[i]);
	}
	free(entries->names);
}

static int compare(const void *left, const void *right)
{
	return strcmp(*(char *const *)left, *(char *const *)right);
}

/* "./" before each name, since one as javascript:x would be read as something else. */
static void print_page(FILE *page, const struct path *path, const struct entries *entries)
{
	char url[3 * NAME_MAX + 8];
	const char *title = strcmp(path->name, ".") == 0 ? "" : path->name;
	(void)fputs("<!DOCTYPE html>\n<meta charset=\"utf-8\">\n<title>/", page);
	escape_html(page, title);
	(void)fputs("</title>\n<h1>/", page);
	escape_html(page, title);
	(void)fputs("</h1>\n<ul>\n", page);
	if (title[0] != '\0') {
		(void)fputs("<li><a href=\"../\">../</a>\n", page);
	}
	for (size_t i = 0; i < entries->count; i++) {
		(void)fprintf(
			page, "<li><a href=\"./%s\">", escape_url(url, sizeof(url), entries->names[i]));
		escape_html(page, entries->names[i]);
		(void)fputs("</a>\n", page);
	}
	(void)fputs("</ul>\n", page);
	if (entries->count == ENTRIES_MAX) {
		(void)fputs("<p>and perhaps more</p>\n", page);
	}
}

static int send_page(mts_client *client, const struct request *request, const struct path *path,
	const struct entries *entries)
{
	char *text = NULL;
	size_t size = 0;
	FILE *page = open_memstream(&text, &size);
	if (page == NULL) {
		return reply_status(client, request, HTTP_STATUS_SERVICE_UNAVAILABLE);
	}
	print_page(page, path, entries);
	const bool failed = ferror(page) != 0;
	if (fclose(page) != 0 || failed) {
		free(text);
		return reply_status(client, request, HTTP_STATUS_SERVICE_UNAVAILABLE);
	}
	reply_begin(client, request, HTTP_STATUS_OK);
	reply_body(client, "text/html; charset=utf-8", (long long)size);
	if (request->method != HTTP_HEAD) {
		mts_client_write(client, text, size);
	}
	free(text);
	return reply_verdict(request);
}

int site_list(
	mts_client *client, const struct request *request, const struct path *path, int folder)
{
	struct entries entries = {.names = NULL};
	DIR *directory = fdopendir(folder);
	if (directory == NULL) {
		const int status = root_status(errno);
		(void)close(folder);
		return reply_status(client, request, status);
	}
	const int result = read_entries(&entries, directory);
	(void)closedir(directory);
	int verdict;
	if (result != 0) {
		verdict = reply_status(client, request, root_status(-result));
	} else {
		if (entries.count > 0) {
			qsort(entries.names, entries.count, sizeof(*entries.names), compare);
		}
		verdict = send_page(client, request, path, &entries);
	}
	free_entries(&entries);
	return verdict;
}
