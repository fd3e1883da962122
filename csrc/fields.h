/* Fields of a tree: paths, where a name of a path is looked up, and the lists that hang at objects.
 *
 *   name    one step of a path, without separators
 *   root    of a shard: the object whose fields are the top-level ones there; made with the first of them
 *   list    an object's fields, newest first; `previous` of the first is the object. Under the shard's lock, derived
 */
#ifndef SHOAL_FIELDS_H
#define SHOAL_FIELDS_H

#include "lists.h"

typedef struct path {
    const uint8_t *names;
    size_t size; /* 0: at its end */
} path;

/* Every name 1..SHOAL_KEY_MAX bytes, SHOAL_DEPTH_MAX of them at most. */
bool path_valid(const void *names, size_t size);

static inline size_t path_name(const path *p)
{
    const uint8_t *end = memchr(p->names, SHOAL_PATH_SEPARATOR, p->size);
    return end ? (size_t)(end - p->names) : p->size;
}
static inline bool path_is_last(const path *p, size_t name) { return name == p->size; }
static inline path path_after(const path *p, size_t name)
{
    return name == p->size ? (path){p->names + name, 0} : (path){p->names + name + 1, p->size - name - 1};
}

static inline uint64_t object_id(uint64_t version, uint32_t shard_index) { return version << OBJECT_SHIFT | shard_index; }

/* Of a name in the object `parent`; 0: at the top, where the name's hash picks the shard. */
static inline lookup field_lookup(const shoal_arena *a, const shoal_namespace *tree, uint64_t parent, const uint8_t *name, size_t size)
{
    uint64_t hash = hash_field(a->secret, tree->uid, parent, name, size);
    return (lookup){.key = name, .key_size = (uint32_t)size, .ns = tree->id, .parent = parent, .bucket_hash = hash >> 8,
                    .shard_index = (uint32_t)(parent ? parent : hash) & (a->nshards - 1)};
}
static inline lookup root_lookup(const shoal_arena *a, const shoal_namespace *tree, uint32_t shard_index)
{
    lookup key = field_lookup(a, tree, 0, (const uint8_t *)ROOT_NAME, 1);
    key.shard_index = shard_index; /* one in each shard, whatever the hash says */
    return key;
}
static inline bool is_root_name(const uint8_t *key, uint32_t size) { return size == 1 && key[0] == (uint8_t)ROOT_NAME[0]; }
static inline bool is_root(const block *b, const entry *e)
{
    return is_root_name((const uint8_t *)b + entry_key_at(e->flags), e->key_size);
}

/* The word in an object's block that holds the ref of its first field. */
static inline uint64_t *object_first(block *b, uint32_t flags, uint32_t key_size)
{
    return (uint64_t *)(((uintptr_t)b + entry_key_at(flags) + key_size + 7) & ~(uintptr_t)7);
}
#define OBJECT_VALUE 15u /* bytes of an object's value: the word, wherever it starts */

/* Around a change that takes an object away, or lets it expire: every cached way in this shard is looked up anew from here on, and
 * until the end none is learnt, because a reader may still find what is about to go. */
static inline void objects_begin(shard *sh)
{
    store_relaxed(&sh->epoch, load_relaxed(&sh->epoch) | 1);
    fence_release(); /* the odd epoch before any change */
}
static inline void objects_end(shard *sh) { store_release(&sh->epoch, (load_relaxed(&sh->epoch) | 1) + 1); }

/* Is what lies at `ref` a field, and within the arena down to an object's word? For whatever a link or a slot led to. */
bool field_sound(shoal_arena *a, uint64_t ref, const entry *e);
/* table_find in a tree. OK: sound. */
shoal_status field_find(shoal_arena *a, const lookup *key, place *p);

/* `b` at `ref` becomes a field of the object at `object`. */
void field_link(shoal_arena *a, uint64_t object, uint64_t ref, block *b);
/* Out of its object's list, if it is in one. */
void field_unlink(shoal_arena *a, block *b, uint32_t flags);
/* `b` at `ref` takes the place of `old`. */
void field_relink(shoal_arena *a, block *old, uint32_t old_flags, uint64_t ref, block *b);

#endif
