#include "namespace.h"

#include <inttypes.h>
#include <stdio.h>

#include "os.h"
#include "process.h"
#include "tree.h"

#define CLEAR_BATCH 256 /* entries to remove before the lock is let go once */

static uint32_t high_of(const shoal_arena *a)
{
    uint64_t high = load_acquire(&a->header->namespaces_high);
    return high < NAMESPACE_MAX ? (uint32_t)high : NAMESPACE_MAX;
}

/* Commit the record and the heads of a namespace. */
static shoal_status commit(shoal_arena *a, uint32_t id)
{
    uint64_t at[2] = {(uint64_t)((uint8_t *)&a->records[id] - a->base), (uint64_t)((uint8_t *)head_of(a, id, 0) - a->base)};
    uint64_t size[2] = {sizeof(namespace_record), sizeof(namespace_head) * a->nshards};
    if (!is_segment(a, a->fd))
        return SHOAL_OS;
    for (int i = 0; i < 2; i++) {
        uint64_t begin = at[i] & ~(uint64_t)(PAGE_SIZE - 1);
        shoal_status status = os_commit_status(os_commit(a->fd, begin, at[i] + size[i] - begin));
        if (status != SHOAL_OK)
            return status;
    }
    return SHOAL_OK;
}

/* What a record is looked up by: keys by their name, a tree by the namespace that it belongs to. */
typedef struct identity {
    uint64_t kind, home_uid;
    const char *name;
    size_t length;
} identity;

/* Records are written before their uid, and lose it first: what is read between two equal uids is whole. */
static bool is_wanted(shoal_arena *a, uint32_t id, const identity *wanted, uint64_t *uid)
{
    namespace_record *r = &a->records[id];
    char copy[SHOAL_NAME_MAX];
    *uid = load_acquire(&r->uid);
    if (*uid == 0 || load_relaxed(&r->kind) != wanted->kind || load_relaxed(&r->home_uid) != wanted->home_uid ||
        load_relaxed(&r->name_length) != wanted->length)
        return false;
    racing_read(copy, r->name, sizeof copy);
    fence_acquire();
    return load_relaxed(&r->uid) == *uid && memcmp(copy, wanted->name, wanted->length) == 0;
}

static bool find(shoal_arena *a, const identity *wanted, shoal_namespace *out)
{
    *out = (shoal_namespace){.tree = wanted->kind != KIND_KEYS};
    for (uint32_t id = 0; id < high_of(a); id++)
        if (is_wanted(a, id, wanted, &out->uid)) {
            out->id = id;
            return true;
        }
    return false;
}

static shoal_status lock_names(shoal_arena *a, waiting *w)
{
    bool dead;
    shoal_status status = lock_take(a, &a->header->namespace_lock, w, &dead);
    (void)dead; /* what a dead one leaves is finished where it is met: a record that is DROPPING */
    w->quiet = true;
    return status;
}

static shoal_status remove_entries(shoal_arena *a, uint32_t id, uint64_t uid, bool all, uint64_t *count, waiting *w);

/* A record to use: one that was dropped, or the next. What dead droppers began is finished on the way. */
static shoal_status free_record(shoal_arena *a, uint32_t *id, waiting *w)
{
    uint32_t high = high_of(a), found = high;
    for (uint32_t i = 0; i < high; i++) {
        namespace_record *r = &a->records[i];
        uint64_t state = load_relaxed(&r->state), count = 0;
        if (state == NAMESPACE_DROPPING && load_relaxed(&r->uid) != 0) {
            store_relaxed(&r->state, NAMESPACE_USED); /* its dropper died before the first step */
            continue;
        }
        if (state == NAMESPACE_DROPPING) {
            shoal_status status = remove_entries(a, i, load_relaxed(&r->last_uid), true, &count, w);
            if (status != SHOAL_OK && found == high)
                return status;
            if (status != SHOAL_OK)
                continue; /* another time: there is one to use */
            store_release(&r->state, state = NAMESPACE_FREE);
        }
        /* A record whose maker died before it gave it a uid counts as free. */
        if (found == high && (state == NAMESPACE_FREE || load_relaxed(&r->uid) == 0))
            found = i;
    }
    *id = found;
    if (found < high)
        return SHOAL_OK;
    if (high == NAMESPACE_MAX)
        return SHOAL_FULL_NAMESPACES;
    shoal_status status = commit(a, high);
    if (status != SHOAL_OK)
        return status;
    *id = high;
    for (uint32_t s = 0; s < a->nshards; s++)
        list_init(head_of(a, high, s));
    store_release(&a->header->namespaces_high, high + 1);
    return SHOAL_OK;
}

static void make(shoal_arena *a, uint32_t id, const identity *made, const shoal_namespace_config *config, shoal_namespace *out)
{
    namespace_record *r = &a->records[id];
    uint64_t uid = load_relaxed(&a->header->namespace_uid) + 1;
    store_relaxed(&a->header->namespace_uid, uid);
    store_relaxed(&r->state, NAMESPACE_USED);
    store_relaxed(&r->ttl, config ? (uint64_t)config->ttl : 0);
    store_relaxed(&r->max_keys, config ? config->max_keys : 0);
    store_relaxed(&r->eviction, config ? config->eviction : SHOAL_EVICT_ERROR);
    store_relaxed(&r->total, 0);
    store_relaxed(&r->hand, 0);
    store_relaxed(&r->kind, made->kind);
    store_relaxed(&r->home_uid, made->home_uid);
    store_relaxed(&r->name_length, made->length);
    store_relaxed(&r->last_uid, uid);
    racing_write(r->name, made->name, made->length);
    store_release(&r->uid, uid);
    *out = (shoal_namespace){.id = id, .uid = uid, .tree = made->kind != KIND_KEYS};
}

static bool valid(const shoal_namespace_config *c)
{
    return !c || (c->ttl >= 0 && c->eviction <= SHOAL_EVICT_SIEVE);
}

shoal_status namespace_first(shoal_arena *a)
{
    waiting w = {0};
    uint32_t id;
    shoal_namespace ns;
    shoal_status status = free_record(a, &id, &w);
    if (status == SHOAL_OK)
        make(a, id, &(identity){.name = "default", .length = 7}, NULL, &ns);
    return status;
}

static namespace_record *record_of(shoal_arena *a, const shoal_namespace *ns)
{
    if (ns->id >= high_of(a) || load_relaxed(&a->records[ns->id].uid) != ns->uid)
        return NULL;
    return &a->records[ns->id];
}

/* `home`: of a tree, whose default ttl it begins with. */
static shoal_status find_or_make(shoal_arena *a, const identity *wanted, bool create, const shoal_namespace_config *config,
                                 const shoal_namespace *home, shoal_namespace *out, int64_t wait)
{
    shoal_status status = process_ready(a, wait);
    if (status != SHOAL_OK || find(a, wanted, out))
        return status;
    if (!create)
        return SHOAL_NOT_FOUND;
    if (a->read_only)
        return SHOAL_READ_ONLY;
    waiting w = {.wait = wait};
    status = lock_names(a, &w);
    if (status != SHOAL_OK)
        return status;
    uint32_t id;
    const namespace_record *of = home ? record_of(a, home) : NULL;
    if (home && !of)
        status = SHOAL_STALE;
    else if (!find(a, wanted, out) && (status = free_record(a, &id, &w)) == SHOAL_OK)
        make(a, id, wanted, of ? &(shoal_namespace_config){.ttl = (int64_t)load_relaxed(&of->ttl)} : config, out);
    lock_drop(&a->header->namespace_lock);
    return status;
}

shoal_status shoal_namespace_open(shoal_arena *a, const char *name, size_t length, bool create,
                                  const shoal_namespace_config *config, shoal_namespace *out, int64_t wait)
{
    if (length == 0 || length > SHOAL_NAME_MAX || !valid(config))
        return SHOAL_INVALID;
    return find_or_make(a, &(identity){.name = name, .length = length}, create, config, NULL, out, wait);
}

shoal_status shoal_tree_open(shoal_arena *a, const shoal_namespace *home, bool create, shoal_namespace *out, int64_t wait)
{
    shoal_status status = find_or_make(a, &(identity){.kind = KIND_TREE, .home_uid = home->uid, .name = ""}, create, NULL, home, out, wait);
    out->home = home->id;
    out->home_uid = home->uid;
    if (status == SHOAL_OK && !record_of(a, home))
        return SHOAL_STALE;
    return status;
}

static const identity RUNS = {.kind = KIND_RUNS, .name = ""};

shoal_status shoal_runs_open(shoal_arena *a, const shoal_namespace *home, bool create, shoal_namespace *out, int64_t wait)
{
    shoal_status status = find_or_make(a, &RUNS, create, NULL, NULL, out, wait);
    out->home = home->id;
    out->home_uid = home->uid;
    return status;
}

bool namespace_drop_runs(shoal_arena *a, uint32_t slot, uint32_t generation, const waiting *w)
{
    shoal_namespace runs;
    char name[32];
    path p = {(const uint8_t *)name, (size_t)snprintf(name, sizeof name, "%u-%u", slot, generation)};
    trail t;
    place at;
    waiting patience = waiting_inside(w);
    if (!find(a, &RUNS, &runs))
        return true;
    uint32_t s = tree_shard(a, &runs, &p);
    if (shard_lock(a, s, &patience) != SHOAL_OK)
        return false;
    shoal_status status = tree_walk(a, &runs, &p, s, &t, &at);
    if (status == SHOAL_OK && t.found)
        status = entry_remove(a, s, &at, &patience);
    shard_unlock(a, s);
    tree_tidy(a, s, w);
    return status == SHOAL_OK;
}

/* "SLOT-GENERATION", and nothing else. */
static bool parse_owner(const uint8_t *name, size_t size, uint32_t *slot, uint32_t *generation)
{
    char text[32], canonical[32];
    if (size >= sizeof text)
        return false;
    memcpy(text, name, size);
    text[size] = '\0';
    return sscanf(text, "%" SCNu32 "-%" SCNu32, slot, generation) == 2 &&
           snprintf(canonical, sizeof canonical, "%u-%u", *slot, *generation) == (int)size && strcmp(text, canonical) == 0;
}

void namespace_drop_dead_runs(shoal_arena *a)
{
    shoal_namespace runs;
    if (!find(a, &RUNS, &runs))
        return;
    for (uint32_t s = 0; s < a->nshards; s++) {
        shoal_bytes names;
        if (load_relaxed(&head_of(a, runs.id, s)->count) == 0 || shoal_fields(a, &runs, "", 0, s, &names, 0) != SHOAL_OK)
            continue;
        for (size_t at = 0; at < names.size;) {
            uint32_t slot, generation;
            uint16_t size;
            memcpy(&size, names.data + at + 1, 2);
            if (parse_owner(names.data + at + 3, size, &slot, &generation) && !process_alive(a, slot, generation))
                namespace_drop_runs(a, slot, generation, &(waiting){0});
            at += 3u + size;
        }
        shoal_bytes_free(&names);
    }
}

/* The tree that belongs to `home`; false if it has none. */
static bool find_tree(shoal_arena *a, const shoal_namespace *home, shoal_namespace *out)
{
    return find(a, &(identity){.kind = KIND_TREE, .home_uid = home->uid, .name = ""}, out);
}

shoal_status shoal_namespace_get_config(shoal_arena *a, const shoal_namespace *ns, shoal_namespace_config *out)
{
    namespace_record *r = record_of(a, ns);
    if (!r)
        return SHOAL_STALE;
    uint64_t max_keys = load_relaxed(&r->max_keys);
    *out = (shoal_namespace_config){.ttl = (int64_t)load_relaxed(&r->ttl), .max_keys = max_keys == COUNTING ? 0 : max_keys,
                                    .eviction = (uint32_t)load_relaxed(&r->eviction)};
    return SHOAL_OK;
}

/* Counting becomes exact when every writer knows of it: who comes after the pass over the shards' locks sees the
 * limit and counts under the count lock; then the sum holds still. Until it is made, nobody is refused. */
static shoal_status begin_counting(shoal_arena *a, const shoal_namespace *ns, namespace_record *r, uint64_t max_keys, waiting *w)
{
    store_relaxed(&r->max_keys, COUNTING);
    for (uint32_t s = 0; s < a->nshards; s++) {
        shoal_status status = shard_lock(a, s, w);
        if (status != SHOAL_OK)
            return status;
        shard_unlock(a, s);
    }
    /* count locks are taken under a shard lock: recovery of a dead owner's count relies on it */
    shoal_status status = shard_lock(a, 0, w);
    if (status != SHOAL_OK)
        return status;
    status = count_lock(a, ns->id, w);
    if (status == SHOAL_OK) {
        uint64_t total = 0;
        for (uint32_t s = 0; s < a->nshards; s++)
            total += load_relaxed(&head_of(a, ns->id, s)->count);
        store_relaxed(&r->total, total);
        store_relaxed(&r->max_keys, max_keys);
        lock_drop(&r->count_lock);
    }
    shard_unlock(a, 0);
    return status;
}

shoal_status shoal_namespace_set_config(shoal_arena *a, const shoal_namespace *ns, const shoal_namespace_config *config, int64_t wait)
{
    waiting w = {.wait = wait};
    if (!valid(config))
        return SHOAL_INVALID;
    if (a->read_only)
        return SHOAL_READ_ONLY;
    shoal_status status = process_ready(a, wait);
    if (status != SHOAL_OK || (status = lock_names(a, &w)) != SHOAL_OK)
        return status;
    namespace_record *r = record_of(a, ns);
    if (!r) {
        status = SHOAL_STALE;
    } else {
        uint64_t before = load_relaxed(&r->max_keys);
        if (config->max_keys != 0 && (before == 0 || before == COUNTING)) {
            status = begin_counting(a, ns, r, config->max_keys, &w);
            if (status != SHOAL_OK)
                store_relaxed(&r->max_keys, 0);
        } else {
            store_relaxed(&r->max_keys, config->max_keys);
        }
        if (status == SHOAL_OK) {
            shoal_namespace tree;
            store_relaxed(&r->ttl, (uint64_t)config->ttl);
            store_relaxed(&r->eviction, config->eviction);
            if (find_tree(a, ns, &tree))
                store_relaxed(&a->records[tree.id].ttl, (uint64_t)config->ttl);
        }
    }
    lock_drop(&a->header->namespace_lock);
    return status;
}

/* Under the shard lock. */
static shoal_status remove_oldest(shoal_arena *a, uint32_t s, uint32_t id, uint64_t uid, waiting *w)
{
    place p;
    shoal_status status = entry_listed(a, s, id, uid, head_of(a, id, s)->oldest, &p);
    return status == SHOAL_OK ? entry_remove(a, s, &p, w) : status;
}

/* `all`: until each shard's list is empty, which ends because nobody can write to a namespace that is being dropped.
 * Otherwise as many entries as a shard had when it was reached, so that writers cannot keep this going. Each shard is
 * locked even if it looks empty: a writer may be about to add, a recovery to count again. */
static shoal_status remove_entries(shoal_arena *a, uint32_t id, uint64_t uid, bool all, uint64_t *count, waiting *w)
{
    for (uint32_t s = 0; s < a->nshards; s++) {
        namespace_head *nh = head_of(a, id, s);
        uint64_t left = UINT64_MAX;
        for (bool first = true; left > 0; first = false) {
            shoal_status status = shard_lock(a, s, w);
            if (status != SHOAL_OK)
                return status;
            if (first && !all)
                left = nh->count;
            for (uint32_t i = 0; i < CLEAR_BATCH && left > 0 && status == SHOAL_OK; i++, left--) {
                if (nh->oldest == 0) {
                    left = 0;
                    break;
                }
                status = remove_oldest(a, s, id, uid, w);
                if (status == SHOAL_OK) {
                    count_one(a, COUNT_DELETES);
                    ++*count;
                }
            }
            shard_unlock(a, s);
            if (status != SHOAL_OK)
                return status;
        }
        tree_tidy(a, s, w);
    }
    return SHOAL_OK;
}

shoal_status shoal_namespace_clear(shoal_arena *a, const shoal_namespace *ns, uint64_t *count, int64_t wait)
{
    waiting w = {.wait = wait};
    *count = 0;
    if (a->read_only)
        return SHOAL_READ_ONLY;
    shoal_status status = process_ready(a, wait);
    if (status != SHOAL_OK)
        return status;
    if (!record_of(a, ns))
        return SHOAL_STALE;
    if (!ns->tree)
        return remove_entries(a, ns->id, ns->uid, false, count, &w);
    for (uint32_t s = 0; s < a->nshards && status == SHOAL_OK; s++)
        status = tree_clear(a, ns, s, &w);
    return status;
}

/* Under the namespace lock. Whoever takes a shard's lock after the first step sees the namespace gone; entries of those
 * before are removed. */
static shoal_status drop_record(shoal_arena *a, const shoal_namespace *ns, waiting *w)
{
    uint64_t count = 0;
    namespace_record *r = ns->id < high_of(a) ? &a->records[ns->id] : NULL;
    bool begun = r && load_relaxed(&r->state) == NAMESPACE_DROPPING && load_relaxed(&r->last_uid) == ns->uid;
    if (!begun && !record_of(a, ns))
        return SHOAL_STALE;
    store_relaxed(&r->state, NAMESPACE_DROPPING);
    store_release(&r->uid, 0);
    shoal_status status = remove_entries(a, ns->id, ns->uid, true, &count, w);
    if (status == SHOAL_OK)
        store_release(&r->state, NAMESPACE_FREE);
    return status;
}

shoal_status shoal_namespace_drop(shoal_arena *a, const shoal_namespace *ns, int64_t wait)
{
    waiting w = {.wait = wait};
    shoal_namespace tree;
    if (ns->id == 0 || ns->tree)
        return SHOAL_INVALID;
    if (a->read_only)
        return SHOAL_READ_ONLY;
    shoal_status status = process_ready(a, wait);
    if (status != SHOAL_OK || (status = lock_names(a, &w)) != SHOAL_OK)
        return status;
    if (find_tree(a, ns, &tree)) /* first: nobody would find it without its home */
        status = drop_record(a, &tree, &w);
    if (status == SHOAL_OK)
        status = drop_record(a, ns, &w);
    lock_drop(&a->header->namespace_lock);
    return status;
}

shoal_status shoal_namespace_list(shoal_arena *a, int (*each)(void *context, const char *name, size_t length,
                                  const shoal_namespace *ns), void *context)
{
    shoal_status status = process_ready(a, PROCESS_WAIT_NS);
    for (uint32_t id = 0; status == SHOAL_OK && id < high_of(a); id++) {
        namespace_record *r = &a->records[id];
        char name[SHOAL_NAME_MAX];
        shoal_namespace ns = {.id = id, .uid = load_acquire(&r->uid)};
        size_t length = load_relaxed(&r->name_length);
        uint64_t kind = load_relaxed(&r->kind);
        racing_read(name, r->name, sizeof name);
        fence_acquire();
        if (ns.uid == 0 || load_relaxed(&r->uid) != ns.uid || length > SHOAL_NAME_MAX || kind != KIND_KEYS)
            continue;
        if (each(context, name, length, &ns))
            break;
    }
    return status;
}
