/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_RUN_WORK_H
#define MTSI_ENGINE_RUN_WORK_H

/* The body of a worker's thread: its whole life, on this seat (struct mtsi_seat). */
void *mtsi_work(void *seat);

#endif
