/*
 * The output queue: one block of memory with the waiting bytes somewhere inside.
 *
 * A chain of blocks would never move a byte, but a socket wants as much as possible in one call,
 * and most queues live for one reply.  So: one block, and when its end is reached the waiting
 * bytes either slide to the front, or move to a block half as large again.
 *
 * Both are amortised O(1) per byte.  Sliding is only done when at least as many bytes were
 * consumed in front as have to move, so every move is paid for by a byte that left.  Growing is
 * geometric.  Nor does the block outgrow its content: while less than half of it was consumed, the
 * content fills the other half, so it is never much above three times the most that waited at once.
 *
 * An empty queue frees its block.  The smallest one is of a size that allocators keep in a cache
 * per thread, so that costs a short reply little, and idle clients own nothing.
 */
#include "wire/buffer.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SMALLEST = 1024 };

/* How much may wait at most; half as much again still fits into the struct. */
static const size_t most = (size_t)2 * 1024 * 1024 * 1024;

const char *mtsi_buffer_bytes(const struct mtsi_buffer *queue)
{
	return queue->data == NULL ? NULL : queue->data + queue->start;
}

static void slide(struct mtsi_buffer *queue)
{
	size_t waiting = mtsi_buffer_size(queue);

	memmove(queue->data, queue->data + queue->start, waiting);
	queue->start = 0;
	queue->end = (uint32_t)waiting;
}

/* The capacity of a block to move to, of at least needed bytes. */
static size_t larger(const struct mtsi_buffer *queue, size_t needed)
{
	size_t capacity = (size_t)queue->capacity + queue->capacity / 2;

	if (capacity > most) {
		capacity = most;
	}
	if (capacity < needed) {
		capacity = needed;
	}
	return capacity < SMALLEST ? SMALLEST : capacity;
}

size_t mtsi_buffer_block(const struct mtsi_buffer *queue, size_t size)
{
	size_t waiting = mtsi_buffer_size(queue);

	/* After this no sum below can overflow. */
	if (size > most - waiting || size <= queue->capacity - queue->end) {
		return 0;
	}
	if (queue->start < waiting || waiting + size > queue->capacity) {
		return larger(queue, waiting + size);
	}
	return 0;
}

/*
 * Moves what waits to a block of that capacity.  Not by realloc(), which would also copy the
 * consumed bytes at the front.
 */
static int grow(struct mtsi_buffer *queue, size_t capacity)
{
	size_t waiting = mtsi_buffer_size(queue);
	char *data = malloc(capacity);

	if (data == NULL) {
		return -ENOMEM;
	}
	if (waiting > 0) {
		memcpy(data, queue->data + queue->start, waiting);
	}
	free(queue->data);
	*queue = (struct mtsi_buffer){
		.data = data, .end = (uint32_t)waiting, .capacity = (uint32_t)capacity};
	return 0;
}

/* Makes room for size bytes after the end. */
static int make_block(struct mtsi_buffer *queue, size_t size)
{
	size_t block = mtsi_buffer_block(queue, size);

	if (block > 0) {
		return grow(queue, block);
	}
	if (size > most - mtsi_buffer_size(queue)) {
		return -ENOMEM;
	}
	if (size > queue->capacity - queue->end) {
		slide(queue);
	}
	return 0;
}

int mtsi_buffer_append(struct mtsi_buffer *queue, const void *data, size_t size)
{
	return mtsi_buffer_append_by(queue, data, size, NULL);
}

int mtsi_buffer_append_by(
	struct mtsi_buffer *queue, const void *data, size_t size, mtsi_buffer_copier *copy)
{
	if (size == 0) {
		return 0;
	}

	int error = make_block(queue, size);

	if (error != 0) {
		return error;
	}
	if (copy == NULL) {
		memcpy(queue->data + queue->end, data, size);
	} else {
		error = copy(queue->data + queue->end, data, size);
	}
	if (error == 0) {
		queue->end += (uint32_t)size;
	} else if (mtsi_buffer_size(queue) == 0) {
		mtsi_buffer_clear(queue);
	}
	return error;
}

void mtsi_buffer_consume(struct mtsi_buffer *queue, size_t count)
{
	if (count >= mtsi_buffer_size(queue)) {
		mtsi_buffer_clear(queue);
	} else {
		queue->start += (uint32_t)count;
	}
}

void mtsi_buffer_clear(struct mtsi_buffer *queue)
{
	free(queue->data);
	*queue = (struct mtsi_buffer){0};
}
