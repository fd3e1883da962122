/* Arenas as files: create, attach, validate, leave, remove.
 *
 *   gate        held while attaching and leaving, so that "am I the last?" and "is it ready?" have one answer
 *   half-made   a segment whose magic is still SHOAL_MAGIC_INIT: its creator died, the next opener begins anew
 *   abandoned   a ready segment that nobody alive uses and that does not persist: the next opener replaces it
 */
#ifndef SHOAL_ARENA_H
#define SHOAL_ARENA_H

#include <sys/stat.h>

#include "handle.h"

/* Of the sizes and offsets of all shared structures: builds that differ refuse to share. */
uint64_t arena_fingerprint(void);
/* Lay out an arena of `size` bytes, SHOAL_SIZE_MAX at most. */
void arena_plan(uint64_t size, arena_geometry *out);
uint64_t arena_checksum(const arena_geometry *g);
/* Is this the geometry that arena_plan makes, in a file of that size? */
bool arena_sound(const arena_header *header, uint64_t file_size);
/* Memory of this process alone, laid out as an arena, all zeros. NO_MEMORY. */
shoal_status arena_imagine(shoal_arena *a, const arena_geometry *g);
void arena_forget(shoal_arena *a);

/* False: no name of an arena. */
#define ARENA_PATH 320
bool arena_path_of(const char *name, char path[ARENA_PATH]);
/* What a repair makes has a name with this in it until it takes the old arena's. It is made to last before that, but not under the name
 * that it has then: who dies in between leaves it to shoal_collect. */
#define ARENA_SCRATCH "~repair-"
enum { PERSIST_ALWAYS = 1, PERSIST_ONCE_NAMED };
bool arena_persists(const char *name, uint64_t persist);
/* Does the path still lead to this open file? */
bool arena_still_named(int fd, const char *path, struct stat *st);

#endif
