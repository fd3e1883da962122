/* shoal_arena: one mapping of an arena in this process, and the checked ways from an offset in the
 * arena to an address. Numbers that do not change were checked at attach and are read from here;
 * every offset that is read from the arena goes through a function below and may come back NULL,
 * which means that the arena is damaged (or that a lock-free reader saw a word too late). */
#ifndef SHOAL_HANDLE_H
#define SHOAL_HANDLE_H

#include <pthread.h>
#include <sys/stat.h>

#include "clock.h"
#include "hash.h"
#include "layout.h"

/* Which of its own pin records this process may take. The records themselves tell everybody else. */
typedef struct pin_pool {
    pthread_mutex_t mutex;        /* taken after a shard lock; the page lock after it */
    uint32_t *free, *left;        /* numbers: free ones below `end`, last in first out; ones to drop that wait for a shard's lock */
    uint32_t free_count, left_count;
    uint32_t end, room;           /* never used from `end` on; records there are, and places in each of the two arrays */
    uint32_t views;               /* records flagged VIEW */
    uint64_t owner;               /* of views, as in pin_owner; a forked child that has copies of them keeps it */
} pin_pool;

struct shoal_arena {
    uint8_t *base;
    arena_header *header;
    process_slot *slots;
    shard *shards;
    namespace_record *records;
    namespace_head *heads;
    page_entry *map;
    uint64_t pages_at, pages, file_size;
    uint64_t secret[2];
    uint32_t nshards;
    bool read_only;

    /* Own place in the process table. counters is NULL in a forked child until it has one. */
    uint64_t *counters;
    process_slot *me;
    uint32_t slot;
    uint64_t lock_word;      /* what this process writes into a lock that it owns */

    pin_pool pins;

    wall_clock clock;
    uint64_t commits;        /* how often this process has committed memory */
    uint64_t known_seen;     /* bytes, at most up to the frontier: saves reading a line that writers share */
    const char *detail;
    int (*hook)(void *);
    void *hook_context;

    int fd;
    int fork_fd; /* of the child that a fork under way makes, -1 = none */
    uint32_t fork_slot; /* + 1; a slot with copies of the views' pins for that child, 0 = none */
    pthread_mutex_t attach_mutex;
    dev_t device;
    ino_t inode;
    uint32_t uid, mode;
    uint64_t own_counters[COUNT_END]; /* of a read-only mapping */
    char name[SHOAL_NAME_MAX + 1];
};

/* Does this descriptor lead to the segment? A program that closes all it has (as daemons do) may have another file under the number of
 * ours by now: that file must not be written to, and that nobody has a claim there says nothing of who lives. */
static inline bool is_segment(const shoal_arena *a, int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 ? st.st_ino == a->inode && st.st_dev == a->device : errno != EBADF;
}

static inline shoal_status corrupt(shoal_arena *a, const char *what)
{
    pointer_publish(&a->detail, what);
    return SHOAL_CORRUPT;
}

static inline void count_one(shoal_arena *a, int what) { add_local(&a->counters[what], 1); }

/* Bytes of pages that were in use at some time: read anew when what was seen is not enough. */
static inline uint64_t known_bytes(shoal_arena *a)
{
    uint64_t frontier = load_acquire(&a->header->frontier);
    if (frontier > a->pages)
        return 0;
    store_relaxed(&a->known_seen, frontier << PAGE_SHIFT);
    return frontier << PAGE_SHIFT;
}

static inline bool page_known(shoal_arena *a, uint64_t page)
{
    return likely(page < load_relaxed(&a->known_seen) >> PAGE_SHIFT) || page < known_bytes(a) >> PAGE_SHIFT;
}

static inline uint8_t *page_at(const shoal_arena *a, uint64_t page) { return a->base + a->pages_at + (page << PAGE_SHIFT); }

static inline uint64_t page_of(const shoal_arena *a, uint64_t offset) { return (offset - a->pages_at) >> PAGE_SHIFT; }

/* `size` bytes from `offset` on lie in pages that were in use at some time. */
static inline bool range_known(shoal_arena *a, uint64_t offset, uint64_t size)
{
    uint64_t at = offset - a->pages_at, known = load_relaxed(&a->known_seen); /* (what lies before the pages is beyond any end) */
    if (unlikely(at >= known || size > known - at))
        known = known_bytes(a);
    return likely(at < known && size <= known - at);
}

static inline block *block_at(shoal_arena *a, uint64_t ref)
{
    uint64_t offset = ref << REF_SHIFT;
    return likely(range_known(a, offset, sizeof(block))) ? (block *)(a->base + offset) : NULL;
}

static inline uint64_t ref_of(const shoal_arena *a, const void *p) { return (uint64_t)((const uint8_t *)p - a->base) >> REF_SHIFT; }

static inline namespace_head *head_of(const shoal_arena *a, uint32_t id, uint32_t shard_index)
{
    return &a->heads[(uint64_t)id * a->nshards + shard_index];
}

/* Deadlines: a wait of 0 means that the caller only spins. */
typedef struct waiting {
    int64_t wait;     /* ns as given by the caller */
    int64_t deadline; /* monotonic, set when the first sleep is due */
    bool quiet;       /* some lock is held already: the wait hook must not run (it may use this very arena) */
} waiting;

/* For a lock that is taken while another is held. */
static inline waiting waiting_inside(const waiting *w) { return (waiting){.wait = w->wait, .deadline = w->deadline, .quiet = true}; }

static inline int64_t deadline_after(int64_t now, int64_t wait) { return wait > INT64_MAX - now ? INT64_MAX : now + wait; }

#endif
