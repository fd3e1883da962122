/* Trees under random operations against a plain model, and the runs of processes. */
#include "paths.h"
#include "process.h"
#include "tree.h"

#define NAMES 4u
#define DEEP 4u
typedef struct node { /* a complete tree of NAMES^DEEP paths */
    enum { NONE, VALUE, OBJECT } what;
    unsigned value;
} node;
#define NODES (4u + 16u + 64u + 256u)

static unsigned child_of(unsigned i, unsigned name) { return (i + 1) * NAMES + name; } /* the top has 0 .. NAMES - 1 */

static void path_text(unsigned i, char *out)
{
    char parts[DEEP];
    int n = 0;
    for (unsigned at = i;; at = at / NAMES - 1) {
        parts[n++] = (char)('a' + at % NAMES);
        if (at < NAMES)
            break;
    }
    for (int k = 0; k < n; k++) {
        out[2 * k] = parts[n - 1 - k];
        out[2 * k + 1] = k == n - 1 ? '\0' : '.';
    }
}

static void forget(node *nodes, unsigned i)
{
    nodes[i].what = NONE;
    for (unsigned name = 0; name < NAMES; name++)
        if (child_of(i, name) < NODES)
            forget(nodes, child_of(i, name));
}

static bool on_the_way(const node *nodes, unsigned i, bool *value)
{
    *value = false;
    for (unsigned at = i; at >= NAMES;) {
        at = at / NAMES - 1;
        *value |= nodes[at].what == VALUE;
    }
    return *value;
}

static void make_parents(node *nodes, unsigned i)
{
    for (unsigned at = i; at >= NAMES;) {
        at = at / NAMES - 1;
        nodes[at].what = OBJECT;
    }
}

static void as_a_model(void)
{
    static node nodes[NODES];
    shoal_arena *a = arena_new("tree", 16 * MIB);
    shoal_namespace tree = tree_of(a), via = tree;
    shoal_base base = {.prefix = 1};
    uint64_t state = 88172645463325252ull;
    char path[16], text[16], expected[64];
    for (unsigned i = 0; i < 60000; i++) {
        unsigned n = (unsigned)(random_next(&state) % NODES), what = (unsigned)(random_next(&state) % 16);
        bool value, overwrite = random_next(&state) % 4 == 0;
        path_text(n, path);
        on_the_way(nodes, n, &value);
        snprintf(text, sizeof text, "%u", i);
        via.base = path[0] == 'a' && path[1] ? &base : NULL; /* one object is reached through a cache */
        if (what < 8) {
            shoal_status wanted = overwrite ? SHOAL_OK : value ? SHOAL_NOT_OBJECT : nodes[n].what == OBJECT ? SHOAL_IS_OBJECT : SHOAL_OK;
            CHECK_STATUS((overwrite ? replace : set)(a, &via, path, text), wanted);
            if (wanted == SHOAL_OK) {
                make_parents(nodes, n);
                forget(nodes, n);
                nodes[n] = (node){VALUE, i};
            }
        } else if (what < 10) {
            shoal_status wanted = (value || nodes[n].what == VALUE) && !overwrite ? SHOAL_NOT_OBJECT : SHOAL_OK;
            CHECK_STATUS(make(a, &via, path, overwrite), wanted);
            if (wanted == SHOAL_OK) {
                make_parents(nodes, n);
                if (overwrite || nodes[n].what != OBJECT)
                    forget(nodes, n);
                nodes[n].what = OBJECT;
            }
        } else if (what < 11) {
            CHECK_STATUS(drop(a, &via, path), nodes[n].what == NONE ? SHOAL_MISS : SHOAL_OK);
            forget(nodes, n);
        } else if (what < 15) {
            const char *form = nodes[n].what == OBJECT ? "(object)" : nodes[n].what == NONE ? "(miss)" : "%u";
            snprintf(expected, sizeof expected, form, nodes[n].value);
            CHECK_TEXT(get(a, &via, path), expected);
        } else {
            size_t at = 0;
            expected[0] = '\0';
            for (unsigned name = 0; name < NAMES && nodes[n].what == OBJECT; name++)
                if (child_of(n, name) < NODES && nodes[child_of(n, name)].what != NONE)
                    at += (size_t)snprintf(expected + at, sizeof expected - at, "%s%c%s", at ? " " : "", 'a' + name,
                                           nodes[child_of(n, name)].what == OBJECT ? "/" : "");
            CHECK_TEXT(fields(a, &via, path), nodes[n].what == OBJECT ? expected : "(miss)");
        }
        if (i % 5000 == 0)
            CHECK_SOUND(a);
    }
    ARENA_END(a);
}

/* ---- runs */

static void runs_of_the_dead_go(void)
{
    shoal_arena *a = arena_new("tree", 16 * MIB);
    shoal_namespace home = ns_default(a), runs;
    char path[64];
    uint32_t slot, generation;
    CHECK_STATUS(shoal_runs_open(a, &home, true, &runs, WAIT), SHOAL_OK);
    CHECK_STATUS(shoal_process(a, &slot, &generation), SHOAL_OK);
    CHECK(shoal_process_lives(a, slot, generation));
    CHECK(!shoal_process_lives(a, slot, generation + 1));
    snprintf(path, sizeof path, "%u-%u.1.v", slot, generation);
    CHECK_STATUS(set(a, &runs, path, "mine"), SHOAL_OK);
    for (int leave = 0; leave < 2; leave++) {
        pid_t pid = fork_child();
        if (pid == 0) {
            char theirs[64];
            shoal_after_fork(a);
            shoal_process(a, &slot, &generation);
            for (int i = 0; i < 1000; i++) {
                snprintf(theirs, sizeof theirs, "%u-%u.%d.v", slot, generation, i);
                set(a, &runs, theirs, "theirs");
            }
            if (leave)
                shoal_close(a);
            _exit(0);
        }
        CHECK(child_ok(pid));
        if (!leave) {
            CHECK(count_of(a, &runs) > 2000u);
            if (os_has_claims())
                CHECK_STATUS(shoal_reap(a, WAIT), SHOAL_OK);
            else
                arena_reap(a);
        }
        CHECK_EQ(count_of(a, &runs), 3u);
        CHECK_TEXT(get(a, &runs, path), "mine");
        CHECK_SOUND(a);
    }
    ARENA_END(a);
}

/* Who takes a dead one's slot dies itself, before it has removed its predecessor's runs. */
static void runs_of_the_dead_before_the_dead(void)
{
    shoal_arena *a = arena_new("tree", 16 * MIB);
    shoal_namespace home = ns_default(a), runs;
    uint32_t slot, generation;
    CHECK_STATUS(shoal_runs_open(a, &home, true, &runs, WAIT), SHOAL_OK);
    CHECK_STATUS(shoal_process(a, &slot, &generation), SHOAL_OK);
    pid_t pid = fork_child();
    if (pid == 0) {
        char path[64];
        shoal_after_fork(a);
        shoal_process(a, &slot, &generation);
        snprintf(path, sizeof path, "%u-%u.1.v", slot, generation);
        set(a, &runs, path, "theirs");
        _exit((int)slot);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && (uint32_t)WEXITSTATUS(status) != slot);
    a->slots[WEXITSTATUS(status)].state += 1ull << 32;
    uint64_t before = count_of(a, &runs);
    arena_reap(a);
    CHECK_EQ(count_of(a, &runs), before - 3);
    ARENA_END(a);
}

static int tests(void)
{
    RUN(as_a_model);
    RUN(runs_of_the_dead_go);
    RUN(runs_of_the_dead_before_the_dead);
    return check_report();
}

int main(void) { return fixture_main(tests); }
