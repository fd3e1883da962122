/* A writer that is stopped between finding an entry and replacing it, until after the entry's deadline: what readers have
 * seen gone may not come back as if it had been there. */
#include "death.h"
#include "paths.h"

#ifdef DEATH
#include <sys/mman.h>

#define PLACES 10u /* of a write, at which it is stopped */

static int64_t ttl; /* enough to get there, once that was tried */
static shoal_status *answer; /* of the child */

static shoal_put_args text_args(const char *text, uint8_t condition)
{
    return (shoal_put_args){.head = text, .head_size = strlen(text), .condition = condition, .ttl = 60 * SECOND};
}

static void touch(shoal_arena *a, const shoal_namespace *ns) { *answer = shoal_touch(a, ns, "key", 3, 60 * SECOND, WAIT); }

static void renew(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_put_args args = text_args("2", SHOAL_IF_PRESENT);
    *answer = shoal_put(a, ns, "key", 3, &args, NULL, WAIT);
}

static void compare_and_set(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_put_args args = text_args("2", SHOAL_IF_VERSION);
    shoal_meta meta;
    *answer = peek(a, ns, "key", 3, &meta);
    args.version = meta.version;
    if (*answer == SHOAL_OK)
        *answer = shoal_put(a, ns, "key", 3, &args, NULL, WAIT);
}

static void swap(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_bytes old;
    shoal_put_args args = text_args("2", SHOAL_IF_ANY);
    args.old = &old;
    *answer = shoal_put(a, ns, "key", 3, &args, NULL, WAIT);
    if (*answer == SHOAL_OK && !old.data)
        *answer = SHOAL_MISS;
}

static void incr(shoal_arena *a, const shoal_namespace *ns)
{
    shoal_number one = {.i = 1}, zero = {0}, sum;
    *answer = shoal_incr(a, ns, "key", 3, &one, &zero, 60 * SECOND, &sum, WAIT);
    if (*answer == SHOAL_OK && sum.i == 1) /* from the start again */
        *answer = SHOAL_MISS;
}

/* The value makes way for an object, whether it has expired meanwhile or not: nothing is a reason to refuse that. */
static void set_below(shoal_arena *a, const shoal_namespace *tree)
{
    *answer = replace(a, tree, "key.b.c", "2") == SHOAL_OK ? SHOAL_MISS : SHOAL_OK;
}

/* The same with a draft: what was published below before the topmost turned out to be late is published once more, and is the same. */
static void publish_below(shoal_arena *a, const shoal_namespace *tree)
{
    static const char path[] = "key\xFF" "b\xFF" "c";
    shoal_draft draft;
    shoal_meta meta;
    uint8_t first = 0;
    shoal_put_args args = {.overwrite = true, .ttl = SHOAL_TTL_NEVER};
    *answer = SHOAL_OK;
    if (shoal_draft_begin(a, tree, path, sizeof path - 1, LARGE, &draft, WAIT) != SHOAL_OK)
        return;
    draft.data[0] = 7;
    if (shoal_draft_publish(a, tree, path, sizeof path - 1, &draft, &args, NULL, WAIT) == SHOAL_OK &&
        shoal_peek(a, tree, path, sizeof path - 1, &first, 0, 1, &meta, WAIT) == SHOAL_OK && meta.size == LARGE && first == 7)
        *answer = SHOAL_MISS;
    shoal_unpin(a, &draft.pin);
}

static void wait_until(int64_t when)
{
    for (int64_t now; (now = os_mono_ns()) < when;)
        nanosleep(&(struct timespec){0, when - now}, NULL);
}

static unsigned steps_of(shoal_arena *a, const shoal_namespace *ns, void (*act)(shoal_arena *, const shoal_namespace *))
{
    unsigned steps = 0;
    CHECK_STATUS(put_ttl(a, ns, "key", "\1", 60 * SECOND), SHOAL_OK);
    pid_t pid = child_before(a, ns, act);
    int64_t begun = os_mono_ns();
    if (begin_steps(pid))
        while (step(pid) == 1)
            steps++;
    end_steps(pid);
    ttl = os_mono_ns() - begun;
    return steps;
}

/* Whether a reader saw the entry gone while the write was stopped there. *in_time: it got there before that. */
static bool stopped_at(shoal_arena *a, const shoal_namespace *ns, void (*act)(shoal_arena *, const shoal_namespace *), unsigned place,
                       bool *in_time)
{
    uint8_t byte;
    shoal_meta meta;
    bool gone = false, returned = false;
    int status, on = 1;
    pid_t pid = child_before(a, ns, act);
    if (begin_steps(pid)) {
        CHECK_STATUS(put_ttl(a, ns, "key", "\1", ttl), SHOAL_OK);
        int64_t expired = os_mono_ns() + ttl;
        for (unsigned i = 0; i < place && on == 1; i++)
            on = step(pid);
        *in_time = on != 1 || os_mono_ns() < expired;
        if (on == 1 && *in_time) {
            wait_until(expired);
            gone = shoal_get(a, ns, "key", 3, &byte, 0, 1, &meta, 0) == SHOAL_MISS;
            returned = ptrace(PTRACE_CONT, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid && WIFSTOPPED(status);
            CHECK(returned);
        }
        if (gone && *answer == SHOAL_OK)
            check_fail(__FILE__, __LINE__, "stopped after %u instructions: gone for a reader, there for the writer after it", place);
    }
    if (returned)
        end_returned(pid);
    else
        end_steps(pid);
    return gone;
}

static void stopped_everywhere(void (*act)(shoal_arena *, const shoal_namespace *))
{
    shoal_arena *a = arena_new("late", MIB);
    bool way = act == set_below || act == publish_below; /* two of a kind: each at every other place */
    shoal_namespace ns = way ? tree_of(a) : ns_default(a);
    unsigned steps = steps_of(a, &ns, act), seen = 0;
    int64_t to_the_end = ttl;
    for (unsigned i = 1 + way; i < PLACES && steps; i += 1 + way) {
        bool in_time = true;
        ttl = to_the_end * i / PLACES + 10 * MILLISECOND;
        do { /* on a busy machine it may take any time to get there */
            ttl += in_time ? 0 : ttl;
            del(a, &ns, "key");
            seen += stopped_at(a, &ns, act, steps * i / PLACES, &in_time);
        } while (!in_time && ttl < 20 * SECOND);
    }
    CHECK(seen > (way ? 0u : 2u) || steps == 0);
    ARENA_END(a);
}

static void touching_late(void) { stopped_everywhere(touch); }
static void replacing_late(void) { stopped_everywhere(renew); }
static void comparing_and_setting_late(void) { stopped_everywhere(compare_and_set); }
static void swapping_late(void) { stopped_everywhere(swap); }
static void counting_late(void) { stopped_everywhere(incr); }
static void setting_below_late(void) { stopped_everywhere(set_below); }
static void publishing_below_late(void) { stopped_everywhere(publish_below); }

static int tests(void)
{
    answer = mmap(NULL, sizeof *answer, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    RUN(touching_late);
    RUN(replacing_late);
    RUN(comparing_and_setting_late);
    RUN(swapping_late);
    RUN(counting_late);
    RUN(setting_below_late);
    RUN(publishing_below_late);
    return check_report();
}

int main(int argc, char **argv) { return death_main(argc, argv, tests); }
#endif
