/* SPDX-License-Identifier: MIT
 *
 * Where tests run one after the other in a process, as in a debugger, nothing is left of the one before.
 */
#include "stage.h"

struct gate entered;
struct gate leave;
struct endings endings;

void stage_setup(void)
{
	entered = (struct gate)GATE;
	leave = (struct gate)GATE;
	endings = (struct endings){.all = GATE};
}
