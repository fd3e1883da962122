#include "arena.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "namespace.h"
#include "os.h"
#include "pins.h"
#include "process.h"

#define GATE_WAIT_NS ((int64_t)5 * 1000 * 1000 * 1000)
#define DESTROY_WAIT_NS ((int64_t)200 * 1000 * 1000)

static shoal_status failed(shoal_error *error, shoal_status status, const char *what)
{
    if (error)
        *error = (shoal_error){.os_errno = errno, .what = what};
    return status;
}

static shoal_status os_failed(shoal_error *error, const char *what)
{
    shoal_status status = errno == EACCES || errno == EPERM || errno == ELOOP ? SHOAL_DENIED
                          : errno == ENOSPC                                    ? SHOAL_FULL_SYSTEM
                          : errno == ENOMEM                                    ? SHOAL_NO_MEMORY
                                                                               : SHOAL_OS;
    return failed(error, status, what);
}

static void path_of(const char *name, char path[ARENA_PATH])
{
    snprintf(path, ARENA_PATH, "%s/%s%s", os_directory(), SHOAL_PREFIX, name);
}

bool arena_path_of(const char *name, char path[ARENA_PATH])
{
    size_t n = strlen(name);
    if (n == 0 || n > SHOAL_NAME_MAX || strchr(name, '/'))
        return false;
    path_of(name, path);
    return true;
}

bool arena_persists(const char *name, uint64_t persist)
{
    return persist != 0 && !(persist == PERSIST_ONCE_NAMED && strstr(name, ARENA_SCRATCH));
}

/* Does the path still lead to this open file? */
bool arena_still_named(int fd, const char *path, struct stat *st)
{
    struct stat named;
    return fstat(fd, st) == 0 && st->st_nlink > 0 && lstat(path, &named) == 0 && named.st_ino == st->st_ino &&
           named.st_dev == st->st_dev;
}

/* Another user's segment is used only by who asked for a shared one, and then only if its owner shares it:
 * else anybody could plant a segment under a name and read what is put there. */
static bool may_use(const struct stat *st, uint32_t wanted_mode)
{
    return st->st_uid == geteuid() || ((wanted_mode & 077) && (st->st_mode & 077));
}

static void set_pointers(shoal_arena *a, const arena_geometry *g)
{
    a->header = (arena_header *)a->base;
    a->slots = (process_slot *)(a->base + g->slots_at);
    a->shards = (shard *)(a->base + g->shards_at);
    a->records = (namespace_record *)(a->base + g->records_at);
    a->heads = (namespace_head *)(a->base + g->heads_at);
    a->map = (page_entry *)(a->base + g->map_at);
    a->pages_at = g->pages_at;
    a->pages = g->pages;
    a->file_size = g->file_size;
    a->nshards = g->shards;
    a->uid = g->uid;
    a->mode = g->mode;
    memcpy(a->secret, g->secret, sizeof a->secret);
}

static shoal_status map(shoal_arena *a, uint64_t size, shoal_error *error)
{
    void *base = mmap(NULL, size, a->read_only ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);
    if (base == MAP_FAILED)
        return os_failed(error, "mmap of the arena");
#ifdef MADV_DONTDUMP
    madvise(base, size, MADV_DONTDUMP); /* core files would hold everybody's data, and the cap's size */
#endif
    a->base = base;
    return SHOAL_OK;
}

shoal_status arena_imagine(shoal_arena *a, const arena_geometry *g)
{
    void *base = mmap(NULL, g->file_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return SHOAL_NO_MEMORY;
    a->base = base;
    set_pointers(a, g);
    return SHOAL_OK;
}

void arena_forget(shoal_arena *a)
{
    if (a->base)
        munmap(a->base, a->file_size);
    a->base = NULL;
}

/* Under the gate, in a segment that is empty or half-made. The magic says INIT from the first byte on and
 * READY last. */
static shoal_status initialise(shoal_arena *a, const shoal_options *o, const struct stat *st, shoal_error *error)
{
    arena_geometry g;
    uint64_t magic = SHOAL_MAGIC_INIT;
    arena_plan(o->size, &g);
    if (fchmod(a->fd, o->mode & 0777) != 0) /* whatever the umask says */
        return os_failed(error, "setting the segment's mode");
    if (ftruncate(a->fd, 0) != 0 || pwrite(a->fd, &magic, sizeof magic, 0) != (ssize_t)sizeof magic ||
        ftruncate(a->fd, (off_t)g.file_size) != 0)
        return os_failed(error, "making the segment");
    errno = os_commit(a->fd, 0, PAGE_SIZE);
    if (errno == 0)
        errno = os_commit(a->fd, g.shards_at, (uint64_t)g.shards * sizeof(shard));
    if (errno != 0)
        return failed(error, os_commit_status(errno), "committing the arena's header");
    errno = os_random(g.secret, sizeof g.secret);
    if (errno != 0)
        return os_failed(error, "the arena's secret");
    g.uid = st->st_uid;
    g.mode = o->mode & 0777;
    shoal_status status = map(a, g.file_size, error);
    if (status != SHOAL_OK)
        return status;
    set_pointers(a, &g);
    a->header->geometry = g;
    a->header->checksum = arena_checksum(&g);
    store_relaxed(&a->header->persist, o->persist);
    status = process_join(a);
    if (status == SHOAL_OK)
        status = namespace_first(a);
    if (status != SHOAL_OK)
        return failed(error, status, "first use of the arena");
    store_release(&a->header->magic, SHOAL_MAGIC);
    return SHOAL_OK;
}

/* Under the gate. */
static shoal_status attach(shoal_arena *a, const shoal_options *o, const struct stat *st, const arena_header *header, shoal_error *error)
{
    if (!arena_sound(header, (uint64_t)st->st_size))
        return failed(error, SHOAL_CORRUPT, "the header contradicts itself or the file's size");
    shoal_status status = map(a, header->geometry.file_size, error);
    if (status != SHOAL_OK)
        return status;
    set_pointers(a, &header->geometry);
    a->mode = st->st_mode & 0777;
    if (a->read_only) {
        a->counters = a->own_counters;
        errno = os_claim(a->fd, CLAIM_READERS, true);
        return errno ? os_failed(error, "claiming the arena") : SHOAL_OK;
    }
    status = process_join(a);
    if (status != SHOAL_OK)
        return failed(error, status, "joining the arena");
    if (o->persist)
        store_relaxed(&a->header->persist, PERSIST_ALWAYS);
    return SHOAL_OK;
}

enum { AGAIN = SHOAL_STATUS_COUNT };

/* One try. AGAIN: the segment changed hands between opening it and getting the gate. */
static int try_open(shoal_arena *a, const char *path, const shoal_options *o, int64_t deadline, bool *replaced, shoal_error *error)
{
    bool may_create = o->flag == 'c' || o->flag == 'n';
    int flags = (a->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    a->fd = open(path, flags);
    if (a->fd < 0 && errno == ENOENT && may_create) {
        a->fd = open(path, flags | O_CREAT | O_EXCL, 0600);
        if (a->fd < 0 && errno == EEXIST)
            return AGAIN;
    }
    if (a->fd < 0)
        return errno == ENOENT                     ? SHOAL_NOT_FOUND
               : errno == ENXIO || errno == EISDIR ? failed(error, SHOAL_FOREIGN, "not a regular file")
                                                   : os_failed(error, "opening the segment");
    struct stat st;
    if (fstat(a->fd, &st) != 0)
        return os_failed(error, "looking at the segment");
    if (!S_ISREG(st.st_mode))
        return failed(error, SHOAL_FOREIGN, "not a regular file");
    if (!may_use(&st, o->mode)) {
        errno = EACCES;
        return failed(error, SHOAL_DENIED, "the segment belongs to another user");
    }
    errno = os_gate(a->fd, deadline);
    if (errno)
        return errno == ETIMEDOUT ? failed(error, SHOAL_BUSY, "waiting for other openers") : os_failed(error, "the segment's gate");
    if (!arena_still_named(a->fd, path, &st))
        return AGAIN;
    arena_header header = {0};
    ssize_t got = pread(a->fd, &header, sizeof header, 0);
    if (got < 0)
        return os_failed(error, "reading the segment's header");
    bool half_made = got == 0 || (got >= 8 && header.magic == SHOAL_MAGIC_INIT);
    bool ready = got == (ssize_t)sizeof header && header.magic == SHOAL_MAGIC;
    bool ours = ready && header.geometry.layout_version == SHOAL_LAYOUT_VERSION && header.geometry.fingerprint == arena_fingerprint();
    if (!half_made && !ours) {
        if (o->flag == 'n' && ready && !*replaced) {
            *replaced = true;
            return unlink(path) == 0 ? AGAIN : os_failed(error, "replacing the segment");
        }
        return failed(error, SHOAL_FOREIGN, !ready ? "the segment is not an arena" : "the arena was made by another version or build");
    }
    a->device = st.st_dev;
    a->inode = st.st_ino;
    if (half_made) {
        int status = may_create ? initialise(a, o, &st, error) : SHOAL_NOT_FOUND;
        if (status != SHOAL_OK && may_create)
            unlink(path); /* not to stand in the way, half-made and half-committed */
        return status;
    }
    bool any = true;
    if (os_has_claims() && os_claimed(a->fd, CLAIM_READERS, CLAIM_SLOTS + PROCESS_MAX, &any) != 0)
        any = true;
    /* 'n' replaces what it finds once; an arena that appears after that is as new as its own would be. */
    if ((o->flag == 'n' && !*replaced) || (!any && !header.persist)) {
        if (unlink(path) != 0)
            return os_failed(error, "replacing the segment");
        *replaced = true;
        return may_create ? AGAIN : SHOAL_NOT_FOUND;
    }
    return attach(a, o, &st, &header, error);
}

static void release(shoal_arena *a)
{
    if (a->base)
        munmap(a->base, a->file_size);
    if (a->fd >= 0)
        close(a->fd);
    a->base = NULL;
    a->fd = -1;
}

static void forget(shoal_arena *a)
{
    pthread_mutex_destroy(&a->pins.mutex);
    pthread_mutex_destroy(&a->attach_mutex);
    free(a);
}

shoal_status shoal_open(const char *name, const shoal_options *o, shoal_arena **out, shoal_error *error)
{
    char path[ARENA_PATH];
    if (error)
        *error = (shoal_error){0};
    *out = NULL;
    if (!arena_path_of(name, path) || !memchr("cwrn", o->flag, 4) || o->size > SHOAL_SIZE_MAX)
        return failed(error, SHOAL_INVALID, "name, flag or size");
    shoal_arena *a = calloc(1, sizeof *a);
    if (!a)
        return SHOAL_NO_MEMORY;
    clock_start(&a->clock);
    snprintf(a->name, sizeof a->name, "%s", name);
    a->read_only = o->flag == 'r';
    a->fd = a->fork_fd = -1;
    pthread_mutex_init(&a->attach_mutex, NULL);
    pthread_mutex_init(&a->pins.mutex, NULL);
    int64_t deadline = deadline_after(os_mono_ns(), o->wait);
    int status;
    bool replaced = false;
    do {
        status = try_open(a, path, o, deadline, &replaced, error);
        if (status == SHOAL_OK) {
            os_ungate(a->fd);
            *out = a;
            return SHOAL_OK;
        }
        if (a->me)
            process_leave(a);
        release(a);
        if (status == AGAIN && os_mono_ns() >= deadline)
            status = failed(error, SHOAL_BUSY, "the name changes hands all the time");
    } while (status == AGAIN);
    forget(a);
    return (shoal_status)status;
}

static void drop_fork(shoal_arena *a)
{
    process_drop_child(a);
    if (a->fork_fd >= 0)
        close(a->fork_fd);
    a->fork_fd = -1;
}

/* Take leave of the others; the last one removes the name. */
static void leave(shoal_arena *a, bool filling)
{
    char path[ARENA_PATH];
    struct stat st;
    drop_fork(a); /* our own claim there must not look like somebody else's */
    if (!is_segment(a, a->fd))
        a->fd = -1;
    path_of(a->name, path);
    if (a->fd >= 0 && os_gate(a->fd, os_mono_ns() + GATE_WAIT_NS) == 0) {
        bool persist = load_relaxed(&a->header->persist) != 0;
        if (!filling)
            process_leave(a);
        if (!persist && !process_others(a) && arena_still_named(a->fd, path, &st))
            unlink(path);
        os_ungate(a->fd);
    }
}

void shoal_close(shoal_arena *a)
{
    leave(a, false);
    release(a);
    pins_end(a);
    forget(a);
}

void shoal_quit(shoal_arena *a, bool filling) { leave(a, filling); }

/* The same segment once more (by the descriptor: the name may be gone), with a reader's claim. -1: it cannot be. */
static int reopen(const shoal_arena *a)
{
    char path[ARENA_PATH];
    int flags = (a->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC, fd = -1;
    if (is_segment(a, a->fd)) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", a->fd);
        fd = open(path, flags);
    }
    if (fd < 0) {
        path_of(a->name, path);
        fd = open(path, flags | O_NOFOLLOW);
        if (fd >= 0 && !is_segment(a, fd)) {
            close(fd);
            fd = -1;
        }
    }
    if (fd >= 0)
        os_claim(fd, CLAIM_READERS, true);
    return fd;
}

void shoal_before_fork(shoal_arena *a)
{
    drop_fork(a);
    a->fork_fd = reopen(a);
    if (a->fork_fd < 0 || !a->me || load_relaxed32(&a->pins.views) == 0 || os_gate(a->fork_fd, os_mono_ns() + GATE_WAIT_NS) != 0)
        return;
    process_join_child(a);
    os_ungate(a->fork_fd);
}

void shoal_after_fork_in_parent(shoal_arena *a)
{
    if (a->fork_fd >= 0)
        close(a->fork_fd);
    a->fork_fd = -1;
    if (a->me)
        process_reap_child(a);
}

/* The parent's open file carries its claim: as long as this process had it open, a dead parent would look alive. The mapping holds
 * it as well as the descriptor does: both are replaced. Until it has a slot, this process counts as a user like a reader does. */
void shoal_after_fork(shoal_arena *a)
{
    int fd = a->fork_fd >= 0 ? a->fork_fd : reopen(a);
    int protection = a->read_only ? PROT_READ : PROT_READ | PROT_WRITE;
    a->fork_fd = -1;
    if (fd >= 0 && mmap(a->base, a->file_size, protection, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
        close(fd);
        fd = -1;
    }
#ifdef MADV_DONTDUMP
    if (fd >= 0)
        madvise(a->base, a->file_size, MADV_DONTDUMP);
#endif
    if (is_segment(a, a->fd))
        close(a->fd);
    a->fd = fd;
    pthread_mutex_init(&a->attach_mutex, NULL); /* a thread of the parent may have held it */
    if (pthread_mutex_trylock(&a->pins.mutex) == 0) {
        pins_end(a);
        pthread_mutex_unlock(&a->pins.mutex);
    } else {
        a->pins = (pin_pool){.owner = a->pins.owner}; /* it was being changed */
        pthread_mutex_init(&a->pins.mutex, NULL);
    }
    if (a->read_only)
        return;
    a->me = NULL;
    a->counters = NULL;
    if (fd >= 0 && a->fork_slot && process_become_child(a) != SHOAL_OK) {
        a->me = NULL; /* the slot stays claimed, and what it pins pinned; calls get another one */
        a->counters = NULL;
    }
    a->fork_slot = 0;
}

void shoal_set_wait_hook(shoal_arena *a, int (*hook)(void *), void *context)
{
    a->hook_context = context;
    a->hook = hook;
}

/* ---- without an open arena */

static shoal_status unlink_path(const char *path)
{
    if (unlink(path) == 0)
        return SHOAL_OK;
    return errno == ENOENT ? SHOAL_NOT_FOUND : errno == EACCES || errno == EPERM ? SHOAL_DENIED : SHOAL_OS;
}

/* Removing a name takes the gate for as long as it is to be had soon: who is just attaching, or finds itself the last
 * user, must not have the name changed under it. A stopped process does not keep the name from being removed. */
shoal_status shoal_destroy(const char *name)
{
    char path[ARENA_PATH];
    struct stat st;
    if (!arena_path_of(name, path))
        return SHOAL_INVALID;
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? SHOAL_NOT_FOUND : SHOAL_OS;
    if (st.st_uid != geteuid() && geteuid() != 0)
        return SHOAL_DENIED;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0)
        os_gate(fd, os_mono_ns() + DESTROY_WAIT_NS);
    shoal_status status = unlink_path(path);
    if (fd >= 0) {
        os_ungate(fd);
        close(fd);
    }
    return status;
}

shoal_status shoal_unlink(shoal_arena *a)
{
    char path[ARENA_PATH];
    struct stat st;
    if (a->read_only)
        return SHOAL_READ_ONLY;
    path_of(a->name, path);
    bool gate = os_gate(a->fd, os_mono_ns() + DESTROY_WAIT_NS) == 0;
    shoal_status status = SHOAL_OK;
    if (arena_still_named(a->fd, path, &st))
        status = st.st_uid == geteuid() || geteuid() == 0 ? unlink_path(path) : SHOAL_DENIED;
    if (gate)
        os_ungate(a->fd);
    return status;
}

static bool inspect(const char *path, shoal_arena_info *info)
{
    arena_header header = {0};
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        if (lstat(path, &st) != 0)
            return false;
        info->uid = st.st_uid;
        info->mode = st.st_mode & 0777;
        info->alive = true; /* not ours to judge */
        return true;
    }
    bool ok = fstat(fd, &st) == 0;
    ssize_t got = ok && S_ISREG(st.st_mode) ? pread(fd, &header, sizeof header, 0) : -1;
    info->uid = st.st_uid;
    info->mode = st.st_mode & 0777;
    info->committed = (uint64_t)st.st_blocks * 512;
    info->ready = got == (ssize_t)sizeof header && header.magic == SHOAL_MAGIC && header.geometry.fingerprint == arena_fingerprint() &&
                  arena_sound(&header, (uint64_t)st.st_size);
    info->capacity = info->ready ? header.geometry.pages << PAGE_SHIFT : 0;
    info->persist = info->ready && arena_persists(info->name, header.persist);
    if (os_has_claims() && os_claimed(fd, CLAIM_READERS, CLAIM_SLOTS + PROCESS_MAX, &info->alive) != 0)
        info->alive = true;
    if (!os_has_claims())
        info->alive = info->ready;
    close(fd);
    return ok;
}

shoal_status shoal_list(int (*each)(void *context, const shoal_arena_info *info), void *context)
{
    DIR *directory = opendir(os_directory());
    if (!directory)
        return SHOAL_OS;
    size_t prefix = strlen(SHOAL_PREFIX);
    for (struct dirent *d; (d = readdir(directory));) {
        char path[ARENA_PATH];
        shoal_arena_info info = {0};
        if (strncmp(d->d_name, SHOAL_PREFIX, prefix) != 0 || !arena_path_of(d->d_name + prefix, path))
            continue;
        snprintf(info.name, sizeof info.name, "%.*s", (int)SHOAL_NAME_MAX, d->d_name + prefix);
        if (inspect(path, &info) && each(context, &info))
            break;
    }
    closedir(directory);
    return SHOAL_OK;
}

shoal_status shoal_collect(const char *name, bool *removed)
{
    char path[ARENA_PATH];
    struct stat st;
    *removed = false;
    if (!arena_path_of(name, path))
        return SHOAL_INVALID;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? SHOAL_NOT_FOUND : errno == EACCES || errno == ELOOP ? SHOAL_DENIED : SHOAL_OS;
    shoal_status status = SHOAL_OK;
    bool any = true;
    arena_header header = {0};
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || os_gate(fd, os_mono_ns() + GATE_WAIT_NS) != 0) {
        status = SHOAL_BUSY;
    } else if (arena_still_named(fd, path, &st)) {
        ssize_t got = pread(fd, &header, sizeof header, 0);
        bool ours = got == 0 || header.magic == SHOAL_MAGIC || header.magic == SHOAL_MAGIC_INIT;
        bool persists = got == (ssize_t)sizeof header && header.magic == SHOAL_MAGIC && arena_persists(name, header.persist);
        if (os_has_claims() && os_claimed(fd, CLAIM_READERS, CLAIM_SLOTS + PROCESS_MAX, &any) != 0)
            any = true;
        if (ours && !persists && !any) {
            status = unlink_path(path);
            *removed = status == SHOAL_OK;
        }
        os_ungate(fd);
    }
    close(fd);
    return status;
}

bool shoal_is_named(const shoal_arena *a)
{
    char path[ARENA_PATH];
    struct stat st;
    path_of(a->name, path);
    return arena_still_named(a->fd, path, &st);
}

shoal_status shoal_persist(shoal_arena *a)
{
    if (a->read_only)
        return SHOAL_READ_ONLY;
    store_relaxed(&a->header->persist, PERSIST_ALWAYS);
    return SHOAL_OK;
}

const char *shoal_name(const shoal_arena *a) { return a->name; }
bool shoal_read_only(const shoal_arena *a) { return a->read_only; }
uint32_t shoal_mode(const shoal_arena *a) { return a->mode; }
uint32_t shoal_owner(const shoal_arena *a) { return a->uid; }
uint32_t shoal_shards(const shoal_arena *a) { return a->nshards; }
const char *shoal_detail(const shoal_arena *a)
{
    const char *detail = pointer_relaxed(&a->detail);
    return detail ? detail : "";
}
int64_t shoal_clock_wall_us(void) { return os_wall_ns() / 1000; }
int64_t shoal_clock_mono_ns(void) { return os_mono_ns(); }
