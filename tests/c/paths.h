/* What the tests of trees share: paths as people write them. */
#ifndef SHOAL_TESTS_PATHS_H
#define SHOAL_TESTS_PATHS_H

#include "fixture.h"

static inline shoal_namespace tree_of(shoal_arena *a)
{
    shoal_namespace home = ns_default(a), tree;
    CHECK_STATUS(shoal_tree_open(a, &home, true, &tree, WAIT), SHOAL_OK);
    return tree;
}

/* "a.b" as the core writes it. */
static inline const char *names(const char *path)
{
    static char paths[8][4096];
    static unsigned turn;
    char *to = paths[turn++ % 8];
    snprintf(to, sizeof paths[0], "%s", path);
    for (char *p = to; *p; p++)
        if (*p == '.')
            *p = (char)SHOAL_PATH_SEPARATOR;
    return to;
}

static inline shoal_status set(shoal_arena *a, const shoal_namespace *tree, const char *path, const char *text)
{
    return put(a, tree, names(path), text);
}

static inline shoal_status replace(shoal_arena *a, const shoal_namespace *tree, const char *path, const char *text)
{
    shoal_put_args args = {.head = text, .head_size = strlen(text), .ttl = SHOAL_TTL_DEFAULT, .overwrite = true};
    return shoal_put(a, tree, names(path), strlen(path), &args, NULL, WAIT);
}

static inline shoal_status make(shoal_arena *a, const shoal_namespace *tree, const char *path, bool overwrite)
{
    shoal_put_args args = {.object = true, .overwrite = overwrite, .ttl = SHOAL_TTL_DEFAULT};
    return shoal_put(a, tree, names(path), strlen(path), &args, NULL, WAIT);
}

static inline const char *get(shoal_arena *a, const shoal_namespace *tree, const char *path)
{
    shoal_meta meta = {0};
    if (peek(a, tree, names(path), strlen(path), &meta) == SHOAL_OK && meta.object)
        return "(object)";
    return get_text(a, tree, names(path));
}

static inline shoal_status drop(shoal_arena *a, const shoal_namespace *tree, const char *path) { return del(a, tree, names(path)); }

static inline int by_name(const void *x, const void *y) { return strcmp(*(char *const *)x, *(char *const *)y); }

/* The names of an object's fields, sorted, objects with a slash: "a b/ c". */
static inline const char *fields(shoal_arena *a, const shoal_namespace *tree, const char *path)
{
    static char text[8192], found[512][64];
    char *sorted[512];
    size_t n = 0;
    uint32_t shards = *path ? 1 : shoal_shards(a);
    text[0] = '\0';
    for (uint32_t s = 0; s < shards; s++) {
        shoal_bytes out;
        shoal_status status = shoal_fields(a, tree, names(path), strlen(path), s, &out, WAIT);
        if (status == SHOAL_MISS && !*path)
            continue; /* nothing was ever at the top of this shard */
        if (status != SHOAL_OK) {
            snprintf(text, sizeof text, "(%s)", shoal_status_name(status));
            return text;
        }
        for (size_t at = 0; at < out.size && n < 512; n++) {
            uint16_t size;
            memcpy(&size, out.data + at + 1, 2);
            snprintf(found[n], sizeof found[0], "%.*s%s", (int)size, (char *)out.data + at + 3, out.data[at] ? "/" : "");
            at += 3u + size;
        }
        shoal_bytes_free(&out);
    }
    for (size_t i = 0; i < n; i++)
        sorted[i] = found[i];
    qsort(sorted, n, sizeof sorted[0], by_name);
    for (size_t i = 0, at = 0; i < n; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", i ? " " : "", sorted[i]);
    return text;
}

#endif
