#include "fields.h"

bool path_valid(const void *names, size_t size)
{
    path p = {names, size};
    for (uint32_t depth = 0; depth < SHOAL_DEPTH_MAX; depth++) {
        size_t name = path_name(&p);
        if (name == 0 || name > SHOAL_KEY_MAX)
            return false;
        if (path_is_last(&p, name))
            return true;
        p = path_after(&p, name);
        if (p.size == 0)
            return false;
    }
    return false;
}

bool field_sound(shoal_arena *a, uint64_t ref, const entry *e)
{
    const uint32_t object = BLOCK_OBJECT | BLOCK_EXPIRES | BLOCK_CREATED;
    if (!(e->flags & BLOCK_FIELD) || ((e->flags & BLOCK_OBJECT) && ((e->flags & object) != object || e->value_size != OBJECT_VALUE)))
        return false;
    return range_known(a, ref << REF_SHIFT, entry_bytes(e->flags, e->key_size, e->value_size));
}

shoal_status field_find(shoal_arena *a, const lookup *key, place *p)
{
    shoal_status status = table_find(a, key, p);
    return status == SHOAL_OK && !field_sound(a, p->ref, &p->e) ? corrupt(a, "tree: an entry that is no field") : status;
}

/* A link is followed only to what is a field, or an object, at all: a damaged list stays damaged, the verifier names it, and
 * the next recovery makes it anew. */
static block *linked(shoal_arena *a, uint64_t ref, uint32_t needed, entry *e)
{
    block *b = ref ? block_at(a, ref) : NULL;
    if (!b)
        return NULL;
    *e = entry_load(b);
    return (e->flags & needed) == needed && field_sound(a, ref, e) ? b : NULL;
}

/* What leads to the field: its predecessor's next, or its object's first. */
static uint64_t *link_to(shoal_arena *a, uint64_t previous)
{
    entry e;
    bool first = previous & FIELD_FIRST;
    block *b = linked(a, previous & REF_MASK, first ? BLOCK_OBJECT : 0, &e);
    if (!b)
        return NULL;
    return first ? object_first(b, e.flags, e.key_size) : &entry_links(b, e.flags)->next;
}

static void set_previous(shoal_arena *a, uint64_t ref, uint64_t to)
{
    entry e;
    block *b = linked(a, ref, 0, &e);
    if (b)
        store_relaxed(&entry_links(b, e.flags)->previous, to);
}

void field_link(shoal_arena *a, uint64_t object, uint64_t ref, block *b)
{
    field_links *links = entry_links(b, entry_load(b).flags);
    uint64_t *first = link_to(a, object | FIELD_FIRST), next = first ? load_relaxed(first) : 0;
    store_relaxed(&links->next, next);
    store_relaxed(&links->previous, object | FIELD_FIRST);
    set_previous(a, next, ref);
    if (first)
        store_relaxed(first, ref);
}

void field_unlink(shoal_arena *a, block *b, uint32_t flags)
{
    const field_links *links = entry_links(b, flags);
    uint64_t next = load_relaxed(&links->next), previous = load_relaxed(&links->previous);
    uint64_t *to = link_to(a, previous);
    if (!to)
        return;
    store_relaxed(to, next);
    set_previous(a, next, previous);
}

void field_relink(shoal_arena *a, block *old, uint32_t old_flags, uint64_t ref, block *b)
{
    const field_links *from = entry_links(old, old_flags);
    field_links *links = entry_links(b, entry_load(b).flags);
    uint64_t next = load_relaxed(&from->next), previous = load_relaxed(&from->previous);
    store_relaxed(&links->next, next);
    store_relaxed(&links->previous, previous);
    uint64_t *to = link_to(a, previous);
    if (to)
        store_relaxed(to, ref);
    set_previous(a, next, ref);
}
