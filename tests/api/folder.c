/* SPDX-License-Identifier: MIT
 *
 * Each test is a process, so that one folder is enough.
 */
#include "folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

char folder[64];
char folder_path[80];
char folder_address[96];

void folder_make(void)
{
	strcpy(folder, "/tmp/mts-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(folder_path, sizeof(folder_path), "%s/socket", folder);
	(void)snprintf(folder_address, sizeof(folder_address), "unix:%s", folder_path);
}

void folder_remove(void)
{
	ck_assert_msg(rmdir(folder) == 0, "%s is not empty", folder);
}
