/* Listing: shoal_keys, shoal_fields, and the count of a namespace. */
#include <stdlib.h>
#include <unistd.h>

#include "os.h"
#include "process.h"
#include "read.h"

static bool append_key(shoal_bytes *out, size_t *room, const uint8_t *key, uint32_t size)
{
    if (*room - out->size < size + 2u) {
        size_t wanted = *room * 2 + size + 4096;
        uint8_t *grown = realloc(out->data, wanted);
        if (!grown)
            return false;
        out->data = grown;
        *room = wanted;
    }
    uint16_t n = (uint16_t)size;
    memcpy(out->data + out->size, &n, 2);
    memcpy(out->data + out->size + 2, key, size);
    out->size += size + 2u;
    return true;
}

static bool append_field(shoal_bytes *out, size_t *room, bool object, const uint8_t *name, uint32_t size)
{
    if (*room - out->size < size + 3u) {
        size_t wanted = *room * 2 + size + 1024;
        uint8_t *grown = realloc(out->data, wanted);
        if (!grown)
            return false;
        out->data = grown;
        *room = wanted;
    }
    uint16_t n = (uint16_t)size;
    out->data[out->size] = object;
    memcpy(out->data + out->size + 1, &n, 2);
    memcpy(out->data + out->size + 3, name, size);
    out->size += size + 3u;
    return true;
}

static shoal_status keys_listed(shoal_arena *a, uint32_t ns, uint32_t s, const void *prefix, size_t prefix_size, shoal_bytes *out)
{
    namespace_head *nh = head_of(a, ns, s);
    uint64_t left = list_most(a, nh);
    size_t room = 0;
    for (uint64_t ref = nh->newest; ref; left--) {
        block *b = block_at(a, ref);
        if (!b || left == 0)
            return corrupt(a, "list: link leaves the arena or has a cycle");
        entry e = entry_load(b);
        const uint8_t *key = (const uint8_t *)b + entry_key_at(e.flags);
        if (!range_known(a, ref << REF_SHIFT, entry_key_at(e.flags) + e.key_size))
            return corrupt(a, "entry: key leaves the arena");
        if (out->size > a->pages << PAGE_SHIFT) /* before a long key in a circle fills the memory */
            return corrupt(a, "list: more keys than there is room for");
        if (e.key_size >= prefix_size && memcmp(key, prefix, prefix_size) == 0 && !entry_expired(b, &e) &&
            !append_key(out, &room, key, e.key_size))
            return SHOAL_NO_MEMORY;
        ref = e.next;
    }
    return SHOAL_OK;
}

/* Which entries of a table are asked for: of a namespace those that start with a prefix, or the fields of one object. */
typedef struct wanted {
    const shoal_namespace *ns;
    const void *prefix;
    size_t prefix_size;
    bool fields;
    uint64_t parent;
} wanted;

static bool append(shoal_bytes *out, size_t *room, const wanted *what, const entry *e, const uint8_t *key)
{
    return what->fields ? append_field(out, room, e->flags & BLOCK_OBJECT, key, e->key_size) : append_key(out, room, key, e->key_size);
}

/* One chain, lock-free: what is wanted is counted and (if `out`) appended, or all is as before and CHANGED comes back. */
static enum outcome keys_of_chain(shoal_arena *a, bucket *head, const wanted *what, shoal_bytes *out, size_t *room,
                                  shoal_namespace_stats *sum, bool abandoned)
{
    uint64_t before = load_acquire(&head->word);
    size_t size = out ? out->size : 0;
    shoal_namespace_stats counted = *sum;
    uint8_t key[SHOAL_KEY_MAX];
    bool bad = false;
    int hops = 0;
    if ((seq_of(before) & 1) && !abandoned)
        return CHANGED;
    for (bucket *in = head, *next; in && hops++ <= CHAIN_MAX; in = next) {
        for (uint32_t i = 0; i < BUCKET_SLOTS; i++) {
            uint64_t word = load_acquire(&in->slots[i]), offset = (word & REF_MASK) << REF_SHIFT, header[6], parent;
            if (word == 0)
                continue;
            if (!range_known(a, offset, sizeof header) || pread(a->fd, header, sizeof header, (off_t)offset) != (ssize_t)sizeof header)
                goto changed;
            entry e = entry_load((block *)header);
            if (e.ns != what->ns->id)
                continue;
            uint64_t parent_at = offset + entry_key_at(e.flags) - sizeof(field_links);
            if (what->fields && (!range_known(a, parent_at, sizeof parent) ||
                                 pread(a->fd, &parent, sizeof parent, (off_t)parent_at) != (ssize_t)sizeof parent))
                goto changed;
            if (!range_known(a, offset, entry_key_at(e.flags) + e.key_size) ||
                pread(a->fd, key, e.key_size, (off_t)(offset + entry_key_at(e.flags))) != (ssize_t)e.key_size)
                goto changed;
            if (e.key_size < what->prefix_size || memcmp(key, what->prefix, what->prefix_size) != 0 || entry_expired((block *)header, &e))
                continue;
            if (((e.flags & BLOCK_FIELD) && is_root_name(key, e.key_size)) || (what->fields && parent != what->parent))
                continue;
            sum->entries++;
            sum->bytes += e.key_size + e.value_size;
            if (out && !append(out, room, what, &e, key))
                return DAMAGED;
        }
        next = bucket_next(a, in, &bad);
        if (next && moved(head, before)) /* as in look() */
            goto changed;
    }
    if (!bad && !moved(head, before))
        return FOUND;
changed:
    if (out)
        out->size = size;
    *sum = counted;
    return CHANGED;
}

/* Buckets in rising order: a split only moves keys to a bucket still to come, so none is missed; one may be
 * met twice. Through a read-only mapping, which cannot hold the lists still. */
static shoal_status keys_of_table(shoal_arena *a, uint32_t s, const wanted *what, shoal_bytes *out, shoal_namespace_stats *sum, waiting *w)
{
    shard *sh = &a->shards[s];
    size_t room = 0;
    int64_t deadline = deadline_after(os_mono_ns(), w->wait);
    for (uint64_t i = 0; i < load_acquire(&sh->nbuckets); i++) {
        bucket *head = i < BUCKETS_MAX ? bucket_at(a, sh, i) : NULL;
        if (!head)
            return corrupt(a, "table: directory leaves the arena");
        for (int tries = 1;; tries++) {
            uint64_t word = load_acquire(&sh->lock.word); /* beside a dead owner: as in look_patiently */
            bool abandoned = tries % TRIES == 0 && lock_abandoned(a, word);
            enum outcome outcome = keys_of_chain(a, head, what, out, &room, sum, abandoned);
            if (outcome == DAMAGED)
                return SHOAL_NO_MEMORY;
            if (outcome == FOUND && (!abandoned || load_relaxed(&sh->lock.word) == word))
                break;
            if (tries % TRIES != 0)
                continue;
            if (os_mono_ns() >= deadline)
                return SHOAL_BUSY;
            if (a->hook && a->hook(a->hook_context))
                return SHOAL_INTERRUPTED;
            if (!abandoned)
                read_pause();
        }
    }
    return SHOAL_OK;
}

shoal_status shoal_keys(shoal_arena *a, const shoal_namespace *ns, uint32_t s, const void *prefix, size_t prefix_size,
                        shoal_bytes *out, int64_t wait)
{
    waiting w = {.wait = wait};
    shoal_namespace_stats sum = {0};
    *out = (shoal_bytes){0};
    shoal_status status = process_ready(a, wait);
    if (status != SHOAL_OK)
        return status;
    if (s >= a->nshards || ns->id >= NAMESPACE_MAX)
        return SHOAL_INVALID;
    if (load_relaxed(&a->records[ns->id].uid) != ns->uid)
        return SHOAL_STALE;
    if (a->read_only) {
        status = keys_of_table(a, s, &(wanted){.ns = ns, .prefix = prefix, .prefix_size = prefix_size}, out, &sum, &w);
    } else { /* always under the lock: during a recovery the count is not what it was */
        status = shard_lock(a, s, &w);
        if (status != SHOAL_OK)
            return status;
        status = load_relaxed(&a->records[ns->id].uid) == ns->uid ? keys_listed(a, ns->id, s, prefix, prefix_size, out) : SHOAL_STALE;
        shard_unlock(a, s);
    }
    if (status != SHOAL_OK)
        shoal_bytes_free(out);
    return status;
}

/* Entries of one shard that have not expired; of a tree without its roots. */
static shoal_status count_shard(shoal_arena *a, const shoal_namespace *ns, uint32_t s, shoal_namespace_stats *out, waiting *w)
{
    namespace_head *nh = head_of(a, ns->id, s);
    if (a->read_only && ns->tree) /* to tell the roots, which nobody set */
        return keys_of_table(a, s, &(wanted){.ns = ns, .prefix = ""}, NULL, out, w);
    if (a->read_only) {
        shoal_lock *lock = &a->shards[s].lock;
        uint64_t before = load_acquire(&lock->word), count = load_relaxed(&nh->count), bytes = load_relaxed(&nh->bytes);
        bool due = sweep_due(nh, os_mono_ns());
        fence_acquire();
        if (due || before != 0 || load_relaxed(&lock->word) != 0)
            return keys_of_table(a, s, &(wanted){.ns = ns, .prefix = ""}, NULL, out, w);
        out->entries += count;
        out->bytes += bytes;
        return SHOAL_OK;
    }
    shoal_status status = shard_lock(a, s, w);
    if (status != SHOAL_OK)
        return status;
    if (load_relaxed(&a->records[ns->id].uid) != ns->uid) {
        status = SHOAL_STALE;
    } else if (sweep_due(nh, os_mono_ns())) {
        nh->cursor = 0;
        status = sweep_steps(a, s, ns->id, ns->uid, list_most(a, nh) + 1, w);
    }
    if (status == SHOAL_OK && ns->tree) /* what no path leads to any more does not count */
        status = graves_reap(a, s, UINT64_MAX, w);
    out->entries += nh->count;
    out->bytes += nh->bytes;
    if (ns->tree && status == SHOAL_OK) {
        lookup key = root_lookup(a, ns, s);
        place root;
        if (field_find(a, &key, &root) == SHOAL_OK) {
            out->entries--;
            out->bytes -= root.e.key_size + root.e.value_size;
        }
    }
    shard_unlock(a, s);
    return status;
}

shoal_status shoal_namespace_count(shoal_arena *a, const shoal_namespace *ns, shoal_namespace_stats *out, int64_t wait)
{
    waiting w = {.wait = wait};
    *out = (shoal_namespace_stats){0};
    shoal_status status = process_ready(a, wait);
    if (ns->id >= NAMESPACE_MAX)
        return SHOAL_INVALID;
    if (status == SHOAL_OK && load_relaxed(&a->records[ns->id].uid) != ns->uid)
        return SHOAL_STALE;
    for (uint32_t s = 0; s < a->nshards && status == SHOAL_OK; s++)
        status = count_shard(a, ns, s, out, &w);
    return status;
}

/* ---- fields */

static shoal_status fields_listed(shoal_arena *a, const shoal_namespace *tree, uint32_t s, const place *object, shoal_bytes *out)
{
    uint64_t ref = load_relaxed(object_first(object->b, object->e.flags, object->e.key_size)), left = entries_most(a, a->shards[s].entries);
    size_t room = 0;
    for (; ref; left--) {
        block *b = block_at(a, ref);
        entry e = b ? entry_load(b) : (entry){0};
        if (left == 0 || e.ns != tree->id || !field_sound(a, ref, &e))
            return corrupt(a, "fields: a link leads to no field, or in a cycle");
        if (out->size > a->pages << PAGE_SHIFT)
            return corrupt(a, "fields: more names than there is room for");
        const uint8_t *name = (const uint8_t *)b + entry_key_at(e.flags);
        if (!entry_expired(b, &e) && !append_field(out, &room, e.flags & BLOCK_OBJECT, name, e.key_size))
            return SHOAL_NO_MEMORY;
        ref = load_relaxed(&entry_links(b, e.flags)->next);
    }
    return SHOAL_OK;
}

static shoal_status list_fields(shoal_arena *a, const shoal_namespace *tree, const path *p, uint32_t s, shoal_bytes *out, waiting *w)
{
    trail t;
    place at;
    shoal_status status = shard_lock(a, s, w);
    if (status != SHOAL_OK)
        return status;
    if (load_relaxed(&a->records[tree->id].uid) != tree->uid) {
        status = SHOAL_STALE;
    } else if (p->size == 0) {
        lookup key = root_lookup(a, tree, s);
        status = field_find(a, &key, &at);
    } else if ((status = tree_walk(a, tree, p, s, &t, &at)) == SHOAL_OK && (!t.found || t.rest.size || !(at.e.flags & BLOCK_OBJECT))) {
        status = SHOAL_MISS;
    }
    if (status == SHOAL_OK)
        status = fields_listed(a, tree, s, &at, out);
    shard_unlock(a, s);
    return status;
}

/* Through a read-only mapping the object's list cannot be held still: look for its fields in the whole table. An object that is
 * still there afterwards was not being freed meanwhile. */
static shoal_status search_fields(shoal_arena *a, const shoal_namespace *tree, const path *p, uint32_t s, shoal_bytes *out, waiting *w)
{
    int64_t deadline = deadline_after(os_mono_ns(), w->wait);
    for (;;) {
        wanted what = {.ns = tree, .prefix = "", .fields = true};
        shoal_namespace_stats sum = {0};
        shoal_meta meta = {0}, after = {0};
        shoal_status status = p->size ? shoal_peek(a, tree, p->names, p->size, NULL, 0, 0, &meta, w->wait) : SHOAL_OK;
        if (status != SHOAL_OK || (p->size && !meta.object))
            return status == SHOAL_OK ? SHOAL_MISS : status;
        what.parent = p->size ? object_id(meta.version, s) : 0;
        status = keys_of_table(a, s, &what, out, &sum, w);
        if (status != SHOAL_OK || p->size == 0)
            return status;
        status = shoal_peek(a, tree, p->names, p->size, NULL, 0, 0, &after, w->wait);
        if (status == SHOAL_OK && after.version == meta.version)
            return SHOAL_OK;
        if (status != SHOAL_OK && status != SHOAL_MISS)
            return status;
        shoal_bytes_free(out);
        if (os_mono_ns() >= deadline)
            return SHOAL_BUSY;
        if (a->hook && a->hook(a->hook_context))
            return SHOAL_INTERRUPTED;
    }
}

shoal_status shoal_fields(shoal_arena *a, const shoal_namespace *tree, const void *names, size_t size, uint32_t s,
                          shoal_bytes *out, int64_t wait)
{
    path p = {names, size};
    waiting w = {.wait = wait};
    *out = (shoal_bytes){0};
    shoal_status status = process_ready(a, wait);
    if (status != SHOAL_OK)
        return status;
    if (!tree->tree || tree->id >= NAMESPACE_MAX || (size ? !path_valid(names, size) : s >= a->nshards))
        return SHOAL_INVALID;
    if (load_relaxed(&a->records[tree->id].uid) != tree->uid)
        return SHOAL_STALE;
    if (size)
        s = tree_shard(a, tree, &p);
    status = a->read_only ? search_fields(a, tree, &p, s, out, &w) : list_fields(a, tree, &p, s, out, &w);
    if (status != SHOAL_OK)
        shoal_bytes_free(out);
    return status;
}
