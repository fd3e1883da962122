/* Arenas as files: made once by many, attached, refused, abandoned, removed. */
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>

#include "arena.h"
#include "fixture.h"
#include "process.h"
#include "room.h"

static shoal_status open_with(const char *suffix, shoal_options options, shoal_arena **out)
{
    shoal_error error;
    options.mode = options.mode ? options.mode : 0600;
    options.wait = options.wait ? options.wait : WAIT;
    *out = NULL;
    return shoal_open(arena_name(suffix), &options, out, &error);
}

static int write_file(const char *suffix, const void *bytes, size_t size, uint64_t length)
{
    int fd = open(arena_path(suffix), O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd >= 0 && (write(fd, bytes, size) != (ssize_t)size || ftruncate(fd, (off_t)length) != 0)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* ---- making and finding */

static void the_four_flags_do_what_dbm_does(void)
{
    shoal_arena *a, *b;
    CHECK_STATUS(arena_open("flags", 'w', MIB, &a), SHOAL_NOT_FOUND);
    CHECK_STATUS(arena_open("flags", 'r', MIB, &a), SHOAL_NOT_FOUND);
    CHECK(!arena_exists("flags"));
    CHECK_STATUS(arena_open("flags", 'c', MIB, &a), SHOAL_OK);
    shoal_namespace ns = ns_default(a);
    REQUIRE(put(a, &ns, "k", "first") == SHOAL_OK);
    const char flags[] = {'c', 'w', 'r'};
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(arena_open("flags", flags[i], 64 * MIB, &b), SHOAL_OK);
        CHECK_TEXT(get_text(b, &ns, "k"), "first");
        CHECK_EQ(stats_of(b).capacity, MIB); /* the arena's size stands */
        CHECK_EQ(shoal_read_only(b), flags[i] == 'r');
        shoal_close(b);
    }
    CHECK_STATUS(arena_open("flags", 'n', 2 * MIB, &b), SHOAL_OK); /* new beside the old, which its users keep */
    CHECK_TEXT(get_text(b, &ns, "k"), "(miss)");
    REQUIRE(put(b, &ns, "k", "second") == SHOAL_OK);
    CHECK_TEXT(get_text(a, &ns, "k"), "first");
    CHECK(!shoal_is_named(a) && shoal_is_named(b));
    shoal_close(a); /* must not remove the new one's name */
    CHECK(arena_exists("flags"));
    CHECK_TEXT(get_text(b, &ns, "k"), "second");
    shoal_close(b);
    CHECK(!arena_exists("flags"));
    CHECK_STATUS(arena_open("flags", 'x', MIB, &a), SHOAL_INVALID);
    CHECK_STATUS(arena_open("flags", '\0', MIB, &a), SHOAL_INVALID);
}

static void names_and_sizes_are_checked(void)
{
    shoal_arena *a;
    shoal_error error;
    shoal_options o = {.flag = 'c', .mode = 0600, .size = MIB, .wait = WAIT};
    char name[SHOAL_NAME_MAX + 2];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    CHECK_STATUS(shoal_open("", &o, &a, &error), SHOAL_INVALID);
    CHECK_STATUS(shoal_open("a/b", &o, &a, &error), SHOAL_INVALID);
    CHECK_STATUS(shoal_open("../x", &o, &a, NULL), SHOAL_INVALID);
    CHECK_STATUS(shoal_open(name, &o, &a, &error), SHOAL_INVALID);
    CHECK_STATUS(shoal_destroy("a/b"), SHOAL_INVALID);
    o.size = SHOAL_SIZE_MAX + 1;
    CHECK_STATUS(shoal_open(arena_name("huge"), &o, &a, &error), SHOAL_INVALID);
    CHECK(!arena_exists("huge"));
    CHECK_STATUS(arena_open("tiny", 'c', 1, &a), SHOAL_OK);
    CHECK_EQ(stats_of(a).capacity, SHOAL_SIZE_MIN);
    shoal_close(a);
    CHECK_STATUS(arena_open("odd", 'c', 3 * MIB + 1, &a), SHOAL_OK);
    CHECK_EQ(stats_of(a).capacity, 3 * MIB + PAGE_SIZE);
    shoal_close(a);
}

static void a_huge_cap_costs_next_to_nothing(void)
{
    const uint64_t sizes[] = {64 * MIB, (uint64_t)4 << 30, SHOAL_SIZE_MAX};
    for (size_t i = 0; i < 3; i++) {
        shoal_arena *a;
        shoal_status status = arena_open("cap", 'n', sizes[i], &a);
        if (status == SHOAL_NO_MEMORY && sizes[i] > (uint64_t)64 << 30) {
            SKIP("this process may not map so much");
            continue;
        }
        CHECK_STATUS(status, SHOAL_OK);
        REQUIRE(status == SHOAL_OK);
        shoal_namespace ns = ns_default(a);
        CHECK_EQ(stats_of(a).capacity, sizes[i]);
        CHECK_STATUS(put(a, &ns, "k", "v"), SHOAL_OK);
        CHECK(stats_of(a).committed < 4 * MIB);
        ARENA_END(a);
    }
}

static void one_of_many_openers_makes_it(void)
{
    enum { OPENERS = 12, ROUNDS = 15 };
    for (int round = 0; round < ROUNDS; round++) {
        pid_t pids[OPENERS];
        int go[2];
        REQUIRE(pipe(go) == 0);
        for (int i = 0; i < OPENERS; i++)
            if ((pids[i] = fork_child()) == 0) {
                char byte;
                shoal_arena *a;
                shoal_number one = {.i = 1}, zero = {0}, sum;
                close(go[1]);
                REQUIRE_CHILD(read(go[0], &byte, 1) == 0);
                REQUIRE_CHILD(arena_open("race", i % 4 == 3 && round % 2 ? 'n' : 'c', MIB, &a) == SHOAL_OK);
                shoal_namespace ns = ns_default(a);
                REQUIRE_CHILD(shoal_incr(a, &ns, "n", 1, &one, &zero, 0, &sum, WAIT) == SHOAL_OK);
                if (round % 3 == 0) { /* together, until the last has come */
                    shoal_status status = SHOAL_OK;
                    for (int64_t end = shoal_clock_mono_ns() + WAIT; round % 2 == 0 && sum.i < OPENERS && shoal_clock_mono_ns() < end;) {
                        uint8_t byte_of_number;
                        status = shoal_get(a, &ns, "n", 1, &byte_of_number, 0, 1, NULL, WAIT);
                        REQUIRE_CHILD(status == SHOAL_OK);
                        sum.i = byte_of_number;
                    }
                    REQUIRE_CHILD(round % 2 || sum.i == OPENERS); /* all in one and the same arena */
                }
                shoal_close(a);
                _exit(0);
            }
        close(go[0]);
        close(go[1]);
        for (int i = 0; i < OPENERS; i++)
            CHECK(child_ok(pids[i]));
        CHECK(!arena_exists("race")); /* the last one out removed it */
    }
}

static void a_half_made_segment_is_made_by_the_next(void)
{
    const uint64_t magic = SHOAL_MAGIC_INIT;
    uint8_t page[PAGE_SIZE] = {0};
    memcpy(page, &magic, 8);
    for (int how = 0; how < 4; how++) {
        shoal_arena *a;
        int fd = how == 0 ? write_file("half", "", 0, 0)          /* just created */
                 : how == 1 ? write_file("half", &magic, 8, 8)    /* before its size */
                 : how == 2 ? write_file("half", page, 8, 50 * MIB) /* before its header */
                            : write_file("half", page, sizeof page, 3 * MIB);
        REQUIRE(fd >= 0);
        close(fd);
        CHECK_STATUS(arena_open("half", 'w', MIB, &a), SHOAL_NOT_FOUND);
        CHECK_STATUS(arena_open("half", 'r', MIB, &a), SHOAL_NOT_FOUND);
        CHECK_STATUS(arena_open("half", how % 2 ? 'n' : 'c', MIB, &a), SHOAL_OK);
        shoal_namespace ns = ns_default(a);
        CHECK_STATUS(put(a, &ns, "k", "v"), SHOAL_OK);
        ARENA_END(a);
    }
}

/* Its maker is stopped in the middle, holding the gate: the next one waits, and not for ever. */
static void a_stopped_maker_is_waited_for(void)
{
    shoal_arena *a;
    int fd = write_file("stopped", "", 0, 0);
    REQUIRE(fd >= 0 && flock(fd, LOCK_EX) == 0);
    int64_t begin = shoal_clock_mono_ns();
    CHECK_STATUS(open_with("stopped", (shoal_options){.flag = 'c', .size = MIB, .wait = 60 * MILLISECOND}, &a), SHOAL_BUSY);
    CHECK(shoal_clock_mono_ns() - begin >= 60 * MILLISECOND && shoal_clock_mono_ns() - begin < 5 * SECOND);
    CHECK(arena_exists("stopped"));
    close(fd);
    CHECK_STATUS(open_with("stopped", (shoal_options){.flag = 'c', .size = MIB}, &a), SHOAL_OK);
    ARENA_END(a);
}

/* ---- refusing */

static void what_is_no_arena_is_left_alone(void)
{
    static const char text[] = "This is somebody else's data, and it must stay as it is.";
    const char flags[] = {'c', 'w', 'r', 'n'};
    char back[sizeof text];
    bool removed;
    for (int i = 0; i < 4; i++) {
        shoal_arena *a;
        int fd = write_file("foreign", text, sizeof text, i % 2 ? 1 << 20 : sizeof text);
        REQUIRE(fd >= 0);
        CHECK_STATUS(arena_open("foreign", flags[i], MIB, &a), SHOAL_FOREIGN);
        CHECK_STATUS(shoal_collect(arena_name("foreign"), &removed), SHOAL_OK);
        CHECK(!removed);
        CHECK(pread(fd, back, sizeof back, 0) == sizeof back && memcmp(back, text, sizeof text) == 0);
        close(fd);
    }
    CHECK_STATUS(shoal_destroy(arena_name("foreign")), SHOAL_OK); /* asked for by name */
    REQUIRE(mkdir(arena_path("folder"), 0700) == 0);
    shoal_arena *a;
    CHECK(arena_open("folder", 'c', MIB, &a) != SHOAL_OK);
    rmdir(arena_path("folder"));
    REQUIRE(mkfifo(arena_path("fifo"), 0600) == 0);
    CHECK_STATUS(arena_open("fifo", 'c', MIB, &a), SHOAL_FOREIGN); /* and does not hang */
    CHECK_STATUS(arena_open("fifo", 'r', MIB, &a), SHOAL_FOREIGN);
    unlink(arena_path("fifo"));
    REQUIRE(symlink("/etc/passwd", arena_path("link")) == 0);
    CHECK_STATUS(arena_open("link", 'c', MIB, &a), SHOAL_DENIED);
    unlink(arena_path("link"));
}

/* A persisting arena without users, whose header can be damaged before the next opener comes. */
static int damaged(const char *suffix, arena_header *header)
{
    shoal_arena *a;
    shoal_options options = {.flag = 'n', .persist = true, .size = MIB};
    unlink(arena_path(suffix));
    if (open_with(suffix, options, &a) != SHOAL_OK)
        return -1;
    shoal_close(a);
    int fd = open(arena_path(suffix), O_RDWR);
    return fd >= 0 && pread(fd, header, sizeof *header, 0) == (ssize_t)sizeof *header ? fd : -1;
}

static void another_layout_is_refused_and_replaced_only_by_n(void)
{
    for (int what = 0; what < 3; what++) {
        arena_header header;
        shoal_arena *a;
        int fd = damaged("layout", &header);
        REQUIRE(fd >= 0);
        if (what == 0)
            header.geometry.layout_version = 0;
        else if (what == 1)
            header.geometry.layout_version++;
        else
            header.geometry.fingerprint ^= 1;
        header.checksum = arena_checksum(&header.geometry); /* an honest arena of another version */
        REQUIRE(pwrite(fd, &header, sizeof header, 0) == (ssize_t)sizeof header);
        close(fd);
        CHECK_STATUS(arena_open("layout", 'c', MIB, &a), SHOAL_FOREIGN);
        CHECK_STATUS(arena_open("layout", 'w', MIB, &a), SHOAL_FOREIGN);
        CHECK_STATUS(arena_open("layout", 'r', MIB, &a), SHOAL_FOREIGN);
        CHECK_STATUS(arena_open("layout", 'n', MIB, &a), SHOAL_OK);
        ARENA_END(a);
        CHECK(!arena_exists("layout"));
    }
}

static void a_damaged_header_is_refused(void)
{
    for (unsigned byte = 8; byte < offsetof(arena_header, persist); byte++) {
        arena_header header;
        shoal_arena *a;
        int fd = damaged("header", &header);
        REQUIRE(fd >= 0);
        ((uint8_t *)&header)[byte] ^= 0x10;
        REQUIRE(pwrite(fd, &header, sizeof header, 0) == (ssize_t)sizeof header);
        close(fd);
        shoal_status status = arena_open("header", byte % 2 ? 'w' : 'r', 0, &a);
        if (status != SHOAL_CORRUPT && status != SHOAL_FOREIGN)
            check_fail(__FILE__, __LINE__, "byte %u changed: %s", byte, shoal_status_name(status));
    }
    /* Consistent with its checksum, but not a geometry that anybody makes. */
    const int fields = 9;
    for (int field = 0; field < fields; field++) {
        arena_header header;
        shoal_arena *a;
        int fd = damaged("header", &header);
        REQUIRE(fd >= 0);
        arena_geometry *g = &header.geometry;
        uint64_t *const numbers[] = {&g->file_size, &g->pages, &g->slots_at, &g->shards_at, &g->records_at,
                                     &g->heads_at, &g->map_at, &g->pages_at};
        if (field < 8)
            *numbers[field] += PAGE_SIZE;
        else
            g->shards = 256;
        header.checksum = arena_checksum(g);
        REQUIRE(pwrite(fd, &header, sizeof header, 0) == (ssize_t)sizeof header);
        close(fd);
        CHECK_STATUS(arena_open("header", 'w', 0, &a), SHOAL_CORRUPT);
    }
    CHECK_STATUS(shoal_destroy(arena_name("header")), SHOAL_OK);
}

static void a_truncated_file_is_refused(void)
{
    const off_t lengths[] = {4, 8, 100, PAGE_SIZE - 1, PAGE_SIZE, 3 * PAGE_SIZE, 2 << 20, 40 << 20};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        arena_header header;
        shoal_arena *a;
        int fd = damaged("truncated", &header);
        REQUIRE(fd >= 0 && ftruncate(fd, lengths[i]) == 0);
        close(fd);
        shoal_status status = arena_open("truncated", i % 2 ? 'c' : 'r', MIB, &a);
        CHECK_STATUS(status, lengths[i] < PAGE_SIZE ? SHOAL_FOREIGN : SHOAL_CORRUPT);
    }
    CHECK_STATUS(shoal_destroy(arena_name("truncated")), SHOAL_OK);
}

static void another_users_arena_is_used_only_when_both_share(void)
{
    if (geteuid() != 0) {
        SKIP("only root can be two users");
        return;
    }
    const struct { uint32_t mode, wanted; shoal_status status; } cases[] = {
        {0600, 0600, SHOAL_DENIED}, {0600, 0666, SHOAL_DENIED}, {0666, 0600, SHOAL_DENIED}, {0666, 0666, SHOAL_OK},
    };
    for (int owner = 0; owner < 2; owner++) /* root's, used by another; another's, used by root */
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            int ready[2], done[2];
            char byte;
            REQUIRE(pipe(ready) == 0 && pipe(done) == 0);
            pid_t pid = fork_child();
            if (pid == 0) {
                shoal_arena *a;
                close(done[1]);
                REQUIRE_CHILD(owner == 0 || setuid(65534) == 0);
                REQUIRE_CHILD(open_with("user", (shoal_options){.flag = 'c', .mode = cases[i].mode, .size = MIB}, &a) == SHOAL_OK);
                REQUIRE_CHILD(shoal_mode(a) == cases[i].mode);
                REQUIRE_CHILD(write(ready[1], "x", 1) == 1);
                REQUIRE_CHILD(read(done[0], &byte, 1) == 0);
                shoal_close(a);
                _exit(0);
            }
            REQUIRE(read(ready[0], &byte, 1) == 1);
            pid_t other = fork_child();
            if (other == 0) {
                shoal_arena *a;
                REQUIRE_CHILD(owner == 1 || setuid(65534) == 0);
                shoal_status status = open_with("user", (shoal_options){.flag = 'c', .mode = cases[i].wanted, .size = MIB}, &a);
                REQUIRE_CHILD(status == cases[i].status);
                if (status == SHOAL_OK) {
                    shoal_namespace ns = ns_default(a);
                    REQUIRE_CHILD(put(a, &ns, "k", "v") == SHOAL_OK);
                    REQUIRE_CHILD(shoal_owner(a) == (owner == 0 ? 0 : 65534u));
                    shoal_close(a);
                } else if (owner == 0) {
                    REQUIRE_CHILD(shoal_destroy(arena_name("user")) == SHOAL_DENIED);
                }
                _exit(0);
            }
            CHECK(child_ok(other));
            close(done[1]);
            CHECK(child_ok(pid));
            CHECK(!arena_exists("user"));
            close(ready[0]), close(ready[1]), close(done[0]);
        }
}

/* ---- lifetime */

static void the_last_user_removes_it_unless_it_persists(void)
{
    shoal_arena *a = arena_new("last", MIB), *b = arena_attach("last", 'c');
    shoal_namespace ns = ns_default(a);
    bool removed = true;
    shoal_close(a);
    CHECK(arena_exists("last"));
    shoal_close(b);
    CHECK(!arena_exists("last"));
    REQUIRE(open_with("last", (shoal_options){.flag = 'c', .size = MIB}, &a) == SHOAL_OK);
    REQUIRE(put(a, &ns, "k", "kept") == SHOAL_OK);
    REQUIRE(open_with("last", (shoal_options){.flag = 'w', .persist = true}, &b) == SHOAL_OK); /* sticky */
    shoal_close(b);
    shoal_close(a);
    CHECK(arena_exists("last"));
    CHECK_STATUS(shoal_collect(arena_name("last"), &removed), SHOAL_OK);
    CHECK(!removed);
    REQUIRE(open_with("last", (shoal_options){.flag = 'r'}, &a) == SHOAL_OK);
    CHECK_TEXT(get_text(a, &ns, "k"), "kept");
    shoal_close(a);
    CHECK(arena_exists("last"));
    CHECK_STATUS(shoal_destroy(arena_name("last")), SHOAL_OK);
    CHECK_STATUS(shoal_destroy(arena_name("last")), SHOAL_NOT_FOUND);
    CHECK_STATUS(shoal_collect(arena_name("last"), &removed), SHOAL_NOT_FOUND);
    a = arena_new("last", MIB);
    CHECK_STATUS(shoal_persist(a), SHOAL_OK);
    shoal_close(a);
    CHECK(arena_exists("last"));
    CHECK_STATUS(shoal_destroy(arena_name("last")), SHOAL_OK);
}

static void what_the_dead_leave_is_collected_or_replaced(void)
{
#ifdef SHOAL_LINUX
    bool removed = false;
    for (int how = 0; how < 4; how++) {
        pid_t pid = fork_child();
        if (pid == 0) {
            shoal_arena *a = arena_new("left", MIB);
            shoal_namespace ns = ns_default(a);
            REQUIRE_CHILD(put(a, &ns, "k", "old") == SHOAL_OK);
            kill(getpid(), SIGKILL);
        }
        waitpid(pid, NULL, 0);
        REQUIRE(arena_exists("left"));
        shoal_arena *a;
        if (how == 0) {
            CHECK_STATUS(shoal_collect(arena_name("left"), &removed), SHOAL_OK);
            CHECK(removed);
        } else if (how == 1) {
            CHECK_STATUS(arena_open("left", 'w', MIB, &a), SHOAL_NOT_FOUND);
        } else if (how == 2) {
            CHECK_STATUS(arena_open("left", 'r', MIB, &a), SHOAL_NOT_FOUND);
        } else {
            CHECK_STATUS(arena_open("left", 'c', MIB, &a), SHOAL_OK);
            shoal_namespace ns = ns_default(a);
            CHECK_TEXT(get_text(a, &ns, "k"), "(miss)"); /* an abandoned arena is gone */
            shoal_close(a);
        }
        CHECK(!arena_exists("left"));
    }
    CHECK_STATUS(shoal_collect(arena_name("left"), &removed), SHOAL_NOT_FOUND);
    shoal_arena *a = arena_new("left", MIB);
    CHECK_STATUS(shoal_collect(arena_name("left"), &removed), SHOAL_OK);
    CHECK(!removed); /* somebody lives in it */
    shoal_close(a);
#else
    SKIP("without claims nobody knows that an arena is abandoned");
#endif
}

static void a_destroyed_name_is_free_and_its_users_go_on(void)
{
    shoal_arena *a = arena_new("gone", MIB), *b;
    shoal_namespace ns = ns_default(a);
    REQUIRE(put(a, &ns, "k", "old") == SHOAL_OK);
    CHECK(shoal_is_named(a));
    CHECK_STATUS(shoal_unlink(a), SHOAL_OK);
    CHECK(!shoal_is_named(a));
    CHECK(!arena_exists("gone"));
    CHECK_STATUS(shoal_unlink(a), SHOAL_OK);
    CHECK_STATUS(put(a, &ns, "k", "still"), SHOAL_OK);
    b = arena_new("gone", MIB);
    CHECK_STATUS(shoal_unlink(a), SHOAL_OK); /* another arena has the name now */
    CHECK(arena_exists("gone"));
    CHECK_TEXT(get_text(b, &ns, "k"), "(miss)");
    pid_t pid = fork_child();
    if (pid == 0) { /* a child can join an arena whose name is gone */
        shoal_after_fork(a);
        REQUIRE_CHILD(strcmp(get_text(a, &ns, "k"), "still") == 0);
        REQUIRE_CHILD(put(a, &ns, "child", "was here") == SHOAL_OK);
        shoal_close(a);
        _exit(0);
    }
    CHECK(child_ok(pid));
    CHECK_TEXT(get_text(a, &ns, "child"), "was here");
    ARENA_END(a);
    CHECK(arena_exists("gone"));
    ARENA_END(b);
}

static void the_arena_outlives_a_parent_whose_child_has_not_spoken_yet(void)
{
#ifdef SHOAL_LINUX
    int go[2];
    char byte;
    REQUIRE(pipe(go) == 0);
    pid_t pid = fork_child();
    if (pid == 0) {
        shoal_arena *a = arena_new("silent", MIB);
        shoal_namespace ns = ns_default(a);
        REQUIRE_CHILD(put(a, &ns, "k", "v") == SHOAL_OK);
        int ready[2];
        REQUIRE_CHILD(pipe(ready) == 0);
        if (fork() == 0) {
            shoal_after_fork(a); /* and nothing else yet */
            REQUIRE_CHILD(write(ready[1], "x", 1) == 1);
            REQUIRE_CHILD(read(go[0], &byte, 1) == 1);
            REQUIRE_CHILD(strcmp(get_text(a, &ns, "k"), "v") == 0);
            shoal_close(a);
            _exit(0);
        }
        REQUIRE_CHILD(read(ready[0], &byte, 1) == 1);
        shoal_close(a);
        _exit(0);
    }
    CHECK(child_ok(pid));
    shoal_arena *a;
    CHECK(arena_exists("silent"));
    CHECK_STATUS(arena_open("silent", 'w', MIB, &a), SHOAL_OK);
    shoal_namespace ns = ns_default(a);
    CHECK_TEXT(get_text(a, &ns, "k"), "v");
    REQUIRE(write(go[1], "x", 1) == 1);
    while (stats_of(a).processes > 1 || process_others(a))
        sleep_until(shoal_clock_mono_ns() + MILLISECOND);
    ARENA_END(a);
    CHECK(!arena_exists("silent"));
    close(go[0]), close(go[1]);
#else
    SKIP("a silent child makes no claim here");
#endif
}

/* ---- lists */

typedef struct listing {
    unsigned count;
    shoal_arena_info last;
} listing;

static int collect_info(void *context, const shoal_arena_info *info)
{
    listing *l = context;
    if (strncmp(info->name, fixture_prefix, strlen(fixture_prefix)) != 0)
        return 0;
    l->count++;
    l->last = *info;
    return 0;
}

static void a_list_tells_what_each_segment_is(void)
{
    listing l = {0};
    shoal_arena *a;
    CHECK_STATUS(shoal_list(collect_info, &l), SHOAL_OK);
    CHECK_EQ(l.count, 0u);
    REQUIRE(open_with("listed", (shoal_options){.flag = 'c', .persist = true, .mode = 0640, .size = 3 * MIB}, &a) == SHOAL_OK);
    CHECK_STATUS(shoal_list(collect_info, &l), SHOAL_OK);
    CHECK_EQ(l.count, 1u);
    CHECK_TEXT(l.last.name, arena_name("listed"));
    CHECK(l.last.ready && l.last.alive && l.last.persist);
    CHECK_EQ(l.last.capacity, 3 * MIB);
    CHECK_EQ(l.last.mode, 0640u);
    CHECK_EQ(l.last.uid, geteuid());
    CHECK(l.last.committed > 0 && l.last.committed < MIB);
    shoal_close(a);
#ifdef SHOAL_LINUX
    CHECK_STATUS(shoal_list(collect_info, &l), SHOAL_OK);
    CHECK(l.last.ready && !l.last.alive);
#endif
    CHECK_STATUS(shoal_destroy(arena_name("listed")), SHOAL_OK);
    int fd = write_file("strange", "strange", 7, 7);
    REQUIRE(fd >= 0);
    l.count = 0;
    CHECK_STATUS(shoal_list(collect_info, &l), SHOAL_OK);
    CHECK_EQ(l.count, 1u);
    CHECK(!l.last.ready);
    close(fd);
    unlink(arena_path("strange"));
}

static int tests(void)
{
    umask(077); /* the mode asked for is the mode made, whatever this says */
    RUN(the_four_flags_do_what_dbm_does);
    RUN(names_and_sizes_are_checked);
    RUN(a_huge_cap_costs_next_to_nothing);
    RUN(one_of_many_openers_makes_it);
    RUN(a_half_made_segment_is_made_by_the_next);
    RUN(a_stopped_maker_is_waited_for);
    RUN(what_is_no_arena_is_left_alone);
    RUN(another_layout_is_refused_and_replaced_only_by_n);
    RUN(a_damaged_header_is_refused);
    RUN(a_truncated_file_is_refused);
    RUN(another_users_arena_is_used_only_when_both_share);
    RUN(the_last_user_removes_it_unless_it_persists);
    RUN(what_the_dead_leave_is_collected_or_replaced);
    RUN(a_destroyed_name_is_free_and_its_users_go_on);
    RUN(the_arena_outlives_a_parent_whose_child_has_not_spoken_yet);
    RUN(a_list_tells_what_each_segment_is);
    return check_report();
}

int main(void) { return fixture_main(tests); }
