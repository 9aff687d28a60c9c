/* SPDX-License-Identifier: MIT */
#ifndef MTSI_OS_PRINT_H
#define MTSI_OS_PRINT_H

/*
 * Writes a text of less than 512 bytes to a descriptor, for developers: what does not fit is cut off,
 * and what cannot be written is lost. No memory is taken, and no lock.
 */
__attribute__((format(printf, 2, 3))) void mtsi_print(int fd, const char *format, ...);

#endif
