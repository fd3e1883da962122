/* One wrong word. Random damage seldom makes just that one; here each is made by name, and what calls must answer stands beside it: an
 * error, or as if nothing had been where the word does not concern them. All of it in sound arenas, a new one for each. */
#include "words.h"

/* table */
HARM(no_harm, (void)w)
HARM(slot_outside, *slot_of(w, KEY) |= REF_MASK)
HARM(slot_to_value_outside, set_link(slot_of(w, KEY), forged_key(w, 0, 500)))
HARM(slot_to_key_outside, set_link(slot_of(w, KEY), forged(w, BLOCK_EXPIRES | BLOCK_CREATED, 0, (uint32_t)strlen(KEY), 0, 48)))
HARM(slot_of_another_tag, uint64_t word = *slot_of(w, KEY), other = *slot_of(w, "k6"); bucket *b = chain_of(w, KEY);
     memset(b->slots, 0, sizeof b->slots); b->slots[0] = (other & ((1ull << TAG_SHIFT) - 1)) | (word & ~((1ull << TAG_SHIFT) - 1));
     b->slots[1] = word)
HARM(slot_of_another_long_tag, CHECK_STATUS(put_size(w->a, &w->keys, LONG_KEY "1", 5), SHOAL_OK);
     CHECK_STATUS(put_size(w->a, &w->keys, "1" LONG_KEY, 5), SHOAL_OK);
     uint64_t word = *slot_of(w, LONG_KEY "1"), other = *slot_of(w, "1" LONG_KEY); bucket *b = chain_of(w, LONG_KEY "1");
     memset(b->slots, 0, sizeof b->slots); b->slots[0] = (other & ((1ull << TAG_SHIFT) - 1)) | (word & ~((1ull << TAG_SHIFT) - 1));
     b->slots[1] = word)
HARM(chain_outside, bucket *b = chain_of(w, KEY); memset(b->slots, 0, sizeof b->slots); b->word |= OVERFLOW_MASK)
HARM(chain_in_a_circle, bucket *b = chain_of(w, KEY); uint64_t other = *slot_of(w, KEY) ^ 1ull << 63;
     for (unsigned i = 0; i < BUCKET_SLOTS; i++) b->slots[i] = other;
     b->word = (b->word & ~OVERFLOW_MASK) | (uint64_t)((uint8_t *)b - w->a->base) >> 6)
HARM(chain_of_all_in_circles, for (uint64_t i = 0; i < w->sh->nbuckets; i++) { bucket *b = bucket_at(w->a, w->sh, i);
     b->word = (b->word & ~OVERFLOW_MASK) | (uint64_t)((uint8_t *)b - w->a->base) >> 6; })
HARM(no_directory, w->sh->directory[0] = 0)
HARM(directory_outside, w->sh->directory[0] = UINT32_MAX)
HARM(no_segment, *(uint32_t *)page_at(w->a, w->sh->directory[0] - 1) = 0)
HARM(segment_outside, *(uint32_t *)page_at(w->a, w->sh->directory[0] - 1) = UINT32_MAX - 8)
HARM(two_segments_are_one, uint32_t *words = (uint32_t *)page_at(w->a, w->sh->directory[0] - 1); words[1] = words[0])
HARM(too_many_buckets, w->sh->nbuckets = BUCKETS_MAX + 1)
HARM(no_buckets, w->sh->nbuckets = 0)
HARM(tree_slot_to_no_field, place p = place_of(w, &w->tree, names("a.x")); entry_set_flags(p.b, p.e.flags | BLOCK_OBJECT))
/* lists */
HARM(list_outside, head_of_keys(w)->newest = REF_MASK)
HARM(list_of_a_key_outside, head_of_keys(w)->newest = forged(w, 0, 0, 5000, 0, 32))
HARM(list_of_another, set_link(&block_of(w, KEY)->next, place_of(w, &w->tree, "a").ref))
HARM(list_in_a_circle, circle(head_of_keys(w), w->sh); set_link(&block_of(w, KEY)->next, place_of(w, &w->keys, KEY).ref))
HARM(list_of_long_keys_in_a_circle, static char key[60000]; memset(key, 'k', sizeof key);
     shoal_put_args args = {.head = "", .head_size = 0};
     CHECK_STATUS(shoal_put(w->a, &w->keys, key, sizeof key, &args, NULL, WAIT), SHOAL_OK);
     set_link(&block_at(w->a, head_of_keys(w)->newest)->next, head_of_keys(w)->newest); circle(head_of_keys(w), w->sh))
HARM(neighbours_outside, block *b = block_of(w, KEY); b->next |= REF_MASK; b->prev |= REF_MASK)
HARM(oldest_outside, head_of_keys(w)->oldest = REF_MASK)
HARM(oldest_of_none, head_of_keys(w)->oldest = head_of(w->a, w->limited.id, 0)->oldest)
HARM(oldest_that_the_table_does_not_hold, uint64_t ref = head_of_keys(w)->oldest; *slot_of(w, "k0") = 0; head_of_keys(w)->oldest = ref)
HARM(cursor_outside, head_of_keys(w)->due = 1; head_of_keys(w)->oldest = REF_MASK)
HARM(hand_outside, head_of(w->a, w->limited.id, 0)->hand = REF_MASK)
HARM(hand_in_another, head_of(w->a, w->limited.id, 0)->hand = place_of(w, &w->keys, KEY).ref)
/* fields */
HARM(first_outside, *first_of(w, "a") = REF_MASK)
HARM(first_of_another, *first_of(w, "a") = place_of(w, &w->keys, KEY).ref)
HARM(next_outside, links_of(w, "a.x")->next = REF_MASK)
HARM(fields_in_a_circle, w->sh->entries = 1ull << 40; links_of(w, "a.x")->next = ref_of_field(w, "a.x"))
HARM(long_fields_in_a_circle, static char key[60000]; memset(key, 'f', sizeof key); memcpy(key, "a\xFF", 2);
     shoal_put_args args = {.head = "", .head_size = 0};
     CHECK_STATUS(shoal_put(w->a, &w->tree, key, sizeof key, &args, NULL, WAIT), SHOAL_OK);
     uint64_t ref = *first_of(w, "a"); block *b = block_at(w->a, ref); entry_links(b, entry_load(b).flags)->next = ref;
     w->sh->entries = 1ull << 40)
HARM(previous_outside, links_of(w, "a.x")->previous = REF_MASK)
HARM(previous_of_no_object, links_of(w, "a.x")->previous = FIELD_FIRST | ref_of_field(w, "a.timed"))
HARM(previous_is_no_field, links_of(w, "a.x")->previous = place_of(w, &w->keys, KEY).ref)
HARM(root_is_no_object, lookup key = root_lookup(w->a, &w->tree, 0); place p = {0}; CHECK_STATUS(table_find(w->a, &key, &p), SHOAL_OK);
     entry_set_flags(p.b, p.e.flags & ~BLOCK_OBJECT))
HARM(root_is_no_field, lookup key = root_lookup(w->a, &w->tree, 0); place p = {0}; CHECK_STATUS(table_find(w->a, &key, &p), SHOAL_OK);
     p.b->size |= 1ull << 31)
HARM(top_in_a_circle, lookup key = root_lookup(w->a, &w->tree, 0); place p = {0}; CHECK_STATUS(table_find(w->a, &key, &p), SHOAL_OK);
     links_of(w, "a")->next = ref_of_field(w, "a"); w->sh->entries = 3; w->sh->version = 1)
HARM(top_of_another, lookup key = root_lookup(w->a, &w->tree, 0); place p = {0}; CHECK_STATUS(table_find(w->a, &key, &p), SHOAL_OK);
     *object_first(p.b, p.e.flags, p.e.key_size) = place_of(w, &w->keys, KEY).ref)
HARM(grave_outside, w->sh->graves = REF_MASK)
HARM(grave_of_no_object, w->sh->graves = place_of(w, &w->keys, KEY).ref)
HARM(grave_of_a_field_outside, CHECK_STATUS(set(w->a, &w->tree, "g.f", "v"), SHOAL_OK); *first_of(w, "g") = REF_MASK;
     w->sh->graves = ref_of_field(w, "g"))
HARM(expired_field_outside, set_link(&field_of(w, "a.timed")->prev, REF_MASK); expire_field(w, "a.timed"))
/* what is being overwritten */
HARM(undo_of_nothing, w->sh->undo = REF_MASK)
HARM(undo_of_another, w->sh->undo = place_of(w, &w->keys, KEY).ref; memset(w->sh->image, 0, sizeof w->sh->image); w->sh->image[0] = 1)
HARM(undo_too_long, w->sh->undo = place_of(w, &w->keys, KEY).ref; memcpy(w->sh->image, block_of(w, KEY), 100); w->sh->image[3] = 600;
     w->sh->lock.word = LOCK_OWNER_MASK; table_begin(chain_of(w, KEY)))
HARM(undo_of_another_key, w->sh->undo = place_of(w, &w->keys, KEY).ref; memcpy(w->sh->image, block_of(w, "k6"), 100);
     w->sh->lock.word = LOCK_OWNER_MASK; table_begin(chain_of(w, KEY)))
HARM(undo_of_a_longer_key, w->sh->undo = place_of(w, &w->keys, KEY).ref; memcpy(w->sh->image, block_of(w, "k17"), 100);
     w->sh->lock.word = LOCK_OWNER_MASK; table_begin(chain_of(w, KEY)))
HARM(undo_of_a_field, w->sh->undo = place_of(w, &w->keys, KEY).ref; memcpy(w->sh->image, block_of(w, KEY), 100);
     entry_set_flags((block *)w->sh->image, BLOCK_FIELD); w->sh->image[4] = 7; w->sh->lock.word = LOCK_OWNER_MASK;
     table_begin(chain_of(w, KEY)))
HARM(undo_of_another_namespace, w->sh->undo = place_of(w, &w->keys, KEY).ref; memcpy(w->sh->image, block_of(w, KEY), 100);
     w->sh->image[0] |= 5ull << 40; w->sh->lock.word = LOCK_OWNER_MASK; table_begin(chain_of(w, KEY)))
HARM(abandoned_slot_outside, slot_outside(w); w->sh->lock.word = LOCK_OWNER_MASK; table_begin(chain_of(w, "k7"));
     table_begin(bucket_at(w->a, w->sh, 0)))
/* blocks */
HARM(free_block_outside, w->sh->classes[class_of(entry_bytes(0, 3, 50))].free = REF_MASK)
HARM(free_block_at_the_end, slab_class *c = &w->sh->classes[class_of(entry_bytes(0, 3, 50))]; c->free = forged(w, 0, 0, 1, 1, 32);
     c->free_count = 1)
HARM(free_blocks_of_none, slab_class *c = &w->sh->classes[class_of(entry_bytes(0, 3, 50))]; c->free = place_of(w, &w->keys, KEY).ref;
     c->free_count = 0)
HARM(newest_run_outside, slab_class *c = &w->sh->classes[class_of(entry_bytes(0, 3, 50))]; c->free = 0; c->bump = ~15ull; c->bump_left = 3)
HARM(odd_overflow_block, slab_class *c = &w->sh->classes[class_of(sizeof(bucket))]; c->free = place_of(w, &w->keys, KEY).ref | 1;
     c->free_count = 5)
HARM(trim_link_outside, before_a_trim(w); block_at(w->a, trimmed(w)->free)->next = REF_MASK)
HARM(trim_link_to_another_class, before_a_trim(w); block_at(w->a, trimmed(w)->free)->next = place_of(w, &w->keys, "k9").ref)
HARM(trim_page_far_inside, before_a_trim(w); uint64_t page = page_of(w->a, trimmed(w)->free << REF_SHIFT);
     for (uint64_t i = 0; i < 4;
     i++) if (page_kind(w->a->map[page + i].state) == PAGE_INSIDE) w->a->map[page + i].state = page_state(PAGE_INSIDE, 0, 0, 100000))
HARM(trim_blocks_that_overlap, before_a_trim(w); uint64_t ref = trimmed(w)->free; block *b = block_at(w->a, ref);
     uint64_t next = b->next; b[1].next = next; b[0].next = ref + 2; b[1].prev = 0)
HARM(trim_listed_already, before_a_trim(w); uint64_t state;
     for (uint64_t page = 0; page_walk(w->a, page, w->a->header->frontier, &state) && page + page_length(state) < w->a->header->frontier;
     page += page_length(state))
         if (page_kind(state) == PAGE_SLAB) w->a->map[page].aux |= 1ull << 31)
/* page map */
HARM(used_run_is_free_too, w->a->map[page_of_key(w, "large")].state &= ~0xFFull; w->a->map[page_of_key(w, "large")].state |= PAGE_FREE)
HARM(large_run_is_no_run, w->a->map[page_of_key(w, "large")].state = 0)
HARM(large_run_of_another_shard, w->a->map[page_of_key(w, "large")].state |= 3ull << 16)
HARM(large_run_pinned_by_none, w->a->map[page_of_key(w, "large")].aux = 5)
HARM(large_header_outside, *slot_of(w, "large") = (*slot_of(w, "large") & ~REF_MASK) | REF_MASK)
HARM(large_of_another_namespace, block_of(w, "large")->next |= 7ull << 40)
HARM(large_of_another_key, ((uint8_t *)(block_of(w, "large") + 1))[1] ^= 1)
HARM(large_of_a_field, block *b = block_of(w, "large"); entry_set_flags(b, BLOCK_FIELD); ((uint64_t *)(b + 1))[0] = 9)
HARM(large_too_long, block_of(w, "large")->size |= 0xFFFFFFF0)
HARM(bin_outside, for (unsigned b = 0; b < PAGE_BINS; b++) w->a->header->bins[0][b] = w->a->header->bins[1][b] = UINT32_MAX)
HARM(bin_of_used_runs, for (unsigned b = 0; b < PAGE_BINS;
     b++) w->a->header->bins[0][b] = w->a->header->bins[1][b] = (uint32_t)page_of_key(w, "large") + 1)
HARM(bin_links_outside, w->a->map[hole_of_34(w)].aux |= UINT32_MAX)
HARM(bin_links_back_outside, w->a->map[hole_of_34(w)].aux |= (uint64_t)UINT32_MAX << 32)
HARM(bin_in_a_circle, uint64_t page = hole_of_34(w); w->a->map[page].aux = page + 1)
HARM(free_neighbour_is_bad, uint64_t page = hole_of_34(w); w->a->map[page + page_length(w->a->map[page].state)].state = 0xEE)
HARM(free_run_has_no_head, uint64_t page = hole_of_34(w); w->a->map[page].state = 0)
HARM(tail_of_a_long_run, w->a->map[page_of_key(w, "large") - 1].state = page_state(PAGE_INSIDE, 0, 0, 1u << 30))
HARM(frontier_outside, w->a->header->frontier = w->a->pages + 1)
HARM(frontier_inside, w->a->header->frontier = page_of_key(w, "large"))
HARM(frontier_and_limbo, w->sh->limbo = 1; frontier_outside(w))
HARM(frontier_and_trim, before_a_trim(w); frontier_outside(w))
HARM(large_run_of_no_pages, w->a->map[page_of_key(w, "large")].state &= UINT32_MAX)
HARM(large_run_of_all_pages, w->a->map[page_of_key(w, "large")].state |= 0xFFFFull << 32)
HARM(bins_inside_of_a_run, for (unsigned b = 0; b < PAGE_BINS;
     b++) w->a->header->bins[0][b] = w->a->header->bins[1][b] = (uint32_t)page_of_key(w, "large") + 2)
HARM(hole_behind_another, CHECK_STATUS(put_size(w->a, &w->keys, "front", LARGE), SHOAL_OK); w->a->map[hole_of_34(w)].aux |= UINT32_MAX)
/* graves, and what only calls within the core meet */
HARM(grave_that_is_one, CHECK_STATUS(set(w->a, &w->tree, "g.f", "v"), SHOAL_OK); place p = place_of(w, &w->tree, "g");
     waiting patience = {.wait = WAIT}; CHECK_STATUS(entry_remove(w->a, 0, &p, &patience), SHOAL_OK))
HARM(two_chains_are_one, uint64_t at = (uint64_t)(page_at(w->a, w->a->header->frontier) - w->a->base) - 64; memset(w->a->base + at, 0, 64);
     for (uint64_t i = 0; i < 2; i++) { bucket *b = bucket_at(w->a, w->sh, i); b->word = (b->word & ~OVERFLOW_MASK) | at >> 6; })
HARM(cursor_among_the_timed, head_of(w->a, w->tree.id, 0)->due = NEVER_DUE; head_of(w->a, w->tree.id, 0)->cursor = ref_of_field(w, "a.x"))
HARM(count_of_trim_too_high, before_a_trim(w); trimmed(w)->free_count += 3)
HARM(slab_of_no_class, uint64_t page = page_of_key(w, "k9"), state = w->a->map[page].state;
     w->a->map[page - (page_kind(state) == PAGE_INSIDE ? page_length(state) : 0)].aux = 900)
HARM(segments_256, w->sh->nbuckets = SEGMENT_BUCKETS; directory_outside(w))
HARM(large_that_is_small, block_of(w, "large")->size -= 40000)
HARM(slot_within_a_block, *slot_of(w, "k30") += 1)
HARM(tree_entry_that_is_no_field, entry_set_flags(field_of(w, "a.x"), 0))
/* namespaces */
HARM(limit_below_what_is_there, w->a->records[w->limited.id].max_keys = 2)
HARM(total_of_none, w->a->records[w->limited.id].total = UINT64_MAX - 3)
HARM(record_of_a_dropper_dead_before_it_began, w->a->records[w->limited.id].state = NAMESPACE_DROPPING)
HARM(record_of_a_half_made, w->a->records[w->limited.id].uid = 0)
HARM(record_of_no_kind, w->a->records[w->limited.id].kind = 77)
HARM(grave_of_a_living_object, w->sh->graves = ref_of_field(w, "a"))
HARM(grave_that_is_unsound, w->sh->graves = ref_of_field(w, "a"); field_of(w, "a")->size ^= 1u << 20)
HARM(orphan_of_nobody, uint64_t page = page_of_key(w, "large"); *slot_of(w, "large") = 0; w->a->map[page].aux = PAGE_ORPHAN)
HARM(slot_to_a_field_at_the_end, *slot_of(w, KEY) =
     (*slot_of(w, KEY) & ~REF_MASK) | forged(w, BLOCK_FIELD | BLOCK_EXPIRES | BLOCK_CREATED, w->tree.id, 2, 0, 48))
HARM(undo_past_the_end, w->sh->undo = forged(w, 0, 0, 2, 60, 32); memcpy(w->sh->image, w->a->base + (w->sh->undo << REF_SHIFT), 32))
HARM(oldest_in_a_circle, uint64_t ref = place_of(w, &w->keys, KEY).ref; chain_in_a_circle(w); head_of_keys(w)->oldest = ref)
HARM(all_chains_outside, for (uint64_t i = 0; i < w->sh->nbuckets; i++) bucket_at(w->a, w->sh, i)->word |= OVERFLOW_MASK)
HARM(limit_being_counted, w->a->records[w->limited.id].max_keys = COUNTING)
HARM(limit_being_counted_by_somebody, w->a->records[w->limited.id].max_keys = COUNTING; w->a->records[w->limited.id].total = 99)
HARM(name_too_long, w->a->records[w->limited.id].name_length = SHOAL_NAME_MAX + 1)
HARM(cursors_at_key, head_of_keys(w)->cursor = head_of_keys(w)->hand = place_of(w, &w->keys, KEY).ref)
HARM(uid_gone_while_timed, head_of(w->a, w->limited.id, 0)->due = 1; w->a->records[w->limited.id].uid = 0)
HARM(too_many_namespaces, w->a->header->namespaces_high = NAMESPACE_MAX + 7ull)

static const wrong_word rows[] = {
    /* table */
    {"a slot past the end", slot_outside,
     {{get_key, CORRUPT}, {read_key, CORRUPT}, {put_key, CORRUPT}, {delete_key, CORRUPT}, {read_keys, BUSY}, {get_other, OK},
      {recover, CORRUPT}, {verify, CORRUPT}}},
    {"a value past the end", slot_to_value_outside, {{get_key, CORRUPT}, {read_key, CORRUPT}, {put_key, CORRUPT}, {recover, CORRUPT}}},
    {"a key past the end", slot_to_key_outside, {{get_key, MISS}, {put_key, OK}, {read_keys, BUSY}, {recover, CORRUPT}}},
    {"the tag of another key", slot_of_another_tag, {{get_key, OK}, {put_key, OK}, {verify, CORRUPT}}},
    {"the tag of another long key", slot_of_another_long_tag, {{get_long, OK}, {verify, CORRUPT}}},
    {"a chain past the end", chain_outside,
     {{get_key, CORRUPT}, {read_key, CORRUPT}, {put_key, CORRUPT}, {read_keys, BUSY}, {verify, CORRUPT}, {recover, CORRUPT}}},
    {"a chain in a circle", chain_in_a_circle,
     {{get_key, CORRUPT}, {read_key, CORRUPT}, {put_key, CORRUPT}, {verify, CORRUPT}, {recover, CORRUPT}}},
    {"all chains in circles", chain_of_all_in_circles, {{get_key, OK}, {add_many, CORRUPT}, {read_keys, OK}}},
    {"no directory", no_directory,
     {{get_key, CORRUPT}, {put_key, CORRUPT}, {list_keys, OK}, {read_keys, CORRUPT}, {clear_keys, CORRUPT}, {recover, CORRUPT}}},
    {"a directory past the end", directory_outside, {{get_key, CORRUPT}, {put_key, CORRUPT}, {add_many, CORRUPT}, {recover, CORRUPT}}},
    {"no segment", no_segment, {{get_key, CORRUPT}, {put_key, CORRUPT}, {recover, CORRUPT}}},
    {"a segment past the end", segment_outside, {{get_key, CORRUPT}, {put_key, CORRUPT}, {verify, CORRUPT}, {recover, CORRUPT}}},
    {"one segment twice", two_segments_are_one, {{get_key, OK}, {recover, CORRUPT}}},
    {"too many buckets", too_many_buckets,
     {{get_key, CORRUPT}, {put_key, CORRUPT}, {clear_keys, CORRUPT}, {verify, CORRUPT}, {recover, CORRUPT}}},
    {"no buckets", no_buckets, {{get_key, MISS}, {clear_keys, CORRUPT}, {recover, CORRUPT}, {verify, CORRUPT}}},
    {"a field that is none", tree_slot_to_no_field,
     {{get_field, OK}, {set_x, CORRUPT}, {drop_object, OK}, {verify, CORRUPT}, {recover, CORRUPT}}},
    /* lists */
    {"a list past the end", list_outside,
     {{list_keys, CORRUPT}, {add_key, OK}, {get_key, OK}, {verify, CORRUPT}, {recover, OK}, {list_keys, OK}}},
    {"a listed key past the end", list_of_a_key_outside, {{list_keys, CORRUPT}, {verify, CORRUPT}, {recover, OK}}},
    {"a list into another", list_of_another, {{list_keys, OK}, {verify, CORRUPT}, {recover, OK}}},
    {"a list in a circle", list_in_a_circle, {{list_keys, CORRUPT}, {verify, CORRUPT}, {recover, OK}}},
    {"long keys in a circle", list_of_long_keys_in_a_circle, {{list_keys, CORRUPT}, {recover, OK}, {list_keys, OK}}},
    {"neighbours past the end", neighbours_outside, {{put_bigger, OK}, {delete_key, OK}, {get_other, OK}, {recover, OK}, {verify, OK}}},
    {"neighbours past the end of what is deleted", neighbours_outside, {{delete_key, OK}, {recover, OK}, {verify, OK}}},
    {"the oldest past the end", oldest_outside, {{clear_keys, CORRUPT}, {get_key, OK}, {recover, OK}, {clear_keys, OK}}},
    {"the oldest of another", oldest_of_none, {{clear_keys, CORRUPT}, {recover, OK}, {clear_keys, OK}}},
    {"an oldest that is in no bucket", oldest_that_the_table_does_not_hold, {{clear_keys, CORRUPT}, {recover, OK}, {clear_keys, OK}}},
    {"a cursor past the end", cursor_outside, {{sweep, CORRUPT}, {put_key, CORRUPT}, {recover, OK}, {sweep, OK}}},
    {"a hand past the end", hand_outside, {{add_limited, CORRUPT}, {recover, OK}, {add_limited, OK}}},
    {"a hand in another list", hand_in_another, {{add_limited, CORRUPT}, {recover, OK}, {add_limited, OK}}},
    /* fields */
    {"a first field past the end", first_outside,
     {{list_fields, CORRUPT}, {set_field, OK}, {drop_object, OK}, {sweep, OK}, {verify, CORRUPT}, {recover, OK}, {verify, OK}}},
    {"a first field of another", first_of_another,
     {{list_fields, CORRUPT}, {get_field, OK}, {drop_field, OK}, {verify, CORRUPT}, {recover, OK}, {list_fields, OK}}},
    {"a next field past the end", next_outside, {{list_fields, CORRUPT}, {set_x, OK}, {drop_field, OK}, {recover, OK}, {list_fields, OK}}},
    {"fields in a circle", fields_in_a_circle, {{list_fields, CORRUPT}, {verify, CORRUPT}, {recover, OK}, {list_fields, OK}}},
    {"long fields in a circle", long_fields_in_a_circle, {{list_fields, CORRUPT}, {recover, OK}, {list_fields, OK}}},
    {"a previous field past the end", previous_outside, {{set_x, OK}, {drop_field, OK}, {recover, OK}, {verify, OK}}},
    {"a previous object that is none", previous_of_no_object, {{set_x, OK}, {drop_field, OK}, {recover, OK}, {verify, OK}}},
    {"a previous field that is none", previous_is_no_field, {{drop_field, OK}, {recover, OK}, {verify, OK}}},
    {"a root that is no object", root_is_no_object, {{set_top, OK}, {list_top, OK}, {count_tree, OK}, {verify, CORRUPT}, {recover, OK}}},
    {"a root that is no field", root_is_no_field, {{set_top, CORRUPT}, {list_top, CORRUPT}, {clear_tree, CORRUPT}, {count_tree, OK}}},
    {"top fields in a circle", top_in_a_circle, {{clear_tree, CORRUPT}, {recover, OK}}},
    {"a top field of another", top_of_another, {{clear_tree, CORRUPT}, {list_top, CORRUPT}, {recover, OK}, {clear_tree, OK}}},
    {"a grave past the end", grave_outside, {{verify, CORRUPT}, {put_key, CORRUPT}, {put_key, OK}, {recover, OK}, {verify, OK}}},
    {"a grave of no object", grave_of_no_object, {{verify, CORRUPT}, {sweep, CORRUPT}, {recover, OK}, {verify, OK}}},
    {"a grave with a field past the end", grave_of_a_field_outside, {{count_tree, CORRUPT}, {recover, OK}, {verify, OK}}},
    {"an expired field, and neighbours past the end", expired_field_outside, {{sweep, CORRUPT}, {recover, OK}, {verify, OK}}},
    /* what is being overwritten */
    {"an image of nothing", undo_of_nothing, {{verify, CORRUPT}, {put_key, OK}, {recover, CORRUPT}}},
    {"an image of another block", undo_of_another, {{recover, CORRUPT}, {get_key, OK}}},
    {"an image longer than images are", undo_too_long, {{read_key, CORRUPT}, {recover, CORRUPT}}},
    {"an image of another key", undo_of_another_key, {{read_key, MISS}}},
    {"an image of a longer key", undo_of_a_longer_key, {{read_key, MISS}}},
    {"an image of a field", undo_of_a_field, {{read_key, MISS}}},
    {"an image in another namespace", undo_of_another_namespace, {{read_key, MISS}}},
    {"a slot past the end beside a dead owner's lock", abandoned_slot_outside,
     {{read_key, CORRUPT}, {read_keys, BUSY}, {read_fields, BUSY}, {read_count, BUSY}}},
    /* blocks */
    {"a free block past the end", free_block_outside, {{add_key, CORRUPT}, {add_large, OK}, {recover, OK}, {add_key, OK}}},
    {"a free block at the end", free_block_at_the_end, {{add_key, CORRUPT}, {recover, OK}, {add_key, OK}}},
    {"a free block of none", free_blocks_of_none, {{add_key, CORRUPT}, {recover, OK}, {add_key, OK}}},
    {"a newest run past the end", newest_run_outside, {{add_key, CORRUPT}, {recover, OK}, {add_key, OK}}},
    {"an overflow bucket beside its place", odd_overflow_block, {{add_many, CORRUPT}, {recover, OK}, {add_many, OK}}},
    {"a free list past the end", trim_link_outside, {{trim, OK}, {recover, OK}, {verify, OK}}},
    {"a free list into another class", trim_link_to_another_class, {{trim, OK}, {get_key, OK}, {recover, OK}, {verify, OK}}},
    {"a page far inside of a run", trim_page_far_inside, {{trim, OK}, {recover, CORRUPT}, {verify, CORRUPT}}},
    {"free blocks that overlap", trim_blocks_that_overlap, {{trim, OK}, {recover, OK}, {verify, OK}}},
    {"runs that say they are listed", trim_listed_already, {{trim, OK}, {recover, OK}, {verify, OK}}},
    /* page map */
    {"a large run that is free, too", used_run_is_free_too, {{pin_large, CORRUPT}, {delete_large, OK}, {verify, CORRUPT}, {recover, OK}}},
    {"a large run without a head", large_run_is_no_run,
     {{pin_large, CORRUPT}, {delete_large, OK}, {verify, CORRUPT}, {recover, CORRUPT}, {recover_pages, CORRUPT}}},
    {"a large run of another shard", large_run_of_another_shard,
     {{pin_large, CORRUPT}, {delete_large, OK}, {verify, CORRUPT}, {recover, CORRUPT}}},
    {"a large run with pins of nobody", large_run_pinned_by_none, {{verify, CORRUPT}, {delete_large, OK}, {recover, OK}, {verify, OK}}},
    {"a large header past the end", large_header_outside, {{read_large, CORRUPT}, {pin_large, CORRUPT}, {recover, CORRUPT}}},
    {"a large value of another namespace", large_of_another_namespace, {{read_large, MISS}, {pin_large, MISS}, {recover, CORRUPT}}},
    {"a large value of another key", large_of_another_key, {{read_large, MISS}, {pin_large, MISS}, {verify, CORRUPT}}},
    {"a large value that is a field", large_of_a_field, {{read_large, MISS}, {pin_large, MISS}, {recover, CORRUPT}}},
    {"a large value past the end", large_too_long, {{read_large, BUSY}, {pin_large, CORRUPT}, {recover, CORRUPT}}},
    {"bins past the end", bin_outside, {{add_large, CORRUPT}, {verify, CORRUPT}, {recover_pages, OK}, {verify, OK}}},
    {"bins of used runs", bin_of_used_runs, {{add_large, CORRUPT}, {verify, CORRUPT}, {recover_pages, OK}, {verify, OK}}},
    {"links of bins past the end", bin_links_outside,
     {{add_34_pages, CORRUPT}, {delete_behind, OK}, {recover_pages, OK}, {add_34_pages, OK}}},
    {"links of bins before the beginning", bin_links_back_outside,
     {{delete_behind, OK}, {add_34_pages, CORRUPT}, {recover_pages, OK}, {add_34_pages, OK}}},
    {"a bin in a circle", bin_in_a_circle, {{add_40_pages, OK}, {verify, CORRUPT}}},
    {"a bad run behind a free one", free_neighbour_is_bad,
     {{recover_pages, CORRUPT}, {verify, CORRUPT}, {add_40_pages, OK}, {delete_large, OK}}},
    {"a free run without a head", free_run_has_no_head,
     {{recover_pages, CORRUPT}, {add_40_pages, OK}, {sweep, CORRUPT}, {recover, CORRUPT}}},
    {"a tail of a run that begins before the first", tail_of_a_long_run, {{delete_large, OK}, {get_key, OK}}},
    {"more pages in use than there are", frontier_outside,
     {{get_key, OK}, {put_key, OK}, {add_large, CORRUPT}, {get_other, OK}, {verify, CORRUPT}, {sweep, CORRUPT}, {recover_pages, CORRUPT},
      {recover, CORRUPT}}},
    {"more pages in use than there are, for who frees", frontier_and_limbo, {{add_large, CORRUPT}, {get_other, OK}}},
    {"more pages in use than there are, for who trims", frontier_and_trim, {{trim, CORRUPT}, {get_other, OK}}},
    {"fewer pages in use than there are", frontier_inside,
     {{add_40_pages, CORRUPT}, {get_key, OK}, {read_large, CORRUPT}, {get_other, OK}}},
    {"a large run of no pages", large_run_of_no_pages, {{pin_large, CORRUPT}, {verify, CORRUPT}, {recover, CORRUPT}}},
    {"a large run of all pages", large_run_of_all_pages,
     {{pin_large, CORRUPT}, {verify, CORRUPT}, {recover, CORRUPT}, {recover_pages, CORRUPT}}},
    {"bins inside of a run", bins_inside_of_a_run, {{add_large, CORRUPT}, {verify, CORRUPT}, {recover_pages, OK}, {verify, OK}}},
    {"bins past the end, and something freed", bin_outside, {{delete_large, OK}, {recover_pages, OK}, {verify, OK}}},
    {"a hole with a bad link behind what is freed", hole_behind_another,
     {{delete_front, OK}, {recover_pages, OK}, {add_34_pages, OK}, {verify, OK}}},
    /* within the core */
    {"a grave that is one", grave_that_is_one, {{verify, OK}, {put_key, OK}, {count_tree, OK}, {verify, OK}}},
    {"two chains that are one", two_chains_are_one, {{verify, CORRUPT}, {recover, CORRUPT}}},
    {"a cursor among the timed", cursor_among_the_timed, {{verify, OK}, {sweep, OK}}},
    {"more free blocks than there are", count_of_trim_too_high, {{trim, OK}, {verify, OK}, {recover, OK}}},
    {"a slab of no class", slab_of_no_class, {{verify, CORRUPT}, {recover, CORRUPT}}},
    {"a directory past the end where a segment begins", segments_256, {{grow, OK}, {insert, CORRUPT}}},
    {"no segment where a bucket is split", no_segment, {{grow, OK}, {insert, CORRUPT}}},
    {"all chains in circles where a bucket is split", chain_of_all_in_circles, {{grow, OK}, {insert_full, CORRUPT}}},
    {"a slot of a value that is small, but large", large_that_is_small, {{verify, CORRUPT}, {recover, CORRUPT}}},
    {"a slot into a block", slot_within_a_block, {{recover, CORRUPT}}},
    {"an entry of a tree that is no field", tree_entry_that_is_no_field, {{get_field, MISS}, {clear_tree, OK}, {recover, EITHER}}},
    {"nothing, and a tag of zeros", no_harm, {{find_tag_0, MISS}}},
    {"a grave that lives", grave_of_a_living_object, {{verify, CORRUPT}, {recover, OK}, {verify, OK}}},
    {"a grave that is no sound object", grave_that_is_unsound, {{verify, CORRUPT}, {recover, CORRUPT}}},
    {"an orphan of nobody", orphan_of_nobody, {{verify, CORRUPT}, {recover, OK}, {verify, OK}}},
    {"a slot to a field at the end", slot_to_a_field_at_the_end, {{read_fields, BUSY}, {read_count, BUSY}}},
    {"an image of what is past the end", undo_past_the_end, {{recover, CORRUPT}}},
    {"an oldest in a circle", oldest_in_a_circle, {{clear_keys, CORRUPT}}},
    {"all chains past the end", all_chains_outside, {{grow, OK}, {insert_full, CORRUPT}}},
    /* namespaces */
    {"a limit below what is there", limit_below_what_is_there, {{add_limited, OK}, {verify, OK}}},
    {"a total that no count is", total_of_none, {{add_limited, FULL_KEYS}, {verify, CORRUPT}, {recover, OK}, {verify, OK}}},
    {"a namespace whose dropper died before it began", record_of_a_dropper_dead_before_it_began, {{open_fresh, OK}, {add_limited, OK}}},
    {"a namespace without a uid", record_of_a_half_made, {{add_limited, STALE}, {open_fresh, OK}}},
    {"a namespace of no kind", record_of_no_kind, {{open_fresh, OK}, {recover, CORRUPT}, {verify, CORRUPT}}},
    {"a limit that is being counted", limit_being_counted, {{get_limit, OK}, {set_limit, OK}, {get_limit, OK}, {verify, OK}}},
    {"a limit that is still being counted", limit_being_counted_by_somebody, {{verify, OK}, {add_limited, OK}}},
    {"a name longer than names are", name_too_long, {{list_names, OK}, {open_fresh, OK}}},
    {"no damage, but hands at what is replaced", cursors_at_key, {{put_bigger, OK}, {verify, OK}, {delete_key, OK}, {verify, OK}}},
    {"something due where nobody is", uid_gone_while_timed, {{sweep, OK}}},
    {"too many namespaces, for figures", too_many_namespaces, {{whole_stats, OK}, {list_names, OK}, {verify, EITHER}, {sweep, EITHER}}},
    {"too many namespaces", too_many_namespaces, {{get_key, OK}, {put_key, OK}, {recover, CORRUPT}, {open_fresh, OK}}},
};

int main(void) { return words_main(rows, sizeof rows / sizeof *rows); }
