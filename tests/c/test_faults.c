/* No memory for the n-th request, n = 1, 2, ... until the operation asks no more: of the arena's file system (os_commit), or of
 * the process (malloc, calloc, realloc). Each time: a status that says so, all that was there is there, the verifier is content, no
 * descriptor and no page is lost, and the same operation succeeds as soon as there is memory. */
#include "paths.h"

#ifdef __linux__
#include <sys/mman.h>

#include "faults.h"

/* ---- requests that fail */

typedef enum request { COMMIT, HEAP } request;

typedef struct faults {
    bool on, from_then_on; /* the n-th fails, or it and all after it */
    request which;
    unsigned calls, at;
} faults;

static faults *fault; /* with forked children */

/* Of whom a commit may be refused: all of them say that the file system has no room. */
static const int refusals[] = {ENOSPC, EFBIG, ENOMEM, EDQUOT};

static bool fails(request which)
{
    if (!fault || !fault->on || which != fault->which || leaving)
        return false;
    fault->calls++;
    return fault->calls == fault->at || (fault->from_then_on && fault->calls > fault->at);
}

int __real_os_commit(int fd, uint64_t offset, uint64_t length);
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
int __wrap_os_commit(int fd, uint64_t offset, uint64_t length);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

int __wrap_os_commit(int fd, uint64_t offset, uint64_t length)
{
    return fails(COMMIT) ? refusals[fault->calls % 4] : __real_os_commit(fd, offset, length);
}
void *__wrap_malloc(size_t size) { return fails(HEAP) ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t count, size_t size) { return fails(HEAP) ? NULL : __real_calloc(count, size); }
void *__wrap_realloc(void *old, size_t size) { return fails(HEAP) ? NULL : __real_realloc(old, size); }

static void fail_from(request which, unsigned at, bool from_then_on)
{
    fault->which = which;
    fault->at = at;
    fault->calls = 0;
    fault->from_then_on = from_then_on;
    fault->on = true;
}

static void fail_no_more(void) { fault->on = false; }

/* ---- the walk */

enum { BASE = 12, SLACK = 8 * PAGE_SIZE }; /* tables differ with the arena's secret, and so do their overflow buckets */

static unsigned descriptors(void)
{
    unsigned count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (directory && readdir(directory))
        count++;
    if (directory)
        closedir(directory);
    return count;
}

static size_t base_size(unsigned i) { return i == 0 ? 11 : i == 1 ? LARGE : i * i * 50; }

/* What was there before, and is not concerned. */
static void base_is_there(shoal_arena *a, const shoal_namespace *ns)
{
    static uint8_t got[LARGE];
    shoal_meta meta;
    for (unsigned i = 0; i < BASE; i++) {
        const char *key = numbered("k", i);
        CHECK_STATUS(shoal_get(a, ns, key, strlen(key), got, 0, sizeof got, &meta, WAIT), SHOAL_OK);
        CHECK_EQ(meta.size, base_size(i));
        CHECK(i == 0 || memcmp(got, bytes, meta.size) == 0);
    }
}

/* All memory that the arena has is in use: whoever needs any must ask for it. */
static void use_up(shoal_arena *a)
{
    const size_t sizes[] = {LARGE, 40000, 30000, 20000, 12000, 8000, 4000, 3000, 2000, 1000, 700,
                           500,   300,   215, 200, 185, 170, 155, 140, 125, 110, 95, 80, 65, 50, 35, 20, 5, 0};
    shoal_namespace ballast = ns_open(a, "ballast", 0, 0, SHOAL_EVICT_ERROR);
    unsigned key = 0;
    fail_from(COMMIT, 1, true);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (unsigned failed = 0; failed < 20; key++) /* one may lack a bucket, and the next not */
            failed += put_size(a, &ballast, numbered("", key), sizes[i], NULL) != SHOAL_OK;
    fail_no_more();
}

static shoal_arena *prepared(const operation *o, shoal_namespace *ns, bool full)
{
    shoal_arena *a = arena_new("faults", 2 * MIB);
    *ns = ns_default(a);
    for (unsigned i = 0; i < BASE; i++)
        CHECK_STATUS(put_size(a, ns, numbered("k", i), base_size(i), NULL), SHOAL_OK);
    o->setup(a, ns);
    if (full && a->shards[0].lock.word == 0)
        use_up(a);
    return a;
}

static void finished(shoal_arena *a)
{
    shoal_close(a);
    CHECK(!arena_exists("faults"));
    unlink(arena_path("damaged"));
}

static uint64_t used_without_fault(const operation *o, bool full)
{
    shoal_namespace ns;
    shoal_arena *a = prepared(o, &ns, full);
    CHECK_STATUS(o->act(a, &ns), SHOAL_OK);
    uint64_t used = stats_of(a).used;
    finished(a);
    return used;
}

/* True: it failed, or got along without, and there may be more requests to let fail. */
static bool with_fault(const operation *o, request which, unsigned at, bool from_then_on, uint64_t used)
{
    unsigned before = check_failures;
    shoal_namespace ns;
    shoal_arena *a = prepared(o, &ns, which == COMMIT);
    shoal_status wanted = which == COMMIT ? SHOAL_FULL_SYSTEM : SHOAL_NO_MEMORY;
    unsigned open_before = descriptors();
    fail_from(which, at, from_then_on);
    shoal_status status = o->act(a, &ns);
    fail_no_more();
    bool reached = fault->calls >= at;
    if (status != SHOAL_OK && status != wanted && (o->also == SHOAL_OK || status != o->also))
        check_fail(__FILE__, __LINE__, "%s", shoal_status_name(status));
    CHECK(reached || status == SHOAL_OK);
    CHECK_EQ(descriptors(), open_before);
    CHECK_SOUND(a);
    base_is_there(a, &ns);
    o->check(a, &ns, status == SHOAL_OK);
    if (!os_has_claims()) /* what a child has left is found later there */
        arena_reap(a);
    CHECK_EQ(stats_of(a).pinned_bytes, 0u);
    if (status != SHOAL_OK)
        CHECK_STATUS(o->act(a, &ns), SHOAL_OK);
    CHECK_SOUND(a);
    base_is_there(a, &ns);
    o->check(a, &ns, true);
    CHECK(stats_of(a).used <= used + SLACK);
    if (check_failures != before)
        fprintf(stderr, "  %s: %s request %u%s\n", o->name,
                which == COMMIT ? "commit" : "heap", at, from_then_on ? " and all after it" : "");
    finished(a);
    return reached && check_failures == before;
}

static const operation *current;
static request kind;

static void walk(void)
{
    uint64_t used = used_without_fault(current, kind == COMMIT);
    unsigned n = 1;
    for (int from_then_on = 0; from_then_on < 2; from_then_on++)
        for (n = 1; with_fault(current, kind, n, from_then_on != 0, used); n++)
            ;
    if ((kind == COMMIT ? current->commits : current->allocates) && n == 1 && check_failures == 0)
        check_fail(__FILE__, __LINE__, "it asked for nothing");
}

static void walk_all(request which, const char *title)
{
    printf("  %s:\n", title);
    kind = which;
    for (unsigned i = 0; i < sizeof operations / sizeof *operations; i++) {
        current = &operations[i];
        if (current->act == repair && !os_has_claims())
            continue; /* nobody can tell there that no one uses the arena */
        check_run(current->name, walk);
    }
}
#endif

static int tests(void)
{
#ifdef __linux__
    pattern_fill(bytes, 9, sizeof bytes);
    fault = mmap(NULL, sizeof *fault, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    walk_all(COMMIT, "the file system has no memory for the n-th request");
    walk_all(HEAP, "the process has no memory for the n-th request");
#else
    SKIP("the linker here cannot put a test between the core and its calls");
    check_passed++;
#endif
    return check_report();
}

int main(void) { return fixture_main(tests); }
