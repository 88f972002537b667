/* SPDX-License-Identifier: Apache-2.0 */
/* hub/list.c - lists of repositories, a page at a time.
 *
 * For:     the listing API and the web's list pages.
 * Owns:    the form of a cursor.
 * Threads: any.
 * Truth:   a page holds only what `who` may read; the cursor says where the last row shown stood
 *          and nothing else, so it gives away nothing and may be forged without harm. */
#include "hub/hub_int.h"

static const struct {
    const char *name;
    store_sort  sort;
} sorts[] = {
    {"", STORE_BY_TRENDING},
    {"trendingScore", STORE_BY_TRENDING},
    {"createdAt", STORE_BY_CREATED},
    {"lastModified", STORE_BY_MODIFIED},
    {"downloads", STORE_BY_DOWNLOADS},
    {"likes", STORE_BY_LIKES},
    {"num_parameters", STORE_BY_PARAMS},
    {"id", STORE_BY_ID},
};

static snug_status parse_sort(snug_slice name, store_sort *out, snug_err *err)
{
    for (size_t i = 0; i < sizeof sorts / sizeof sorts[0]; i++) {
        if (!snug_eq_str(name, sorts[i].name)) continue;
        *out = sorts[i].sort;
        return SNUG_OK;
    }
    return snug_fail(err, SNUG_EINVAL,
                     "\"sort\" must be one of [createdAt, lastModified, downloads, likes, "
                     "trendingScore, num_parameters, id]");
}

/* Hex, since it travels in a URL. Inside: "sort value id" or
 * "sort =key id". */
static snug_slice write_cursor(snug_arena *a, store_sort sort, const store_repo *last)
{
    static const char hex[] = "0123456789abcdef";
    snug_slice        text;
    if (sort == STORE_BY_ID)
        text = snug_arena_printf(a, "%d =%.*s %lld", (int)sort,
                                 SNUG_SLICE(store_repo_key(a, last->ns, last->name)),
                                 (long long)last->id);
    else
        text = snug_arena_printf(a, "%d %lld %lld", (int)sort,
                                 (long long)store_sort_value(sort, last), (long long)last->id);
    char *out = snug_arena_alloc(a, text.len * 2 + 1);
    for (size_t i = 0; i < text.len; i++) {
        out[2 * i] = hex[(unsigned char)text.ptr[i] >> 4];
        out[2 * i + 1] = hex[(unsigned char)text.ptr[i] & 15];
    }
    out[text.len * 2] = '\0';
    return (snug_slice){out, text.len * 2};
}

static bool read_cursor(snug_arena *a, snug_slice cursor, store_list *q)
{
    uint64_t   sort;
    snug_slice part, rest;
    char      *text;

    if (cursor.len % 2 != 0 || cursor.len > 1024) return false;
    text = snug_arena_alloc(a, cursor.len / 2 + 1);
    if (!snug_unhex(cursor, text, cursor.len / 2)) return false;
    rest = (snug_slice){text, cursor.len / 2};
    if (!snug_split(&rest, ' ', &part) || !snug_parse_u64(part, &sort) || sort != (uint64_t)q->sort)
        return false;
    if (!snug_split(&rest, ' ', &part)) return false;
    if (q->sort == STORE_BY_ID) {
        if (part.len < 2 || part.ptr[0] != '=' || !snug_utf8_valid(part)) return false;
        q->after_key = snug_sub(part, 1, part.len);
        if (memchr(part.ptr, '\0', part.len) != NULL) return false;
    } else if (!snug_parse_i64(part, &q->after_value)) {
        return false;
    }
    q->has_after =
        snug_parse_i64(rest, &q->after_id) && q->after_id >= 0 && q->after_id <= INT32_MAX;
    return q->has_after;
}

/* Text from outside that is only compared: no NUL, valid UTF-8, not long. */
static bool plain(snug_slice s, size_t max)
{
    return s.len <= max && snug_utf8_valid(s) && (s.len == 0 || memchr(s.ptr, '\0', s.len) == NULL);
}

static snug_status check_query(const hub_list_query *q, snug_err *err)
{
    if (q->limit < 1 || q->limit > HUB_LIST_MAX)
        return snug_fail(err, SNUG_EINVAL, "\"limit\" must be 1 to %d", HUB_LIST_MAX);
    _Static_assert((int)HUB_FILTERS_MAX == (int)STORE_FILTERS_MAX, "one limit");
    if (q->filter_count > HUB_FILTERS_MAX)
        return snug_fail(err, SNUG_EINVAL, "at most %d filters at a time", HUB_FILTERS_MAX);
    for (size_t i = 0; i < q->filter_count; i++) {
        if (q->filters[i].len == 0 || !plain(q->filters[i], HUB_TAG_MAX))
            return snug_fail(err, SNUG_EINVAL, "a filter has 1 to %d bytes of text", HUB_TAG_MAX);
    }
    if (!plain(q->author, HUB_NAME_MAX) || !plain(q->search, HUB_SEARCH_MAX))
        return snug_fail(err, SNUG_EINVAL, "\"author\" or \"search\" is too long or not text");
    return SNUG_OK;
}

snug_slice hub_any_of(snug_arena *a, const char *const *tags, size_t n)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(HUB_TAG_MAX);
    for (size_t i = 0; i < n; i++) {
        if (i > 0) snug_buf_putc(&b, STORE_ANY_OF);
        snug_buf_put_slice(&b, snug_str(tags[i]));
    }
    SNUG_ASSERT(!b.full);
    return snug_arena_dup(a, snug_buf_slice(&b));
}

snug_status hub_list_repos(hub *h, const hub_actor *who, const hub_list_query *q, snug_arena *a,
                           hub_repo_info **out, size_t *count, snug_slice *next, snug_err *err)
{
    snug_status st = SNUG_OK;
    db_txn     *tx = NULL;
    store_repo *rows;
    bool        more;
    snug_slice  cursor = q->cursor; /* a walk may pass &q->cursor as next */
    store_list  list = {.type = (int)q->type,
                        .sees = hub_sees(who),
                        .me = hub_own_ns(who),
                        .author = q->author,
                        .search = q->search,
                        .with_text = true,
                        .gate = (store_gate)q->gate,
                        .params_min = q->params_min,
                        .params_max = q->params_max,
                        .filters = q->filters,
                        .filter_count = q->filter_count,
                        .limit = q->limit};

    *count = 0;
    *next = SNUG_EMPTY;
    SNUG_TRY(check_query(q, err));
    SNUG_TRY(parse_sort(q->sort, &list.sort, err));
    if (cursor.len > 0 && !read_cursor(a, cursor, &list))
        SNUG_FAIL(err, SNUG_EINVAL, "\"cursor\" does not belong to this list");
    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_list_repos(tx, a, &list, &rows, count, &more, err));
    *out = snug_arena_array_try(a, *count + 1, sizeof **out);
    if (*out == NULL) SNUG_FAIL(err, SNUG_ENOMEM, "out of memory");
    for (size_t i = 0; i < *count; i++) hub_info_of_row(&rows[i], &(*out)[i]);
    if (more) *next = write_cursor(a, list.sort, &rows[*count - 1]);
done:
    db_rollback(tx);
    if (st != SNUG_OK) *count = 0;
    return st;
}
