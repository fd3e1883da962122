/* Limits of a process while it opens an arena, and the table of processes: a status that says what is missing, nothing half-made,
 * nothing left open, and room again as soon as there is. */
#include "fixture.h"
#include "process.h"

#ifdef SHOAL_LINUX
#include <fcntl.h>

static unsigned descriptors(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 8192; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static shoal_status open_and_close(const char *suffix, char flag)
{
    shoal_arena *a;
    shoal_status status = arena_open(suffix, flag, 64 * MIB, &a);
    if (status == SHOAL_OK)
        shoal_close(a);
    return status;
}

/* In a child of its own, which the limit ends with. */
static void limited(int which, rlim_t limit, shoal_status create, shoal_status attach)
{
    static const char flags[] = {'c', 'n', 'w', 'r'};
    shoal_arena *a = arena_new("limits", 64 * MIB);
    shoal_namespace ns = ns_default(a);
    CHECK_STATUS(put(a, &ns, "key", "value"), SHOAL_OK);
    pid_t pid = fork_child();
    if (pid == 0) {
        struct rlimit old, less;
        unsigned before = descriptors();
        shoal_after_fork(a);
        REQUIRE_CHILD(process_ready(a, WAIT) == SHOAL_OK);
        signal(SIGXFSZ, SIG_IGN); /* as Python has it */
        REQUIRE_CHILD(getrlimit(which, &old) == 0);
        less = (struct rlimit){limit, old.rlim_max};
        for (int i = 0; i < 4; i++)
            for (int fresh = 0; fresh < 2; fresh++) {
                const char *name = fresh ? "fresh" : "limits";
                bool makes = fresh && i < 2;
                if (flags[i] == 'n' && !fresh)
                    continue; /* would replace what the parent has */
                REQUIRE_CHILD(setrlimit(which, &less) == 0);
                shoal_status status = open_and_close(name, flags[i]);
                REQUIRE_CHILD(setrlimit(which, &old) == 0);
                CHECK_STATUS(status, makes ? create : fresh && which != RLIMIT_NOFILE ? SHOAL_NOT_FOUND : attach);
                CHECK(!arena_exists("fresh"));
                CHECK_EQ(descriptors(), before);
                CHECK_STATUS(open_and_close(name, flags[i]), fresh && !makes ? SHOAL_NOT_FOUND : SHOAL_OK);
            }
        CHECK_TEXT(get_text(a, &ns, "key"), "value");
        CHECK_STATUS(put(a, &ns, "child", "wrote"), SHOAL_OK);
        shoal_close(a);
        _exit(check_failures ? 1 : 0);
    }
    CHECK(child_ok(pid));
    CHECK_TEXT(get_text(a, &ns, "child"), "wrote");
    CHECK_EQ(stats_of(a).processes, 1u);
    ARENA_END(a);
}

static void no_address_space(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    SKIP("a sanitizer needs address space of its own");
#else
    limited(RLIMIT_AS, 32 * MIB, SHOAL_NO_MEMORY, SHOAL_NO_MEMORY);
#endif
}
static void no_file_size(void) { limited(RLIMIT_FSIZE, 4 * MIB, SHOAL_OS, SHOAL_OK); }
/* A write to the file past the limit would end the process, which need not know that there is a file. */
static void no_file_size_for_large_values(void)
{
    enum { SIZE = 1 << 20, COUNT = 8 };
    shoal_arena *a = arena_new("limits", 64 * MIB);
    shoal_namespace ns = ns_default(a);
    pid_t pid = fork_child();
    if (pid == 0) {
        uint8_t *value = malloc(SIZE);
        shoal_after_fork(a);
        REQUIRE_CHILD(setrlimit(RLIMIT_FSIZE, &(struct rlimit){4 * MIB, 4 * MIB}) == 0);
        for (unsigned i = 0; i < COUNT; i++) {
            pattern_fill(value, i, SIZE);
            shoal_put_args args = {.body = value, .body_size = SIZE, .ttl = SHOAL_TTL_DEFAULT};
            REQUIRE_CHILD(shoal_put(a, &ns, numbered("k", i), 2, &args, NULL, WAIT) == SHOAL_OK);
        }
        shoal_close(a);
        _exit(0);
    }
    CHECK(child_ok(pid));
    for (unsigned i = 0; i < COUNT; i++)
        CHECK_STATUS(get_pattern(a, &ns, numbered("k", i), i, SIZE), SHOAL_OK);
    ARENA_END(a);
}
/* A daemon closes all that it has, and what it opens next gets the number of the segment's descriptor. Others have long taken it for
 * dead; but it must not take them for dead, nor that file for the segment. */
static void a_descriptor_that_leads_elsewhere(void)
{
    enum { SIZE = 1 << 20 };
    uint8_t *value = malloc(SIZE);
    shoal_arena *a = arena_new("limits", 64 * MIB);
    shoal_namespace ns = ns_default(a), other;
    shoal_pin view;
    FILE *log = tmpfile();
    REQUIRE(log && value);
    shoal_put_args args = {.body = value, .body_size = SIZE, .ttl = SHOAL_TTL_DEFAULT};
    pattern_fill(value, 9, SIZE);
    CHECK_STATUS(shoal_put(a, &ns, "viewed", 6, &args, NULL, WAIT), SHOAL_OK);
    CHECK_STATUS(shoal_put(a, &ns, "free", 4, &args, NULL, WAIT), SHOAL_OK);
    CHECK_STATUS(shoal_view_take(a, &ns, "viewed", 6, &view, WAIT), SHOAL_OK);
    uint32_t slot = a->slot, generation = (uint32_t)(a->lock_word >> 32);
    pid_t pid = fork_child(), child;
    if (pid == 0) {
        struct stat st;
        shoal_after_fork(a);
        REQUIRE_CHILD(process_ready(a, WAIT) == SHOAL_OK);
        REQUIRE_CHILD(write(fileno(log), value, SIZE) == SIZE);
        REQUIRE_CHILD(dup2(fileno(log), a->fd) == a->fd);
        for (unsigned i = 0; i < 8; i++) {
            pattern_fill(value, i, SIZE);
            shoal_status status = shoal_put(a, &ns, numbered("k", i), 2, &args, NULL, WAIT);
            REQUIRE_CHILD(status == SHOAL_OK || status == SHOAL_OS);
            CHECK_STATUS(get_pattern(a, &ns, numbered("k", i), i, SIZE), status == SHOAL_OK ? SHOAL_OK : SHOAL_MISS);
        }
        CHECK_STATUS(shoal_namespace_open(a, "new", 3, true, NULL, &other, WAIT), SHOAL_OS);
        CHECK(shoal_process_lives(a, slot, generation));
        CHECK_STATUS(shoal_delete(a, &ns, "viewed", 6, NULL, WAIT), SHOAL_OK);
        CHECK_STATUS(shoal_delete(a, &ns, "free", 4, NULL, WAIT), SHOAL_OK);
        CHECK_STATUS(shoal_sweep(a, WAIT), SHOAL_OK); /* which reaps the dead and gives all free memory back */
        shoal_before_fork(a);
        if ((child = fork_child()) == 0) { /* it has the name */
            shoal_after_fork(a);
            REQUIRE_CHILD(put(a, &ns, "grandchild", "wrote") == SHOAL_OK);
            REQUIRE_CHILD(fstat(fileno(log), &st) == 0);
            shoal_close(a);
            _exit(0);
        }
        shoal_after_fork_in_parent(a);
        CHECK(child_ok(child));
        int fd = a->fd;
        shoal_close(a);
        CHECK(fstat(fd, &st) == 0 && st.st_size == SIZE && st.st_blocks >= SIZE / 512);
        _exit(check_failures ? 1 : 0);
    }
    CHECK(child_ok(pid));
    CHECK(pattern_holds(view.data, 9, SIZE));
    CHECK_EQ(stats_of(a).pinned_bytes, (SIZE / PAGE_SIZE + 1) * PAGE_SIZE);
    CHECK_TEXT(get_text(a, &ns, "grandchild"), "wrote");
    shoal_unpin(a, &view);
    CHECK_SOUND(a);
    fclose(log);
    free(value);
    ARENA_END(a);
}
static void no_descriptors(void) { limited(RLIMIT_NOFILE, 3, SHOAL_OS, SHOAL_OS); }

/* ---- the table of processes */

/* All but the last 40 places are claimed by one user, so that filling the table is cheap; where claims lie is os_linux.c's choice. */
static void the_table_can_be_full(void)
{
    enum { FREE = 40 };
    shoal_arena *all[FREE], *a = arena_new("table", MIB), *b = NULL;
    shoal_namespace ns = ns_default(a);
    int fd = open(arena_path("table"), O_RDWR);
    struct flock taken = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = ((off_t)1 << 52) + CLAIM_SLOTS + 1, .l_len = PROCESS_MAX - FREE - 1};
    REQUIRE(fd >= 0 && fcntl(fd, F_OFD_SETLK, &taken) == 0);
    for (unsigned i = 0; i < FREE; i++)
        CHECK_STATUS(arena_open("table", i % 2 ? 'w' : 'c', 0, &all[i]), SHOAL_OK);
    CHECK_EQ(all[FREE - 1]->slot, PROCESS_MAX - 1);
    CHECK_STATUS(arena_open("table", 'w', 0, &b), SHOAL_FULL_PROCESSES);
    CHECK_STATUS(arena_open("table", 'c', 0, &b), SHOAL_FULL_PROCESSES);
    CHECK(b == NULL);
    CHECK_TEXT(shoal_status_name(SHOAL_FULL_PROCESSES), "too many processes");
    CHECK_STATUS(arena_open("table", 'r', 0, &b), SHOAL_OK); /* a reader needs no place */
    CHECK_TEXT(get_text(b, &ns, "key"), "(miss)");
    shoal_close(b);
    pid_t pid = fork_child(); /* a child needs one of its own */
    if (pid == 0) {
        shoal_after_fork(a);
        REQUIRE_CHILD(put(a, &ns, "child", "x") == SHOAL_FULL_PROCESSES);
        shoal_close(a);
        _exit(0);
    }
    CHECK(child_ok(pid));
    for (unsigned i = 0; i < FREE; i += 13) { /* a place that is freed is a place again: of one that left ... */
        CHECK_STATUS(put(all[i], &ns, "key", "wrote"), SHOAL_OK);
        shoal_close(all[i]);
        CHECK_STATUS(arena_open("table", 'w', 0, &all[i]), SHOAL_OK);
        CHECK_STATUS(arena_open("table", 'w', 0, &b), SHOAL_FULL_PROCESSES);
    }
    shoal_close(all[3]);
    pid = fork_child(); /* ... or died */
    if (pid == 0) {
        shoal_after_fork(a);
        REQUIRE_CHILD(put(a, &ns, "child", "wrote") == SHOAL_OK);
        kill(getpid(), SIGKILL);
    }
    CHECK(waitpid(pid, NULL, 0) == pid);
    CHECK_STATUS(arena_open("table", 'w', 0, &all[3]), SHOAL_OK);
    CHECK_TEXT(get_text(all[3], &ns, "child"), "wrote");
    CHECK_SOUND(a);
    for (unsigned i = 0; i < FREE; i++)
        shoal_close(all[i]);
    close(fd);
    CHECK_TEXT(get_text(a, &ns, "key"), "wrote");
    CHECK_EQ(stats_of(a).processes, 1u);
    ARENA_END(a);
}

/* Some leave, some end without a word, some are killed. */
static void a_thousand_come_and_go(void)
{
    enum { ALL = 1000, AT_ONCE = 40 };
    shoal_arena *a = arena_new("thousand", 4 * MIB);
    shoal_namespace ns = ns_default(a);
    pid_t pids[AT_ONCE];
    for (unsigned i = 0; i < ALL; i += AT_ONCE) {
        for (unsigned k = 0; k < AT_ONCE; k++)
            if ((pids[k] = fork_child()) == 0) {
                shoal_arena *mine = a;
                shoal_number one = {.i = 1}, zero = {0}, sum;
                shoal_after_fork(a);
                if (k % 2)
                    mine = arena_attach("thousand", 'w');
                REQUIRE_CHILD(shoal_incr(mine, &ns, "visits", 6, &one, &zero, 0, &sum, WAIT) == SHOAL_OK);
                if (k % 4 == 0)
                    kill(getpid(), SIGKILL);
                if (k % 4 < 3) {
                    if (mine != a)
                        shoal_close(mine);
                    shoal_close(a);
                }
                _exit(0);
            }
        for (unsigned k = 0; k < AT_ONCE; k++)
            waitpid(pids[k], NULL, 0);
    }
    shoal_number none = {.i = 0}, sum;
    CHECK_STATUS(shoal_incr(a, &ns, "visits", 6, &none, &none, 0, &sum, WAIT), SHOAL_OK);
    CHECK_EQ(sum.i, ALL);
    CHECK_EQ(stats_of(a).processes, 1u);
    CHECK(a->header->slots_high <= 2 * AT_ONCE + 1); /* places of those that left, or died, are found again */
    CHECK_STATUS(shoal_sweep(a, WAIT), SHOAL_OK);
    CHECK_EQ(stats_of(a).pinned_bytes, 0u);
    ARENA_END(a);
}
#endif

static int tests(void)
{
#ifdef SHOAL_LINUX
    RUN(no_address_space);
    RUN(no_file_size);
    RUN(no_file_size_for_large_values);
    RUN(no_descriptors);
    RUN(a_descriptor_that_leads_elsewhere);
    RUN(the_table_can_be_full);
    RUN(a_thousand_come_and_go);
#else
    SKIP("claims and limits are Linux's");
    check_passed++;
#endif
    return check_report();
}

int main(void) { return fixture_main(tests); }
