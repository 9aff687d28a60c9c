/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_BASE_HEAP_H
#define MTSI_ENGINE_BASE_HEAP_H

#include <stdint.h>

/*
 * A heap whose nodes lie in what they stand for: nothing is allocated, so nothing can fail. The
 * first is found at once; putting one in is O(1), taking any one out O(log n), amortised. No lock
 * inside: whoever has the heap says who may touch it and its nodes.
 */
struct mtsi_heap_node {
	struct mtsi_heap_node *child; /* the first one */
	struct mtsi_heap_node *next; /* the next child of the same parent */
	struct mtsi_heap_node *previous; /* the one before; for a first child its parent; else NULL */
	uint64_t key;
};

/* All zero is an empty one. */
struct mtsi_heap {
	struct mtsi_heap_node *first; /* that with the smallest key; NULL: it is empty */
};

/* Puts a node in that is in no heap; its key is set. */
void mtsi_heap_put(struct mtsi_heap *heap, struct mtsi_heap_node *node);

/* Takes a node of this heap out. */
void mtsi_heap_take(struct mtsi_heap *heap, struct mtsi_heap_node *node);

#endif
