/* Death while an arena is repaired: after each system call that shows in /dev/shm, and in `make killed` after each place that stores. What
 * there is then is copied under other names, whose users are all dead: a second repair must save the same, and nothing may stay. */
#include "death.h"
#include "damage.h"

#ifdef DEATH

static void fill(shoal_arena *a)
{
    shoal_namespace ns = ns_default(a), tree = tree_of(a), dropped = ns_open(a, "dropped", 0, 0, 0),
                    limited = ns_open(a, "limited", 5000 * SECOND, 60, SHOAL_EVICT_SIEVE);
    for (unsigned i = 0; i < BASE; i++)
        CHECK_STATUS(put_pattern(a, &ns, numbered("base", i), i, i ? i * 20 : LARGE, i % 2), SHOAL_OK);
    CHECK_STATUS(put(a, &limited, "k", "v"), SHOAL_OK);
    CHECK_STATUS(set(a, &tree, "a.b.c", "1"), SHOAL_OK);
    CHECK_STATUS(shoal_namespace_drop(a, &dropped, WAIT), SHOAL_OK); /* its record lies unused between others */
    del(a, &ns, "base29"); /* the newest version is no entry's any more */
}

/* Derived things, two entries, and one of two words that say the same. */
static void harm_some(shoal_arena *a)
{
    image m = {0};
    shoal_namespace limited = ns_open(a, "limited", 0, 0, 0);
    find_refs(&m, a);
    for (unsigned i = 0; i < 2; i++)
        block_at(a, m.refs[i * 3])->size ^= 0x40000000;
    memset(a->shards[0].classes, 0x5A, sizeof a->shards[0].classes);
    a->records[limited.id].uid = 0;
    a->shards[0].lock.word = a->header->page_lock.word = 0x123456789ull;
}

static void ignore(void *context, int severity, const char *line) { (void)context, (void)severity, (void)line; }

static shoal_repaired expected;

static void check_saved(const char *suffix)
{
    shoal_arena *a = arena_attach(suffix, 'w');
    shoal_namespace ns = ns_default(a), tree = tree_of(a), limited = ns_open(a, "limited", 0, 0, 0);
    unsigned there = 0;
    CHECK_SOUND(a);
    for (unsigned i = 0; i < BASE; i++)
        there += get_pattern(a, &ns, numbered("base", i), i, i ? i * 20 : LARGE) == SHOAL_OK;
    there += strcmp(get_text(a, &limited, "k"), "v") == 0;
    CHECK(there + 2 >= BASE);
    get(a, &tree, "a.b.c");
    CHECK_STATUS(put(a, &ns, "life", "goes on"), SHOAL_OK);
    shoal_close(a);
}

/* As the death of the child would leave it now. */
static void check_death(pid_t pid, bool renamed)
{
    char scratch[40];
    shoal_repaired sum;
    bool removed;
    image m = {0};
    snprintf(scratch, sizeof scratch, "death~repair-%d", (int)pid);
    if (arena_exists(scratch)) {
        image_take(&m, arena_path(scratch));
        snprintf(scratch, sizeof scratch, "copy~repair-%d", (int)pid);
        close(image_put(&m, arena_path(scratch)));
        image_free(&m);
    }
    image_take(&m, arena_path("death"));
    close(image_put(&m, arena_path("copy")));
    image_free(&m);
    CHECK_STATUS(shoal_repair(arena_name("copy"), ignore, NULL, SECOND, &sum), SHOAL_OK);
    CHECK_EQ(sum.kept, expected.kept);
    CHECK_EQ(sum.dropped, renamed ? 0 : expected.dropped);
    check_saved("copy");
    snprintf(scratch, sizeof scratch, "copy~repair-%d", (int)pid);
    if (arena_exists(scratch)) {
        CHECK_STATUS(shoal_collect(arena_name(scratch), &removed), SHOAL_OK);
        CHECK(removed);
        unlink(arena_path(scratch));
    }
    unlink(arena_path("copy"));
}

/* What anybody sees of the two files. */
typedef struct sight {
    struct { ino_t inode; off_t size; mode_t mode; } files[2];
    blkcnt_t blocks;
} sight;

static sight look(pid_t pid)
{
    char scratch[40];
    struct stat st;
    sight s;
    memset(&s, 0, sizeof s);
    snprintf(scratch, sizeof scratch, "death~repair-%d", (int)pid);
    const char *paths[] = {arena_path("death"), arena_path(scratch)};
    for (unsigned i = 0; i < 2; i++)
        if (stat(paths[i], &st) == 0) {
            s.files[i].inode = st.st_ino;
            s.files[i].size = st.st_size;
            s.files[i].mode = st.st_mode;
            s.blocks += st.st_blocks;
        }
    return s;
}

static pid_t child_repairing(void)
{
    pid_t pid = fork_child();
    if (pid == 0) {
        shoal_repaired sum;
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(7);
        raise(SIGSTOP);
        if (places_trace)
            places_trace();
        if (places_stop)
            places_stop();
        _exit(shoal_repair(arena_name("death"), ignore, NULL, SECOND, &sum) == SHOAL_OK ? 0 : 9);
    }
    return pid;
}

static void repairing(void)
{
    image m = {0};
    shoal_arena *a = arena_new("death", MIB);
    shoal_persist(a);
    fill(a);
    harm_some(a);
    shoal_close(a);
    image_take(&m, arena_path("death"));
    close(image_put(&m, arena_path("copy")));
    CHECK_STATUS(shoal_repair(arena_name("copy"), ignore, NULL, SECOND, &expected), SHOAL_OK);
    CHECK(expected.kept >= BASE - 3 && expected.dropped >= 2);
    check_saved("copy");
    unlink(arena_path("copy"));
    pid_t pid = child_repairing();
    if (begin_steps(pid)) {
        sight before = look(pid), begun = before;
        int status = 0;
        unsigned tried = 0;
        while (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) &&
               check_failures == 0) {
            sight now = look(pid);
            bool changed = memcmp(&now.files, &before.files, sizeof now.files) != 0;
            bool more = now.blocks != before.blocks;
            if (changed || more || place_is_new()) {
                check_death(pid, now.files[0].inode != begun.files[0].inode);
                place_met(check_failures == 0);
                tried++;
            }
            before = now;
        }
        CHECK(check_failures || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
        CHECK(tried > 5);
        printf("  %u instants\n", tried);
        if (!WIFEXITED(status))
            end_steps(pid);
    } else {
        end_steps(pid);
    }
    image_free(&m);
    check_saved("death");
    unlink(arena_path("death"));
}

static int tests(void)
{
    RUN(repairing);
    return check_report();
}

int main(int argc, char **argv) { return death_main(argc, argv, tests); }
#endif
