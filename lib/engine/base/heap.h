/* SPDX-License-Identifier: MIT */
#ifndef MTSI_ENGINE_BASE_HEAP_H
#define MTSI_ENGINE_BASE_HEAP_H

#include <stdint.h>

/*
 * A heap whose nodes lie in the objects that they stand for: nothing is allocated, so nothing can
 * fail. The first node is found at once, putting a node in is O(1), taking any node out is O(log
 * n), amortised. It has no lock: its owner says who may touch it and its nodes.
 */
struct mtsi_heap_node {
	struct mtsi_heap_node *child; /* the first one */
	struct mtsi_heap_node *next; /* the next child of the same parent */
	struct mtsi_heap_node *previous; /* the child before; for a first child its parent; else NULL */
	uint64_t key;
};

/* All zero is an empty heap. */
struct mtsi_heap {
	struct mtsi_heap_node *first; /* the node with the smallest key; NULL: there is none */
};

/* Puts a node in that is in no heap; its key is set. */
void mtsi_heap_put(struct mtsi_heap *heap, struct mtsi_heap_node *node);

/* Takes a node of this heap out. */
void mtsi_heap_take(struct mtsi_heap *heap, struct mtsi_heap_node *node);

#endif
