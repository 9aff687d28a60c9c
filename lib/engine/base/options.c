/* SPDX-License-Identifier: MIT
 *
 * The defaults of a server, and the one choice that depends on others: the largest request follows
 * from the framing, unless the program has set it. The program may do both in either order, so this
 * is settled at the start.
 */
#include "engine/base/options.h"

#include "wire/frame.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	RAW_REQUEST = 1024,
	USUAL_REQUEST = 64 * 1024,
	USUAL_STACK = 1024 * 1024,
	USUAL_OUTPUT = 256 * 1024
};

/* In milliseconds; 0: never. */
static const unsigned usual_timeouts[MTSI_TIMEOUTS] = {
	[MTS_TIMEOUT_IDLE] = 60000,
	[MTS_TIMEOUT_REQUEST] = 30000,
	[MTS_TIMEOUT_WRITE] = 30000,
	[MTS_TIMEOUT_HANDLER] = 0,
	[MTS_TIMEOUT_LINGER] = 2000,
	[MTS_TIMEOUT_STOP] = 5000,
	[MTS_TIMEOUT_LATER] = 60000,
	[MTS_TIMEOUT_HANDSHAKE] = 10000,
};

void mtsi_options_init(struct mtsi_options *options, mts_handler handler, void *user)
{
	memset(options, 0, sizeof(*options));
	options->handler = handler;
	options->user = user;
	options->framing.kind = MTSI_FRAME_RAW;
	options->stack_size = USUAL_STACK;
	options->backlog = SOMAXCONN;
	atomic_init(&options->model, MTS_THREAD_ON_DEMAND);
	atomic_init(&options->max_output, USUAL_OUTPUT);
	atomic_init(&options->max_memory, 0);
	atomic_init(&options->drain, 0);
	atomic_init(&options->handlers_timed, false);
	for (int i = 0; i < MTSI_TIMEOUTS; i++) {
		atomic_init(&options->timeouts[i], usual_timeouts[i]);
	}
}

void mtsi_options_free(struct mtsi_options *options)
{
	free(options->framing.delimiter);
}

void mtsi_options_frame(struct mtsi_options *options, const struct mtsi_framing *framing)
{
	free(options->framing.delimiter);
	options->framing = *framing;
}

int mtsi_options_settle(struct mtsi_options *options)
{
	struct mtsi_framing *framing = &options->framing;
	switch (framing->kind) {
	case MTSI_FRAME_RAW:
		framing->limit = RAW_REQUEST;
		break;
	case MTSI_FRAME_FIXED:
		framing->limit = framing->fixed;
		break;
	default:
		framing->limit = USUAL_REQUEST;
	}
	if (options->max_request != 0) {
		framing->limit = options->max_request;
	}
	return framing->kind == MTSI_FRAME_FIXED && framing->fixed > framing->limit ? -EINVAL : 0;
}
