/**
 * @file mtserver/version.h
 * SPDX-License-Identifier: MIT
 *
 * @defgroup version Version
 * Which release this is, at compile time and at run time.
 * @{
 */
#ifndef MTSERVER_VERSION_H
#define MTSERVER_VERSION_H

#include <mtserver/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Changes when programs have to be changed. */
#define MTS_VERSION_MAJOR 0
/** Changes when something was added. */
#define MTS_VERSION_MINOR 2
/** Changes when something was mended. */
#define MTS_VERSION_PATCH 0

/**
 * Tells the version of the library that the program runs with, which may be newer than the header
 * it was compiled with.
 *
 * @return "MAJOR.MINOR.PATCH", a constant string
 * @par Threads
 * Any; async-signal-safe.
 * @since 0.1
 * @par Example
 * @code
 * printf("compiled for %d.%d.%d, runs with %s\n", MTS_VERSION_MAJOR, MTS_VERSION_MINOR, MTS_VERSION_PATCH,
 *     mts_version());
 * @endcode
 * @see mts_strerror()
 */
MTS_API const char *mts_version(void);

#ifdef __cplusplus
}
#endif

/** @} */
#endif
