/* Coverage-guided fuzzing of an arbitrary image: attach, then calls that the input chooses.
 *
 *     make -C tests/c fuzz SECONDS=60                        with any compiler that knows -fsanitize-coverage=trace-pc
 *     fuzz_image --seconds 60 --seed 1 [--corpus DIRECTORY]  the same by hand; finds are left in DIRECTORY as crash-*
 *     fuzz_image FILE...                                     inputs once more
 *     clang -fsanitize=fuzzer,address -DFUZZ_LIBFUZZER ...   the same entry point for libFuzzer, or AFL++'s driver
 *
 * An input is a seed of calls (8 bytes), then patches of 12 bytes: which 8 bytes of the image's pages in use to change (4), and to
 * what (8).
 * With GCC the loop below is the fuzzer: inputs that reach an edge, or a new order of magnitude of its count, stay in the corpus and are
 * mutated further. A child runs the inputs, many in a row; the parent looks after its end and has the input in shared memory.
 */
#include "damage_use.h"

#define INPUT_MAX 1024u
#define EDGES (1u << 16)
#define CORPUS_MAX 4096u
#define INPUT_LIMIT 20u /* seconds */

static image fuzzed;

static void use_image(const uint8_t *data, size_t size)
{
    uint64_t seed = 1, in_use = fuzzed.count * (uint64_t)PAGE_SIZE / 8;
    shoal_options options = {.flag = 'w', .mode = 0600, .wait = 50 * MILLISECOND};
    shoal_arena *a, *reader;
    bool removed;
    memcpy(&seed, data, size < 8 ? size : 8);
    seed = seed ? seed : 1;
    int fd = image_put(&fuzzed, arena_path(DAMAGE_NAME));
    for (size_t at = 8; at + 12 <= size; at += 12) {
        uint32_t where;
        memcpy(&where, data + at, 4);
        uint64_t word = where % in_use;
        if (pwrite(fd, data + at + 4, 8, (off_t)(fuzzed.pages[word / (PAGE_SIZE / 8)].at + word % (PAGE_SIZE / 8) * 8)) != 8)
            _exit(3);
    }
    close(fd);
    if (shoal_open(arena_name(DAMAGE_NAME), &options, &a, NULL) == SHOAL_OK) {
        options.flag = 'r';
        if (shoal_open(arena_name(DAMAGE_NAME), &options, &reader, NULL) == SHOAL_OK) {
            reads_are_right(reader, false);
            use_entries(reader, 10, &seed);
            shoal_close(reader);
        }
        if (seed & 4)
            a->shards[0].lock.word = a->header->page_lock.word = LOCK_OWNER_MASK;
        use_entries(a, 20, &seed);
        use_tree(a, &seed);
        use_whole(a, &seed);
        shoal_close(a);
    }
    if (seed & 8) {
        shoal_repaired sum;
        shoal_repair(arena_name(DAMAGE_NAME), ignore_line, &damage_sink, SHORT, &sum);
    }
    shoal_collect(arena_name(DAMAGE_NAME), &removed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!fuzzed.count) {
        snprintf(fixture_prefix, sizeof fixture_prefix, "ctest-%d-", (int)getpid());
        image_build(&fuzzed, 9);
    }
    use_image(data, size);
    return 0;
}

#ifndef FUZZ_LIBFUZZER

/* ---- coverage: the core calls this at every edge */

typedef struct shared {
    uint8_t edges[EDGES];
    uint8_t input[INPUT_MAX];
    uint32_t size;
    uint64_t runs;
} shared;
static shared *common;
static uint8_t virgin[EDGES]; /* orders of magnitude seen so far, a bit each */
static bool counting;

void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void)
{
    static __thread uintptr_t before;
    if (!counting)
        return;
    uintptr_t at = (uintptr_t)__builtin_return_address(0);
    uint8_t *edge = &common->edges[((at >> 1) ^ before) & (EDGES - 1)];
    before = at >> 2;
    *edge += *edge < 255;
}

static uint8_t magnitude(uint8_t n) { return n == 0 ? 0 : (uint8_t)(1u << (31 - __builtin_clz(n))); }

static unsigned news(void)
{
    unsigned found = 0;
    for (unsigned i = 0; i < EDGES; i++) {
        uint8_t m = magnitude(common->edges[i]);
        found += (m & ~virgin[i]) != 0;
        virgin[i] |= m;
    }
    return found;
}

/* ---- the corpus */

static struct { uint8_t *bytes; uint32_t size; } corpus[CORPUS_MAX];
static unsigned corpus_count;

static void keep(const uint8_t *bytes, uint32_t size)
{
    unsigned at = corpus_count < CORPUS_MAX ? corpus_count++ : (unsigned)(common->runs % CORPUS_MAX);
    free(corpus[at].bytes);
    memcpy(corpus[at].bytes = malloc(size), bytes, size);
    corpus[at].size = size;
}

static void mutate(uint64_t *seed)
{
    harm h = {.seed = random_next(seed)};
    uint8_t *in = common->input;
    uint32_t size = 8 + 12 * (uint32_t)(1 + random_next(seed) % 3);
    if (corpus_count && random_next(seed) % 8) {
        unsigned from = (unsigned)(random_next(seed) % corpus_count);
        memcpy(in, corpus[from].bytes, size = corpus[from].size);
    } else {
        for (unsigned i = 0; i < size; i++)
            in[i] = (uint8_t)random_next(seed);
    }
    for (unsigned times = 1 + (unsigned)(random_next(seed) % 4); times > 0; times--) {
        uint32_t patches = (size - 8) / 12;
        uint32_t at = 8 + 12 * (patches ? (uint32_t)(random_next(seed) % patches) : 0);
        switch (random_next(seed) % 6) {
        case 0: in[random_next(seed) % size] ^= (uint8_t)(1u << random_next(seed) % 8); break;
        case 1: in[random_next(seed) % 8] = (uint8_t)random_next(seed); break;
        case 2: /* one patch more, of a word that is in use, to a value of that kind */
            if (size + 12 > INPUT_MAX)
                break;
            at = size;
            size += 12; /* fall through */
        case 3: {
            uint64_t page = harm_page(&h, &fuzzed), word = random_next(seed) % (PAGE_SIZE / 8);
            uint32_t index = 0;
            const uint8_t *bytes = image_page(&fuzzed, page);
            for (unsigned i = 0; i < 12 && !*(const uint64_t *)(bytes + word * 8); i++)
                word = random_next(seed) % (PAGE_SIZE / 8);
            while (fuzzed.pages[index].at != page)
                index++;
            index = index * (PAGE_SIZE / 8) + (uint32_t)word;
            uint64_t value = harm_word(&h, &fuzzed, *(const uint64_t *)(bytes + word * 8), *(const uint64_t *)(bytes + 64));
            if (at + 12 > size)
                break;
            memcpy(in + at, &index, 4);
            memcpy(in + at + 4, &value, 8);
            break;
        }
        case 4:
            if (size > 20)
                size -= 12;
            break;
        default: { /* a patch of another input */
            if (!corpus_count || patches == 0)
                break;
            unsigned other = (unsigned)(random_next(seed) % corpus_count);
            if (corpus[other].size >= 20)
                memcpy(in + at, corpus[other].bytes + 8, 12);
        }
        }
    }
    common->size = size;
}

/* ---- runs */

static double seconds = 5;
static uint64_t run_seed = 1;
static const char *directory;
static int argument_count;
static char **arguments;

static void fuzz_until(int64_t until, uint64_t *seed)
{
    while (shoal_clock_mono_ns() < until) {
        mutate(seed);
        memset(common->edges, 0, EDGES);
        alarm(INPUT_LIMIT);
        counting = true;
        use_image(common->input, common->size);
        counting = false;
        common->runs++;
        if (news())
            keep(common->input, common->size);
    }
    unsigned edges = 0;
    for (unsigned i = 0; i < EDGES; i++)
        edges += virgin[i] != 0;
    printf("  %" PRIu64 " inputs, %u in the corpus, %u edges, seed %" PRIu64 "\n", common->runs, corpus_count, edges, run_seed);
}

static void save_crash(void)
{
    char path[400];
    snprintf(path, sizeof path, "%s/crash-%" PRIu64 "-%" PRIu64, directory ? directory : ".", run_seed, common->runs);
    FILE *f = fopen(path, "wb");
    if (f && fwrite(common->input, 1, common->size, f) == common->size)
        fprintf(stderr, "  the input is in %s\n", path);
    if (f)
        fclose(f);
}

static void every_image_gives_statuses(void)
{
    common = mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = fork_child();
    if (pid == 0) {
        uint64_t seed = run_seed * 0x9E3779B97F4A7C15ull + 1;
        image_build(&fuzzed, 9);
        fuzz_until(shoal_clock_mono_ns() + (int64_t)(seconds * (double)SECOND), &seed);
        exit(0);
    }
    if (!child_ok(pid)) {
        check_fail(__FILE__, __LINE__, "an input ended its process");
        save_crash();
    }
}

static void these_inputs_give_statuses(void)
{
    static uint8_t bytes[INPUT_MAX];
    image_build(&fuzzed, 9);
    for (int i = 0; i < argument_count; i++) {
        FILE *f = fopen(arguments[i], "rb");
        CHECK(f != NULL);
        if (f) {
            alarm(INPUT_LIMIT);
            use_image(bytes, fread(bytes, 1, sizeof bytes, f));
            fclose(f);
        }
    }
}

static int tests(void)
{
#ifndef SHOAL_LINUX
    SKIP("claims and holes are Linux's");
    return 0;
#endif
    if (argument_count)
        RUN(these_inputs_give_statuses);
    else
        RUN(every_image_gives_statuses);
    unlink(arena_path(DAMAGE_NAME));
    return check_report();
}

int main(int argc, char **argv)
{
    int at = 1;
    for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
        if (strcmp(argv[at], "--seconds") == 0)
            seconds = atof(argv[at + 1]);
        else if (strcmp(argv[at], "--seed") == 0)
            run_seed = strtoull(argv[at + 1], NULL, 0);
        else if (strcmp(argv[at], "--corpus") == 0)
            directory = argv[at + 1];
    }
    argument_count = argc - at;
    arguments = argv + at;
    return fixture_main(tests);
}

#endif
