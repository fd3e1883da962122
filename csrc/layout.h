/* Every structure that lies in an arena. Offsets, never pointers; all numbers little-endian words.
 *
 *   header | process slots | shards | namespace records | namespace heads | page map | pages ...
 *
 * Only the parts in use are committed; the rest of the file is a hole. Nothing reads a word of the
 * arena that was not committed before: a read of a hole would allocate, or raise SIGBUS on a full
 * file system.
 *
 *   page       4 KiB, the unit of commitment
 *   run        consecutive pages with one purpose and one owner
 *   block      a piece of a slab run, or a whole large run; holds one entry (or an overflow bucket)
 *   ref        a block's byte offset / 16: 36 bits reach 1 TiB
 */
#ifndef SHOAL_LAYOUT_H
#define SHOAL_LAYOUT_H

#include "shoal.h"

#define SHOAL_MAGIC 0x314C414F4853ull      /* "SHOAL1" */
#define SHOAL_MAGIC_INIT 0xCE4C414F4853ull /* being initialised under the gate; a byte away from READY, all bits of it */
#define SHOAL_LAYOUT_VERSION 1u

#define PAGE_SIZE 4096u
#define PAGE_SHIFT 12
#define PROCESS_MAX 2048u
#define NAMESPACE_MAX 65536u
#define SHARD_MAX 256u
#define REF_BITS 36
#define REF_MASK ((1ull << REF_BITS) - 1)
#define REF_SHIFT 4

/* ---- lock: owner and generation in one word, so that taking it is one CAS.
 *
 *   63          32 31      30..16 15        0
 *   [ generation ][waiters][  0  ][ slot + 1 ]      0 = free
 *
 * The low half is what a futex wait compares. */
typedef struct shoal_lock {
    uint64_t word;
} shoal_lock;
#define LOCK_WAITERS (1ull << 31)
#define LOCK_OWNER_MASK 0xFFFFull

/* ---- process slot: who is attached, what it counts, what it pins. One page, one writer process.
 *
 * state word: generation << 32 | SLOT_*. A slot is alive while its process holds the slot's claim
 * (process.h); the state only tells whether there is something to reap. */
enum { SLOT_FREE = 0, SLOT_USED = 1 };
enum {
    COUNT_HITS, COUNT_MISSES, COUNT_SETS, COUNT_DELETES, COUNT_EXPIRED, COUNT_EVICTED,
    COUNT_RETRIES, COUNT_LOCK_WAITS, COUNT_RECOVERIES, COUNT_END
};
/* ---- pin record: the run at this ref stays, whoever unlinks it. Written with one store, under the shard's lock.
 *
 *   63     62       61..44 43    36 35  0
 *   [left][view]    [ 0 ]  [ shard ][ ref ]      0 = free
 *
 * left: its owner is done with it. view: it lasts, so a forked child gets one of its own. The first records lie in the slot, more
 * in segments: PAGE_PINS runs of 1, 2, 4... pages, which never move while the slot has an owner. */
#define PIN_LEFT (1ull << 63)
#define PIN_VIEW (1ull << 62)
#define PIN_SHARD_BITS 8
#define PIN_RECORDS 472u
#define PIN_SEGMENTS 16u
#define PIN_PAGE_RECORDS (PAGE_SIZE / 8)
typedef struct process_slot {
    uint64_t state;
    uint64_t pid;
    uint64_t start_time;
    uint64_t spare[5];
    uint64_t counters[24];
    uint32_t pin_segments[PIN_SEGMENTS]; /* first page + 1, 0 = none yet */
    uint64_t pins[PIN_RECORDS];
} process_slot;
_Static_assert(sizeof(process_slot) == PAGE_SIZE, "a slot is a page");
_Static_assert(COUNT_END <= 24, "counters fit");
_Static_assert(SHARD_MAX <= 1u << PIN_SHARD_BITS, "a pin record holds a shard");

/* ---- page map: 16 bytes a page. The first page of a run carries its state, so a walk
 *      p = 0; p < frontier; p += length(p)
 * meets each run once. Every change of the partition is ONE store of a head's state.
 *
 *   state  63     32 31    16 15    8 7    0
 *          [ length ][ shard ][ flags ][ kind ]
 *
 * length is in pages; in an INSIDE entry it is the distance back to the head (kept right in slab
 * runs and in the last page of a free run; elsewhere stale, so whoever uses it checks the head).
 * aux of FREE: bin links, previous << 32 | next (page + 1, 0 = none). aux of LARGE: pins, ORPHAN.
 * aux of PINS: during a recovery, whether a slot reaches it. */
typedef struct page_entry {
    uint64_t state;
    uint64_t aux;
} page_entry;
enum { PAGE_INSIDE = 0, PAGE_FREE, PAGE_SLAB, PAGE_LARGE, PAGE_TABLE, PAGE_PINS, PAGE_KINDS };
#define PAGE_HOLE 1u    /* some of the run may not be committed */
#define PAGE_TOUCHED 2u /* lock-free readers may still look here: never punched */
#define PAGE_ORPHAN (1ull << 32) /* in aux: no slot reaches this run, only pins keep it */
#define PAGE_BINS 52u   /* exact lengths 1..31, then one per power of two from 32 on */

/* ---- size classes: multiples of 16 up to 256, then eight per power of two up to 32 KiB. */
#define CLASS_COUNT 72u
#define SLAB_BLOCK_MAX 32768u
typedef struct slab_class {
    uint64_t free;      /* ref of the first free block; its first word links to the next */
    uint64_t bump;      /* byte offset of the first never-used block of the newest run, 0 = none */
    uint32_t bump_left; /* how many never-used blocks follow */
    uint32_t runs;
    uint32_t free_count;
    uint32_t trim_at;   /* look for wholly free runs when free_count gets here */
} slab_class;
_Static_assert(sizeof(slab_class) == 32, "");

/* ---- bucket: one cache line.
 *
 *   word   63      34 33       0          slot   63  38   37      36     35   0
 *          [ seq 30 ][ overflow ]                [ tag ][large][visited][ ref ]
 *
 * seq is odd while a writer changes the chain; the head bucket's word guards its whole chain.
 * overflow: byte offset / 64 of the next bucket of the chain, 0 = none.
 * tag: the low 26 bits of the key's bucket hash. The bucket's index is a prefix of it, so a split
 * needs no look at the entries, and the rest filters probes. large: the block is a run of its own,
 * which may be punched when freed, so it is read under a pin only. */
#define BUCKET_SLOTS 7u
#define SEQ_SHIFT 34
#define SEQ_ONE (1ull << SEQ_SHIFT)
#define OVERFLOW_MASK (SEQ_ONE - 1)
#define TAG_SHIFT 38
#define TAG_BITS 26
#define SLOT_VISITED (1ull << 36)
#define SLOT_LARGE (1ull << 37)
typedef struct bucket {
    uint64_t word;
    uint64_t slots[BUCKET_SLOTS];
} bucket;
_Static_assert(sizeof(bucket) == 64, "a bucket is a cache line");

/* ---- table: buckets lie in segments, found through a directory of two levels.
 *      bucket b: directory[b / (256 * 1024)] -> page of 1024 segment pages -> segment -> b % 256 */
#define SEGMENT_BUCKETS 256u
#define SEGMENT_PAGES (SEGMENT_BUCKETS * 64u / PAGE_SIZE)
#define DIRECTORY_FANOUT 1024u
#define DIRECTORY_MAX 256u
#define BUCKETS_MAX (1u << TAG_BITS)

/* ---- shard: one page. The lock guards everything but what lock-free readers load (nbuckets, epoch, the directories, buckets,
 * blocks): those words lie in lines of their own, which writers rarely change. Page numbers here are + 1, 0 = none. */
#define UNDO_BYTES 512u
typedef struct shard {
    shoal_lock lock;
    uint64_t entries;
    uint64_t version;  /* last version given out; grows by each write, never falls */
    uint64_t chained;  /* overflow buckets in use */
    uint64_t limbo;    /* how many large runs may be orphans without a pin, to be freed when the page lock is free */
    uint64_t graves;   /* ref of the first object whose fields are still to be removed; more through the blocks' next */
    uint64_t undo;     /* ref of the block that is being overwritten where it lies, 0 = none; */
    uint64_t spare;
    uint64_t image[UNDO_BYTES / 8]; /* and what it was before */
    slab_class classes[CLASS_COUNT];
    uint64_t nbuckets; /* linear hashing: level = msb(n), next to split = n - 2^level */
    uint64_t epoch;    /* moves when an object of a tree is removed, replaced, or given an expiry; odd while that is under way */
    uint32_t directory[DIRECTORY_MAX];
    uint8_t pad[PAGE_SIZE - 64 - UNDO_BYTES - 32 * CLASS_COUNT - 16 - 4 * DIRECTORY_MAX];
} shard;
_Static_assert(offsetof(shard, nbuckets) % 64 == 0, "what readers load begins a cache line");
_Static_assert(sizeof(shard) == PAGE_SIZE, "a shard is a page");

/* ---- namespace: a record, and one head per shard for the list of its entries there. */
#define COUNTING UINT64_MAX /* in max_keys: the total is being made, nobody is refused yet */
enum { NAMESPACE_FREE = 0, NAMESPACE_USED, NAMESPACE_DROPPING };
enum { KIND_KEYS = 0, KIND_TREE, KIND_RUNS };
typedef struct namespace_record {
    uint64_t uid;      /* 0 unless USED; changes last when made, first when dropped */
    uint64_t state;
    uint64_t ttl;      /* ns, 0 = never */
    uint64_t max_keys; /* 0 = no limit */
    uint64_t eviction;
    shoal_lock count_lock; /* taken after the shard lock, by namespaces with max_keys only */
    uint64_t total;    /* = sum of heads' count, while limited */
    uint64_t hand;     /* shard where SIEVE goes on */
    uint64_t last_uid; /* uid before it was dropped: what its entries were hashed with */
    uint64_t kind;     /* KIND_* */
    uint64_t home_uid; /* of a tree: the namespace that it belongs to */
    uint64_t name_length;
    char name[SHOAL_NAME_MAX];
    uint8_t pad[512 - 96 - SHOAL_NAME_MAX];
} namespace_record;
_Static_assert(sizeof(namespace_record) == 512, "");

/* Guarded by the shard lock. newest .. oldest through the entries' next links. */
typedef struct namespace_head {
    uint64_t newest, oldest; /* refs, 0 = none */
    uint64_t hand;     /* SIEVE: next entry to look at, 0 = start at the oldest */
    uint64_t cursor;   /* expiry sweep: next entry to look at */
    uint64_t count;
    uint64_t bytes;    /* keys + values */
    uint64_t due;      /* no entry of the list expires before (ns, monotonic); ~0 = none expires */
    uint64_t due_next; /* the same for what the running sweep has passed */
} namespace_head;
_Static_assert(sizeof(namespace_head) == 64, "");

/* ---- block: the header of an entry, then [expires 8][created 8][field_links 24] if flagged, key, padding, value.
 *
 *   next     [ flags 8 ][ namespace 16 ][ 0 4 ][ next ref 36 ]
 *   prev     [ modified 55..48 ][ key length 16 ][ 0 4 ][ prev ref 36 ]
 *   version  [ modified 47..32 ][ version 48 ]
 *   size     [ modified 31..0 ][ value length 32 ]
 *
 * modified: microseconds since 1970, 56 bits. A free block's first word is the ref of the next. */
#define BLOCK_EXPIRES 1u
#define BLOCK_CREATED 2u
#define BLOCK_ALIGNED 4u /* the value starts at a multiple of 64 of the arena */
#define BLOCK_FIELD 8u   /* of a tree: the key is a name within `parent` */
#define BLOCK_OBJECT 16u /* of a tree: the value is the ref of the first of its fields. Always with EXPIRES and CREATED */
#define BLOCK_MADE 32u   /* an object that nobody asked for: made on the way, it goes with the last of its fields that expires */
#define BLOCK_BODY 64u   /* with ALIGNED: not its first byte does, but the one after a head of SHOAL_HEAD bytes */
typedef struct block {
    uint64_t next, prev, version, size;
} block;
_Static_assert(sizeof(block) == 32, "");
#define VERSION_MASK ((1ull << 48) - 1)

/* ---- field of a tree. An object's id is its version << 8 | shard: unique in the arena, and all that is below a top-level
 * field lies in the shard of its ids. Parent 0: at the top; those are the fields of each shard's root, an object with a name
 * that no path can have. An object's fields form a list: derived, as all lists are. */
#define OBJECT_SHIFT 8
#define ROOT_NAME "\xFF"
#define FIELD_FIRST (1ull << 63) /* in previous: there is none, this is the ref of the object itself */
typedef struct field_links {
    uint64_t parent;         /* id */
    uint64_t next, previous; /* refs, 0 = none */
} field_links;
_Static_assert(SHARD_MAX <= 1u << OBJECT_SHIFT, "an id holds a shard");

/* ---- header: one page. The first part is written once, before magic; every process checks it at
 * attach, copies it and never reads it again. */
typedef struct arena_geometry {
    uint32_t layout_version, shards;
    uint64_t fingerprint; /* of the sizes and offsets of everything above */
    uint64_t file_size;
    uint64_t pages;       /* capacity */
    uint64_t slots_at, shards_at, records_at, heads_at, map_at, pages_at;
    uint64_t secret[2];
    uint32_t uid, mode;
} arena_geometry;

typedef struct arena_header {
    uint64_t magic;
    arena_geometry geometry;
    uint64_t checksum; /* of geometry */
    uint64_t persist;
    uint64_t slots_high; /* slots ever used; only these are committed */
    uint8_t pad0[256 - 8 - sizeof(arena_geometry) - 24];

    shoal_lock page_lock;
    uint64_t frontier;   /* pages below are in runs; the rest was never used */
    uint64_t used;       /* pages in runs that are not free */
    uint64_t spare_pages; /* free, committed, punchable */
    uint32_t bins[2][PAGE_BINS]; /* [touched]; first page + 1 */
    uint8_t pad1[1024 - 256 - 32 - 8 * PAGE_BINS];

    shoal_lock namespace_lock;
    uint64_t namespaces_high; /* records ever used; only these are committed */
    uint64_t namespace_uid;   /* last one given out */
    uint8_t pad2[PAGE_SIZE - 1024 - 24];
} arena_header;
_Static_assert(sizeof(arena_header) == PAGE_SIZE, "the header is a page");

/* Lock order: gate -> namespace_lock -> shard.lock -> count_lock -> page_lock. */

#endif
