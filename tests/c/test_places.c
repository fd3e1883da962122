/* What may lie where arenas lie, whose it may be, and names that lead elsewhere meanwhile; and forks at odd moments. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#ifdef __linux__
#include <sched.h>
#include <sys/mount.h>
#endif

#include "arena.h"
#include "fixture.h"
#include "process.h"

#define LARGE ((size_t)70000)

static void overlook(void *context, int severity, const char *line) { (void)context, (void)severity, (void)line; }

static shoal_status repaired(const char *suffix)
{
    shoal_repaired sum;
    return shoal_repair(arena_name(suffix), overlook, NULL, 100 * MILLISECOND, &sum);
}

static shoal_status collected(const char *suffix)
{
    bool removed = true;
    shoal_status status = shoal_collect(arena_name(suffix), &removed);
    CHECK(!removed);
    return status;
}

typedef struct seen {
    const char *name;
    unsigned times, all;
    bool stop;
    shoal_arena_info info;
} seen;

static int see(void *context, const shoal_arena_info *info)
{
    seen *s = context;
    s->all++;
    if (strcmp(info->name, arena_name(s->name)) == 0) {
        s->info = *info;
        s->times++;
    }
    return s->stop;
}

static seen look_for(const char *suffix, bool stop)
{
    seen s = {.name = suffix, .stop = stop};
    CHECK_STATUS(shoal_list(see, &s), SHOAL_OK);
    return s;
}

/* ---- no regular files */

static void a_socket_a_folder_and_a_pipe_are_no_arenas(void)
{
    shoal_arena *a;
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(to.sun_path, sizeof to.sun_path, "%s", arena_path("odd"));
    REQUIRE(fd >= 0 && bind(fd, (struct sockaddr *)&to, sizeof to) == 0);
    CHECK_STATUS(arena_open("odd", 'c', MIB, &a), SHOAL_FOREIGN);
    CHECK_STATUS(arena_open("odd", 'n', MIB, &a), SHOAL_FOREIGN);
    CHECK_STATUS(collected("odd"), SHOAL_OS);
    CHECK_STATUS(repaired("odd"), SHOAL_OS);
    seen s = look_for("odd", false);
    CHECK(s.times == 1 && s.info.alive && !s.info.ready); /* not ours to judge */
    unlink(arena_path("odd"));
    close(fd);
    REQUIRE(mkdir(arena_path("odd"), 0700) == 0);
    CHECK_STATUS(arena_open("odd", 'w', MIB, &a), SHOAL_FOREIGN);
    CHECK_STATUS(collected("odd"), SHOAL_BUSY);
    CHECK_STATUS(repaired("odd"), SHOAL_OS);
    CHECK_STATUS(shoal_destroy(arena_name("odd")), SHOAL_OS);
    s = look_for("odd", false);
    CHECK(s.times == 1 && !s.info.ready && s.info.capacity == 0);
    CHECK(rmdir(arena_path("odd")) == 0);
    REQUIRE(mkfifo(arena_path("odd"), 0600) == 0);
    CHECK_STATUS(collected("odd"), SHOAL_BUSY);
    CHECK_STATUS(repaired("odd"), SHOAL_FOREIGN);
    unlink(arena_path("odd"));
    REQUIRE(symlink("/etc/passwd", arena_path("odd")) == 0);
    CHECK_STATUS(collected("odd"), SHOAL_DENIED);
    CHECK_STATUS(repaired("odd"), SHOAL_DENIED);
    CHECK_STATUS(shoal_destroy(arena_name("odd")), SHOAL_OK); /* the link, and not what it leads to */
    CHECK(access("/etc/passwd", R_OK) == 0);
}

static void names_that_no_arena_has(void)
{
    bool removed;
    char path[400], *end = path + snprintf(path, sizeof path, "%s/%s", os_directory(), SHOAL_PREFIX);
    size_t n = strlen(fixture_prefix);
    memcpy(end, fixture_prefix, n);
    memset(end + n, 'x', SHOAL_NAME_MAX + 20 - n); /* a file may have such a name */
    end[SHOAL_NAME_MAX + 20] = '\0';
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    REQUIRE(fd >= 0);
    CHECK_STATUS(shoal_collect(end, &removed), SHOAL_INVALID);
    CHECK_STATUS(shoal_collect("a/b", &removed), SHOAL_INVALID);
    shoal_repaired sum;
    CHECK_STATUS(shoal_repair("", overlook, NULL, 0, &sum), SHOAL_INVALID);
    CHECK_STATUS(shoal_destroy(""), SHOAL_INVALID);
    CHECK_STATUS(collected("nobody's"), SHOAL_NOT_FOUND);
    const uint64_t half_made = SHOAL_MAGIC_INIT; /* its maker died; or before it had written a byte */
    for (int bytes = 0; bytes <= 8; bytes += 8) {
        int half = open(arena_path("half"), O_RDWR | O_CREAT | O_TRUNC, 0600);
        CHECK(half >= 0 && write(half, &half_made, (size_t)bytes) == bytes);
        close(half);
        CHECK_STATUS(shoal_collect(arena_name("half"), &removed), SHOAL_OK);
        CHECK_EQ(removed, os_has_claims());
        unlink(arena_path("half"));
    }
    shoal_arena *a = arena_new("listed", MIB);
    seen s = look_for("listed", false);
    CHECK(s.times == 1 && s.info.ready && s.info.alive);
    CHECK_EQ(look_for("listed", true).all, 1u);
    ARENA_END(a);
    close(fd);
    unlink(path);
}

/* ---- other users */

static void what_is_anothers_stays(void)
{
    if (geteuid() != 0) {
        SKIP("only root can be two users");
        return;
    }
    shoal_arena *a;
    shoal_options shared = {.flag = 'c', .mode = 0666, .size = MIB, .wait = WAIT};
    REQUIRE(shoal_open(arena_name("anothers"), &shared, &a, NULL) == SHOAL_OK);
    pid_t pid = fork_child();
    if (pid == 0) {
        shoal_arena *mine;
        REQUIRE_CHILD(setuid(65534) == 0);
        REQUIRE_CHILD(shoal_open(arena_name("anothers"), &shared, &mine, NULL) == SHOAL_OK);
        REQUIRE_CHILD(shoal_destroy(arena_name("anothers")) == SHOAL_DENIED);
        REQUIRE_CHILD(shoal_unlink(mine) == SHOAL_DENIED);
        REQUIRE_CHILD(repaired("anothers") == SHOAL_DENIED);
        REQUIRE_CHILD(shoal_is_named(mine));
        shoal_close(mine);
        _exit(0);
    }
    CHECK(child_ok(pid));
    CHECK(shoal_is_named(a));
    ARENA_END(a);
}

/* ---- names that lead elsewhere */

static void a_name_that_leads_to_another_arena_is_not_ours(void)
{
    shoal_arena *a = arena_new("moved", MIB), *b;
    shoal_namespace ns = ns_default(a);
    CHECK_STATUS(put(a, &ns, "k", "a's"), SHOAL_OK);
    REQUIRE(rename(arena_path("moved"), arena_path("elsewhere")) == 0);
    CHECK(!shoal_is_named(a));
    b = arena_new("moved", MIB);
    CHECK(!shoal_is_named(a) && shoal_is_named(b));
    CHECK_STATUS(shoal_unlink(a), SHOAL_OK); /* of the other: nothing is done */
    CHECK(arena_exists("moved"));
    CHECK_TEXT(get_text(a, &ns, "k"), "a's");
    CHECK_TEXT(get_text(b, &ns, "k"), "(miss)");
    shoal_close(a);
    CHECK(arena_exists("moved") && arena_exists("elsewhere"));
    unlink(arena_path("elsewhere"));
    ARENA_END(b);
}

/* With a checksum that fits. */
static void a_geometry_that_nobody_makes_is_unsound(void)
{
    shoal_arena *a = arena_new("geometry", MIB);
    const uint64_t pages[] = {0, 1, (SHOAL_SIZE_MAX >> PAGE_SHIFT) + 1, UINT64_MAX};
    arena_header header;
    CHECK(arena_sound(a->header, a->file_size));
    CHECK(!arena_sound(a->header, a->file_size + PAGE_SIZE));
    for (unsigned i = 0; i < 4; i++) {
        memcpy(&header, a->header, sizeof header);
        header.geometry.pages = pages[i];
        header.checksum = arena_checksum(&header.geometry);
        CHECK(!arena_sound(&header, a->file_size));
    }
    memcpy(&header, a->header, sizeof header);
    header.geometry.file_size += PAGE_SIZE;
    header.checksum = arena_checksum(&header.geometry);
    CHECK(!arena_sound(&header, a->file_size + PAGE_SIZE));
    /* A list tells, too. */
    int fd = open(arena_path("geometry"), O_RDWR);
    CHECK(fd >= 0 && look_for("geometry", false).info.ready);
    a->header->geometry.fingerprint ^= 1;
    CHECK(!look_for("geometry", false).info.ready);
    a->header->geometry.fingerprint ^= 1;
    a->header->checksum ^= 1;
    CHECK(!look_for("geometry", false).info.ready);
    a->header->checksum ^= 1;
    close(fd);
    ARENA_END(a);
}

/* ---- forks */

static void a_forked_reader_reads_on(void)
{
    shoal_arena *a = arena_new("reader", MIB), *r = arena_attach("reader", 'r');
    shoal_namespace ns = ns_default(a);
    CHECK_STATUS(put_pattern(a, &ns, "k", 1, LARGE, false), SHOAL_OK);
    shoal_before_fork(r);
    pid_t pid = fork_child();
    if (pid == 0) {
        shoal_after_fork(r);
        REQUIRE_CHILD(shoal_read_only(r));
        REQUIRE_CHILD(get_pattern(r, &ns, "k", 1, LARGE) == SHOAL_OK);
        REQUIRE_CHILD(put(r, &ns, "k", "v") == SHOAL_READ_ONLY);
        shoal_close(r);
        _exit(0);
    }
    shoal_after_fork_in_parent(r);
    CHECK(child_ok(pid));
    CHECK_STATUS(get_pattern(r, &ns, "k", 1, LARGE), SHOAL_OK);
    shoal_close(r);
    ARENA_END(a);
}

/* A child that has not made a call has no place of its own yet; nor have its children. */
static void a_silent_child_forks(void)
{
    shoal_arena *a = arena_new("silent", MIB);
    shoal_namespace ns = ns_default(a);
    CHECK_STATUS(put(a, &ns, "k", "v"), SHOAL_OK);
    shoal_before_fork(a);
    pid_t pid = fork_child();
    if (pid == 0) {
        shoal_after_fork(a);
        shoal_before_fork(a);
        pid_t inner = fork_child();
        if (inner == 0) {
            shoal_after_fork(a);
            REQUIRE_CHILD(put(a, &ns, "k", "the grandchild's") == SHOAL_OK);
            shoal_close(a);
            _exit(0);
        }
        shoal_after_fork_in_parent(a);
        REQUIRE_CHILD(child_ok(inner));
        REQUIRE_CHILD(a->me == NULL);
        shoal_close(a);
        _exit(0);
    }
    shoal_after_fork_in_parent(a);
    shoal_after_fork_in_parent(a); /* once more is nothing */
    CHECK(child_ok(pid));
    CHECK_TEXT(get_text(a, &ns, "k"), "the grandchild's");
    CHECK_EQ(stats_of(a).processes, 1u);
    ARENA_END(a);
}

/* Another thread was changing its pins. */
static void a_fork_while_pins_change(void)
{
    shoal_arena *a = arena_new("changing", MIB);
    shoal_namespace ns = ns_default(a);
    shoal_pin view, pin;
    CHECK_STATUS(put_pattern(a, &ns, "k", 1, LARGE, false), SHOAL_OK);
    CHECK_STATUS(shoal_view_take(a, &ns, "k", 1, &view, WAIT), SHOAL_OK);
    shoal_before_fork(a);
    pthread_mutex_lock(&a->pins.mutex);
    pid_t pid = fork_child();
    if (pid == 0) {
        shoal_after_fork(a);
        REQUIRE_CHILD(pattern_holds(view.data, 1, LARGE));
        REQUIRE_CHILD(shoal_pin_take(a, &ns, "k", 1, &pin, WAIT) == SHOAL_OK);
        shoal_unpin(a, &pin);
        shoal_unpin(a, &view);
        shoal_close(a);
        _exit(0);
    }
    pthread_mutex_unlock(&a->pins.mutex);
    shoal_after_fork_in_parent(a);
    CHECK(child_ok(pid));
    shoal_unpin(a, &view);
    CHECK_STATUS(shoal_reap(a, WAIT), SHOAL_OK);
    CHECK_EQ(stats_of(a).pinned_bytes, 0u);
    ARENA_END(a);
}

#ifdef SHOAL_LINUX
/* The child opens the segment by its name then; if that leads elsewhere it has none, and every call says so. */
static void a_fork_without_proc(void)
{
    for (int moved = 0; moved < 3; moved++) {
        shoal_arena *a = arena_new("noproc", MIB), *b = NULL;
        shoal_namespace ns = ns_default(a);
        CHECK_STATUS(put(a, &ns, "k", "v"), SHOAL_OK);
        pid_t pid = fork_child();
        if (pid == 0) {
            if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
                mount("tmpfs", "/proc", "tmpfs", 0, NULL) != 0) {
                printf("  skipped: no mounts here\n");
                fflush(stdout);
                _exit(0);
            }
            if (moved)
                REQUIRE_CHILD(rename(arena_path("noproc"), arena_path("elsewhere")) == 0);
            if (moved == 2)
                b = arena_new("noproc", MIB);
            shoal_before_fork(a); /* of a fork that is not made */
            shoal_after_fork_in_parent(a);
            shoal_after_fork(a);
            REQUIRE_CHILD(put(a, &ns, "k", "child") == (moved ? SHOAL_OS : SHOAL_OK));
            REQUIRE_CHILD(moved ? !shoal_is_named(a) : shoal_is_named(a));
            shoal_close(a);
            if (b)
                shoal_close(b);
            if (moved)
                REQUIRE_CHILD(rename(arena_path("elsewhere"), arena_path("noproc")) == 0);
            _exit(0);
        }
        CHECK(child_ok(pid));
        CHECK_TEXT(get_text(a, &ns, "k"), moved ? "v" : "child");
        ARENA_END(a);
        unlink(arena_path("elsewhere"));
    }
}
#endif

static int tests(void)
{
    RUN(a_socket_a_folder_and_a_pipe_are_no_arenas);
    RUN(names_that_no_arena_has);
    RUN(what_is_anothers_stays);
    RUN(a_name_that_leads_to_another_arena_is_not_ours);
    RUN(a_geometry_that_nobody_makes_is_unsound);
    RUN(a_forked_reader_reads_on);
    RUN(a_silent_child_forks);
    RUN(a_fork_while_pins_change);
#ifdef SHOAL_LINUX
    RUN(a_fork_without_proc);
#endif
    return check_report();
}

int main(void) { return fixture_main(tests); }
