/* Death at every instruction of a write.
 *
 * A child does one operation while its parent single-steps it. After each step that changed a byte of the arena, the
 * parent copies the arena as it is: the very state that a SIGKILL at this instruction would leave. The copy is opened as
 * another arena, whose users are all dead. There the operation must have happened or not, what else was stored must be as
 * it was, the verifier must be content after the recovery, and everything must work on.
 */
#include "fixture.h"

#if defined(SHOAL_LINUX) && !defined(__SANITIZE_THREAD__)
#include <fcntl.h>
#include <sys/ptrace.h>

#include "process.h"
#include "room.h"

#define BASE 30u            /* keys that the operation does not concern */
#define LARGE ((size_t)33000)
#define STATES 150u         /* all of the first states are tried, then one in eight */

typedef struct scenario {
    void (*setup)(shoal_arena *a, const shoal_namespace *ns);
    void (*act)(shoal_arena *a, const shoal_namespace *ns);
    void (*check)(shoal_arena *a, const shoal_namespace *ns, bool done); /* done: the operation had returned */
} scenario;

/* ---- copies of an arena */

typedef struct copy {
    uint8_t *bytes;
    size_t size, room;
} copy;

typedef struct piece {
    uint64_t at, size;
} piece;

/* What is in use of the arena. */
static int pieces_of(const shoal_arena *a, piece out[7])
{
    const arena_header *h = a->header;
    uint64_t frontier = load_acquire(&h->frontier), namespaces = load_acquire(&h->namespaces_high);
    piece p[7] = {{0, PAGE_SIZE},
                  {(uint64_t)((uint8_t *)a->slots - a->base), h->slots_high * PAGE_SIZE},
                  {(uint64_t)((uint8_t *)a->shards - a->base), a->nshards * sizeof(shard)},
                  {(uint64_t)((uint8_t *)a->records - a->base), namespaces * sizeof(namespace_record)},
                  {(uint64_t)((uint8_t *)a->heads - a->base), namespaces * a->nshards * sizeof(namespace_head)},
                  {(uint64_t)((uint8_t *)a->map - a->base), frontier * sizeof(page_entry)},
                  {a->pages_at, frontier << PAGE_SHIFT}};
    memcpy(out, p, sizeof p);
    return 7;
}

/* False if nothing changed since the last time. */
static bool copy_take(const shoal_arena *a, copy *c)
{
    piece pieces[7];
    int n = pieces_of(a, pieces);
    size_t size = 0;
    for (int i = 0; i < n; i++)
        size += pieces[i].size;
    if (size > c->room)
        c->bytes = realloc(c->bytes, c->room = size * 2);
    bool changed = size != c->size;
    uint8_t *to = c->bytes;
    for (int i = 0; i < n; to += pieces[i].size, i++)
        if (changed || memcmp(to, a->base + pieces[i].at, pieces[i].size) != 0) {
            memcpy(to, a->base + pieces[i].at, pieces[i].size);
            changed = true; /* what follows is copied without a look */
        }
    c->size = size;
    return changed;
}

static shoal_arena *copy_open(const shoal_arena *a, const copy *c)
{
    piece pieces[7];
    int n = pieces_of(a, pieces), fd = open(arena_path("copy"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    const uint8_t *from = c->bytes;
    if (fd < 0 || ftruncate(fd, (off_t)a->file_size) != 0)
        return NULL;
    for (int i = 0; i < n; from += pieces[i].size, i++)
        if (pwrite(fd, from, pieces[i].size, (off_t)pieces[i].at) != (ssize_t)pieces[i].size)
            return NULL;
    close(fd);
    shoal_arena *b;
    shoal_status status = arena_open("copy", 'w', 0, &b);
    CHECK_STATUS(status, SHOAL_OK);
    return status == SHOAL_OK ? b : NULL;
}

static void copy_close(shoal_arena *b)
{
    shoal_close(b);
    unlink(arena_path("copy")); /* it persists, like the arena it was copied from */
}

/* ---- one state */

static bool state_is_right(const shoal_arena *a, const copy *c, const scenario *s, bool done)
{
    unsigned before = check_failures;
    shoal_arena *b = copy_open(a, c);
    if (!b) {
        check_fail(__FILE__, __LINE__, "no copy: %s", strerror(errno));
        return false;
    }
    shoal_namespace ns = ns_default(b);
    shoal_number one = {.i = 1}, zero = {0}, sum;
    s->check(b, &ns, done);
    for (unsigned i = 0; i < BASE; i++)
        CHECK_STATUS(get_pattern(b, &ns, numbered("base", i), i, i ? i * 20 : LARGE), SHOAL_OK);
    CHECK_STATUS(put(b, &ns, "life", "goes on"), SHOAL_OK); /* recovers, at the latest */
    CHECK_SOUND(b);
    CHECK_STATUS(shoal_incr(b, &ns, "n", 1, &one, &zero, 0, &sum, WAIT), SHOAL_OK);
    CHECK_STATUS(put_pattern(b, &ns, "large", 3, LARGE, false), SHOAL_OK);
    CHECK_STATUS(shoal_sweep(b, WAIT), SHOAL_OK);
    CHECK_SOUND(b);
    s->check(b, &ns, done);
    for (unsigned i = 0; i < BASE; i++)
        CHECK_STATUS(del(b, &ns, numbered("base", i)), SHOAL_OK);
    CHECK_STATUS(del(b, &ns, "large"), SHOAL_OK);
    CHECK_EQ(stats_of(b).pinned_bytes, 0u);
    CHECK_SOUND(b);
    copy_close(b);
    return check_failures == before;
}

/* ---- the walk */

/* A child stopped right before it acts on `a`. */
static pid_t child_before(shoal_arena *a, const shoal_namespace *ns, void (*act)(shoal_arena *, const shoal_namespace *))
{
    pid_t pid = fork_child();
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(7);
        shoal_after_fork(a);
        if (process_ready(a) != SHOAL_OK)
            _exit(8);
        get_text(a, ns, "base1"); /* whatever is done lazily is done now */
        raise(SIGSTOP);
        act(a, ns);
        raise(SIGSTOP);
        _exit(0);
    }
    return pid;
}

/* One instruction. 1: on it goes; 0: the operation has returned; -1: it went wrong. */
static int step(pid_t pid)
{
    int status;
    if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) != 0 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
        return -1;
    return WSTOPSIG(status) == SIGTRAP ? 1 : WSTOPSIG(status) == SIGSTOP ? 0 : -1;
}

static bool begin_steps(pid_t pid)
{
    int status;
    if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
        SKIP("this process may not trace its children");
        return false;
    }
    return true;
}

static void end_steps(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static shoal_arena *prepared(const scenario *s, shoal_namespace *ns)
{
    shoal_arena *a = arena_new("death", MIB);
    shoal_persist(a);
    *ns = ns_default(a);
    for (unsigned i = 0; i < BASE; i++)
        CHECK_STATUS(put_pattern(a, ns, numbered("base", i), i, i ? i * 20 : LARGE, i % 2), SHOAL_OK);
    s->setup(a, ns);
    return a;
}

static void finished(shoal_arena *a)
{
    shoal_unlink(a);
    shoal_close(a);
}

static void walk(const scenario *s)
{
    shoal_namespace ns;
    shoal_arena *a = prepared(s, &ns);
    copy c = {0};
    unsigned states = 0, steps = 0;
    pid_t pid = child_before(a, &ns, s->act);
    if (begin_steps(pid)) {
        int on = 1;
        bool right = true;
        copy_take(a, &c);
        while (on == 1 && right) {
            on = step(pid);
            steps++;
            if (on < 0)
                check_fail(__FILE__, __LINE__, "the child failed at step %u", steps);
            else if ((copy_take(a, &c) && (states++ < STATES || states % 8 == 0)) || on == 0)
                right = state_is_right(a, &c, s, on == 0);
        }
        if (!right)
            check_fail(__FILE__, __LINE__, "killed after %u instructions (state %u)", steps, states);
        CHECK(!right || states > 3);
    }
    end_steps(pid);
    free(c.bytes);
    finished(a);
}

/* ---- what is done */

static void nothing(shoal_arena *a, const shoal_namespace *ns) { (void)a, (void)ns; }

static void check_either(shoal_arena *a, const shoal_namespace *ns, bool done, const char *old, const char *new)
{
    const char *got = get_text(a, ns, "key");
    if (strcmp(got, new) != 0 && (done || strcmp(got, old) != 0))
        check_fail(__FILE__, __LINE__, "key: \"%s\" is neither \"%s\" nor \"%s\"%s", got, old, new, done ? " (done)" : "");
}

static void put_new(shoal_arena *a, const shoal_namespace *ns) { put(a, ns, "key", "new"); }
static void put_old(shoal_arena *a, const shoal_namespace *ns) { CHECK_STATUS(put(a, ns, "key", "old"), SHOAL_OK); }
static void delete_key(shoal_arena *a, const shoal_namespace *ns) { del(a, ns, "key"); }
static void absent_or_new(shoal_arena *a, const shoal_namespace *ns, bool done) { check_either(a, ns, done, "(miss)", "new"); }
static void old_or_new(shoal_arena *a, const shoal_namespace *ns, bool done) { check_either(a, ns, done, "old", "new"); }
static void old_or_absent(shoal_arena *a, const shoal_namespace *ns, bool done) { check_either(a, ns, done, "old", "(miss)"); }

static void inserting(void) { walk(&(scenario){nothing, put_new, absent_or_new}); }
static void replacing(void) { walk(&(scenario){put_old, put_new, old_or_new}); }
static void deleting(void) { walk(&(scenario){put_old, delete_key, old_or_absent}); }

/* A chain of overflow buckets, all keys of one bucket; "key" is among them at the end. */
static void make_chain(shoal_arena *a, const shoal_namespace *ns)
{
    uint64_t wanted = hash_key(a->secret, ns->uid, "key", 3) >> 8 & 0xFF;
    unsigned number = 0;
    for (int i = 0; i < 15; number++) {
        const char *name = numbered("c", number);
        if ((hash_key(a->secret, ns->uid, name, strlen(name)) >> 8 & 0xFF) == wanted) {
            CHECK_STATUS(put(a, ns, name, "chained"), SHOAL_OK);
            i++;
        }
    }
    while (a->shards[0].entries * 100 + 100 > a->shards[0].nbuckets * BUCKET_SLOTS * 82) /* no split in the next insert */
        CHECK_STATUS(put(a, ns, numbered("split", number++), "x"), SHOAL_OK);
    CHECK(a->shards[0].chained > 0);
}

static void make_chain_with_key(shoal_arena *a, const shoal_namespace *ns)
{
    make_chain(a, ns);
    put_old(a, ns);
}

static void inserting_into_a_chain(void) { walk(&(scenario){make_chain, put_new, absent_or_new}); }
static void deleting_from_a_chain(void) { walk(&(scenario){make_chain_with_key, delete_key, old_or_absent}); }

static uint64_t index_of(shoal_arena *a, const shoal_namespace *ns, const char *name)
{
    return bucket_index(tag_of(hash_key(a->secret, ns->uid, name, strlen(name)) >> 8), a->shards[0].nbuckets);
}

/* The next insert splits a bucket, and that bucket is one with a chain: enough keys of other buckets are exchanged for
 * keys of that one. */
static void fill_before_split(shoal_arena *a, const shoal_namespace *ns)
{
    shard *sh = &a->shards[0];
    unsigned fills = 0, gone = 0;
    while (sh->nbuckets < 40 || (sh->entries + 1) * 100 <= sh->nbuckets * BUCKET_SLOTS * 82)
        CHECK_STATUS(put(a, ns, numbered("fill", fills++), "x"), SHOAL_OK);
    uint64_t target = sh->nbuckets - (1ull << (63 - __builtin_clzll(sh->nbuckets)));
    for (unsigned number = 0; bucket_at(a, sh, target)->word % SEQ_ONE == 0 && gone < fills; number++) {
        if (index_of(a, ns, numbered("c", number)) != target)
            continue;
        while (gone < fills && index_of(a, ns, numbered("fill", gone)) == target)
            gone++;
        CHECK_STATUS(del(a, ns, numbered("fill", gone++)), SHOAL_OK);
        CHECK_STATUS(put(a, ns, numbered("c", number), "chained"), SHOAL_OK);
    }
    CHECK(bucket_at(a, sh, target)->word % SEQ_ONE != 0);
}

static void splitting(void) { walk(&(scenario){fill_before_split, put_new, absent_or_new}); }

/* ---- large values */

static void put_large_old(shoal_arena *a, const shoal_namespace *ns) { CHECK_STATUS(put_pattern(a, ns, "key", 1, LARGE, false), SHOAL_OK); }
static uint8_t large_new[LARGE + 5000]; /* filled by tests(): that is no part of the operation */
static void put_large_new(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_put_args args = {.head = large_new, .head_size = sizeof large_new, .align = true};
    shoal_put(a, ns, "key", 3, &args, NULL, WAIT);
}
static void large_old_or_new(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    CHECK(get_pattern(a, ns, "key", 2, LARGE + 5000) == SHOAL_OK || (!done && get_pattern(a, ns, "key", 1, LARGE) == SHOAL_OK));
}
static void large_old_or_absent(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_status status = get_pattern(a, ns, "key", 1, LARGE);
    CHECK(status == SHOAL_MISS || (!done && status == SHOAL_OK));
}
static void replacing_a_large_value(void) { walk(&(scenario){put_large_old, put_large_new, large_old_or_new}); }
static void deleting_a_large_value(void) { walk(&(scenario){put_large_old, delete_key, large_old_or_absent}); }

static void pin_delete_unpin(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_pin pin;
    if (shoal_pin_take(a, ns, "key", 3, &pin, WAIT) == SHOAL_OK) {
        del(a, ns, "key");
        shoal_unpin(a, &pin);
    }
}
static void deleting_what_is_pinned(void) { walk(&(scenario){put_large_old, pin_delete_unpin, large_old_or_absent}); }

/* ---- numbers and times */

static void put_number(shoal_arena *a, const shoal_namespace *ns) { CHECK_STATUS(put(a, ns, "key", "\x05"), SHOAL_OK); }
static void add_200(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_number by = {.i = 200}, zero = {0}, sum;
    shoal_incr(a, ns, "key", 3, &by, &zero, SHOAL_TTL_KEEP, &sum, WAIT);
}
static void five_or_205(shoal_arena *a, const shoal_namespace *ns, bool done) { check_either(a, ns, done, "\x05", "\xCC\xCD"); }
static void counting(void) { walk(&(scenario){put_number, add_200, five_or_205}); }

static void touch_key(shoal_arena *a, const shoal_namespace *ns) { shoal_touch(a, ns, "key", 3, 1000 * SECOND, WAIT); }
static void old_and_maybe_timed(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    CHECK_TEXT(get_text(a, ns, "key"), "old");
    CHECK(!done || stat_of(a, ns, "key").expires_ns != 0);
}
static void touching(void) { walk(&(scenario){put_old, touch_key, old_and_maybe_timed}); }

static void put_expired(shoal_arena *a, const shoal_namespace *ns)
{
    for (unsigned i = 0; i < 6; i++)
        CHECK_STATUS(put_ttl(a, ns, numbered("expired", i), "x", 1), SHOAL_OK);
    put_old(a, ns);
}
static void sweep(shoal_arena *a, const shoal_namespace *ns)
{
    (void)ns;
    shoal_sweep(a, WAIT);
}
static void old_and_nothing_expired(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    (void)done;
    CHECK_TEXT(get_text(a, ns, "key"), "old");
    CHECK_EQ(keys_of(a, ns, "expired"), 0u);
}
static void sweeping(void) { walk(&(scenario){put_expired, sweep, old_and_nothing_expired}); }

/* ---- namespaces */

static shoal_namespace limited(shoal_arena *a) { return ns_open(a, "limited", 0, 4, SHOAL_EVICT_SIEVE); }

static void fill_limited(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace other = limited(a);
    put_old(a, ns);
    for (unsigned i = 0; i < 4; i++)
        CHECK_STATUS(put(a, &other, numbered("k", i), "v"), SHOAL_OK);
}
static void evict_one(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace other = limited(a);
    (void)ns;
    put(a, &other, "k4", "v");
}
static void three_or_four(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace other = limited(a);
    CHECK_TEXT(get_text(a, ns, "key"), "old");
    uint64_t count = count_of(a, &other);
    CHECK(count == 4 || (!done && count == 3));
    CHECK_EQ(keys_of(a, &other, "k"), count);
    CHECK(!done || strcmp(get_text(a, &other, "k4"), "v") == 0);
}
static void evicting(void) { walk(&(scenario){fill_limited, evict_one, three_or_four}); }

static void drop_limited(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace other = limited(a);
    (void)ns;
    shoal_namespace_drop(a, &other, WAIT);
}
static void made_again(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace other;
    CHECK_TEXT(get_text(a, ns, "key"), "old");
    if (shoal_namespace_open(a, "limited", 7, false, NULL, &other, WAIT) == SHOAL_OK) {
        CHECK(!done);
        CHECK(count_of(a, &other) == 4);
        return;
    }
    other = ns_open(a, "other", 0, 0, 0); /* finishes what the dead one began */
    CHECK_EQ(count_of(a, &other), 0u);
    CHECK_EQ(keys_of(a, &other, ""), 0u);
    CHECK_STATUS(put(a, &other, "k1", "v"), SHOAL_OK);
    CHECK_STATUS(shoal_namespace_drop(a, &other, WAIT), SHOAL_OK);
}
static void dropping_a_namespace(void) { walk(&(scenario){fill_limited, drop_limited, made_again}); }

static void make_namespace(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace other;
    (void)ns;
    shoal_namespace_open(a, "fresh", 5, true, NULL, &other, WAIT);
}
static void fresh_can_be_made(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace other;
    CHECK_TEXT(get_text(a, ns, "key"), "old");
    shoal_status status = shoal_namespace_open(a, "fresh", 5, !done, NULL, &other, WAIT);
    CHECK_STATUS(status, SHOAL_OK);
    CHECK_STATUS(put(a, &other, "k", "v"), SHOAL_OK);
    CHECK_TEXT(get_text(a, &other, "k"), "v");
}
static void making_a_namespace(void) { walk(&(scenario){put_old, make_namespace, fresh_can_be_made}); }

/* The clock is advanced by nothing: a limit is switched on for what is there. */
static void set_limit(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_namespace_config config = {.max_keys = 1000};
    shoal_namespace_set_config(a, ns, &config, WAIT);
}
static void old_and_counted(shoal_arena *a, const shoal_namespace *ns, bool done)
{
    shoal_namespace_config config;
    CHECK_TEXT(get_text(a, ns, "key"), "old");
    CHECK_STATUS(shoal_namespace_get_config(a, ns, &config), SHOAL_OK);
    CHECK(config.max_keys == 1000 || (!done && config.max_keys == 0));
}
static void limiting(void) { walk(&(scenario){put_old, set_limit, old_and_counted}); }

/* ---- death of who recovers */

/* Killed at its victim'th state with the lock held; then the states that the recovery of that goes through, each
 * recovered again from its beginning. */
__attribute__((unused)) static void walk_recovery(const scenario *s, unsigned victim)
{
    shoal_namespace ns;
    shoal_arena *a = prepared(s, &ns), *b = NULL;
    copy c = {0}, inner = {0};
    unsigned states = 0;
    pid_t pid = child_before(a, &ns, s->act);
    if (begin_steps(pid)) {
        copy_take(a, &c);
        while (states < victim && step(pid) == 1)
            states += copy_take(a, &c) && a->shards[0].lock.word != 0;
    }
    end_steps(pid);
    if (states == victim && (b = copy_open(a, &c))) {
        unlink(arena_path("copy"));
        unsigned steps = 0, tried = 0;
        bool right = true;
        states = 0;
        pid = child_before(b, &ns, put_new); /* takes the dead one's lock over */
        if (begin_steps(pid)) {
            copy_take(b, &inner);
            for (; step(pid) == 1 && right && steps < 150000; steps++)
                if (copy_take(b, &inner) && states++ % 5 == 0 && tried++ < 400)
                    right = state_is_right(b, &inner, &(scenario){nothing, nothing, old_or_new}, false);
            if (!right)
                check_fail(__FILE__, __LINE__, "recovery killed after %u instructions (state %u)", steps, states);
            CHECK(states > 20);
        }
        end_steps(pid);
        finished(b);
    }
    free(c.bytes);
    free(inner.bytes);
    finished(a);
}

static void recovering(void)
{
#ifdef __SANITIZE_ADDRESS__
    SKIP("single steps through a recovery take too long with the address sanitizer");
#else
    walk_recovery(&(scenario){put_old, put_new, old_or_new}, 20);
    walk_recovery(&(scenario){put_old, put_large_new, old_or_new}, 25);
#endif
}

static int tests(void)
{
    pattern_fill(large_new, 2, sizeof large_new);
    RUN(inserting);
    RUN(replacing);
    RUN(deleting);
    RUN(inserting_into_a_chain);
    RUN(deleting_from_a_chain);
    RUN(splitting);
    RUN(replacing_a_large_value);
    RUN(deleting_a_large_value);
    RUN(deleting_what_is_pinned);
    RUN(counting);
    RUN(touching);
    RUN(sweeping);
    RUN(evicting);
    RUN(dropping_a_namespace);
    RUN(making_a_namespace);
    RUN(limiting);
    RUN(recovering);
    return check_report();
}

/* A copy by `rep movs` is a step per byte: ask the C library for its loops of vector moves instead. */
int main(int argc, char **argv)
{
    (void)argc;
    if (!getenv("GLIBC_TUNABLES")) {
        setenv("GLIBC_TUNABLES", "glibc.cpu.x86_rep_movsb_threshold=268435456:glibc.cpu.x86_rep_stosb_threshold=268435456", 1);
        execv("/proc/self/exe", argv);
    }
    return fixture_main(tests);
}

#else

static void death_at_every_instruction(void) { SKIP("needs single steps of a Linux process, claims, and no thread sanitizer"); }

static int tests(void)
{
    RUN(death_at_every_instruction);
    return check_report();
}

int main(void) { return fixture_main(tests); }
#endif
