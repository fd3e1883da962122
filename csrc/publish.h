/* Publishing one entry: the part of every write that makes a filled block reachable. Under the shard's lock.
 *
 *   prepared   a large value's run: filled before the lock was taken, an orphan that a pin keeps for its writer
 *   way        the objects on the way to a field that are not there yet
 */
#ifndef SHOAL_PUBLISH_H
#define SHOAL_PUBLISH_H

#include "number.h"
#include "stream.h"
#include "tree.h"

typedef struct writing {
    const shoal_namespace *ns;
    lookup key;
    shoal_put_args args;
    const shoal_number *by, *initial; /* incr */
    shoal_number *result;
    uint8_t number[NUMBER_BYTES];
    uint64_t version;
    waiting w;

    namespace_head *nh;
    place at;
    bool found;
    path names;        /* of a tree: the whole path; key has its last name, */
    trail trail;       /* how far it leads, */
    uint64_t object;   /* the ref of the object to link a new field to (0: it is linked later), */
    uint64_t first;    /* and the ref of the first field of an object that is made */
    uint64_t ref;      /* what was published */
    bool made;         /* an object that nobody asked for */
    bool limited;      /* the namespace's count lock is held */
    bool keep;         /* version and time of modification stay */
    bool late;         /* what was found has expired before it could be replaced: once more */
    bool draft;        /* the caller fills the prepared block, and keeps its pin; */
    uint64_t drafted;  /* to be published: its ref */
    uint64_t prepared; /* ref of a large block that is filled already, 0 = none */
    uint64_t prepared_bytes;
    uint32_t prepared_flags, pin;
} writing;

static inline bool is_object(const place *p) { return p->e.flags & BLOCK_OBJECT; }
static inline uint64_t value_size(const writing *x) { return x->args.head_size + x->args.body_size; }

static inline uint32_t flags_of(const writing *x)
{
    uint32_t flags = align_flags(x->args.align);
    if (unlikely(x->ns->tree))
        flags |= BLOCK_FIELD | (x->args.object ? BLOCK_OBJECT | BLOCK_EXPIRES | BLOCK_CREATED : 0) | (x->made ? BLOCK_MADE : 0);
    return flags;
}

static inline void fill_value(uint8_t *to, const shoal_put_args *args)
{
    if (args->head_size)
        racing_write(to, args->head, args->head_size);
    if (stream_pays(args->body_size))
        stream_write(to + args->head_size, args->body, args->body_size);
    else if (args->body_size)
        racing_write(to + args->head_size, args->body, args->body_size);
}

/* When the entry that is written will expire; 0 = never. */
uint64_t expiry(shoal_arena *a, const writing *x);
/* Once the key was found (or not) and the condition holds: make it so. Anything but OK leaves all as it was. */
shoal_status publish(shoal_arena *a, writing *x);

/* Of a tree: a path's shard and last name, before the lock. OK, INVALID. */
shoal_status path_writable(shoal_arena *a, const shoal_namespace *tree, const uint8_t *names, size_t size, writing *x);
/* OK, IS_OBJECT, NOT_OBJECT. */
shoal_status check_kind(const writing *x);
/* publish, with the way to the field. */
shoal_status publish_field(shoal_arena *a, writing *x);

#endif
