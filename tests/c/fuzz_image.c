/* Coverage-guided fuzzing of an arbitrary image: attach, then calls that the input chooses. LLVM's libFuzzer drives it.
 *
 *     make -C tests/c fuzz SECONDS=600       a new corpus begins with what seeds() below writes
 *     fuzz_image [FLAGS] DIRECTORY           the same by hand: libFuzzer's flags; DIRECTORY holds the corpus and may be empty
 *     fuzz_image FILE...                     inputs once more
 *
 * An input is a seed of calls (8 bytes), which image (1), what is done besides (1), then patches of 12 bytes: which 8 bytes of the
 * image's pages in use to change (4), and to what (8). The mutator knows what lies where: it aims at locks, free lists, buckets, blocks'
 * headers, the page map, pin records and namespaces, and puts words there that are of their kind.
 */
#include "damage_use.h"

#define HEAD 10u
#define PATCH 12u
#define IMAGES 4u
enum { FUZZ_READER = 1, FUZZ_RECOVERY = 2, FUZZ_REPAIR = 4, FUZZ_CREATE = 8 };

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *one, size_t one_size, const uint8_t *other, size_t other_size, uint8_t *out, size_t max,
                                 unsigned seed);

/* Small; small, with a dead process's pins and the page lock; a larger table; three shards, with all locks of a dead process. */
static const uint64_t image_seeds[IMAGES] = {0, 9, 18, 31};
static image images[IMAGES];

static const image *image_for(const uint8_t *data, size_t size) { return &images[size > 8 ? data[8] % IMAGES : 0]; }

/* ---- what is done with an input */

static void put_image(const uint8_t *data, size_t size)
{
    const image *m = image_for(data, size);
    uint64_t in_use = m->count * (uint64_t)PAGE_SIZE / 8;
    int fd = image_put(m, arena_path(DAMAGE_NAME));
    for (size_t at = HEAD; at + PATCH <= size; at += PATCH) {
        uint32_t where;
        memcpy(&where, data + at, 4);
        uint64_t word = where % in_use;
        if (pwrite(fd, data + at + 4, 8, (off_t)(m->pages[word / (PAGE_SIZE / 8)].at + word % (PAGE_SIZE / 8) * 8)) != 8)
            _exit(3);
    }
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t seed = 0;
    shoal_options options = {.mode = 0600, .wait = 20 * MILLISECOND};
    shoal_arena *a = NULL, *reader = NULL;
    shoal_repaired sum;
    bool removed;
    memcpy(&seed, data, size < 8 ? size : 8);
    seed = seed ? seed : 1;
    unsigned what = size > 9 ? data[9] : 0;
    put_image(data, size);
    options.flag = 'r';
    if (what & FUZZ_READER && shoal_open(arena_name(DAMAGE_NAME), &options, &reader, NULL) == SHOAL_OK) {
        reads_are_right(reader, false);
        use_entries(reader, 10, &seed);
        use_tree(reader, &seed);
    }
    options.flag = what & FUZZ_CREATE ? 'c' : 'w';
    if (shoal_open(arena_name(DAMAGE_NAME), &options, &a, NULL) == SHOAL_OK) {
        if (what & FUZZ_RECOVERY)
            a->shards[0].lock.word = a->header->page_lock.word = LOCK_OWNER_MASK;
        use_entries(a, 20, &seed);
        use_tree(a, &seed);
        use_whole(a, &seed);
        use_entries(a, 5, &seed);
        shoal_close(a);
    }
    if (reader)
        shoal_close(reader);
    if (what & FUZZ_REPAIR && shoal_repair(arena_name(DAMAGE_NAME), ignore_line, &damage_sink, SHORT, &sum) == SHOAL_OK) {
        options.flag = 'w';
        if (shoal_open(arena_name(DAMAGE_NAME), &options, &a, NULL) != SHOAL_OK || arena_verify(a) != SHOAL_OK)
            abort(); /* what a repair says it has made must stand the verifier */
        shoal_close(a);
    }
    shoal_collect(arena_name(DAMAGE_NAME), &removed);
    return 0;
}

/* ---- what lies where */

static uint64_t word_of(const image *m, uint64_t at)
{
    const uint8_t *page = image_page(m, at & ~(uint64_t)(PAGE_SIZE - 1));
    return page ? *(const uint64_t *)(page + (at & (PAGE_SIZE - 1) & ~7ull)) : 0;
}

/* One of `n` words from `at` on, rather one that is not zero. */
static uint64_t one_of(harm *h, const image *m, uint64_t at, uint64_t n)
{
    uint64_t word = at;
    for (unsigned i = 0; i < 12; i++)
        if (word_of(m, word = at + harm_pick(h, n) * 8))
            break;
    return word;
}

static uint64_t some_page(harm *h, const image *m, uint32_t kind)
{
    uint64_t state, found = 0, seen = 0;
    for (uint64_t page = 0; (state = image_state(m, page)) && page_length(state); page += page_length(state))
        if (page_kind(state) == kind && harm_pick(h, ++seen) == 0)
            found = m->geometry.pages_at + ((page + harm_pick(h, page_length(state))) << PAGE_SHIFT);
    return found;
}

/* A link of a free list: a class's, or that of a block on it. */
static uint64_t free_link(harm *h, const image *m, uint64_t shard_at)
{
    uint64_t at = shard_at + offsetof(shard, classes) + harm_pick(h, CLASS_COUNT) * sizeof(slab_class), next;
    for (unsigned i = 0; i < 8 && !word_of(m, at); i++)
        at = shard_at + offsetof(shard, classes) + harm_pick(h, CLASS_COUNT) * sizeof(slab_class);
    for (uint64_t steps = harm_pick(h, 4); steps > 0 && (next = word_of(m, at) & REF_MASK); steps--)
        at = next << REF_SHIFT;
    return at;
}

/* The byte offset of a word worth changing. */
static uint64_t target(harm *h, const image *m)
{
    const arena_geometry *g = &m->geometry;
    uint64_t shard_at = g->shards_at + harm_pick(h, g->shards) * sizeof(shard), page;
    switch (harm_pick(h, 14)) {
    case 0: return one_of(h, m, offsetof(arena_header, page_lock), 4 + PAGE_BINS);
    case 1: return harm_pick(h, 4) ? one_of(h, m, offsetof(arena_header, namespace_lock), 3) : one_of(h, m, 0, PAGE_SIZE / 8);
    case 2: return shard_at;
    case 3: return one_of(h, m, shard_at, 8 + UNDO_BYTES / 8);
    case 4: return one_of(h, m, shard_at + offsetof(shard, classes), CLASS_COUNT * sizeof(slab_class) / 8);
    case 5: return one_of(h, m, shard_at + offsetof(shard, nbuckets), 2 + DIRECTORY_MAX / 2);
    case 6: return free_link(h, m, shard_at);
    case 7:
    case 8: /* a bucket's word, or a slot of it; or a directory's page */
        page = some_page(h, m, PAGE_TABLE);
        return page ? one_of(h, m, page, PAGE_SIZE / 8) : shard_at;
    case 9:
    case 10: return m->ref_count ? (m->refs[harm_pick(h, m->ref_count)] << REF_SHIFT) + harm_pick(h, 10) * 8 : shard_at;
    case 11: return one_of(h, m, g->map_at, 2 * 96);
    case 12: return one_of(h, m, g->slots_at + harm_pick(h, 3) * PAGE_SIZE, PAGE_SIZE / 8);
    default:
        return harm_pick(h, 2) ? one_of(h, m, g->records_at + harm_pick(h, 5) * sizeof(namespace_record), 16)
                               : one_of(h, m, g->heads_at, 5 * g->shards * sizeof(namespace_head) / 8);
    }
}

/* ---- the mutator */

static void make_patch(harm *h, const image *m, uint8_t *to)
{
    uint64_t at = target(h, m), page = at & ~(uint64_t)(PAGE_SIZE - 1), value = word_of(m, at);
    unsigned lo = 0;
    for (unsigned hi = m->count; lo + 1 < hi;) {
        unsigned mid = (lo + hi) / 2;
        if (m->pages[mid].at <= page)
            lo = mid;
        else
            hi = mid;
    }
    uint32_t where = lo * (PAGE_SIZE / 8) + (uint32_t)(at % PAGE_SIZE / 8);
    for (unsigned times = 1 + (harm_pick(h, 6) == 0); times > 0; times--)
        value = harm_word(h, m, value, word_of(m, target(h, m)));
    memcpy(to, &where, 4);
    memcpy(to + 4, &value, 8);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    harm h = {.seed = seed * 0x9E3779B97F4A7C15ull + 88172645463325252ull};
    random_next(&h.seed);
    if (size < HEAD)
        memset(data + size, 0, HEAD - size), size = HEAD;
    for (uint64_t times = 1 + harm_pick(&h, 3); times > 0; times--) {
        size_t patches = (size - HEAD) / PATCH;
        uint8_t *one = data + HEAD + PATCH * harm_pick(&h, patches);
        size = HEAD + PATCH * patches;
        switch (harm_pick(&h, 10)) {
        case 0: data[harm_pick(&h, 8)] ^= (uint8_t)(1u << harm_pick(&h, 8)); break;
        case 1: data[8 + harm_pick(&h, 2)] ^= (uint8_t)(1u << harm_pick(&h, 4)); break;
        case 2: size = LLVMFuzzerMutate(data, size, max); break; /* with the constants that the code compares with */
        case 3:
            if (patches > 1) {
                memmove(one, one + PATCH, (size_t)(data + size - one) - PATCH);
                size -= PATCH;
            }
            break;
        case 4: /* the same word otherwise */
            if (patches) {
                uint64_t value;
                memcpy(&value, one + 4, 8);
                value = harm_word(&h, image_for(data, size), value, value);
                memcpy(one + 4, &value, 8);
            }
            break;
        case 5:
            if (patches) {
                make_patch(&h, image_for(data, size), one);
                break;
            } /* fall through */
        default:
            if (size + PATCH <= max) {
                make_patch(&h, image_for(data, size), data + size);
                size += PATCH;
            }
        }
    }
    return size;
}

/* Patches of both. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *one, size_t one_size, const uint8_t *other, size_t other_size, uint8_t *out, size_t max,
                                 unsigned seed)
{
    harm h = {.seed = seed * 0x9E3779B97F4A7C15ull + 1};
    size_t size = one_size < max ? one_size : max;
    memcpy(out, one, size);
    for (size_t at = HEAD; at + PATCH <= other_size && size >= HEAD && size + PATCH <= max; at += PATCH)
        if (harm_pick(&h, 2)) {
            memcpy(out + size, other + at, PATCH);
            size += PATCH;
        }
    return size;
}

/* ---- the corpus it begins with: each image as it is, and with one word of each kind changed */

static void seeds(const char *directory)
{
    harm h = {.seed = 88172645463325252ull};
    uint8_t input[HEAD + PATCH] = {0};
    char path[400];
    for (unsigned i = 0; i < IMAGES; i++)
        for (unsigned n = 0; n < 64; n++) {
            uint64_t calls = random_next(&h.seed);
            size_t size = n ? sizeof input : HEAD;
            memcpy(input, &calls, 8);
            input[8] = (uint8_t)i;
            input[9] = (uint8_t)(n % 16);
            make_patch(&h, &images[i], input + HEAD);
            snprintf(path, sizeof path, "%s/seed-%u-%u", directory, i, n);
            FILE *f = fopen(path, "wb");
            if (!f || fwrite(input, 1, size, f) != size || fclose(f) != 0) {
                perror(path);
                _exit(3);
            }
        }
}

static bool is_empty_directory(const char *path)
{
    unsigned files = 0;
    DIR *directory = opendir(path);
    if (!directory)
        return false;
    while (readdir(directory))
        files++;
    closedir(directory);
    return files == 2;
}

/* A child fuzzes; its parent clears up after it, whatever end it comes to. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    int status = 0;
    snprintf(fixture_prefix, sizeof fixture_prefix, "ctest-%d-", (int)getpid());
    pid_t pid = fork_child();
    if (pid != 0) {
        fixture_child = pid;
        signal(SIGTERM, fixture_stop);
        signal(SIGINT, SIG_IGN); /* it ends by it, and with its figures */
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        fixture_segments(true);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
    }
    for (unsigned i = 0; i < IMAGES; i++)
        image_build(&images[i], image_seeds[i]);
    for (int i = 1; i < *argc; i++)
        if (is_empty_directory((*argv)[i]))
            seeds((*argv)[i]);
    return 0;
}
