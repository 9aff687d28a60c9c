/* SPDX-License-Identifier: MIT
 *
 * What kind of file a name stands for.
 */
#ifndef FILES_TYPES_H
#define FILES_TYPES_H

/* The value for Content-Type. */
const char *type_of(const char *name);

#endif
