/* Every call there is on a damaged arena, read-only and not. What they answer is a status, or bytes that were once stored. */
#ifndef SHOAL_TESTS_DAMAGE_USE_H
#define SHOAL_TESTS_DAMAGE_USE_H

#include "damage.h"

static inline void ignore_line(void *context, int severity, const char *line) { (void)severity, *(size_t *)context += strlen(line); }

static inline int ignore_name(void *context, const char *name, size_t length, const shoal_namespace *ns)
{
    (void)ns;
    for (size_t i = 0; i < length; i++)
        *(size_t *)context += (size_t)name[i];
    return 0;
}

static inline int ignore_arena(void *context, const shoal_arena_info *info)
{
    *(size_t *)context += info->committed + strlen(info->name);
    return 0;
}

static size_t damage_sink; /* what is handed out is read to its end */

static inline void sink_bytes(shoal_bytes *bytes)
{
    for (size_t i = 0; i < bytes->size; i++)
        damage_sink += bytes->data[i];
    shoal_bytes_free(bytes);
}

/* A lock that nobody will ever let go of costs every call its wait: a few of them show that as well as all. */
static inline bool stuck(shoal_status status, unsigned *times)
{
    if (status < SHOAL_OK || status >= SHOAL_STATUS_COUNT)
        _exit(4);
    *times = status == SHOAL_BUSY || status == SHOAL_CORRUPT ? *times + 1 : 0;
    return *times > 8;
}

/* As far as can be without running into what else is mapped: nothing lies next to the arena. */
#define GUARD (64 * MIB)
static inline void guard(const shoal_arena *a, bool on)
{
    static bool before, after;
    uint8_t *from = a->base - GUARD, *to = a->base + ((a->file_size + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1));
    if (on) {
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
        before = mmap(from, GUARD, PROT_NONE, flags, -1, 0) == from;
        after = mmap(to, GUARD, PROT_NONE, flags, -1, 0) == to;
    } else {
        if (before)
            munmap(from, GUARD);
        if (after)
            munmap(to, GUARD);
    }
}

/* What may be read although other bytes are damaged is what was stored; false if it is not. */
static inline bool reads_are_right(shoal_arena *a, bool values_too)
{
    static uint8_t value[60000];
    bool right = true;
    for (unsigned s = 0; s < 3; s++) {
        shoal_namespace ns;
        if (shoal_namespace_open(a, damage_space(s), strlen(damage_space(s)), false, NULL, &ns, SHORT) != SHOAL_OK)
            continue;
        for (unsigned k = 0; k < DAMAGE_KEYS; k++) {
            shoal_meta meta;
            const char *key = numbered("k", k);
            shoal_status status = shoal_get(a, &ns, key, strlen(key), value, 0, sizeof value, &meta, SHORT);
            right &= status >= SHOAL_OK && status < SHOAL_STATUS_COUNT;
            if (status == SHOAL_OK && values_too && (meta.size != damage_size(k) || !pattern_holds(value, k, meta.size))) {
                fprintf(stderr, "  %s in %s: %" PRIu64 " bytes that nobody stored\n", key, damage_space(s), meta.size);
                right = false;
            }
        }
    }
    return right;
}

static inline void use_tree(shoal_arena *a, uint64_t *seed)
{
    static const char *const paths[] = {"t0", "t1", "t1.p", "t2.p.v2", "t2.empty", "t1.timed", "t3.v3", "t4.p.v29", "t9.n.e.w", "t0.v0"};
    static uint8_t value[4096];
    shoal_namespace home, tree;
    shoal_number one = {.i = 1}, sum;
    shoal_bytes bytes;
    shoal_meta meta;
    bool write = !shoal_read_only(a);
    if (shoal_namespace_open(a, "default", 7, false, NULL, &home, SHORT) != SHOAL_OK ||
        shoal_tree_open(a, &home, write, &tree, SHORT) != SHOAL_OK)
        return;
    shoal_base base = {0}; /* of no object in common: a cache of the last way alone */
    shoal_status status = SHOAL_OK;
    for (unsigned i = 0, times = 0; i < 24 && !stuck(status, &times); i++) {
        uint64_t r = random_next(seed);
        const char *path = names(paths[r % 10]);
        size_t n = strlen(path);
        tree.base = r & 1 << 20 ? &base : NULL;
        switch (r >> 32 & 7) {
        case 0:
        case 1: status = shoal_get(a, &tree, path, n, value, 0, sizeof value, &meta, SHORT); break;
        case 2:
            if ((status = shoal_fields(a, &tree, path, r & 1 << 21 ? n : 0, 0, &bytes, SHORT)) == SHOAL_OK)
                sink_bytes(&bytes);
            break;
        case 3:
        case 4: {
            shoal_put_args args = {.head = value, .head_size = r >> 40 & 1023, .ttl = r & 1 << 22 ? SECOND : SHOAL_TTL_DEFAULT,
                                   .object = r >> 23 & 1, .overwrite = r >> 24 & 1};
            status = shoal_put(a, &tree, path, n, &args, NULL, SHORT);
            break;
        }
        case 5: status = shoal_touch(a, &tree, path, n, r & 1 << 21 ? SECOND : 1, SHORT); break;
        case 6: status = shoal_incr(a, &tree, path, n, &one, &one, 0, &sum, SHORT); break;
        default:
            if ((status = shoal_delete(a, &tree, path, n, r & 1 << 21 ? &bytes : NULL, SHORT)) == SHOAL_OK && r & 1 << 21)
                sink_bytes(&bytes);
        }
    }
}

static inline void use_entries(shoal_arena *a, unsigned calls, uint64_t *seed)
{
    static uint8_t value[100000];
    shoal_number one = {.i = 1}, half = {.is_float = true, .f = 0.5}, sum;
    shoal_namespace spaces[3];
    shoal_meta meta;
    shoal_bytes bytes;
    shoal_namespace_stats count;
    shoal_namespace_config config;
    for (unsigned s = 0; s < 3; s++)
        if (shoal_namespace_open(a, damage_space(s), strlen(damage_space(s)), !shoal_read_only(a), NULL, &spaces[s], SHORT) != SHOAL_OK)
            spaces[s] = (shoal_namespace){.id = s, .uid = s + 1};
    shoal_status status = SHOAL_OK;
    for (unsigned i = 0, times = 0; i < calls && !stuck(status, &times); i++) {
        uint64_t r = random_next(seed), version;
        const shoal_namespace *ns = &spaces[r % 3];
        const char *key = numbered("k", (unsigned)(r >> 8) % DAMAGE_KEYS);
        size_t n = strlen(key);
        shoal_put_args args = {.head = value, .head_size = (r >> 16) % (r % 9 ? 300 : 90000), .align = (r >> 40) % 3,
                               .ttl = r >> 42 & 1 ? MILLISECOND : SHOAL_TTL_DEFAULT, .condition = (uint8_t)(r >> 43 & 3),
                               .version = r >> 60, .old = r >> 45 & 1 ? &bytes : NULL};
        shoal_pin pin;
        shoal_draft draft;
        switch ((r >> 48) % 16) {
        case 0:
        case 1:
        case 2:
            if ((status = shoal_put(a, ns, key, n, &args, &version, SHORT)) == SHOAL_OK && args.old)
                sink_bytes(&bytes);
            break;
        case 3:
        case 4: status = shoal_get(a, ns, key, n, value, r >> 58, sizeof value, &meta, SHORT); break;
        case 5:
            if ((status = shoal_delete(a, ns, key, n, &bytes, SHORT)) == SHOAL_OK)
                sink_bytes(&bytes);
            break;
        case 6: status = shoal_touch(a, ns, key, n, r & 1 << 20 ? SECOND : SHOAL_TTL_NEVER, SHORT); break;
        case 7: status = shoal_incr(a, ns, key, n, r & 1 << 20 ? &one : &half, &one, SHOAL_TTL_KEEP, &sum, SHORT); break;
        case 8:
        case 9:
            if ((status = (r & 1 << 20 ? shoal_pin_take : shoal_view_take)(a, ns, key, n, &pin, SHORT)) == SHOAL_OK) {
                for (uint64_t at = 0; at < pin.meta.size; at += 64)
                    damage_sink += pin.data[at];
                shoal_unpin(a, &pin);
            }
            break;
        case 10:
            if ((status = shoal_keys(a, ns, (uint32_t)(r >> 20) % shoal_shards(a), "k", r >> 21 & 1, &bytes, SHORT)) == SHOAL_OK)
                sink_bytes(&bytes);
            break;
        case 11: status = shoal_namespace_count(a, ns, &count, SHORT); break;
        case 12: status = shoal_namespace_get_config(a, ns, &config); break;
        case 13:
            if ((status = shoal_draft_begin(a, ns, key, n, 40000, &draft, SHORT)) == SHOAL_OK) {
                memset(draft.data, 1, draft.size);
                if (r & 1 << 20)
                    shoal_draft_publish(a, ns, key, n, &draft, &(shoal_put_args){.ttl = SHOAL_TTL_DEFAULT}, &version, SHORT);
                shoal_unpin(a, &draft.pin);
            }
            break;
        case 14: status = shoal_peek(a, ns, key, n, NULL, 0, 0, &meta, SHORT); break;
        default:
            if (i % 8 == 0)
                status = shoal_sweep(a, SHORT);
        }
    }
}

/* What is of the whole arena. */
static inline void use_whole(shoal_arena *a, uint64_t *seed)
{
    shoal_stats stats;
    shoal_namespace ns;
    shoal_namespace_config config = {.max_keys = 20, .eviction = SHOAL_EVICT_SIEVE};
    uint64_t gone;
    uint32_t slot, generation;
    shoal_get_stats(a, &stats);
    shoal_namespace_list(a, ignore_name, &damage_sink);
    shoal_verify(a, ignore_line, &damage_sink, SHORT);
    if (shoal_namespace_open(a, "fresh", 5, true, NULL, &ns, SHORT) == SHOAL_OK)
        shoal_namespace_drop(a, &ns, SHORT);
    if (shoal_namespace_open(a, "default", 7, false, NULL, &ns, SHORT) == SHOAL_OK)
        shoal_namespace_set_config(a, &ns, &config, SHORT);
    if (shoal_process(a, &slot, &generation) == SHOAL_OK)
        shoal_process_lives(a, slot, generation);
    shoal_reap(a, SHORT);
    if (random_next(seed) % 4 == 0 && shoal_namespace_open(a, "limited", 7, false, NULL, &ns, SHORT) == SHOAL_OK)
        shoal_namespace_clear(a, &ns, &gone, SHORT);
    if (random_next(seed) % 4 == 0 && shoal_namespace_open(a, "timed", 5, false, NULL, &ns, SHORT) == SHOAL_OK)
        shoal_namespace_drop(a, &ns, SHORT);
    shoal_sweep(a, SHORT);
    damage_sink += strlen(shoal_detail(a));
}

#endif
