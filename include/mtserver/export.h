/*
 * SPDX-License-Identifier: MIT
 *
 * Marks what the shared library exports. Everything else in it is hidden.
 */
#ifndef MTSERVER_EXPORT_H
#define MTSERVER_EXPORT_H

#if defined(__GNUC__)
#define MTS_API __attribute__((visibility("default")))
#define MTS_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define MTS_API
#define MTS_PRINTF(text, first)
#endif

#endif
