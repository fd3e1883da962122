#include "recover.h"

#include <stdlib.h>

#include "fields.h"
#include "pins.h"
#include "undo.h"

/* One bit per 16 bytes of the shard's slab runs, addressed through the page map: bits[page] -> 256 bits. */
typedef struct marks {
    uint64_t frontier;
    uint64_t (**pages)[PAGE_SIZE / 16 / 64];
    bool no_memory;
} marks;

/* False if it was marked before, or memory is out. */
static bool mark(shoal_arena *a, marks *m, uint64_t ref)
{
    uint64_t offset = ref << REF_SHIFT, page = page_of(a, offset), bit = (offset & (PAGE_SIZE - 1)) / 16;
    if (page >= m->frontier)
        return false;
    if (!m->pages[page] && !(m->pages[page] = calloc(1, sizeof *m->pages[page]))) {
        m->no_memory = true;
        return false;
    }
    uint64_t *word = &(*m->pages[page])[bit / 64], mask = 1ull << (bit % 64);
    if (*word & mask)
        return false;
    *word |= mask;
    return true;
}

static void unmark(shoal_arena *a, marks *m, uint64_t ref)
{
    uint64_t offset = ref << REF_SHIFT, page = page_of(a, offset), bit = (offset & (PAGE_SIZE - 1)) / 16;
    (*m->pages[page])[bit / 64] &= ~(1ull << (bit % 64));
}

static bool marked(const shoal_arena *a, const marks *m, uint64_t ref)
{
    uint64_t offset = ref << REF_SHIFT, page = page_of(a, offset), bit = (offset & (PAGE_SIZE - 1)) / 16;
    return page < m->frontier && m->pages[page] && ((*m->pages[page])[bit / 64] >> (bit % 64) & 1);
}

static void marks_free(marks *m)
{
    for (uint64_t i = 0; m->pages && i < m->frontier; i++)
        free(m->pages[i]);
    free(m->pages);
}

/* Is the block one that this shard may hold, and its entry within it? */
static bool entry_sound(shoal_arena *a, uint32_t shard_index, uint64_t slot_word, entry *e)
{
    uint64_t ref = slot_word & REF_MASK;
    block *b = block_at(a, ref);
    if (!b)
        return false;
    *e = entry_load(b);
    uint64_t offset = ref << REF_SHIFT, bytes = entry_bytes(e->flags, e->key_size, e->value_size);
    uint64_t page = page_of(a, offset), state;
    if (e->key_size == 0 || e->version == 0 || e->ns >= load_relaxed(&a->header->namespaces_high))
        return false;
    bool tree = load_relaxed(&a->records[e->ns].kind) != KIND_KEYS;
    if (tree ? !field_sound(a, ref, e) : (e->flags & (BLOCK_FIELD | BLOCK_OBJECT)) != 0)
        return false;
    if (slot_word & SLOT_LARGE) {
        state = page_head(a, page, PAGE_LARGE, shard_index);
        return state && (offset & (PAGE_SIZE - 1)) == 0 && block_is_large(bytes) && bytes <= page_length(state) << PAGE_SHIFT;
    }
    state = load_relaxed(&a->map[page].state);
    if (page_kind(state) == PAGE_INSIDE && page_length(state) <= page)
        page -= page_length(state);
    if (block_is_large(bytes) || !page_head(a, page, PAGE_SLAB, shard_index))
        return false;
    uint32_t c = class_of(bytes);
    return slab_run_class(&a->map[page]) == c && (offset - (uint64_t)(page_at(a, page) - a->base)) % class_size(c) == 0;
}

static void relist(shoal_arena *a, uint32_t shard_index, uint64_t ref, const entry *e)
{
    namespace_head *nh = head_of(a, e->ns, shard_index);
    block *b = block_at(a, ref);
    list_push(a, nh, ref, b);
    nh->count++;
    nh->bytes += e->key_size + e->value_size;
    if (e->flags & BLOCK_EXPIRES)
        list_expect(nh, load_relaxed(entry_expires(b)));
}

/* Keep the chain's slots that belong here; drop doubles, which a split or a removal that died leaves. */
static bool recover_chain(shoal_arena *a, uint32_t shard_index, uint64_t index, uint64_t n, marks *m)
{
    shard *sh = &a->shards[shard_index];
    bucket *head = bucket_at(a, sh, index), *in = head;
    bool bad = false;
    entry e;
    if (!head)
        return false;
    if (!(seq_of(load_relaxed(&head->word)) & 1))
        table_begin(head);
    for (int hops = 0; in; in = bucket_next(a, in, &bad), hops++) {
        if (hops > CHAIN_MAX || (in != head && !mark(a, m, ref_of(a, in))))
            return false;
        sh->chained += in != head;
        for (uint32_t i = 0; i < BUCKET_SLOTS; i++) {
            uint64_t word = load_relaxed(&in->slots[i]);
            if (word == 0)
                continue;
            if (bucket_index(word >> TAG_SHIFT, n) != index) {
                store_relaxed(&in->slots[i], 0);
                continue;
            }
            if (!entry_sound(a, shard_index, word, &e) || !mark(a, m, word & REF_MASK))
                return false;
            relist(a, shard_index, word & REF_MASK, &e);
            sh->entries++;
            if (e.version > sh->version)
                sh->version = e.version;
        }
    }
    table_end(head);
    return !bad;
}

/* ---- trees: every field hangs at a live object, and every object has its fields in a list */

/* Open addressing; the ids of one shard's objects and their blocks. */
typedef struct objects {
    uint64_t mask;
    struct { uint64_t id, ref; } *slots;
} objects;

static uint64_t *object_slot(objects *o, uint64_t id)
{
    uint64_t i = (id * 0x9E3779B97F4A7C15ull) >> 20;
    for (uint64_t n = 0; n < o->mask && o->slots[i & o->mask].id != 0 && o->slots[i & o->mask].id != id; n++)
        i++;
    o->slots[i & o->mask].id = id;
    return &o->slots[i & o->mask].ref;
}

/* The list of this tree's entries was made anew. It is still not followed further than it was counted: what damages an arena may go on
 * doing so. False: no memory (no slots), or just that. */
static bool find_objects(shoal_arena *a, uint32_t shard_index, const namespace_head *nh, objects *o, uint64_t *root)
{
    uint64_t left = nh->count;
    o->mask = 15;
    while (o->mask < 4 * left)
        o->mask = 2 * o->mask + 1;
    o->slots = calloc(o->mask + 1, sizeof *o->slots);
    *root = 0;
    if (!o->slots)
        return false;
    for (uint64_t ref = nh->newest; ref;) {
        block *b = block_at(a, ref);
        if (!b || left-- == 0)
            return false;
        entry e = entry_load(b);
        if (e.flags & BLOCK_OBJECT) {
            store_relaxed(object_first(b, e.flags, e.key_size), 0);
            if (is_root(b, &e))
                *root = ref;
            *object_slot(o, object_id(e.version, shard_index)) = ref;
        }
        ref = e.next;
    }
    return true;
}

/* Who died removing an object, or making the way to a field, leaves fields of no object: they go, and so does what hangs at them. */
static bool drop_orphans(shoal_arena *a, uint32_t shard_index, uint32_t ns, objects *o, uint64_t root, marks *m)
{
    namespace_head *nh = head_of(a, ns, shard_index);
    uint64_t uid = load_relaxed(&a->records[ns].last_uid);
    shard *sh = &a->shards[shard_index];
    uint64_t most = o->mask / 4 + 1; /* entries of the list */
    for (bool again = true; again;) {
        again = false;
        uint64_t left = most;
        for (uint64_t ref = nh->newest, next; ref; ref = next) {
            block *b = block_at(a, ref);
            if (!b || left-- == 0)
                return false;
            entry e = entry_load(b);
            uint64_t parent = entry_parent(b, e.flags);
            place p;
            next = e.next;
            if (parent == 0 ? root || is_root(b, &e) : *object_slot(o, parent) != 0)
                continue;
            uint64_t hash = hash_field(a->secret, uid, parent, (uint8_t *)b + entry_key_at(e.flags), e.key_size);
            if (table_find_ref(a, shard_index, hash >> 8, ref, &p) != SHOAL_OK)
                return false;
            table_begin(p.head);
            store_relaxed(&p.in->slots[p.slot], 0);
            table_end(p.head);
            list_remove(a, nh, ref, &e);
            nh->count--;
            nh->bytes -= e.key_size + e.value_size;
            sh->entries--;
            unmark(a, m, ref);
            if (e.flags & BLOCK_OBJECT) {
                *object_slot(o, object_id(e.version, shard_index)) = 0;
                again = true;
            }
        }
    }
    return true;
}

static bool recover_tree(shoal_arena *a, uint32_t shard_index, uint32_t ns, marks *m)
{
    namespace_head *nh = head_of(a, ns, shard_index);
    objects o;
    uint64_t root;
    if (load_relaxed(&a->records[ns].kind) == KIND_KEYS || nh->newest == 0)
        return true;
    if (!find_objects(a, shard_index, nh, &o, &root)) {
        m->no_memory = !o.slots;
        free(o.slots);
        return false;
    }
    bool whole = drop_orphans(a, shard_index, ns, &o, root, m);
    uint64_t left = o.mask / 4 + 1;
    for (uint64_t ref = nh->oldest; ref && whole;) {
        block *b = block_at(a, ref);
        if (!b || left-- == 0) {
            whole = false;
            break;
        }
        entry e = entry_load(b);
        uint64_t parent = entry_parent(b, e.flags);
        if (!(parent == 0 && is_root(b, &e)))
            field_link(a, parent ? *object_slot(&o, parent) : root, ref, b);
        ref = e.prev;
    }
    free(o.slots);
    return whole;
}

/* Directory pages and segments that the shard's directory reaches. */
static bool mark_directory(shoal_arena *a, const shard *sh, marks *m)
{
    for (uint32_t d = 0; d < DIRECTORY_MAX; d++) {
        uint64_t page = load_relaxed32(&sh->directory[d]);
        if (page == 0)
            continue;
        if (page > m->frontier || !mark(a, m, ref_of(a, page_at(a, page - 1))))
            return false;
        const uint32_t *words = (const uint32_t *)page_at(a, page - 1);
        for (uint32_t i = 0; i < DIRECTORY_FANOUT; i++)
            if (load_relaxed32(&words[i]) != 0 &&
                (load_relaxed32(&words[i]) > m->frontier || !mark(a, m, ref_of(a, page_at(a, load_relaxed32(&words[i]) - 1)))))
                return false;
    }
    return true;
}

/* Does the walk over the page map meet all that is marked, where it says it is? One wrong length, and the run would swallow the next
 * ones: to free its blocks would write into theirs. */
static bool runs_fit(shoal_arena *a, uint32_t shard_index, const marks *m, uint64_t frontier)
{
    uint64_t state;
    for (uint64_t page = 0; page < frontier; page += page_length(state)) {
        if (!page_walk(a, page, frontier, &state))
            return false;
        bool ours = page_kind(state) != PAGE_FREE && page_shard(state) == shard_index, slab = ours && page_kind(state) == PAGE_SLAB;
        for (uint64_t i = 0; i < page_length(state); i++) {
            if (slab && i > 0 && load_relaxed(&a->map[page + i].state) != page_state(PAGE_INSIDE, 0, 0, i))
                return false;
            if (!slab && page + i < m->frontier && m->pages[page + i] && (!ours || (page_kind(state) == PAGE_LARGE && i > 0)))
                return false;
        }
    }
    return true;
}

/* Every run of this shard: free what is neither reached nor pinned. Under the page lock: others change the map. */
static bool recover_runs(shoal_arena *a, uint32_t shard_index, const marks *m)
{
    shard *sh = &a->shards[shard_index];
    uint64_t state, next, frontier = load_acquire(&a->header->frontier); /* others may have moved it since the marks were made */
    if (frontier > a->pages || !runs_fit(a, shard_index, m, frontier))
        return false;
    slab_reset(sh);
    if (!pins_recount(a, shard_index, frontier))
        return false;
    for (uint64_t page = 0; page < frontier; page = next) {
        if (!page_walk(a, page, frontier, &state))
            return false;
        next = page + page_length(state);
        if (page_shard(state) != shard_index || page_kind(state) == PAGE_FREE)
            continue;
        uint64_t ref = ref_of(a, page_at(a, page));
        if (page_kind(state) == PAGE_TABLE) {
            if (!marked(a, m, ref))
                next = pages_give(a, page);
            continue;
        }
        if (page_kind(state) == PAGE_PINS) {
            if (load_relaxed(&a->map[page].aux) == 0)
                next = pages_give(a, page);
            continue;
        }
        if (page_kind(state) == PAGE_LARGE) {
            uint32_t pins = (uint32_t)load_relaxed(&a->map[page].aux);
            bool reached = marked(a, m, ref);
            store_relaxed(&a->map[page].aux, pins | (reached ? 0 : PAGE_ORPHAN));
            if (!reached && pins == 0)
                next = pages_give(a, page);
            continue;
        }
        uint32_t c = slab_run_class(&a->map[page]);
        if (c >= CLASS_COUNT)
            return false;
        store_relaxed(&a->map[page].aux, c);
        sh->classes[c].runs++;
        uint64_t blocks = (page_length(state) << PAGE_SHIFT) / class_size(c);
        for (uint64_t i = 0; i < blocks; i++) {
            uint64_t at = ref + i * (class_size(c) >> REF_SHIFT);
            if (!marked(a, m, at))
                slab_give_block(a, sh, c, at);
        }
    }
    return true;
}

/* A table without buckets has none with anything in them. Else it is its count that is wrong, and to believe it would lose all entries. */
static bool has_lost_count(shoal_arena *a, const shard *sh)
{
    const bucket *b = load_relaxed(&sh->nbuckets) == 0 ? bucket_at(a, sh, 0) : NULL;
    for (uint32_t i = 0; b && i < SEGMENT_BUCKETS; i++)
        for (uint32_t k = 0; k < BUCKET_SLOTS; k++)
            if (load_relaxed(&b[i].slots[k]) != 0)
                return true;
    return false;
}

static void recount(shoal_arena *a, uint32_t ns)
{
    uint64_t total = 0;
    for (uint32_t s = 0; s < a->nshards; s++)
        total += load_relaxed(&head_of(a, ns, s)->count);
    store_relaxed(&a->records[ns].total, total);
}

shoal_status count_lock(shoal_arena *a, uint32_t ns, waiting *w)
{
    bool dead;
    waiting inside = waiting_inside(w);
    shoal_status status = lock_take(a, &a->records[ns].count_lock, &inside, &dead);
    if (status == SHOAL_OK && dead)
        recount(a, ns);
    return status;
}

shoal_status recover_shard(shoal_arena *a, uint32_t shard_index, int64_t wait)
{
    shard *sh = &a->shards[shard_index];
    uint64_t n = load_relaxed(&sh->nbuckets), namespaces = load_acquire(&a->header->namespaces_high);
    marks m = {.frontier = load_acquire(&a->header->frontier)};
    waiting w = {.wait = wait, .quiet = true}; /* begins anew: a long recovery is not to be in vain */
    shoal_status status = SHOAL_CORRUPT;
    if (n > BUCKETS_MAX || namespaces > NAMESPACE_MAX || m.frontier > a->pages || has_lost_count(a, sh))
        return corrupt(a, "recovery: counts out of range");
    if (!undo_apply(a, sh))
        return corrupt(a, "recovery: an image of no entry");
    m.pages = calloc(m.frontier + 1, sizeof *m.pages);
    if (!m.pages)
        return SHOAL_NO_MEMORY;
    sh->entries = sh->chained = sh->limbo = 0;
    store_relaxed(&sh->graves, 0);
    objects_begin(sh);
    for (uint32_t ns = 0; ns < namespaces; ns++)
        list_init(head_of(a, ns, shard_index));
    bool whole = mark_directory(a, sh, &m);
    for (uint64_t i = 0; i < n && whole; i++)
        whole = recover_chain(a, shard_index, i, n, &m);
    for (uint32_t ns = 0; ns < namespaces && whole; ns++)
        whole = recover_tree(a, shard_index, ns, &m);
    if (m.no_memory) {
        status = SHOAL_NO_MEMORY;
    } else if (whole && (status = pages_lock(a, &w)) == SHOAL_OK) {
        whole = recover_runs(a, shard_index, &m);
        pages_unlock(a);
    }
    if (status == SHOAL_OK && whole) {
        objects_end(sh);
        for (uint32_t ns = 0; ns < namespaces && status == SHOAL_OK; ns++)
            if (load_relaxed(&a->records[ns].max_keys) && (status = count_lock(a, ns, &w)) == SHOAL_OK) {
                recount(a, ns);
                lock_drop(&a->records[ns].count_lock);
            }
    } else if (status == SHOAL_OK || status == SHOAL_CORRUPT) {
        status = corrupt(a, "recovery: the table holds what no write leaves");
    }
    marks_free(&m);
    return status;
}

shoal_status shard_lock(shoal_arena *a, uint32_t shard_index, waiting *w)
{
    bool dead;
    shard *sh = &a->shards[shard_index];
    shoal_status status = lock_take(a, &sh->lock, w, &dead);
    if (likely(status == SHOAL_OK) && unlikely(dead)) {
        status = recover_shard(a, shard_index, w->wait);
        if (status != SHOAL_OK) {
            /* Not whole: nobody may use it as if it were. An owner that cannot live keeps it so, and the next
             * who comes tries again. */
            store_release(&sh->lock.word, LOCK_OWNER_MASK);
            lock_wake(&sh->lock);
        }
    }
    return status;
}
