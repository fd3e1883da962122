/* A system that refuses: each call of it fails, one at a time, in everything that is done to an arena.
 *
 * The linker leads the core's calls here (see the Makefile). For n = 1, 2, ... the n-th call of a step fails; then the step must
 * say so or do without, nothing may be left open or mapped, the arena must be sound, and in the end the step must succeed. */
#include "fixture.h"

#if defined(__linux__)
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "layout.h"
#include "paths.h"
#include "process.h"

#define LARGE ((size_t)70000)
#define MOST 4000u

static unsigned fault_after; /* so many calls succeed; 0: all */
static int fault_errno;
static bool fault_hit;

static bool refused(void)
{
    if (fault_after == 0 || --fault_after != 0)
        return false;
    fault_hit = true;
    errno = fault_errno;
    return true;
}

#define REFUSABLE(type, name, failure, parameters, arguments) \
    type __real_##name parameters; \
    type __wrap_##name parameters; \
    type __wrap_##name parameters { return refused() ? failure : __real_##name arguments; }

REFUSABLE(void *, malloc, NULL, (size_t size), (size))
REFUSABLE(void *, calloc, NULL, (size_t n, size_t size), (n, size))
REFUSABLE(void *, realloc, NULL, (void *old, size_t size), (old, size))
REFUSABLE(void *, mmap, MAP_FAILED, (void *at, size_t size, int protection, int flags, int fd, off_t offset),
          (at, size, protection, flags, fd, offset))
REFUSABLE(int, fallocate, -1, (int fd, int mode, off_t offset, off_t length), (fd, mode, offset, length))
REFUSABLE(int, ftruncate, -1, (int fd, off_t length), (fd, length))
REFUSABLE(int, fchmod, -1, (int fd, mode_t mode), (fd, mode))
REFUSABLE(int, fstat, -1, (int fd, struct stat *st), (fd, st))
REFUSABLE(int, lstat, -1, (const char *path, struct stat *st), (path, st))
REFUSABLE(int, flock, -1, (int fd, int operation), (fd, operation))
REFUSABLE(int, unlink, -1, (const char *path), (path))
REFUSABLE(ssize_t, pread, -1, (int fd, void *to, size_t n, off_t offset), (fd, to, n, offset))
REFUSABLE(ssize_t, read, -1, (int fd, void *to, size_t n), (fd, to, n))
REFUSABLE(ssize_t, getrandom, -1, (void *to, size_t n, unsigned flags), (to, n, flags))
REFUSABLE(DIR *, opendir, NULL, (const char *path), (path))
REFUSABLE(FILE *, fopen, NULL, (const char *path, const char *mode), (path, mode))
REFUSABLE(int, rename, -1, (const char *from, const char *to), (from, to))

ssize_t __real_pwrite(int fd, const void *from, size_t n, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *from, size_t n, off_t offset);
/* A signal may end it half-way; any other reason to write no more is said by the call after the one that wrote a part. */
ssize_t __wrap_pwrite(int fd, const void *from, size_t n, off_t offset)
{
    static int reason;
    if (reason) {
        errno = reason;
        reason = 0;
        return -1;
    }
    if (!refused())
        return __real_pwrite(fd, from, n, offset);
    if (n <= PAGE_SIZE)
        return -1;
    reason = errno == EINTR ? 0 : errno;
    return __real_pwrite(fd, from, n / 2, offset);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    int mode = flags & O_CREAT ? va_arg(more, int) : 0;
    va_end(more);
    return refused() ? -1 : __real_open(path, flags, mode);
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...) /* with a pointer or an int, which is passed on like one */
{
    va_list more;
    va_start(more, command);
    void *argument = va_arg(more, void *);
    va_end(more);
    return refused() ? -1 : __real_fcntl(fd, command, argument);
}

static unsigned open_files(void)
{
    unsigned count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (directory && readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static unsigned mappings(void) /* of segments */
{
    char line[512];
    unsigned count = 0;
    FILE *file = fopen("/proc/self/maps", "r");
    while (file && fgets(line, sizeof line, file))
        count += strstr(line, SHOAL_PREFIX) != NULL;
    fclose(file);
    return count;
}

/* Calls step() with each of its system calls failing in turn, and check() after each. A step says whether it went well. */
static void refuse_each(shoal_status (*step)(void), void (*check)(bool done))
{
    static const int errors[] = {ENOSPC, EACCES, EINTR, ENOMEM, EPERM};
    for (unsigned i = 0; i < 4; i++) { /* each call with four of the five, not all with the same at a time */
        unsigned files = open_files(), maps = mappings();
        for (unsigned n = 1; n < MOST; n++) {
            fault_errno = errors[(i + n) % 5];
            fault_hit = false;
            fault_after = n;
            shoal_status status = step();
            fault_after = 0;
            CHECK(strcmp(shoal_status_name(status), "unknown status") != 0);
            CHECK(status != SHOAL_CORRUPT);
            CHECK_EQ(open_files(), files);
            CHECK_EQ(mappings(), maps);
            check(status == SHOAL_OK);
            if (check_failures) { /* the rest would say the same */
                fprintf(stderr, "  call %u, errno %d\n", n, fault_errno);
                return;
            }
            if (!fault_hit) {
                CHECK_STATUS(status, SHOAL_OK);
                break;
            }
        }
    }
}

/* ---- opening */

static shoal_status open_close(char flag, bool persist)
{
    shoal_arena *a = NULL;
    shoal_options options = {.flag = flag, .mode = 0600, .size = MIB, .wait = 100 * MILLISECOND, .persist = persist};
    shoal_error error;
    shoal_status status = shoal_open(arena_name("faults"), &options, &a, &error);
    unsigned armed = fault_after;
    fault_after = 0;
    CHECK((status == SHOAL_OK) == (a != NULL));
    if (status == SHOAL_OK)
        shoal_close(a);
    fault_after = armed;
    return status;
}

static shoal_status create(void) { return open_close('c', false); }
static shoal_status create_anew(void) { return open_close('n', true); }
static shoal_status attach(void) { return open_close('w', false); }
static shoal_status attach_reader(void) { return open_close('r', false); }

static void can_be_made(bool done)
{
    (void)done;
    shoal_arena *a = arena_new("faults", MIB);
    shoal_namespace ns = ns_default(a);
    CHECK_STATUS(put(a, &ns, "k", "v"), SHOAL_OK);
    ARENA_END(a);
    if (arena_exists("faults"))
        CHECK_STATUS(shoal_destroy(arena_name("faults")), SHOAL_OK);
}

static void opening_fails(void)
{
    refuse_each(create, can_be_made);
    refuse_each(create_anew, can_be_made);
}

static shoal_arena *kept; /* the arena that a step is done to, with what the checks expect in it */
static shoal_namespace kept_keys, kept_tree;
static shoal_arena *reader;

static void keep_arena(uint64_t size)
{
    kept = arena_new("faults", size);
    kept_keys = ns_default(kept);
    kept_tree = tree_of(kept);
    CHECK_STATUS(put(kept, &kept_keys, "small", "here"), SHOAL_OK);
    CHECK_STATUS(put_pattern(kept, &kept_keys, "large", 7, LARGE, true), SHOAL_OK);
    CHECK_STATUS(set(kept, &kept_tree, "a.b.c", "deep"), SHOAL_OK);
}

static void is_whole(bool done)
{
    (void)done;
    CHECK_TEXT(get_text(kept, &kept_keys, "small"), "here");
    CHECK_STATUS(get_pattern(kept, &kept_keys, "large", 7, LARGE), SHOAL_OK);
    CHECK_TEXT(get(kept, &kept_tree, "a.b.c"), "deep");
    CHECK_SOUND(kept);
    CHECK_EQ(stats_of(kept).pinned_bytes, 0u);
}

static void attaching_fails(void)
{
    keep_arena(16 * MIB);
    refuse_each(attach, is_whole);
    refuse_each(attach_reader, is_whole);
    ARENA_END(kept);
}

/* ---- writing */

static shoal_status write_much(void)
{
    static unsigned round;
    static const uint8_t bytes[LARGE]; /* (the fixture's own memory would be refused, too) */
    shoal_status status = SHOAL_OK;
    char key[32];
    round++;
    for (unsigned i = 0; i < 60 && status == SHOAL_OK; i++) {
        snprintf(key, sizeof key, "r%u.%u", round % 8, i);
        status = put_bytes(kept, &kept_keys, key, bytes, i % 20 == 0 ? LARGE : 50 * i);
    }
    if (status == SHOAL_OK)
        status = set(kept, &kept_tree, "x.y.z", "v");
    if (status == SHOAL_OK)
        status = drop(kept, &kept_tree, "x");
    return status;
}

static void can_be_swept(bool done)
{
    is_whole(done);
    for (unsigned r = 0; r < 8; r++)
        for (unsigned i = 0; i < 60; i++) {
            char key[32];
            snprintf(key, sizeof key, "r%u.%u", r, i);
            del(kept, &kept_keys, key);
        }
    CHECK_STATUS(shoal_sweep(kept, WAIT), SHOAL_OK);
}

static shoal_status write_to_new_pages(void) /* which is done through the file */
{
    enum { SIZE = 300000 };
    static uint8_t value[SIZE];
    static unsigned n;
    pattern_fill(value, ++n, SIZE);
    shoal_put_args args = {.head = value, .head_size = 1, .body = value + 1, .body_size = SIZE - 1, .ttl = SHOAL_TTL_DEFAULT};
    char key[32];
    int length = snprintf(key, sizeof key, "new%u", n);
    shoal_status status = shoal_put(kept, &kept_keys, key, (size_t)length, &args, NULL, WAIT);
    unsigned armed = fault_after;
    fault_after = 0;
    CHECK_STATUS(get_pattern(kept, &kept_keys, key, n, SIZE), status == SHOAL_OK ? SHOAL_OK : SHOAL_MISS);
    fault_after = armed;
    return status;
}

static void writing_fails(void)
{
    keep_arena(64 * MIB);
    refuse_each(write_to_new_pages, is_whole);
    refuse_each(write_much, can_be_swept);
    ARENA_END(kept);
}

/* ---- reading without the right to write, and looking at all of it */

static shoal_status read_all(void)
{
    static uint8_t to[LARGE];
    shoal_bytes out = {0};
    shoal_meta meta;
    shoal_status status = shoal_get(reader, &kept_keys, "large", 5, to, 0, LARGE, &meta, 5 * MILLISECOND);
    for (uint32_t s = 0; s < shoal_shards(reader) && status == SHOAL_OK; s++) {
        status = shoal_keys(reader, &kept_keys, s, "", 0, &out, 5 * MILLISECOND);
        shoal_bytes_free(&out);
    }
    if (status == SHOAL_OK) {
        status = shoal_fields(reader, &kept_tree, names("a.b"), 3, 0, &out, 5 * MILLISECOND);
        shoal_bytes_free(&out);
    }
    if (status == SHOAL_OK)
        CHECK(pattern_holds(to, 7, LARGE));
    return status == SHOAL_CORRUPT ? SHOAL_OS : status; /* of a file that cannot be read */
}

static shoal_status list_all(void)
{
    shoal_bytes out = {0};
    shoal_status status = SHOAL_OK;
    for (uint32_t s = 0; s < shoal_shards(kept) && status == SHOAL_OK; s++) {
        status = shoal_keys(kept, &kept_keys, s, "", 0, &out, WAIT);
        shoal_bytes_free(&out);
        if (status == SHOAL_OK)
            status = shoal_fields(kept, &kept_tree, "", 0, s, &out, WAIT);
        shoal_bytes_free(&out);
    }
    return status;
}

static shoal_status look_over(void) { return shoal_verify(kept, NULL, NULL, WAIT); }

static void reading_fails(void)
{
    keep_arena(16 * MIB);
    reader = arena_attach("faults", 'r');
    refuse_each(read_all, is_whole);
    refuse_each(list_all, is_whole);
    refuse_each(look_over, is_whole);
    shoal_close(reader);
    ARENA_END(kept);
}

/* ---- recovery */

static shoal_status recover_all(void)
{
    for (uint32_t s = 0; s < kept->nshards; s++)
        kept->shards[s].lock.word = LOCK_OWNER_MASK; /* nobody's: its owner is dead */
    shoal_status status = SHOAL_OK;
    for (unsigned i = 0; i < 8 && status == SHOAL_OK; i++)
        status = shoal_touch(kept, &kept_keys, numbered("no", i), 3, 0, WAIT);
    return status == SHOAL_MISS ? SHOAL_OK : status;
}

static void recovery_fails(void)
{
    keep_arena(16 * MIB);
    refuse_each(recover_all, is_whole);
    ARENA_END(kept);
}

/* ---- namespaces, drafts and repair */

static shoal_status use_a_namespace(void)
{
    shoal_namespace ns, tree;
    shoal_draft draft;
    shoal_status status = shoal_namespace_open(kept, "passing", 7, true, &(shoal_namespace_config){.max_keys = 100}, &ns, WAIT);
    if (status != SHOAL_OK)
        return status;
    if ((status = shoal_draft_begin(kept, &ns, "d", 1, LARGE, &draft, WAIT)) == SHOAL_OK) {
        memset(draft.data, 1, LARGE);
        status = shoal_draft_publish(kept, &ns, "d", 1, &draft, &(shoal_put_args){0}, NULL, WAIT);
        shoal_unpin(kept, &draft.pin); /* published or not: the pin is its writer's */
    }
    if (status == SHOAL_OK && (status = shoal_tree_open(kept, &ns, true, &tree, WAIT)) == SHOAL_OK)
        status = set(kept, &tree, "p.q", "v");
    shoal_status dropped = shoal_namespace_drop(kept, &ns, WAIT);
    return status == SHOAL_OK ? dropped : status;
}

static void leaves_two_namespaces(bool done)
{
    is_whole(done);
    shoal_namespace ns;
    if (shoal_namespace_open(kept, "passing", 7, false, NULL, &ns, WAIT) == SHOAL_OK) /* its dropping was refused */
        CHECK_STATUS(shoal_namespace_drop(kept, &ns, WAIT), SHOAL_OK);
    CHECK_EQ(count_of(kept, &kept_keys), 2u);
}

static void using_namespaces_fails(void)
{
    keep_arena(16 * MIB);
    refuse_each(use_a_namespace, leaves_two_namespaces);
    ARENA_END(kept);
}

static void overlook(void *context, int severity, const char *line)
{
    (void)context, (void)severity, (void)line;
}

static shoal_status repair(void)
{
    shoal_repaired out;
    return shoal_repair(arena_name("faults"), overlook, NULL, 100 * MILLISECOND, &out);
}

static void is_whole_once_opened(bool done)
{
    kept = arena_attach("faults", 'w');
    is_whole(done);
    shoal_close(kept);
}

static void repairing_fails(void)
{
    if (!os_has_claims()) {
        SKIP("without claims nobody can tell that no one uses the arena");
        return;
    }
    keep_arena(16 * MIB);
    CHECK_STATUS(shoal_persist(kept), SHOAL_OK);
    ARENA_END(kept);
    refuse_each(repair, is_whole_once_opened);
    CHECK_STATUS(shoal_destroy(arena_name("faults")), SHOAL_OK);
}

/* ---- forking, and the directory of arenas */

static shoal_status fork_with_a_view(void)
{
    shoal_pin pin;
    unsigned armed = fault_after;
    fault_after = 0;
    CHECK_STATUS(shoal_view_take(kept, &kept_keys, "large", 5, &pin, WAIT), SHOAL_OK);
    fault_after = armed;
    shoal_before_fork(kept);
    pid_t pid = fork_child();
    if (pid == 0) {
        shoal_after_fork(kept);
        fault_after = 0;
        const char *small = get_text(kept, &kept_keys, "small"); /* right, or refused */
        REQUIRE_CHILD(strcmp(small, "here") == 0 || small[0] == '(');
        REQUIRE_CHILD(!kept->me || pattern_holds(pin.data, 7, LARGE));
        _exit(fault_hit ? 0 : 1);
    }
    shoal_after_fork_in_parent(kept);
    int result;
    CHECK(waitpid(pid, &result, 0) == pid && WIFEXITED(result));
    fault_hit |= WIFEXITED(result) && WEXITSTATUS(result) == 0;
    fault_after = 0;
    CHECK(pattern_holds(pin.data, 7, LARGE));
    shoal_unpin(kept, &pin);
    CHECK_STATUS(shoal_reap(kept, WAIT), SHOAL_OK);
    return SHOAL_OK;
}

static int see(void *context, const shoal_arena_info *info)
{
    if (strcmp(info->name, arena_name("faults")) == 0)
        *(bool *)context = info->alive;
    return 0;
}

static shoal_status look_around(void)
{
    bool seen = false, removed = false;
    shoal_status status = shoal_list(see, &seen);
    CHECK(status != SHOAL_OK || seen || fault_hit);
    if (status == SHOAL_OK)
        status = shoal_collect(arena_name("faults"), &removed);
    CHECK(!removed && arena_exists("faults")); /* it is in use, whatever cannot be asked */
    return status;
}

static void forking_fails(void)
{
    if (!os_has_claims()) {
        SKIP("without claims the place of a child that could not take it is its parent's until that ends");
        return;
    }
    keep_arena(16 * MIB);
    refuse_each(fork_with_a_view, is_whole);
    ARENA_END(kept);
}

static void listing_fails(void)
{
    keep_arena(16 * MIB);
    refuse_each(look_around, is_whole);
    ARENA_END(kept);
}

/* ---- taking names away, giving memory back, figures */

static shoal_status replace_another_layout(void)
{
    unsigned armed = fault_after;
    fault_after = 0;
    arena_header header = {.magic = SHOAL_MAGIC}; /* of a layout that has no number yet */
    int fd = open(arena_path("faults"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0 && write(fd, &header, sizeof header) == (ssize_t)sizeof header);
    close(fd);
    fault_after = armed;
    return open_close('n', false);
}

static shoal_status replace_an_arena(void)
{
    shoal_arena *a = NULL;
    unsigned armed = fault_after;
    fault_after = 0;
    shoal_options options = {.flag = 'c', .mode = 0600, .size = MIB, .wait = WAIT, .persist = true};
    CHECK_STATUS(shoal_open(arena_name("faults"), &options, &a, NULL), SHOAL_OK);
    shoal_close(a);
    fault_after = armed;
    return open_close('n', false);
}

static void anew(bool done)
{
    (void)done;
    shoal_arena *a;
    CHECK_STATUS(arena_open("faults", 'n', MIB, &a), SHOAL_OK);
    ARENA_END(a);
}

static void replacing_fails(void)
{
    refuse_each(replace_another_layout, anew);
    refuse_each(replace_an_arena, anew);
}

static shoal_status destroy(void)
{
    shoal_status status = shoal_destroy(arena_name("faults"));
    CHECK_EQ(arena_exists("faults"), status != SHOAL_OK);
    return status;
}

static shoal_status unlink_it(void)
{
    shoal_status status = shoal_unlink(kept);
    CHECK(status == SHOAL_OK || shoal_is_named(kept));
    return status;
}

static void named_again(bool done) /* a name that was taken away is given back, for the next round */
{
    is_whole(done);
    if (!shoal_is_named(kept)) {
        shoal_arena *other = kept;
        keep_arena(16 * MIB);
        shoal_close(other);
    }
}

static void taking_the_name_fails(void)
{
    keep_arena(16 * MIB);
    refuse_each(destroy, named_again);
    refuse_each(unlink_it, named_again);
    ARENA_END(kept);
}

static shoal_status give_back(void)
{
    unsigned armed = fault_after;
    fault_after = 0;
    CHECK_STATUS(put_pattern(kept, &kept_keys, "passing", 1, LARGE, false), SHOAL_OK);
    CHECK_STATUS(del(kept, &kept_keys, "passing"), SHOAL_OK);
    fault_after = armed;
    shoal_stats stats;
    shoal_status status = shoal_sweep(kept, WAIT);
    return status == SHOAL_OK ? shoal_get_stats(kept, &stats) : status;
}

static void giving_back_fails(void)
{
    keep_arena(16 * MIB);
    refuse_each(give_back, is_whole);
    ARENA_END(kept);
}

static int tests(void)
{
    RUN(opening_fails);
    RUN(attaching_fails);
    RUN(writing_fails);
    RUN(reading_fails);
    RUN(recovery_fails);
    RUN(using_namespaces_fails);
    RUN(repairing_fails);
    RUN(forking_fails);
    RUN(listing_fails);
    RUN(replacing_fails);
    RUN(taking_the_name_fails);
    RUN(giving_back_fails);
    return check_report();
}
#else
static void wrapped_elsewhere(void) { CHECK(true); }
static int tests(void)
{
    RUN(wrapped_elsewhere);
    return check_report();
}
#endif

int main(void) { return fixture_main(tests); }
