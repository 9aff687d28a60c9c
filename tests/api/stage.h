/* SPDX-License-Identifier: MIT
 *
 * What a test of handlers that wait looks at. A fixture sets all back before each test.
 */
#ifndef STAGE_H
#define STAGE_H

#include "support.h"

extern struct gate entered; /* handlers that have begun to wait */
extern struct gate leave; /* lets them go on */
extern struct endings endings;

void stage_setup(void);

#endif
