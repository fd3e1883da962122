/* What the tests that use an arena share.
 *
 *   fixture_main   runs the tests in a child process and clears up after it, whatever end it came to
 *   arena_*        arenas whose names no other run of the tests uses
 *   put, get, ...  the calls of shoal.h with the arguments that a test does not care about left out
 */
#ifndef SHOAL_TESTS_FIXTURE_H
#define SHOAL_TESTS_FIXTURE_H

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "check.h"
#include "os.h"
#include "shoal.h"

#define SECOND ((int64_t)1000 * 1000 * 1000)
#define MILLISECOND ((int64_t)1000 * 1000)
#define WAIT (20 * SECOND)
#define MIB ((uint64_t)1 << 20)
#define KIB ((uint64_t)1 << 10)

static char fixture_prefix[32];

/* "ctest-<pid>-<suffix>"; the pid is that of the whole run, so that its children name the same arenas. */
static inline const char *arena_name(const char *suffix)
{
    static char names[8][80];
    static unsigned turn;
    char *name = names[turn++ % 8];
    snprintf(name, sizeof names[0], "%s%s", fixture_prefix, suffix);
    return name;
}

static inline const char *arena_path(const char *suffix)
{
    static char paths[8][160];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s%s", os_directory(), SHOAL_PREFIX, arena_name(suffix));
    return path;
}

static inline bool arena_exists(const char *suffix) { return access(arena_path(suffix), F_OK) == 0; }

/* How many segments of this run there are; removes them if asked to. */
static inline int fixture_segments(bool remove_them)
{
    char start[80], path[400];
    int count = 0;
    DIR *directory = opendir(os_directory());
    if (!directory)
        return 0;
    snprintf(start, sizeof start, "%s%s", SHOAL_PREFIX, fixture_prefix);
    for (struct dirent *d; (d = readdir(directory));)
        if (strncmp(d->d_name, start, strlen(start)) == 0) {
            count++;
            snprintf(path, sizeof path, "%s/%s", os_directory(), d->d_name);
            if (remove_them)
                unlink(path);
        }
    closedir(directory);
    return count;
}

/* Wait for a child; true if it ended by itself with 0. */
static inline bool child_ok(pid_t pid)
{
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "child %d: %s %d\n", (int)pid, WIFSIGNALED(status) ? "signal" : "exit",
                WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        return false;
    }
    return true;
}

/* A child that does not outlive its parent, whatever becomes of that. */
static inline pid_t fork_child(void)
{
    fflush(NULL);
    pid_t pid = fork();
#ifdef __linux__
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
    if (pid < 0) { /* and nobody shall kill(-1) */
        perror("fork");
        _exit(1);
    }
    return pid;
}

static pid_t fixture_child;

static inline void fixture_stop(int signal)
{
    (void)signal;
    kill(fixture_child, SIGKILL); /* the wait for it ends, and all is cleared up */
}

/* Runs `tests` (which ends with check_report) in a child, so that arenas go even if it crashes. */
static inline int fixture_main(int (*tests)(void))
{
    snprintf(fixture_prefix, sizeof fixture_prefix, "ctest-%d-", (int)getpid());
    pid_t pid = fork_child();
    if (pid == 0) {
        setpgid(0, 0);
        exit(tests());
    }
    fixture_child = pid;
    signal(SIGTERM, fixture_stop);
    signal(SIGINT, fixture_stop);
    bool ok = pid > 0 && child_ok(pid);
    kill(-pid, SIGKILL); /* children that a failed test left behind */
    int left = fixture_segments(true);
    if (left)
        fprintf(stderr, "%d segments were left behind\n", left);
    return ok && left == 0 ? 0 : 1;
}

/* ---- arenas */

static inline shoal_status arena_open(const char *suffix, char flag, uint64_t size, shoal_arena **out)
{
    shoal_options options = {.flag = flag, .mode = 0600, .size = size, .wait = WAIT};
    shoal_error error;
    shoal_status status = shoal_open(arena_name(suffix), &options, out, &error);
    return status;
}

/* A new arena, or the end of the test program: nothing could be tested without it. */
static inline shoal_arena *arena_new(const char *suffix, uint64_t size)
{
    shoal_arena *a;
    shoal_status status = arena_open(suffix, 'n', size, &a);
    if (status != SHOAL_OK) {
        fprintf(stderr, "opening %s: %s\n", suffix, shoal_status_name(status));
        _exit(1);
    }
    return a;
}

static inline shoal_arena *arena_attach(const char *suffix, char flag)
{
    shoal_arena *a;
    shoal_status status = arena_open(suffix, flag, 0, &a);
    if (status != SHOAL_OK) {
        fprintf(stderr, "attaching to %s: %s\n", suffix, shoal_status_name(status));
        _exit(1);
    }
    return a;
}

/* What so many dead processes left is given back: by a sweep, or without claims by whoever takes their slots. */
static inline void arena_reap_all(shoal_arena *a, unsigned dead)
{
    shoal_arena *others[8];
    unsigned n = os_has_claims() ? 0 : dead < 8 ? dead : 8;
    shoal_options options = {.flag = 'w', .mode = 0600, .wait = WAIT};
    for (unsigned i = 0; i < n; i++)
        CHECK_STATUS(shoal_open(shoal_name(a), &options, &others[i], NULL), SHOAL_OK);
    for (unsigned i = 0; i < n; i++)
        shoal_close(others[i]);
    CHECK_STATUS(shoal_sweep(a, WAIT), SHOAL_OK);
}
static inline void arena_reap(shoal_arena *a) { arena_reap_all(a, 1); }

static inline void arena_report(void *context, int severity, const char *line)
{
    unsigned *lines = context;
    if (severity > 0 && (*lines)++ < 10)
        fprintf(stderr, "  verify: %s\n", line);
}

static inline shoal_status arena_verify(shoal_arena *a)
{
    unsigned lines = 0;
    return shoal_verify(a, arena_report, &lines, WAIT);
}

#define CHECK_SOUND(a) CHECK_STATUS(arena_verify(a), SHOAL_OK)

/* Every test of a layer ends with this: whatever it did, the invariants hold. */
#define ARENA_END(a) \
    do { \
        CHECK_SOUND(a); \
        shoal_close(a); \
    } while (0)

/* ---- namespaces and entries */

static inline shoal_namespace ns_open(shoal_arena *a, const char *name, int64_t ttl, uint64_t max_keys, uint32_t eviction)
{
    shoal_namespace_config config = {.ttl = ttl, .max_keys = max_keys, .eviction = eviction};
    shoal_namespace ns = {0};
    CHECK_STATUS(shoal_namespace_open(a, name, strlen(name), true, &config, &ns, WAIT), SHOAL_OK);
    return ns;
}

static inline shoal_namespace ns_default(shoal_arena *a)
{
    shoal_namespace ns = {0};
    CHECK_STATUS(shoal_namespace_open(a, "default", 7, false, NULL, &ns, WAIT), SHOAL_OK);
    return ns;
}

static inline shoal_status put_bytes(shoal_arena *a, const shoal_namespace *ns, const char *key, const void *value, size_t size)
{
    shoal_put_args args = {.head = value, .head_size = size, .ttl = SHOAL_TTL_DEFAULT};
    return shoal_put(a, ns, key, strlen(key), &args, NULL, WAIT);
}

static inline shoal_status put_ttl(shoal_arena *a, const shoal_namespace *ns, const char *key, const char *text, int64_t ttl)
{
    shoal_put_args args = {.head = text, .head_size = strlen(text), .ttl = ttl};
    return shoal_put(a, ns, key, strlen(key), &args, NULL, WAIT);
}

static inline shoal_status put(shoal_arena *a, const shoal_namespace *ns, const char *key, const char *text)
{
    return put_bytes(a, ns, key, text, strlen(text));
}

/* A value of `size` bytes that tells its seed and place: any torn or foreign byte shows. */
static inline uint8_t pattern_byte(uint64_t seed, size_t i) { return (uint8_t)(seed * 131 + i * 7 + (i >> 8) * 13 + 1); }

static inline void pattern_fill(uint8_t *to, uint64_t seed, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = pattern_byte(seed, i);
}

static inline bool pattern_holds(const uint8_t *p, uint64_t seed, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (p[i] != pattern_byte(seed, i))
            return false;
    return true;
}

static inline shoal_status put_pattern(shoal_arena *a, const shoal_namespace *ns, const char *key, uint64_t seed, size_t size,
                                       uint8_t align)
{
    uint8_t *value = malloc(size + 1);
    pattern_fill(value, seed, size);
    shoal_put_args args = {.head = value, .head_size = size, .align = align, .ttl = SHOAL_TTL_DEFAULT};
    shoal_status status = shoal_put(a, ns, key, strlen(key), &args, NULL, WAIT);
    free(value);
    return status;
}

/* OK only if the whole value is that pattern; CORRUPT if it is another. */
static inline shoal_status get_pattern(shoal_arena *a, const shoal_namespace *ns, const char *key, uint64_t seed, size_t size)
{
    uint8_t *value = malloc(size + 1);
    shoal_meta meta;
    shoal_status status = shoal_get(a, ns, key, strlen(key), value, 0, size + 1, &meta, WAIT);
    if (status == SHOAL_OK && (meta.size != size || !pattern_holds(value, seed, size)))
        status = SHOAL_CORRUPT;
    free(value);
    return status;
}

/* The value as text in a static buffer; "(miss)" or another status in brackets if there is none. */
static inline const char *get_text(shoal_arena *a, const shoal_namespace *ns, const char *key)
{
    static char text[256];
    shoal_meta meta;
    shoal_status status = shoal_get(a, ns, key, strlen(key), text, 0, sizeof text - 1, &meta, WAIT);
    if (status != SHOAL_OK)
        snprintf(text, sizeof text, "(%s)", shoal_status_name(status));
    else
        text[meta.size < sizeof text ? meta.size : sizeof text - 1] = '\0';
    return text;
}

static inline shoal_status del(shoal_arena *a, const shoal_namespace *ns, const char *key)
{
    return shoal_delete(a, ns, key, strlen(key), NULL, WAIT);
}

static inline shoal_status peek(shoal_arena *a, const shoal_namespace *ns, const char *key, size_t key_size, shoal_meta *meta)
{
    return shoal_peek(a, ns, key, key_size, NULL, 0, 0, meta, WAIT);
}

static inline shoal_meta stat_of(shoal_arena *a, const shoal_namespace *ns, const char *key)
{
    shoal_meta meta = {0};
    CHECK_STATUS(shoal_peek(a, ns, key, strlen(key), NULL, 0, 0, &meta, WAIT), SHOAL_OK);
    return meta;
}

static inline uint64_t count_of(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace_stats stats = {0};
    CHECK_STATUS(shoal_namespace_count(a, ns, &stats, WAIT), SHOAL_OK);
    return stats.entries;
}

static inline shoal_stats stats_of(shoal_arena *a)
{
    shoal_stats stats = {0};
    CHECK_STATUS(shoal_get_stats(a, &stats), SHOAL_OK);
    return stats;
}

static inline const char *numbered(const char *prefix, unsigned i)
{
    static char keys[4][48];
    static unsigned turn;
    char *key = keys[turn++ % 4];
    snprintf(key, sizeof keys[0], "%s%u", prefix, i);
    return key;
}

/* How many keys all shards list for a prefix. */
static inline uint64_t keys_of(shoal_arena *a, const shoal_namespace *ns, const char *prefix)
{
    uint64_t count = 0;
    for (uint32_t s = 0; s < shoal_shards(a); s++) {
        shoal_bytes out;
        CHECK_STATUS(shoal_keys(a, ns, s, prefix, strlen(prefix), &out, WAIT), SHOAL_OK);
        for (size_t at = 0; at < out.size; count++) {
            uint16_t n;
            memcpy(&n, out.data + at, 2);
            at += 2u + n;
        }
        shoal_bytes_free(&out);
    }
    return count;
}

/* The clocks are the kernel's: a test that is about an instant must let it pass. */
static inline void sleep_until(int64_t mono_ns)
{
    for (int64_t left; (left = mono_ns - shoal_clock_mono_ns()) > 0;) {
        struct timespec t = {left / SECOND, left % SECOND};
        nanosleep(&t, NULL);
    }
}

/* xorshift: a seed gives the same run everywhere. */
static inline uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#define SKIP(reason) printf("  skipped: %s\n", reason)

#endif
