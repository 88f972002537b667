/* SPDX-License-Identifier: Apache-2.0 */
/* tok/window.c - truncation into windows, and padding.
 *
 * For:     tok.c and callers that batch.
 * Threads: pure over the caller's storage. */
#include <stdlib.h>

#include "tok/tok_int.h"

/* ---- results ---- */

void tok_ids_deinit(tok_ids *t)
{
    free(t->ids); /* one block holds all eight arrays */
    free(t->text_ends);
    snug_buf_deinit(&t->texts);
    *t = (tok_ids){0};
}

snug_slice tok_ids_text(const tok_ids *t, size_t index)
{
    SNUG_ASSERT(index < t->count && t->text_ends != NULL);
    size_t from = index > 0 ? t->text_ends[index - 1] : 0;
    return snug_sub(snug_buf_slice(&t->texts), from, t->text_ends[index] - from);
}

/* The arrays lie one behind the other, the five of words first. */
static void place(tok_ids *t, void *block, size_t cap)
{
    t->ids = block;
    t->type_ids = t->ids + cap;
    t->begin = t->type_ids + cap;
    t->end = t->begin + cap;
    t->word = t->end + cap;
    t->special = (uint8_t *)(t->word + cap);
    t->attention = t->special + cap;
    t->sequence = t->attention + cap;
    t->cap = cap;
}

snug_status tok_ids_reserve(tok_ids *t, size_t n, snug_err *err)
{
    if (n <= t->cap && t->ids != NULL) return SNUG_OK;
    size_t  cap = n < 32 ? 32 : n + n / 4;
    tok_ids old = *t; /* the texts stay where they are */
    void   *block = snug_alloc_try(cap * (5 * sizeof(uint32_t) + 3)); /* n is bounded by a text */
    if (block == NULL) return snug_fail(err, SNUG_ENOMEM, "no memory for %zu tokens", n);
    place(t, block, cap);
    if (old.ids != NULL && old.type_ids != NULL && old.count > 0) {
        memcpy(t->ids, old.ids, old.count * sizeof *t->ids);
        memcpy(t->type_ids, old.type_ids, old.count * sizeof *t->ids);
        memcpy(t->begin, old.begin, old.count * sizeof *t->ids);
        memcpy(t->end, old.end, old.count * sizeof *t->ids);
        memcpy(t->word, old.word, old.count * sizeof *t->ids);
        memcpy(t->special, old.special, old.count);
        memcpy(t->sequence, old.sequence, old.count);
        memcpy(t->attention, old.attention, old.count);
    }
    free(old.ids);
    return SNUG_OK;
}

void tok_windows_deinit(tok_windows *w)
{
    for (size_t i = 0; i < w->cap; i++) tok_ids_deinit(&w->items[i]);
    free(w->items);
    *w = (tok_windows){0};
}

/* ---- windows ---- */

/* From the right end of the text when `left`: that end is what stays. */
static size_t cut_windows(size_t n, size_t length_max, size_t step, bool left, tok_window *out)
{
    size_t count = 0;
    for (size_t from = 0; from < n; from += step) {
        size_t     to = n - from < length_max ? n : from + length_max;
        tok_window w = left ? (tok_window){n - to, n - from} : (tok_window){from, to};
        if (out != NULL) out[count] = w;
        count++;
        if (to == n) break;
    }
    return count;
}

snug_status tok_window_list(size_t n, size_t length_max, uint32_t stride, bool left,
                            tok_window **out, size_t *count, snug_err *err)
{
    size_t cut = 1;
    if (n > length_max && length_max > 0) {
        if (stride >= length_max) {
            return snug_fail(err, SNUG_EINVAL,
                             "a stride of %u leaves nothing of windows of %zu tokens", stride,
                             length_max);
        }
        cut = cut_windows(n, length_max, length_max - stride, left, NULL);
    } else if (n > length_max) {
        cut = 2; /* nothing, and then all of it */
    }
    if (cut > TOK_WINDOWS_MAX) {
        return snug_fail(err, SNUG_ELIMIT, "text of %zu tokens makes more than %d windows", n,
                         TOK_WINDOWS_MAX);
    }
    tok_window *list = snug_alloc(cut * sizeof *list); /* bounded just now */
    list[0] = (tok_window){0, n};
    if (n > length_max && length_max > 0) {
        (void)cut_windows(n, length_max, length_max - stride, left, list);
    } else if (n > length_max) {
        list[0] = (tok_window){0, 0};
        list[1] = (tok_window){0, n};
    }
    *out = list;
    *count = cut;
    return SNUG_OK;
}

/* ---- padding ---- */

static snug_status pad_one(const tok_padding *p, tok_ids *t, size_t length, snug_err *err)
{
    if (t->count >= length) return SNUG_OK;
    snug_status st = tok_ids_reserve(t, length, err);
    if (st != SNUG_OK) return st;
    size_t more = length - t->count, at = p->left ? 0 : t->count;
    if (p->left && t->count > 0) {
        memmove(t->ids + more, t->ids, t->count * sizeof *t->ids);
        memmove(t->type_ids + more, t->type_ids, t->count * sizeof *t->ids);
        memmove(t->begin + more, t->begin, t->count * sizeof *t->ids);
        memmove(t->end + more, t->end, t->count * sizeof *t->ids);
        memmove(t->word + more, t->word, t->count * sizeof *t->ids);
        memmove(t->sequence + more, t->sequence, t->count);
        memmove(t->special + more, t->special, t->count);
        memmove(t->attention + more, t->attention, t->count);
    }
    for (size_t i = at; i < at + more; i++) {
        t->ids[i] = p->id;
        t->type_ids[i] = p->type_id;
        t->begin[i] = t->end[i] = 0;
        t->word[i] = TOK_NO_WORD;
        t->sequence[i] = (uint8_t)TOK_NO_TEXT;
        t->special[i] = 1;
        t->attention[i] = 0;
    }
    t->count = length;
    return SNUG_OK;
}

snug_status tok_pad(const tok_padding *p, tok_ids *batch, size_t n, snug_err *err)
{
    size_t length = p->fixed;
    for (size_t i = 0; p->fixed == 0 && i < n; i++)
        length = batch[i].count > length ? batch[i].count : length;
    if (p->multiple > 1 && length % p->multiple != 0) length += p->multiple - length % p->multiple;
    if (length > TOK_TEXT_MAX) {
        return snug_fail(err, SNUG_ELIMIT, "padding to %zu tokens is more than the limit of %d",
                         length, TOK_TEXT_MAX);
    }
    for (size_t i = 0; i < n; i++) {
        snug_status st = pad_one(p, &batch[i], length, err);
        if (st != SNUG_OK) return st;
    }
    return SNUG_OK;
}
