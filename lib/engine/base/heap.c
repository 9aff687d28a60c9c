/* SPDX-License-Identifier: MIT
 *
 * A pairing heap (Fredman, Sedgewick, Sleator, Tarjan: The Pairing Heap, 1986): a tree in which no
 * node is smaller than its parent. Two trees become one by hanging the larger root under the
 * smaller. When a root is taken out, its children are joined in pairs, and the pairs are then
 * joined to one tree, from the last to the first. This keeps the tree from becoming a list.
 */
#include "engine/base/heap.h"

#include <stddef.h>

/* Joins two trees, either of which may be NULL; returns the root. */
static struct mtsi_heap_node *join_heaps(struct mtsi_heap_node *a, struct mtsi_heap_node *b)
{
	if (a == NULL || b == NULL) {
		return a == NULL ? b : a;
	}
	struct mtsi_heap_node *root = b->key < a->key ? b : a;
	struct mtsi_heap_node *under = root == a ? b : a;
	under->previous = root;
	under->next = root->child;
	if (root->child != NULL) {
		root->child->previous = under;
	}
	root->child = under;
	return root;
}

/* Makes one tree of siblings. */
static struct mtsi_heap_node *join_siblings(struct mtsi_heap_node *first)
{
	struct mtsi_heap_node *pairs = NULL;
	while (first != NULL) {
		struct mtsi_heap_node *a = first;
		struct mtsi_heap_node *b = a->next;
		first = b != NULL ? b->next : NULL;
		a->next = NULL;
		if (b != NULL) {
			b->next = NULL;
		}
		struct mtsi_heap_node *pair = join_heaps(a, b);
		pair->next = pairs;
		pairs = pair;
	}
	struct mtsi_heap_node *root = NULL;
	while (pairs != NULL) {
		struct mtsi_heap_node *rest = pairs->next;
		pairs->next = NULL;
		root = join_heaps(root, pairs);
		pairs = rest;
	}
	if (root != NULL) {
		root->previous = NULL;
	}
	return root;
}

void mtsi_heap_put(struct mtsi_heap *heap, struct mtsi_heap_node *node)
{
	node->child = NULL;
	node->next = NULL;
	node->previous = NULL;
	heap->first = join_heaps(heap->first, node);
}

void mtsi_heap_take(struct mtsi_heap *heap, struct mtsi_heap_node *node)
{
	struct mtsi_heap_node *orphans = join_siblings(node->child);
	if (node == heap->first) {
		heap->first = orphans;
		return;
	}
	if (node->previous->child == node) {
		node->previous->child = node->next;
	} else {
		node->previous->next = node->next;
	}
	if (node->next != NULL) {
		node->next->previous = node->previous;
	}
	heap->first = join_heaps(heap->first, orphans);
}
