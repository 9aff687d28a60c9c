/*
 * What a set of networks says of each address, in a form that is soon searched and never changes.
 *
 * It is pure memory, so any number of threads may look into it.
 */
#ifndef MTSI_WIRE_RANGES_H
#define MTSI_WIRE_RANGES_H

#include <stdbool.h>

struct mts_networks;
struct mtsi_peer;
struct mtsi_ranges;

/* Made of a set, which it does not need any more.  NULL: no memory. */
struct mtsi_ranges *mtsi_ranges_new(const struct mts_networks *networks);

/* NULL is fine. */
void mtsi_ranges_free(struct mtsi_ranges *ranges);

/* As mtsi_networks_find(). */
int mtsi_ranges_find(const struct mtsi_ranges *ranges, const struct mtsi_peer *peer);

/* Whether this is the verdict of all of some kind: of 0.0.0.0/0, ::/0 or UNIX. */
bool mtsi_ranges_has_whole(const struct mtsi_ranges *ranges, int verdict);

#endif
