/* Namespaces: a table of records (name, default expiry, limits) and the life of their entries' lists. */
#ifndef SHOAL_NAMESPACE_H
#define SHOAL_NAMESPACE_H

#include "room.h"

/* The record of "default", id 0, in an arena that nobody else sees yet. */
shoal_status namespace_first(shoal_arena *a);
/* The tree of runs, if there is one. */
bool namespace_find_runs(shoal_arena *a, shoal_namespace *out);

#endif
