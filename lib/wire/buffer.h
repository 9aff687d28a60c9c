/*
 * A queue of bytes that wait for a socket: appended at the end, consumed from the front.
 *
 * An all-zero struct is an empty queue.  An empty queue owns no memory, so an idle client costs
 * nothing but the struct.  No lock inside: the owner of the struct says who may touch it.
 */
#ifndef MTSI_WIRE_BUFFER_H
#define MTSI_WIRE_BUFFER_H

#include <stddef.h>
#include <stdint.h>

struct mtsi_buffer {
	uint32_t start; /* the first byte that waits */
	uint32_t end; /* one past the last */
	char *data; /* NULL exactly when the queue is empty */
	uint32_t capacity; /* what data points to */
};

/* How many bytes wait. */
static inline size_t mtsi_buffer_size(const struct mtsi_buffer *queue)
{
	return queue->end - queue->start;
}

/* The first of them; NULL when none wait.  Valid until the next append, consume or clear. */
const char *mtsi_buffer_bytes(const struct mtsi_buffer *queue);

/*
 * How large the new block will be if an append of size bytes has to move what waits; 0 when there
 * is room for them, or when the append fails in any case.
 */
size_t mtsi_buffer_block(const struct mtsi_buffer *queue, size_t size);

/*
 * Appends a copy of data[0, size), which must not lie in the queue itself.  Amortised O(size).
 * Returns 0, or -ENOMEM with the queue unchanged: also when more than 2 GiB would wait.
 */
int mtsi_buffer_append(struct mtsi_buffer *queue, const void *data, size_t size);

/* How bytes are copied: 0, or a negative errno value. */
typedef int mtsi_buffer_copier(void *to, const void *from, size_t size);

/* The same with a way to copy; NULL: memcpy().  When that fails, no more bytes wait than before. */
int mtsi_buffer_append_by(
	struct mtsi_buffer *queue, const void *data, size_t size, mtsi_buffer_copier *copy);

/* Drops the first count bytes; all of them when there are fewer.  Frees the memory when empty. */
void mtsi_buffer_consume(struct mtsi_buffer *queue, size_t count);

/* Drops everything and frees the memory.  The queue is empty and may be used again. */
void mtsi_buffer_clear(struct mtsi_buffer *queue);

#endif
