/* SPDX-License-Identifier: MIT
 *
 * The exported names are taken from the linker's version script, in the source folder. Another test
 * makes sure that the library exports exactly these.
 */
#include "misuse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *open_map(void)
{
	char path[4096];
	const char *folder = getenv("srcdir");
	snprintf(path, sizeof(path), "%s/lib/mtserver.map", folder != NULL ? folder : ".");
	FILE *map = fopen(path, "r");
	ck_assert_msg(map != NULL, "%s: %s", path, strerror(errno));
	return map;
}

/* The next function that the script names: false after the last. */
static bool next_name(FILE *map, char *name)
{
	char line[128];
	while (fgets(line, sizeof(line), map) != NULL) {
		if (sscanf(line, " %63[a-z0-9_];", name) == 1 && strncmp(name, "mts_", 4) == 0) {
			return true;
		}
	}
	return false;
}

static bool listed(const struct misuse *table, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(table[i].name, name) == 0) {
			return true;
		}
	}
	return false;
}

void misuse_complete(const struct misuse *table, size_t count, const char *start, bool negate)
{
	char name[64];
	size_t found = 0;
	FILE *map = open_map();
	while (next_name(map, name)) {
		if ((strncmp(name, start, strlen(start)) == 0) != negate) {
			ck_assert_msg(listed(table, count, name), "%s is not tested", name);
			found++;
		}
	}
	fclose(map);
	ck_assert_msg(found == count, "%zu functions are tested, %zu exported", count, found);
}
