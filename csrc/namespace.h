/* Namespaces: a table of records (name, default expiry, limits) and the life of their entries' lists. */
#ifndef SHOAL_NAMESPACE_H
#define SHOAL_NAMESPACE_H

#include "tree.h"

/* The record of "default", id 0, in an arena that nobody else sees yet. */
shoal_status namespace_first(shoal_arena *a);
/* Remove the runs of a process that has left; whether all is done. */
bool namespace_drop_runs(shoal_arena *a, uint32_t slot, uint32_t generation, const waiting *w);
/* Remove the runs of all who have left, as far as no lock keeps it from that: also of those whose successor died before it did. */
void namespace_drop_dead_runs(shoal_arena *a);

#endif
