/* A file system that is full: statuses, never SIGBUS; nothing lost; deleting makes room again.
 *
 * Each test has a /dev/shm of its own, a small tmpfs in a mount namespace that ends with its process. */
#include "fixture.h"

#if defined(SHOAL_LINUX)
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include "layout.h"

/* False, with the reason printed: this process may not mount. */
static bool small_shm(const char *size)
{
    char data[40];
    snprintf(data, sizeof data, "size=%s", size);
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", "/dev/shm", "tmpfs", 0, data) != 0) {
        printf("  skipped: no mount of a small /dev/shm here (%s)\n", strerror(errno));
        return false;
    }
    return true;
}

/* Takes all that is left of the file system; a file to close and unlink when it is to be free again. */
static int take_the_rest(void)
{
    int fd = open("/dev/shm/ballast", O_RDWR | O_CREAT | O_TRUNC, 0600);
    off_t at = 0;
    for (off_t step = 1 << 20; fd >= 0 && step >= 4096;)
        if (fallocate(fd, 0, at, step) == 0)
            at += step;
        else
            step /= 2;
    return fd;
}

static void in_child(const char *size, void (*test)(void))
{
    pid_t pid = fork_child();
    if (pid == 0) {
        if (small_shm(size))
            test();
        fflush(stdout);
        _exit(check_failures ? 1 : 0);
    }
    CHECK(child_ok(pid));
}

static void fill_and_check(shoal_arena *a, size_t size, bool align)
{
    shoal_namespace ns = ns_default(a);
    unsigned count = 0;
    shoal_status status;
    uint64_t gone;
    while ((status = put_pattern(a, &ns, numbered("k", count), count, size, align)) == SHOAL_OK)
        count++;
    CHECK_STATUS(status, SHOAL_FULL_SYSTEM);
    CHECK(count * (size + 100) > 300000);
    for (unsigned i = 0; i < count; i++)
        CHECK_STATUS(get_pattern(a, &ns, numbered("k", i), i, size), SHOAL_OK);
    CHECK_TEXT(get_text(a, &ns, numbered("k", count)), "(miss)");
    CHECK_SOUND(a);
    CHECK_EQ(stats_of(a).pinned_bytes, 0u);
    for (int round = 0; round < 3; round++) {
        for (unsigned i = 0; i < count; i += 2)
            CHECK_STATUS(del(a, &ns, numbered("k", i)), SHOAL_OK);
        for (unsigned i = 0; i < count; i += 2)
            CHECK_STATUS(put_pattern(a, &ns, numbered("k", i), i, size, align), SHOAL_OK);
    }
    for (unsigned i = 0; i < count; i++)
        CHECK_STATUS(get_pattern(a, &ns, numbered("k", i), i, size), SHOAL_OK);
    CHECK_SOUND(a);
    CHECK_STATUS(shoal_namespace_clear(a, &ns, &gone, WAIT), SHOAL_OK);
    CHECK_EQ(gone, count);
    CHECK_STATUS(shoal_sweep(a, WAIT), SHOAL_OK);
}

static void values_of_all_sizes(void)
{
    const size_t sizes[] = {0, 100, 3000, 30000, 60000, 500000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        shoal_arena *a = arena_new("full", 64 * MIB); /* the cap is larger than the file system */
        fill_and_check(a, sizes[i], i % 2);
        ARENA_END(a);
    }
}

/* Freed memory was given back, somebody else took it: the holes cannot be committed again, what is there stays. */
static void memory_that_others_took_meanwhile(void)
{
    shoal_arena *a = arena_new("taken", 64 * MIB);
    shoal_namespace ns = ns_default(a);
    for (unsigned i = 0; i < 20; i++)
        CHECK_STATUS(put_pattern(a, &ns, numbered("k", i), i, 200000, false), SHOAL_OK);
    for (unsigned i = 0; i < 20; i += 2)
        CHECK_STATUS(del(a, &ns, numbered("k", i)), SHOAL_OK);
    CHECK_STATUS(shoal_sweep(a, WAIT), SHOAL_OK);
    int ballast = take_the_rest();
    CHECK_STATUS(put_pattern(a, &ns, "large", 1, 200000, false), SHOAL_FULL_SYSTEM);
    CHECK_STATUS(put_pattern(a, &ns, "k1", 99, 200000, false), SHOAL_FULL_SYSTEM);
    for (unsigned i = 1; i < 20; i += 2)
        CHECK_STATUS(get_pattern(a, &ns, numbered("k", i), i, 200000), SHOAL_OK);
    CHECK_SOUND(a);
    /* What this arena frees itself it can use again. */
    CHECK_STATUS(del(a, &ns, "k1"), SHOAL_OK);
    CHECK_STATUS(put_pattern(a, &ns, "large", 1, 150000, false), SHOAL_OK);
    close(ballast);
    unlink("/dev/shm/ballast");
    CHECK_STATUS(put_pattern(a, &ns, "k1", 99, 200000, false), SHOAL_OK);
    CHECK_STATUS(get_pattern(a, &ns, "large", 1, 150000), SHOAL_OK);
    ARENA_END(a);
}

/* Nothing left at all: every call gives a status, and none of them a signal. */
static void every_call_with_nothing_left(void)
{
    shoal_arena *a = arena_new("nothing", 64 * MIB), *b = NULL;
    shoal_namespace ns = ns_default(a), other;
    shoal_number one = {.i = 1}, sum;
    shoal_pin pin;
    uint64_t count;
    unsigned made = 0;
    char name[24];
    for (unsigned i = 0; i < 200; i++)
        CHECK_STATUS(put_pattern(a, &ns, numbered("k", i), i, i % 40 ? 100 : 80000, false), SHOAL_OK);
    int ballast = take_the_rest();
    shoal_status status = SHOAL_OK;
    while (status == SHOAL_OK && made < 5000) /* records and heads need memory, too */
        status = shoal_namespace_open(a, name, (size_t)snprintf(name, sizeof name, "space%u", made++), true, NULL, &other, WAIT);
    CHECK_STATUS(status, SHOAL_FULL_SYSTEM);
    status = SHOAL_OK;
    for (unsigned i = 0; status == SHOAL_OK && i < 20000; i++)
        status = put(a, &ns, numbered("more", i), "v");
    CHECK_STATUS(status, SHOAL_FULL_SYSTEM);
    CHECK_STATUS(put_pattern(a, &ns, "large", 1, 70000, false), SHOAL_FULL_SYSTEM);
    status = shoal_incr(a, &ns, "number", 6, &one, &one, 0, &sum, WAIT);
    CHECK(status == SHOAL_OK || status == SHOAL_FULL_SYSTEM);
    for (unsigned i = 0; i < 200; i++) { /* no room in their headers: to be written anew, as long as there are blocks */
        status = shoal_touch(a, &ns, numbered("k", i), strlen(numbered("k", i)), 100 * SECOND, WAIT);
        CHECK(status == SHOAL_OK || status == SHOAL_FULL_SYSTEM);
        CHECK((stat_of(a, &ns, numbered("k", i)).expires_ns == 0) == (status == SHOAL_FULL_SYSTEM));
    }
    for (unsigned i = 0; i < 200; i++)
        CHECK_STATUS(get_pattern(a, &ns, numbered("k", i), i, i % 40 ? 100 : 80000), SHOAL_OK);
    CHECK_STATUS(shoal_pin_take(a, &ns, "k40", 3, &pin, WAIT), SHOAL_OK);
    CHECK(pattern_holds(pin.data, 40, 80000));
    shoal_unpin(a, &pin);
    CHECK_STATUS(arena_open("nothing", 'w', 0, &b), SHOAL_FULL_SYSTEM); /* no slot for one more process ... */
    CHECK_STATUS(arena_open("nothing", 'r', 0, &b), SHOAL_OK);          /* ... a reader needs none */
    for (unsigned i = 0; i < 200; i++)
        CHECK_STATUS(get_pattern(b, &ns, numbered("k", i), i, i % 40 ? 100 : 80000), SHOAL_OK);
    CHECK(keys_of(b, &ns, "k") == 200);
    shoal_close(b);
    CHECK_STATUS(arena_open("another", 'c', MIB, &b), SHOAL_FULL_SYSTEM);
    CHECK(!arena_exists("another")); /* not left half-made */
    CHECK_SOUND(a);
    CHECK_STATUS(shoal_namespace_clear(a, &ns, &count, WAIT), SHOAL_OK);
    CHECK(count >= 200);
    CHECK_STATUS(put_pattern(a, &ns, "large", 1, 70000, false), SHOAL_OK);
    CHECK_STATUS(shoal_sweep(a, WAIT), SHOAL_OK);
    close(ballast);
    ARENA_END(a);
}

/* Readers of all kinds look at entries that come and go while the file system is full. */
static void readers_meanwhile(void)
{
    enum { KEYS = 40, READERS = 2 };
    shoal_arena *a = arena_new("readers", 64 * MIB);
    shoal_namespace ns = ns_default(a);
    pid_t pids[READERS];
    for (unsigned i = 0; i < KEYS; i++)
        put_pattern(a, &ns, numbered("k", i), 1000, 1000, false);
    for (int r = 0; r < READERS; r++)
        if ((pids[r] = fork_child()) == 0) {
            static uint8_t value[400000];
            uint64_t seed = (uint64_t)r + 5;
            shoal_arena *mine = a;
            if (r == 0)
                mine = arena_attach("readers", 'r');
            else
                shoal_after_fork(a);
            for (;;) {
                shoal_meta meta;
                const char *key = numbered("k", (unsigned)(random_next(&seed) % KEYS));
                shoal_status status = shoal_get(mine, &ns, key, strlen(key), value, 0, sizeof value, &meta, WAIT);
                REQUIRE_CHILD(status == SHOAL_OK || status == SHOAL_MISS);
                REQUIRE_CHILD(status == SHOAL_MISS || pattern_holds(value, meta.size, meta.size));
                if (seed % 64 == 0)
                    keys_of(mine, &ns, "k");
            }
        }
    uint64_t seed = 21;
    unsigned refused = 0;
    int64_t begin = shoal_clock_mono_ns(), now = begin;
    for (; now < begin + 2 * SECOND / 3 || (refused <= 10 && now < begin + WAIT); now = shoal_clock_mono_ns()) {
        uint64_t r = random_next(&seed);
        size_t size = (r >> 8) % (r & 1 ? 300000 : 2000);
        const char *key = numbered("k", (unsigned)((r >> 40) % KEYS));
        shoal_status status = r % 8 ? put_pattern(a, &ns, key, size, size, false) : del(a, &ns, key);
        CHECK(status == SHOAL_OK || status == SHOAL_MISS || status == SHOAL_FULL_SYSTEM);
        refused += status == SHOAL_FULL_SYSTEM;
        if (r % 50 == 0)
            CHECK_STATUS(shoal_sweep(a, WAIT), SHOAL_OK); /* and punch what is free */
    }
    CHECK(refused > 10);
    for (int r = 0; r < READERS; r++) {
        int status;
        CHECK(waitpid(pids[r], &status, WNOHANG) == 0); /* no signal, nothing wrong in it */
        kill(pids[r], SIGKILL);
        waitpid(pids[r], NULL, 0);
    }
    CHECK_SOUND(a);
    shoal_close(a);
}

/* The cap is small enough, but the file system smaller still: SIEVE evicts for it as for a full arena. */
static void sieve_goes_on(void)
{
    shoal_arena *a = arena_new("sieve", 64 * MIB);
    shoal_namespace ns = ns_open(a, "cache", 0, 0, SHOAL_EVICT_SIEVE);
    for (unsigned i = 0; i < 3000; i++) {
        size_t size = i % 50 ? 5000 : 200000;
        CHECK_STATUS(put_pattern(a, &ns, numbered("k", i), i, size, false), SHOAL_OK);
        CHECK_STATUS(get_pattern(a, &ns, numbered("k", i), i, size), SHOAL_OK);
    }
    CHECK(stats_of(a).evicted > 1000);
    ARENA_END(a);
}

static void values_of_all_sizes_fill_it(void) { in_child("3m", values_of_all_sizes); }
static void holes_that_cannot_be_filled_again(void) { in_child("6m", memory_that_others_took_meanwhile); }
static void with_nothing_left_every_call_gives_a_status(void) { in_child("2m", every_call_with_nothing_left); }
static void readers_go_on(void) { in_child("4m", readers_meanwhile); }
static void sieve_evicts_for_it(void) { in_child("4m", sieve_goes_on); }
#endif

static int tests(void)
{
#ifdef SHOAL_LINUX
    RUN(values_of_all_sizes_fill_it);
    RUN(holes_that_cannot_be_filled_again);
    RUN(with_nothing_left_every_call_gives_a_status);
    RUN(readers_go_on);
    RUN(sieve_evicts_for_it);
#else
    SKIP("memory cannot be committed before its first touch here");
    check_passed++;
#endif
    return check_report();
}

int main(void) { return fixture_main(tests); }
