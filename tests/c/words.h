/* One wrong word: a sound arena, the calls that are made on it, and the ways to the words in it. */
#ifndef SHOAL_TESTS_WORDS_H
#define SHOAL_TESTS_WORDS_H

#include "lock.h"
#include "paths.h"
#include "pins.h"
#include "process.h"
#include "tree.h"

#define LARGE ((size_t)50000)
#define KEYS 40u
#define KEY "k5"
#define LONG_KEY "a key of more than sixteen bytes"

typedef struct world {
    shoal_arena *a, *r; /* a writer's and a reader's handle */
    shoal_namespace keys, tree, limited;
    shard *sh;
} world;

static const uint8_t bytes[200000];

static inline shoal_status put_size(shoal_arena *a, const shoal_namespace *ns, const char *key, size_t size)
{
    shoal_put_args args = {.head = bytes, .head_size = size, .ttl = SHOAL_TTL_DEFAULT};
    return shoal_put(a, ns, key, strlen(key), &args, NULL, 20 * MILLISECOND);
}

static inline void world_make(world *w)
{
    unlink(arena_path("words")); /* so damaged that its last user could not tell whether it was */
    *w = (world){.a = arena_new("words", MIB), .r = arena_attach("words", 'r')};
    w->keys = ns_default(w->a);
    w->tree = tree_of(w->a);
    w->limited = ns_open(w->a, "limited", 0, 30, SHOAL_EVICT_SIEVE);
    w->sh = &w->a->shards[0];
    for (unsigned i = 0; i < KEYS; i++)
        CHECK_STATUS(put_size(w->a, &w->keys, numbered("k", i), i * 10), SHOAL_OK);
    CHECK_STATUS(put_size(w->a, &w->keys, "large", LARGE), SHOAL_OK);
    for (unsigned i = 0; i < 5; i++)
        CHECK_STATUS(put(w->a, &w->limited, numbered("l", i), "limited"), SHOAL_OK);
    CHECK_STATUS(set(w->a, &w->tree, "a.b.c", "deep"), SHOAL_OK);
    CHECK_STATUS(set(w->a, &w->tree, "a.x", "field"), SHOAL_OK);
    CHECK_STATUS(put_ttl(w->a, &w->tree, names("a.timed"), "t", 1000 * SECOND), SHOAL_OK);
}

/* ---- calls */

static inline shoal_status getting(shoal_arena *a, const shoal_namespace *ns, const char *key)
{
    shoal_meta meta;
    static uint8_t to[1000];
    return shoal_get(a, ns, key, strlen(key), to, 0, sizeof to, &meta, 2 * MILLISECOND);
}
static inline shoal_status get_key(world *w) { return getting(w->a, &w->keys, KEY); }
static inline shoal_status read_key(world *w) { return getting(w->r, &w->keys, KEY); }
static inline shoal_status get_long(world *w) { return getting(w->a, &w->keys, LONG_KEY "1"); }
static inline shoal_status get_other(world *w) { return getting(w->a, &w->limited, "l1"); }
static inline shoal_status read_large(world *w)
{
    shoal_meta meta;
    static uint8_t to[LARGE];
    return shoal_get(w->r, &w->keys, "large", 5, to, 0, sizeof to, &meta, 2 * MILLISECOND);
}
static inline shoal_status put_key(world *w) { return put_size(w->a, &w->keys, KEY, 50); }
static inline shoal_status put_bigger(world *w) { return put_size(w->a, &w->keys, KEY, 3000); }
static inline shoal_status add_large(world *w) { return put_size(w->a, &w->keys, "another", LARGE); }
static inline shoal_status add_40_pages(world *w) { return put_size(w->a, &w->keys, "pages", 40 * PAGE_SIZE - 200); }
static inline shoal_status add_34_pages(world *w) { return put_size(w->a, &w->keys, "pages", 34 * PAGE_SIZE - 200); }
static inline shoal_status delete_behind(world *w) { return shoal_delete(w->a, &w->keys, "behind", 6, NULL, 20 * MILLISECOND); }
static inline shoal_status add_key(world *w) { return put_size(w->a, &w->keys, "new", 50); }
static inline shoal_status add_many(world *w)
{
    shoal_status status = SHOAL_OK;
    for (unsigned i = 0; i < 200 && status == SHOAL_OK; i++)
        status = put_size(w->a, &w->keys, numbered("many", i), 5);
    return status;
}
static inline shoal_status delete_key(world *w) { return shoal_delete(w->a, &w->keys, KEY, strlen(KEY), NULL, 20 * MILLISECOND); }
static inline shoal_status delete_large(world *w) { return shoal_delete(w->a, &w->keys, "large", 5, NULL, 20 * MILLISECOND); }
static inline shoal_status pin_large(world *w)
{
    shoal_pin pin;
    shoal_status status = shoal_pin_take(w->a, &w->keys, "large", 5, &pin, 20 * MILLISECOND);
    if (status == SHOAL_OK)
        shoal_unpin(w->a, &pin);
    return status;
}
static inline shoal_status listing(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_bytes out;
    shoal_status status = shoal_keys(a, ns, 0, "", 0, &out, 2 * MILLISECOND);
    CHECK(status == SHOAL_OK || !out.data);
    shoal_bytes_free(&out);
    return status;
}
static inline shoal_status list_keys(world *w) { return listing(w->a, &w->keys); }
static inline shoal_status read_keys(world *w) { return listing(w->r, &w->keys); }
static inline shoal_status fields_of(shoal_arena *a, const shoal_namespace *tree, const char *path)
{
    shoal_bytes out;
    shoal_status status = shoal_fields(a, tree, names(path), strlen(path), 0, &out, 2 * MILLISECOND);
    shoal_bytes_free(&out);
    return status;
}
static inline shoal_status list_fields(world *w) { return fields_of(w->a, &w->tree, "a"); }
static inline shoal_status read_fields(world *w) { return fields_of(w->r, &w->tree, "a"); }
static inline shoal_status list_top(world *w) { return fields_of(w->a, &w->tree, ""); }
static inline shoal_status counting(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace_stats count;
    return shoal_namespace_count(a, ns, &count, 2 * MILLISECOND);
}
static inline shoal_status count_tree(world *w) { return counting(w->a, &w->tree); }
static inline shoal_status read_count(world *w) { return counting(w->r, &w->tree); }
static inline shoal_status set_field(world *w) { return set(w->a, &w->tree, "a.new", "f"); }
static inline shoal_status set_x(world *w) { return set(w->a, &w->tree, "a.x", "other"); }
static inline shoal_status set_top(world *w) { return set(w->a, &w->tree, "z", "f"); }
static inline shoal_status drop_object(world *w) { return drop(w->a, &w->tree, "a"); }
static inline shoal_status drop_field(world *w) { return drop(w->a, &w->tree, "a.x"); }
static inline shoal_status get_field(world *w)
{
    shoal_meta meta;
    return shoal_get(w->a, &w->tree, names("a.x"), 3, NULL, 0, 0, &meta, 2 * MILLISECOND);
}
static inline shoal_status clear_tree(world *w)
{
    uint64_t count;
    return shoal_namespace_clear(w->a, &w->tree, &count, 20 * MILLISECOND);
}
static inline shoal_status clear_keys(world *w)
{
    uint64_t count;
    return shoal_namespace_clear(w->a, &w->keys, &count, 20 * MILLISECOND);
}
static inline shoal_status add_limited(world *w)
{
    shoal_status status = SHOAL_OK;
    for (unsigned i = 10; i < 60 && status == SHOAL_OK; i++)
        status = put(w->a, &w->limited, numbered("l", i), "v");
    return status;
}
static inline shoal_status open_fresh(world *w)
{
    shoal_namespace ns;
    return shoal_namespace_open(w->a, "fresh", 5, true, NULL, &ns, 20 * MILLISECOND);
}
static inline shoal_status delete_front(world *w) { return shoal_delete(w->a, &w->keys, "front", 5, NULL, 20 * MILLISECOND); }
static inline shoal_status grow(world *w) /* a split, whatever the load */
{
    waiting patience = {.wait = WAIT};
    uint64_t entries = w->sh->entries;
    w->sh->entries = 1ull << 40;
    table_grow(w->a, 0, &patience);
    w->sh->entries = entries;
    return SHOAL_OK;
}
static inline shoal_status insert(world *w)
{
    waiting patience = {.wait = WAIT};
    return table_insert(w->a, 0, NULL, 1ull << TAG_SHIFT | 1, &patience);
}
static inline shoal_status insert_full(world *w) /* in a bucket that has no room, with a chain that has no end */
{
    bucket *b = bucket_at(w->a, w->sh, 0);
    for (unsigned i = 0; i < BUCKET_SLOTS; i++)
        b->slots[i] = 1ull << 63 | 1;
    waiting patience = {.wait = WAIT};
    return table_insert(w->a, 0, NULL, 1, &patience);
}
static inline shoal_status find_tag_0(world *w) /* which every empty slot has */
{
    lookup key = {.key = "k", .key_size = 1};
    place p;
    return table_find(w->a, &key, &p);
}
static inline int nothing_more(void *context, const char *name, size_t length, const shoal_namespace *ns)
{
    (void)context, (void)ns;
    for (size_t i = 0; i < length; i++)
        CHECK(name[i] != 1);
    return 0;
}
static inline shoal_status list_names(world *w) { return shoal_namespace_list(w->a, nothing_more, NULL); }
static inline shoal_status get_limit(world *w)
{
    shoal_namespace_config config;
    shoal_status status = shoal_namespace_get_config(w->a, &w->limited, &config);
    CHECK(status != SHOAL_OK || config.max_keys <= 30);
    return status;
}
static inline shoal_status set_limit(world *w)
{
    return shoal_namespace_set_config(w->a, &w->limited, &(shoal_namespace_config){.max_keys = 30}, 20 * MILLISECOND);
}
static inline shoal_status whole_stats(world *w)
{
    shoal_stats stats;
    return shoal_get_stats(w->a, &stats);
}
static inline shoal_status sweep(world *w) { return shoal_sweep(w->a, 20 * MILLISECOND); }
static inline void overlook(void *context, int severity, const char *line) { (void)context, (void)severity, (void)line; }
static inline shoal_status verify(world *w) { return shoal_verify(w->a, overlook, NULL, 20 * MILLISECOND); }
static inline shoal_status recover(world *w)
{
    w->sh->lock.word = LOCK_OWNER_MASK; /* nobody's: whoever comes recovers */
    shoal_status status = put_size(w->a, &w->keys, "k1", 5);
    w->sh->lock.word = 0;
    return status;
}
static inline shoal_status recover_pages(world *w)
{
    w->a->header->page_lock.word = LOCK_OWNER_MASK;
    return add_large(w);
}

/* ---- words */

static inline place place_of(world *w, const shoal_namespace *ns, const char *key)
{
    target t;
    place p = {0};
    CHECK_STATUS(target_make(w->a, ns, key, strlen(key), &t), SHOAL_OK);
    CHECK_STATUS(target_find(w->a, &t, &p), SHOAL_OK);
    return p;
}
static inline uint64_t *slot_of(world *w, const char *key)
{
    place p = place_of(w, &w->keys, key);
    return &p.in->slots[p.slot];
}
static inline block *block_of(world *w, const char *key) { return place_of(w, &w->keys, key).b; }
static inline block *field_of(world *w, const char *path) { return place_of(w, &w->tree, names(path)).b; }
static inline field_links *links_of(world *w, const char *path)
{
    place p = place_of(w, &w->tree, names(path));
    return entry_links(p.b, p.e.flags);
}
static inline uint64_t *first_of(world *w, const char *path)
{
    place p = place_of(w, &w->tree, names(path));
    return object_first(p.b, p.e.flags, p.e.key_size);
}
static inline uint64_t ref_of_field(world *w, const char *path) { return place_of(w, &w->tree, names(path)).ref; }
static inline bucket *chain_of(world *w, const char *key) { return place_of(w, &w->keys, key).head; }
static inline uint64_t page_of_key(world *w, const char *key) { return page_of(w->a, place_of(w, &w->keys, key).ref << REF_SHIFT); }
static inline namespace_head *head_of_keys(world *w) { return head_of(w->a, w->keys.id, 0); }
static inline void set_link(uint64_t *word, uint64_t to) { *word = (*word & ~REF_MASK) | to; }

/* The header of an entry in the last `room` bytes of what is in use: whatever it says to follow it lies outside. */
static inline uint64_t forged(world *w, uint32_t flags, uint32_t ns, uint32_t key_size, uint32_t value_size, uint64_t room)
{
    uint64_t ref = ((uint64_t)(page_at(w->a, w->a->header->frontier) - w->a->base) - room) >> REF_SHIFT;
    entry e = {.flags = flags, .ns = ns, .key_size = key_size, .value_size = value_size, .version = 1};
    block *b = (block *)(w->a->base + (ref << REF_SHIFT));
    memset(b, 0, room);
    entry_store(b, &e);
    return ref;
}
/* The slot of KEY leads there, and its bytes are said to be those of KEY. */
static inline uint64_t forged_key(world *w, uint32_t flags, uint32_t value_size)
{
    uint64_t ref = forged(w, flags, 0, (uint32_t)strlen(KEY), value_size, 48);
    memcpy(w->a->base + (ref << REF_SHIFT) + sizeof(block), KEY, strlen(KEY));
    return ref;
}
/* A free run of the page map, without and with a neighbour behind it that is in use. */
static inline uint64_t free_run(world *w, uint64_t least)
{
    uint64_t state, frontier = w->a->header->frontier;
    for (uint64_t page = 0; page < frontier && page_walk(w->a, page, frontier, &state); page += page_length(state))
        if (page_kind(state) == PAGE_FREE && page_length(state) >= least)
            return page;
    return UINT64_MAX;
}
/* 34 pages, used and freed, and something in use behind them. */
static inline uint64_t hole_of_34(world *w)
{
    CHECK_STATUS(put_size(w->a, &w->keys, "hole", 34 * PAGE_SIZE - 200), SHOAL_OK);
    CHECK_STATUS(put_size(w->a, &w->keys, "behind", LARGE), SHOAL_OK);
    CHECK_STATUS(del(w->a, &w->keys, "hole"), SHOAL_OK);
    uint64_t page = free_run(w, 34);
    CHECK(page != UINT64_MAX);
    return page;
}
static inline void circle(namespace_head *nh, shard *sh) { nh->count = sh->entries = 1ull << 40; }
static inline void expire_field(world *w, const char *path)
{
    *entry_expires(field_of(w, path)) = 1;
    head_of(w->a, w->tree.id, 0)->due = 1;
}
/* Enough free blocks of one class that the next one has the class looked through. */
static inline void before_a_trim(world *w)
{
    for (unsigned i = 0; i < 32; i++)
        CHECK_STATUS(put_size(w->a, &w->keys, numbered("trim", i), 6000), SHOAL_OK);
    for (unsigned i = 0; i + 3 < 32; i++)
        CHECK_STATUS(del(w->a, &w->keys, numbered("trim", i)), SHOAL_OK);
}
static inline slab_class *trimmed(world *w) { return &w->sh->classes[class_of(entry_bytes(0, 6, 6000))]; }
static inline shoal_status trim(world *w) { return sweep(w); }

/* ---- rows */

#define HARM(name, ...) static void name(world *w) { __VA_ARGS__; }

enum { OK = SHOAL_OK, MISS = SHOAL_MISS, BUSY = SHOAL_BUSY, CORRUPT = SHOAL_CORRUPT, STALE = SHOAL_STALE,
       FULL_KEYS = SHOAL_FULL_KEYS, EITHER = -1 };

typedef struct wrong_word {
    const char *what;
    void (*harm)(world *w);
    struct { shoal_status (*call)(world *w); int answer; } calls[8]; /* in this order; EITHER: it must come back, no more */
} wrong_word;

static inline void one_wrong_word(const wrong_word *row)
{
    unsigned before = check_failures;
    world w;
    world_make(&w);
    row->harm(&w);
    alarm(20);
    for (unsigned n = 0; n < 8 && row->calls[n].call; n++) {
        shoal_status status = row->calls[n].call(&w);
        CHECK(status >= SHOAL_OK && status < SHOAL_STATUS_COUNT);
        if (row->calls[n].answer != EITHER && (int)status != row->calls[n].answer)
            check_fail(__FILE__, __LINE__, "%s, call %u: \"%s\" is not \"%s\"", row->what, n + 1, shoal_status_name(status),
                       shoal_status_name((shoal_status)row->calls[n].answer));
    }
    w.sh->lock.word = w.a->header->page_lock.word = 0;
    shoal_close(w.r);
    shoal_close(w.a);
    alarm(0);
    unlink(arena_path("words"));
    if (check_failures != before)
        fprintf(stderr, "  %s\n", row->what);
}

/* ---- the program of one file's rows */

static const wrong_word *words_rows;
static size_t words_count;

static inline void each_wrong_word_is_answered(void)
{
    for (size_t i = 0; i < words_count; i++)
        one_wrong_word(&words_rows[i]);
}

static inline int words_tests(void)
{
    RUN(each_wrong_word_is_answered);
    return check_report();
}

static inline int words_main(const wrong_word *rows, size_t count)
{
    words_rows = rows;
    words_count = count;
    return fixture_main(words_tests);
}

#endif
