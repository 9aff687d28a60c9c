/* SPDX-License-Identifier: MIT
 *
 * What control groups allow: the lowest limit on the way to the root, or none.
 */
#include "os/quota.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../api/support.h"

static char root[64];
static char groups[96];

static void put(const char *name, const char *text)
{
	char path[256];
	(void)snprintf(path, sizeof(path), "%s/%s", root, name);
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void make_folder(const char *name)
{
	char path[256];
	(void)snprintf(path, sizeof(path), "%s/%s", root, name);
	ck_assert_int_eq(mkdir(path, 0700), 0);
}

static void take_away(const char *name, int (*how)(const char *path))
{
	char path[256];
	(void)snprintf(path, sizeof(path), "%s/%s", root, name);
	(void)how(path);
}

static void setup(void)
{
	(void)snprintf(root, sizeof(root), "/tmp/mts-quota-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	(void)snprintf(groups, sizeof(groups), "%s/groups", root);
	make_folder("a");
	make_folder("a/b");
}

static void teardown(void)
{
	take_away("a/b/cpu.max", unlink);
	take_away("a/cpu.max", unlink);
	take_away("cpu.max", unlink);
	take_away("groups", unlink);
	take_away("a/b", rmdir);
	take_away("a", rmdir);
	take_away("", rmdir);
}

START_TEST(one_file)
{
	ck_assert_uint_eq(mtsi_quota_in("50000 100000\n"), 500);
	ck_assert_uint_eq(mtsi_quota_in("250000 100000"), 2500);
	ck_assert_uint_eq(mtsi_quota_in("max 100000\n"), MTSI_NO_QUOTA);
	ck_assert_uint_eq(mtsi_quota_in("50000 0"), MTSI_NO_QUOTA);
	ck_assert_uint_eq(mtsi_quota_in("50000"), MTSI_NO_QUOTA);
	ck_assert_uint_eq(mtsi_quota_in(""), MTSI_NO_QUOTA);
	ck_assert_uint_eq(mtsi_quota_in("18446744073709551615 1"), MTSI_NO_QUOTA);
}
END_TEST

START_TEST(the_lowest_on_the_way)
{
	put("groups", "1:cpu,cpuacct:/old\n0::/a/b\n");
	ck_assert_uint_eq(mtsi_quota_of(groups, root), MTSI_NO_QUOTA);
	put("a/b/cpu.max", "max 100000\n");
	ck_assert_uint_eq(mtsi_quota_of(groups, root), MTSI_NO_QUOTA);
	put("a/cpu.max", "150000 100000\n");
	ck_assert_uint_eq(mtsi_quota_of(groups, root), 1500);
	put("cpu.max", "100000 100000\n");
	ck_assert_uint_eq(mtsi_quota_of(groups, root), 1000);
	put("a/b/cpu.max", "10000 100000\n");
	ck_assert_uint_eq(mtsi_quota_of(groups, root), 100);
	put("groups", "0::/\n");
	ck_assert_uint_eq(mtsi_quota_of(groups, root), 1000);
}
END_TEST

/* Nothing that is there, or not, is an error. */
START_TEST(unknown)
{
	char text[3000] = "0::/";
	ck_assert_uint_eq(mtsi_quota_of(groups, root), MTSI_NO_QUOTA);
	put("cpu.max", "100000 100000\n");
	put("groups", "");
	ck_assert_uint_eq(mtsi_quota_of(groups, root), MTSI_NO_QUOTA);
	put("groups", "3:memory:/x\n0::\n");
	ck_assert_uint_eq(mtsi_quota_of(groups, root), MTSI_NO_QUOTA);
	memset(text + 4, 'x', sizeof(text) - 5);
	put("groups", text);
	ck_assert_uint_eq(mtsi_quota_of(groups, root), MTSI_NO_QUOTA);
	ck_assert_uint_gt(mtsi_quota(), 0); /* of this process, whatever it is */
}
END_TEST

int main(void)
{
	TCase *cases = suite_begin("quota");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, one_file);
	tcase_add_test(cases, the_lowest_on_the_way);
	tcase_add_test(cases, unknown);
	return suite_run_once();
}
