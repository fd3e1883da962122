/* Damaged arenas: images of sound ones, what is done to their bytes, and every call there is.
 *
 *   image    the pages in use of an arena that was filled and left, with what dead processes leave behind
 *   damage   words, pages or the end of the file changed, each choice out of one seed
 *   use      every call on what is left (damage_use.h)
 *
 * A seed gives the same image and the same damage everywhere: the secret of the hash comes from it, too (getrandom below).
 */
#ifndef SHOAL_TESTS_DAMAGE_H
#define SHOAL_TESTS_DAMAGE_H

#include "paths.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>

#include "layout.h"
#include "lock.h"
#include "pages.h"
#include "process.h"
#include "table.h"

#define DAMAGE_KEYS 48u
#define DAMAGE_NAME "damage"
#define SHORT (MILLISECOND * 6 / 5) /* the owner of a lock is looked at after a millisecond */

static uint64_t damage_secret = 1;

/* In place of the C library's: what os_random gives is to be the same in every run. */
ssize_t getrandom(void *to, size_t size, unsigned flags)
{
    (void)flags;
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)to)[i] = (uint8_t)(random_next(&damage_secret) >> 24);
    return (ssize_t)size;
}

/* ---- images */

typedef struct image {
    uint64_t size;             /* of the file */
    unsigned count, room;      /* pages */
    struct { uint64_t at; uint8_t *bytes; } *pages;
    uint64_t refs[512];        /* of blocks that the table reaches */
    unsigned ref_count;
    arena_geometry geometry;
} image;

static inline bool all_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i += 8)
        if (*(const uint64_t *)(p + i))
            return false;
    return true;
}

static inline void image_take(image *m, const char *path)
{
    int fd = open(path, O_RDONLY);
    struct stat st;
    uint8_t page[PAGE_SIZE];
    if (fd < 0 || fstat(fd, &st) != 0)
        _exit(3);
    m->size = (uint64_t)st.st_size;
    for (off_t at = 0; (at = lseek(fd, at, SEEK_DATA)) >= 0; at += PAGE_SIZE) {
        memset(page, 0, sizeof page);
        if (pread(fd, page, PAGE_SIZE, at) <= 0) /* (a file that was just begun ends within its first) */
            break;
        if (m->count == m->room)
            m->pages = realloc(m->pages, (m->room = m->room * 2 + 64) * sizeof *m->pages);
        m->pages[m->count].at = (uint64_t)at;
        memcpy(m->pages[m->count++].bytes = malloc(PAGE_SIZE), page, PAGE_SIZE);
    }
    if (m->count)
        memcpy(&m->geometry, m->pages[0].bytes + offsetof(arena_header, geometry), sizeof m->geometry);
    close(fd);
}

static inline uint8_t *image_page(const image *m, uint64_t at)
{
    for (unsigned lo = 0, hi = m->count; lo < hi;) {
        unsigned mid = (lo + hi) / 2;
        if (m->pages[mid].at == at)
            return m->pages[mid].bytes;
        if (m->pages[mid].at < at)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

/* A new file, so that nothing of an earlier round is in it. */
static inline int image_put(const image *m, const char *path)
{
    unlink(path);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)m->size) != 0)
        _exit(3);
    for (unsigned i = 0; i < m->count; i++) {
        uint64_t left = m->size - m->pages[i].at, size = left < PAGE_SIZE ? left : PAGE_SIZE;
        if (pwrite(fd, m->pages[i].bytes, size, (off_t)m->pages[i].at) != (ssize_t)size)
            _exit(3);
    }
    return fd;
}

static inline void image_free(image *m)
{
    for (unsigned i = 0; i < m->count; i++)
        free(m->pages[i].bytes);
    free(m->pages);
    *m = (image){0};
}

/* ---- what is in them: the value of a key never changes, so what is read is right or wrong whatever was damaged */

static inline size_t damage_size(unsigned key) { return key % 12 == 5 ? 40000 + key * 100 : key % 7 * 90 + key; }
static inline const char *damage_space(unsigned i) { return i == 0 ? "default" : i == 1 ? "limited" : "timed"; }

static inline void damage_fill(shoal_arena *a, uint64_t seed)
{
    shoal_namespace spaces[3] = {ns_default(a), ns_open(a, "limited", 0, 60, SHOAL_EVICT_SIEVE), ns_open(a, "timed", 1000 * SECOND, 0, 0)};
    shoal_namespace tree = tree_of(a);
    char path[64];
    for (unsigned i = 0; i < 4 * DAMAGE_KEYS; i++) {
        unsigned k = (unsigned)(random_next(&seed) % DAMAGE_KEYS), s = (unsigned)(random_next(&seed) % 3);
        if (random_next(&seed) % 6 == 0)
            del(a, &spaces[s], numbered("k", k));
        else
            put_pattern(a, &spaces[s], numbered("k", k), k, damage_size(k), random_next(&seed) % 3);
    }
    for (unsigned i = 0; i < 30; i++) {
        snprintf(path, sizeof path, i % 3 ? "t%u.p.v%u" : "t%u.v%u", i % 5, i);
        put_pattern(a, &tree, names(path), i, i * 20, false);
    }
    put_ttl(a, &tree, names("t1.timed"), "t", 1000 * SECOND);
    make(a, &tree, "t2.empty", false);
    for (unsigned i = 0; i < (seed % 3) * 400; i++) /* a table of some segments, or next to none */
        put(a, &spaces[2], numbered("many", i), "x");
    for (unsigned i = 0; i < (seed % 3) * 300; i++)
        del(a, &spaces[2], numbered("many", i));
}

/* Killed with pins, a draft and locks: its slot and its records stay. */
static inline void damage_die(uint64_t seed)
{
    pid_t pid = fork_child();
    if (pid == 0) {
        shoal_arena *a = arena_attach(DAMAGE_NAME, 'w');
        shoal_namespace ns = ns_default(a);
        shoal_pin pin;
        shoal_draft draft;
        shoal_pin_take(a, &ns, "k5", 2, &pin, WAIT);
        shoal_view_take(a, &ns, "k17", 3, &pin, WAIT);
        shoal_draft_begin(a, &ns, "draft", 5, 70000, &draft, WAIT);
        bool dead;
        waiting w = {.wait = SECOND};
        if (seed & 1)
            lock_take(a, &a->shards[seed / 2 % a->nshards].lock, &w, &dead);
        if (seed & 2)
            lock_take(a, &a->header->page_lock, &w, &dead);
        if (seed & 4)
            lock_take(a, &a->header->namespace_lock, &w, &dead);
        raise(SIGKILL);
    }
    waitpid(pid, NULL, 0);
}

static inline void find_refs(image *m, shoal_arena *a)
{
    bool bad = false;
    for (uint32_t s = 0; s < a->nshards; s++)
        for (uint64_t i = 0; i < a->shards[s].nbuckets; i++)
            for (bucket *in = bucket_at(a, &a->shards[s], i); in; in = bucket_next(a, in, &bad))
                for (uint32_t k = 0; k < BUCKET_SLOTS; k++)
                    if (in->slots[k] && m->ref_count < sizeof m->refs / 8)
                        m->refs[m->ref_count++] = in->slots[k] & REF_MASK;
}

static inline void image_build(image *m, uint64_t seed)
{
    shoal_arena *a;
    unlink(arena_path(DAMAGE_NAME)); /* damaged so that it cannot be replaced, perhaps */
    damage_secret = seed * 0x9E3779B97F4A7C15ull + 88172645463325252ull;
    shoal_options options = {.flag = 'n', .persist = true, .mode = 0600, .size = seed % 4 == 3 ? 36 * MIB : MIB, .wait = WAIT};
    if (shoal_open(arena_name(DAMAGE_NAME), &options, &a, NULL) != SHOAL_OK)
        _exit(3);
    damage_fill(a, seed * 0x9E3779B97F4A7C15ull + 1);
    find_refs(m, a);
    if (seed % 2)
        damage_die(seed / 4);
    shoal_close(a);
    image_take(m, arena_path(DAMAGE_NAME));
}

/* ---- damage */

typedef struct harm {
    uint64_t seed;
    bool values; /* bytes that belong to entries were changed: what is read may be wrong */
    bool say;
} harm;

static inline uint64_t harm_pick(harm *h, uint64_t n) { return n ? random_next(&h->seed) % n : 0; }

static inline uint64_t harm_word(harm *h, const image *m, uint64_t old, uint64_t near)
{
    uint64_t v = random_next(&h->seed), ref = m->ref_count ? m->refs[v % m->ref_count] : v & REF_MASK;
    switch (harm_pick(h, 16)) {
    case 0:
    case 1: return old ^ 1ull << (v & 63);
    case 2: return v;
    case 3: return 0;
    case 4: return ~0ull;
    case 5: return old + v % 33 - 16;
    case 6: return old ^ (v & 0xFF) << (v >> 8 & 56);
    case 7: return near; /* a word of its like */
    case 8: return (old & ~REF_MASK) | ref;
    case 9: return ref;
    case 10: return (old & ~REF_MASK) | ((m->size >> REF_SHIFT) - v % 5); /* at the very end */
    case 11: return (old & ~OVERFLOW_MASK) | ref >> 2;
    case 12: return v % (m->geometry.pages + 2); /* like a page's number */
    case 13: return old << 32 | old >> 32;
    case 14: return LOCK_OWNER_MASK & (v % 4 ? v : 1); /* like a lock's word: somebody dead, or us */
    default: return v & 0xFFFFFFFF00000000ull ? v >> (v & 63) : old;
    }
}

static inline uint64_t image_state(const image *m, uint64_t page)
{
    uint64_t at = m->geometry.map_at + page * sizeof(page_entry);
    const uint8_t *bytes = image_page(m, at & ~(uint64_t)(PAGE_SIZE - 1));
    return bytes ? *(const uint64_t *)(bytes + (at & (PAGE_SIZE - 1))) : 0;
}

/* Does a byte of an entry lie there? A table's page may be damaged and all that is read must still be right. */
static inline bool holds_values(const image *m, uint64_t at)
{
    if (at < m->geometry.pages_at)
        return false;
    uint64_t state, wanted = (at - m->geometry.pages_at) >> PAGE_SHIFT;
    for (uint64_t page = 0; (state = image_state(m, page)) && page_length(state); page += page_length(state))
        if (wanted < page + page_length(state))
            return page_kind(state) != PAGE_TABLE && page_kind(state) != PAGE_PINS;
    return true;
}

/* A page of the image, one region as likely as another: most pages hold values, most of what can go wrong lies elsewhere. */
static inline uint64_t harm_page(harm *h, const image *m)
{
    const arena_geometry *g = &m->geometry;
    const uint64_t ends[] = {g->slots_at, g->shards_at, g->records_at, g->heads_at, g->map_at, g->pages_at, m->size};
    unsigned region = (unsigned)harm_pick(h, 8), found[2048], n = 0;
    uint64_t from = region == 0 ? 0 : region < 7 ? ends[region - 1] : g->pages_at, to = region < 7 ? ends[region] : m->size;
    for (unsigned i = 0; i < m->count && n < 2048; i++)
        if (m->pages[i].at >= from && m->pages[i].at < to)
            found[n++] = i;
    return m->pages[n ? found[harm_pick(h, n)] : harm_pick(h, m->count)].at;
}

static inline void harm_one_word(harm *h, const image *m, uint8_t *base)
{
    uint64_t at = harm_page(h, m), word = 0, near;
    for (unsigned i = 0; i < 12; i++) { /* most pages are mostly empty, and a word in use tells more */
        word = at + harm_pick(h, PAGE_SIZE / 8) * 8;
        if (*(uint64_t *)(base + word))
            break;
    }
    if (word < sizeof(uint64_t) + sizeof(arena_geometry) + 8 && harm_pick(h, 8)) /* refused at once; seldom is enough */
        word += 256;
    near = *(uint64_t *)(base + at + harm_pick(h, PAGE_SIZE / 8) * 8);
    if (harm_pick(h, 12) == 0 && m->ref_count) { /* straight at an entry's header */
        word = (m->refs[harm_pick(h, m->ref_count)] << REF_SHIFT) + harm_pick(h, 10) * 8;
        if (word + 8 > m->size)
            return;
    }
    uint64_t old = *(uint64_t *)(base + word), new = harm_word(h, m, old, near);
    h->values |= holds_values(m, word);
    if (h->say)
        fprintf(stderr, "  word at %#" PRIx64 ": %016" PRIx64 " -> %016" PRIx64 "\n", word, old, new);
    __atomic_store_n((uint64_t *)(base + word), new, __ATOMIC_RELAXED);
}

/* A lock held by nobody that was ever there, by a slot that cannot be, by ourselves. */
static inline void harm_lock(harm *h, const image *m, uint8_t *base)
{
    const arena_geometry *g = &m->geometry;
    uint64_t at;
    switch (harm_pick(h, 4)) {
    case 0: at = offsetof(arena_header, page_lock); break;
    case 1: at = offsetof(arena_header, namespace_lock); break;
    case 2: at = g->records_at + harm_pick(h, 4) * sizeof(namespace_record) + offsetof(namespace_record, count_lock); break;
    default: at = g->shards_at + harm_pick(h, g->shards) * sizeof(shard);
    }
    uint64_t v = random_next(&h->seed), words[] = {v, LOCK_OWNER_MASK, LOCK_WAITERS, v & LOCK_OWNER_MASK, 1ull << 32 | 1, (v & 3) << 32 | 1,
                                                   ~0ull, v << 32, LOCK_WAITERS | 2};
    uint64_t word = words[harm_pick(h, 9)];
    if (h->say)
        fprintf(stderr, "  lock at %#" PRIx64 ": %016" PRIx64 "\n", at, word);
    *(uint64_t *)(base + at) = word;
}

/* Something that links to itself, or to something before it. */
static inline void harm_cycle(harm *h, const image *m, uint8_t *base)
{
    uint64_t ref = m->ref_count ? m->refs[harm_pick(h, m->ref_count)] : 0, other = m->ref_count ? m->refs[harm_pick(h, m->ref_count)] : 0;
    uint64_t at = ref << REF_SHIFT;
    const arena_geometry *g = &m->geometry;
    if (ref == 0)
        return;
    block *b = (block *)(base + at);
    switch (harm_pick(h, 5)) {
    case 0: entry_set_next(b, ref); break;
    case 1: entry_set_next(b, other), entry_set_next((block *)(base + (other << REF_SHIFT)), ref); break;
    case 2: entry_set_prev(b, other), entry_set_next(b, other); break;
    case 3: { /* a free list */
        slab_class *c = &((shard *)(base + g->shards_at))[harm_pick(h, g->shards)].classes[harm_pick(h, CLASS_COUNT)];
        c->free = harm_pick(h, 2) ? ref : c->free;
        if (c->free && c->free < m->size >> REF_SHIFT)
            *(uint64_t *)(base + (c->free << REF_SHIFT)) = c->free;
        c->free_count = (uint32_t)random_next(&h->seed);
        at = c->free << REF_SHIFT;
        break;
    }
    default: { /* a bucket's chain */
        shard *sh = &((shard *)(base + g->shards_at))[harm_pick(h, g->shards)];
        uint64_t directory = sh->directory[0] ? g->pages_at + ((uint64_t)(sh->directory[0] - 1) << PAGE_SHIFT) : 0;
        uint64_t segment = directory && directory < m->size ? *(uint32_t *)(base + directory) : 0;
        if (segment == 0 || segment >= g->pages)
            return;
        at = g->pages_at + ((segment - 1) << PAGE_SHIFT) + harm_pick(h, 40) * sizeof(bucket);
        *(uint64_t *)(base + at) = (*(uint64_t *)(base + at) & ~OVERFLOW_MASK) | at >> 6;
        at = 0;
    }
    }
    h->values |= at != 0;
    if (h->say)
        fprintf(stderr, "  cycle at %#" PRIx64 "\n", at ? at : ref << REF_SHIFT);
}

static inline void harm_pages(harm *h, const image *m, uint8_t *base)
{
    uint64_t one = harm_page(h, m), other = harm_page(h, m);
    uint8_t copy[PAGE_SIZE];
    static const char *const words[] = {"zeroes", "a copy of", "swapped with", "random"};
    unsigned what = (unsigned)harm_pick(h, 4);
    if (one == 0 && harm_pick(h, 8)) /* without a header little is tried */
        return;
    memcpy(copy, base + one, PAGE_SIZE);
    if (what == 0) {
        memset(base + one, 0, PAGE_SIZE);
    } else if (what == 1) {
        memcpy(base + one, base + other, PAGE_SIZE);
    } else if (what == 2) {
        memcpy(base + one, base + other, PAGE_SIZE);
        memcpy(base + other, copy, PAGE_SIZE);
        h->values |= holds_values(m, other);
    } else {
        for (unsigned i = 0; i < PAGE_SIZE; i += 8)
            *(uint64_t *)(base + one + i) = random_next(&h->seed);
    }
    h->values |= holds_values(m, one);
    if (h->say)
        fprintf(stderr, "  page %#" PRIx64 ": %s %#" PRIx64 "\n", one, words[what], other);
}

/* At rest or under load: the end of the file is cut off at rest only, for whoever has it mapped gets SIGBUS from the kernel. */
static inline void harm_mapped(harm *h, const image *m, uint8_t *base)
{
    unsigned words = 1 + (unsigned)harm_pick(h, 4);
    switch (harm_pick(h, 10)) {
    case 0: harm_lock(h, m, base); break;
    case 1: harm_cycle(h, m, base); break;
    case 2: harm_pages(h, m, base); break;
    default:
        for (; words > 0; words--)
            harm_one_word(h, m, base);
    }
}

static inline void harm_file(harm *h, const image *m, int fd)
{
    if (harm_pick(h, 40) == 0) {
        uint64_t to = harm_pick(h, 2) ? harm_pick(h, m->size) : m->pages[harm_pick(h, m->count)].at + harm_pick(h, PAGE_SIZE);
        h->values = true;
        if (h->say)
            fprintf(stderr, "  cut to %#" PRIx64 "\n", to);
        if (ftruncate(fd, (off_t)to) != 0 || (harm_pick(h, 2) && ftruncate(fd, (off_t)m->size) != 0))
            _exit(3);
        if (harm_pick(h, 8) == 0 && ftruncate(fd, (off_t)(m->size + PAGE_SIZE)) != 0)
            _exit(3);
        return;
    }
    uint8_t *base = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED)
        _exit(3);
    for (unsigned times = 1 + (unsigned)harm_pick(h, 2); times > 0; times--)
        harm_mapped(h, m, base);
    munmap(base, m->size);
}

#endif
