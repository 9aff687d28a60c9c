/* SPDX-License-Identifier: MIT
 *
 * A worker's buffers.
 */
#include "engine/serve/worker.h"

#include "os/pages.h"

bool mtsi_worker_large(struct mtsi_worker *worker)
{
	if (worker->large == NULL) {
		worker->large = mtsi_pages_take(MTSI_LARGE);
	}
	return worker->large != NULL;
}

void mtsi_worker_free(struct mtsi_worker *worker)
{
	if (worker->large != NULL) {
		mtsi_pages_give(worker->large, MTSI_LARGE);
	}
}
