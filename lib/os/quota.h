/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_QUOTA_H
#define MTSI_OS_QUOTA_H

#include <stdint.h>

#define MTSI_NO_QUOTA UINT64_MAX

/*
 * How much CPU time the control groups of this process allow it, in thousandths of one CPU;
 * MTSI_NO_QUOTA: as much as there is, or that cannot be told.
 */
uint64_t mtsi_quota(void);

/* The same with other places for /proc/self/cgroup and /sys/fs/cgroup. */
uint64_t mtsi_quota_of(const char *groups, const char *root);

/* What the text of one file cpu.max says. */
uint64_t mtsi_quota_in(const char *text);

#endif
