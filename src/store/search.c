/* SPDX-License-Identifier: Apache-2.0 */
/* store/search.c - the index behind lists and searches: one document for each live repository.
 *
 *   column  holds                                             answers
 *   facts   one word per fact: type and visibility, owner,    every filter, and who may see it
 *           tag, gate, power of two of the parameters
 *   grams   the id cut into threes, twos and single letters   "is a part of the id"
 *   words   title and tags as words
 *   body    the text of the card
 *
 * A question is one MATCH expression over all of them, so the engine walks lists of row ids that
 * are sorted already, and what a reader may not see is cut away inside the same walk: no count,
 * page or snippet ever touches it.
 *
 * For:     list.c and every writer of a repository's row.
 * Owns:    repo_docs, repo_search, tag_counts.
 * Threads: any; a transaction stays with its thread.
 * Truth:   derived. A writer takes the document out (store_unindex), changes the row, and puts it
 *          back (store_index) in one transaction; a live row without a document is healed at start.
 *
 * The index is SQLite's FTS5; the MATCH texts and schema of this file are what another engine
 * would write anew. */
#include "base/hash.h"
#include "store/store_int.h"

const char store_schema_search[] =
    "ALTER TABLE repos ADD COLUMN params BIGINT NOT NULL DEFAULT 0;"
    "CREATE INDEX repos_by_params ON repos (type, params, id);"
    /* What a list compares, beside each other: a row of `repos` is wide. */
    "CREATE INDEX repos_narrow ON repos (id, state, created_ms, modified_ms, downloads, likes, "
    "trending, params, id_key);"
    "CREATE TABLE repo_docs ("
    " id INTEGER PRIMARY KEY," /* of the repository */
    " is_live INTEGER NOT NULL,"
    " is_open INTEGER NOT NULL,"
    " facts TEXT NOT NULL,"
    " grams TEXT NOT NULL,"
    " words TEXT NOT NULL,"
    " body TEXT NOT NULL);"
    "CREATE VIRTUAL TABLE repo_search USING fts5(facts, grams, words, body, "
    "content='repo_docs', content_rowid='id', tokenize='porter unicode61 remove_diacritics 2');"
    "CREATE TABLE tag_counts ("
    " type INTEGER NOT NULL,"
    " tag TEXT NOT NULL,"
    " count INTEGER NOT NULL," /* of public repositories */
    " PRIMARY KEY (type, tag));"
    "CREATE INDEX tag_counts_by_count ON tag_counts (type, count, tag);"
    "INSERT INTO tag_counts (type, tag, count) SELECT t.type, t.tag, 0 FROM repo_tags t "
    "GROUP BY t.type, t.tag;";

/* ---- words of the index ---- */

/* Sixteen letters no stemmer touches: there is no vowel and no s among them. */
static const char letters[] = "bcdfghjklmnpqrtv";

enum { FACT_BYTES = 7, GRAM = 3 };

static void put_letters(snug_buf *b, const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        snug_buf_putc(b, letters[p[i] >> 4]);
        snug_buf_putc(b, letters[p[i] & 15]);
    }
}

/* A word for a fact of any length: its kind and 56 bits of its hash. */
static void put_fact(snug_buf *b, char kind, int type, snug_slice value)
{
    snug_sha256 h = snug_sha256_of(value);
    snug_buf_putc(b, ' ');
    snug_buf_putc(b, kind);
    snug_buf_putc(b, letters[type]);
    put_letters(b, h.b, FACT_BYTES);
}

/* A word for a small number. */
static void put_small(snug_buf *b, char kind, int type, int value)
{
    unsigned char v[2] = {(unsigned char)type, (unsigned char)value};
    snug_buf_putc(b, ' ');
    snug_buf_putc(b, kind);
    put_letters(b, v, sizeof v);
}

static int log2_of(int64_t n)
{
    int bits = 0;
    while (n > 1) {
        n >>= 1;
        bits++;
    }
    return bits;
}

/* All cuts of `n` letters, in order: what follows each other in the text does so here. Each size
 * begins with a letter of its own. */
static void put_grams(snug_buf *b, snug_slice key, size_t n)
{
    for (size_t i = 0; i + n <= key.len; i++) {
        snug_buf_putc(b, ' ');
        snug_buf_putc(b, letters[n]);
        put_letters(b, (const unsigned char *)key.ptr + i, n);
    }
    snug_buf_put_slice(b, SNUG_LIT(" zz zz")); /* the sizes are not beside each other */
}

static snug_slice done_text(snug_arena *a, snug_buf *b)
{
    snug_slice s = snug_arena_dup(a, snug_buf_slice(b));
    snug_buf_deinit(b);
    return s;
}

/* ---- documents ---- */

typedef struct doc {
    bool       found, is_live, is_open;
    snug_slice words, body;
} doc;

static snug_status load_doc(db_txn *tx, snug_arena *a, int64_t id, doc *out, snug_err *err)
{
    static const db_query q = {"SELECT is_live, is_open, words, body FROM repo_docs WHERE id = $1"};
    db_val                arg = db_int(id);
    const db_val         *c;
    snug_status           st = db_one(tx, a, q, &arg, 1, &c, err);
    *out = (doc){.words = SNUG_LIT(""), .body = SNUG_LIT("")};
    if (st == SNUG_OK && c != NULL) *out = (doc){true, c[0].i != 0, c[1].i != 0, c[2].s, c[3].s};
    return st;
}

static snug_status count_tags(db_txn *tx, int64_t id, int by, snug_err *err)
{
    static const db_query add = {
        "INSERT INTO tag_counts (type, tag, count) SELECT t.type, t.tag, $2 FROM repo_tags t WHERE "
        "t.repo_id = $1 ON CONFLICT (type, tag) DO UPDATE SET count = tag_counts.count + $2"};
    static const db_query drop = {
        "DELETE FROM tag_counts WHERE count <= 0 AND (type, tag) IN (SELECT t.type, t.tag FROM "
        "repo_tags t WHERE t.repo_id = $1)"};
    db_val      args[] = {db_int(id), db_int(by)};
    snug_status st = db_exec(tx, add, args, 2, NULL, err);
    return st == SNUG_OK && by < 0 ? db_exec(tx, drop, args, 1, NULL, err) : st;
}

snug_status store_unindex(db_txn *tx, int64_t id, snug_err *err)
{
    static const db_query out = {
        "INSERT INTO repo_search (repo_search, rowid, facts, grams, words, body) SELECT "
        "'delete', id, facts, grams, words, body FROM repo_docs WHERE id = $1"};
    static const db_query off = {"UPDATE repo_docs SET is_live = 0, is_open = 0 WHERE id = $1"};
    snug_status           st = SNUG_OK;
    snug_arena           *a = snug_arena_new();
    db_val                arg = db_int(id);
    doc                   d;

    SNUG_TRY(load_doc(tx, a, id, &d, err));
    if (d.is_open) SNUG_TRY(count_tags(tx, id, -1, err));
    if (d.is_live) {
        SNUG_TRY(db_exec(tx, out, &arg, 1, NULL, err));
        SNUG_TRY(db_exec(tx, off, &arg, 1, NULL, err));
    }
done:
    snug_arena_free(a);
    return st;
}

snug_status store_drop_doc(db_txn *tx, int64_t id, snug_err *err)
{
    static const db_query q = {"DELETE FROM repo_docs WHERE id = $1"};
    db_val                arg = db_int(id);
    snug_status           st = store_unindex(tx, id, err);
    return st == SNUG_OK ? db_exec(tx, q, &arg, 1, NULL, err) : st;
}

static snug_status read_facts(db_txn *tx, snug_arena *a, const store_repo *r, snug_slice *out,
                              snug_err *err)
{
    static const db_query q = {"SELECT tag FROM repo_tags WHERE repo_id = $1"};
    snug_status           st = SNUG_OK;
    db_rows              *rows = NULL;
    const db_val         *c;
    snug_buf              b = snug_buf_init(1 << 20);
    db_val                arg = db_int(r->id);

    put_small(&b, 'v', r->type, r->visibility);
    put_small(&b, 'g', r->type, r->gated);
    if (r->params > 0) put_small(&b, 'p', r->type, log2_of(r->params));
    put_fact(&b, 'n', r->type, store_lower(a, r->ns));
    SNUG_TRY(db_run(tx, q, &arg, 1, &rows, err));
    for (;;) {
        SNUG_TRY(db_next(rows, &c, err));
        if (c == NULL) break;
        put_fact(&b, 't', r->type, c[0].s);
    }
    SNUG_TRY(snug_buf_check(&b, "the facts", err));
done:
    db_rows_close(rows);
    *out = done_text(a, &b);
    return st;
}

static snug_slice read_grams(snug_arena *a, const store_repo *r)
{
    snug_buf   b = snug_buf_init(64 << 10);
    snug_slice key = store_repo_key(a, r->ns, r->name);
    for (size_t n = GRAM; n > 0; n--) put_grams(&b, key, n);
    return done_text(a, &b);
}

snug_status store_index(db_txn *tx, int64_t id, const store_text_of *text, snug_err *err)
{
    static const db_query put = {
        "INSERT INTO repo_docs (id, is_live, is_open, facts, grams, words, body) VALUES "
        "($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET is_live = $2, is_open = "
        "$3, facts = $4, grams = $5, words = $6, body = $7"};
    static const db_query in = {
        "INSERT INTO repo_search (rowid, facts, grams, words, body) SELECT id, facts, "
        "grams, words, body FROM repo_docs WHERE id = $1"};
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    store_repo  r;
    doc         d;
    bool        found, open;
    snug_slice  facts;

    SNUG_TRY(store_get_repo(tx, a, id, &r, &found, err));
    if (!found || r.state == STORE_DELETING) goto done;
    SNUG_TRY(load_doc(tx, a, id, &d, err));
    SNUG_ASSERT(!d.is_live); /* store_unindex came first */
    if (text != NULL) {
        d.words = text->words;
        d.body = text->body;
    }
    SNUG_TRY(read_facts(tx, a, &r, &facts, err));
    open = r.state == STORE_LIVE && r.visibility == 0;
    db_val args[] = {
        db_int(id),      store_bool(r.state == STORE_LIVE), store_bool(open),
        db_text(facts),  db_text(read_grams(a, &r)),        db_text(d.words),
        db_text(d.body),
    };
    SNUG_TRY(db_exec(tx, put, args, 7, NULL, err));
    if (r.state == STORE_LIVE) SNUG_TRY(db_exec(tx, in, args, 1, NULL, err));
    if (open) SNUG_TRY(count_tags(tx, id, 1, err));
done:
    snug_arena_free(a);
    return st;
}

snug_status store_is_indexed(db_txn *tx, int64_t id, bool *yes, snug_err *err)
{
    static const db_query q = {"SELECT is_live FROM repo_docs WHERE id = $1"};
    db_val                arg = db_int(id);
    int64_t               live = 0;
    snug_status           st = store_number(tx, q, &arg, 1, 0, &live, err);
    *yes = live != 0;
    return st;
}

/* ---- questions ---- */

/* A word as a phrase; the tokenizer makes one or more words of it, or none. */
static void put_quoted(snug_buf *b, snug_slice w)
{
    snug_buf_putc(b, '"');
    for (size_t i = 0; i < w.len; i++) {
        if (w.ptr[i] == '"') snug_buf_putc(b, '"');
        snug_buf_putc(b, w.ptr[i]);
    }
    snug_buf_putc(b, '"');
}

static void put_gram_phrase(snug_buf *b, snug_slice w)
{
    size_t n = w.len < GRAM ? w.len : GRAM;
    snug_buf_putc(b, '"');
    for (size_t i = 0; i + n <= w.len; i++) {
        if (i > 0) snug_buf_putc(b, ' ');
        snug_buf_putc(b, letters[n]);
        put_letters(b, (const unsigned char *)w.ptr + i, n);
    }
    snug_buf_putc(b, '"');
}

static bool may_be_in_id(snug_slice w)
{
    for (size_t i = 0; i < w.len; i++) {
        char c = w.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
              c == '.' || c == '/'))
            return false;
    }
    return w.len > 0;
}

/* Part of the id, or a word of the rest. */
static void put_word(snug_buf *b, snug_slice w, bool with_text)
{
    bool id = may_be_in_id(w);
    snug_buf_putc(b, '(');
    if (id) {
        snug_buf_put_slice(b, SNUG_LIT("grams : "));
        put_gram_phrase(b, w);
    }
    if (with_text || !id) {
        if (id) snug_buf_put_slice(b, SNUG_LIT(" OR "));
        snug_buf_put_slice(b, SNUG_LIT("{words body} : "));
        put_quoted(b, w);
    }
    snug_buf_putc(b, ')');
}

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/* The next word, or what stands between quotation marks. */
static bool next_word(snug_slice *rest, snug_slice *out)
{
    size_t i = 0, end;
    while (i < rest->len && is_space(rest->ptr[i])) i++;
    if (i == rest->len) return false;
    if (rest->ptr[i] == '"') {
        for (end = ++i; end < rest->len && rest->ptr[end] != '"';) end++;
    } else {
        for (end = i; end < rest->len && !is_space(rest->ptr[end]);) end++;
    }
    *out = snug_sub(*rest, i, end - i);
    *rest = end < rest->len ? snug_sub(*rest, end + 1, rest->len) : SNUG_EMPTY;
    return true;
}

static snug_slice read_words(snug_arena *a, const store_list *q, store_match *m)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(64 << 10);
    snug_slice rest = store_lower(a, q->search), w;
    while (m->word_count < STORE_WORDS_MAX && next_word(&rest, &w)) {
        if (w.len == 0) continue;
        if (b.len > 0) snug_buf_put_slice(&b, q->any_word ? SNUG_LIT(" OR ") : SNUG_LIT(" AND "));
        put_word(&b, w, q->with_text);
        m->words[m->word_count++] = w;
    }
    m->any_word = q->any_word;
    m->with_text = q->with_text;
    return snug_arena_dup(a, snug_buf_slice(&b));
}

/* ---- facts of a question: groups, of each of which one is enough ---- */

typedef struct group {
    snug_arena *a;
    snug_buf    text; /* " vbb vbd": each word behind a space */
} group;

static group *new_group(snug_arena *a)
{
    group *g = SNUG_NEW(a, group);
    g->a = a;
    g->text = snug_buf_init(1 << 16);
    return g;
}

static void end_group(group *g, store_match *m)
{
    SNUG_ASSERT(m->group_count < STORE_GROUPS_MAX);
    m->groups[m->group_count++] = done_text(g->a, &g->text);
}

/* What this reader may know of: the first thing every question asks. */
static snug_status ask_eyes(db_txn *tx, snug_arena *a, const store_list *q, store_match *m,
                            snug_err *err)
{
    static const db_query orgs = {
        "SELECT o.name_key FROM orgs o JOIN org_members m ON m.org_id = o.id JOIN users u ON "
        "u.id = m.user_id WHERE u.name_key = $1 ORDER BY o.id LIMIT 1000"};
    snug_status   st = SNUG_OK;
    db_rows      *rows = NULL;
    const db_val *c;
    snug_slice    me = store_lower(a, q->me);
    db_val        arg = db_text(me);
    group        *g = new_group(a);

    put_small(&g->text, 'v', q->type, 0);
    for (int v = 1; v < 3; v++) { /* 1 private, 2 internal */
        if (q->sees >= 2 || (v == 2 && q->sees == 1)) put_small(&g->text, 'v', q->type, v);
    }
    if (q->sees < 2 && me.len > 0) {
        put_fact(&g->text, 'n', q->type, me);
        SNUG_TRY(db_run(tx, orgs, &arg, 1, &rows, err));
        for (;;) {
            SNUG_TRY(db_next(rows, &c, err));
            if (c == NULL) break;
            put_fact(&g->text, 'n', q->type, c[0].s);
        }
    }
    SNUG_TRY(snug_buf_check(&g->text, "what you may see", err));
done:
    db_rows_close(rows);
    end_group(g, m);
    return st;
}

/* The powers of two that may hold the range; exact values are compared afterwards. */
static void ask_params(snug_arena *a, const store_list *q, store_match *m)
{
    group *g = new_group(a);
    int    from = log2_of(q->params_min > 0 ? q->params_min : 1), to = log2_of(q->params_max);
    for (int i = from; i <= to; i++) put_small(&g->text, 'p', q->type, i);
    end_group(g, m);
}

static void ask_facts(snug_arena *a, const store_list *q, store_match *m)
{
    snug_slice one;
    if (q->author.len > 0) {
        group *g = new_group(a);
        put_fact(&g->text, 'n', q->type, store_lower(a, q->author));
        end_group(g, m);
    }
    for (size_t i = 0; i < q->filter_count; i++) {
        group     *g = new_group(a);
        snug_slice rest = q->filters[i];
        while (snug_split(&rest, STORE_ANY_OF, &one))
            put_fact(&g->text, 't', q->type, store_lower(a, one));
        end_group(g, m);
    }
    if (q->gate != STORE_GATE_ANY) {
        group *g = new_group(a);
        if (q->gate == STORE_GATE_OPEN) put_small(&g->text, 'g', q->type, 0);
        if (q->gate == STORE_GATE_GATED) {
            put_small(&g->text, 'g', q->type, 1);
            put_small(&g->text, 'g', q->type, 2);
        }
        end_group(g, m);
    }
    if (q->params_max > 0) ask_params(a, q, m);
}

/* " a b c" as "(a OR b OR c)". */
static void put_group(snug_buf *b, snug_slice words)
{
    snug_slice one, rest = snug_sub(words, 1, words.len);
    snug_buf_putc(b, '(');
    for (bool first = true; snug_split(&rest, ' ', &one); first = false) {
        if (!first) snug_buf_put_slice(b, SNUG_LIT(" OR "));
        snug_buf_put_slice(b, one);
    }
    snug_buf_putc(b, ')');
}

snug_status store_match_of(db_txn *tx, snug_arena *a, const store_list *q, store_match *m,
                           snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_buf    b = snug_buf_init(1 << 20);

    *m = (store_match){.word_count = 0};
    SNUG_TRY(ask_eyes(tx, a, q, m, err));
    ask_facts(a, q, m);
    m->words_text = read_words(a, q, m);
    snug_buf_put_slice(&b, SNUG_LIT("facts : ("));
    for (size_t i = 0; i < m->group_count; i++) {
        if (i > 0) snug_buf_put_slice(&b, SNUG_LIT(" AND "));
        put_group(&b, m->groups[i]);
    }
    snug_buf_putc(&b, ')');
    if (m->word_count > 0) snug_buf_printf(&b, " AND (%.*s)", SNUG_SLICE(m->words_text));
    SNUG_TRY(snug_buf_check(&b, "the search", err));
    m->asks = m->group_count > 1 || m->word_count > 0;
done:
    m->text = done_text(a, &b);
    return st;
}

bool store_match_facts(const store_match *m, snug_slice facts)
{
    for (size_t i = 0; i < m->group_count; i++) {
        snug_slice rest = snug_sub(m->groups[i], 1, m->groups[i].len), one;
        bool       found = false;
        while (!found && snug_split(&rest, ' ', &one)) found = snug_find(facts, one) != SIZE_MAX;
        if (!found) return false;
    }
    return true;
}

store_answer store_match_id(const store_match *m, snug_slice id_key, snug_buf *rest)
{
    size_t found = 0;
    rest->len = 0;
    for (size_t i = 0; i < m->word_count; i++) {
        bool may = may_be_in_id(m->words[i]);
        if (may && snug_find(id_key, m->words[i]) != SIZE_MAX) {
            found++;
            continue;
        }
        if (may && !m->with_text && !m->any_word) return STORE_NO;
        if (may && !m->with_text) continue;
        if (rest->len > 0)
            snug_buf_put_slice(rest, m->any_word ? SNUG_LIT(" OR ") : SNUG_LIT(" AND "));
        snug_buf_put_slice(rest, SNUG_LIT("{words body} : "));
        put_quoted(rest, m->words[i]);
    }
    if (m->any_word && found > 0) return STORE_YES;
    if (rest->len > 0) return STORE_PERHAPS;
    return m->any_word || found < m->word_count ? STORE_NO : STORE_YES;
}

snug_status store_count_matches(db_txn *tx, snug_arena *a, const store_list *q, size_t max,
                                size_t *out, bool *exact, snug_err *err)
{
    static const db_query count = {
        "SELECT COUNT(*) FROM (SELECT rowid FROM repo_search WHERE repo_search MATCH $1 LIMIT $2)"};
    snug_status st = SNUG_OK;
    store_match m;
    int64_t     n = 0;

    SNUG_TRY(store_match_of(tx, a, q, &m, err));
    db_val args[] = {db_text(m.text), db_int((int64_t)max + 1)};
    SNUG_TRY(store_number(tx, count, args, 2, 0, &n, err));
    *exact = (size_t)n <= max;
    *out = *exact ? (size_t)n : max;
done:
    return st;
}

snug_status store_snippet(db_txn *tx, snug_arena *a, int64_t id, snug_slice words, snug_slice *out,
                          snug_err *err)
{
    static const db_query q = {
        "SELECT snippet(repo_search, 3, char(2), char(3), '...', 32) FROM repo_search WHERE "
        "repo_search MATCH $1 AND rowid = $2"};
    static const db_query head = {"SELECT substr(body, 1, 200) FROM repo_docs WHERE id = $1"};
    snug_status           st = SNUG_OK;
    snug_buf              b = snug_buf_init(1 << 16);
    snug_slice            w;
    const db_val         *c = NULL;

    while (next_word(&words, &w)) {
        if (w.len == 0) continue;
        snug_buf_put_slice(&b, b.len > 0 ? SNUG_LIT(" OR body : ") : SNUG_LIT("body : "));
        put_quoted(&b, w);
    }
    SNUG_TRY(snug_buf_check(&b, "the search", err));
    db_val args[] = {db_text(snug_buf_slice(&b)), db_int(id)};
    if (b.len > 0) SNUG_TRY(db_one(tx, a, q, args, 2, &c, err));
    if (c == NULL) SNUG_TRY(db_one(tx, a, head, args + 1, 1, &c, err));
    *out = c == NULL ? SNUG_EMPTY : c[0].s;
done:
    snug_buf_deinit(&b);
    return st;
}

/* ---- upkeep ---- */

snug_status store_merge_index(db_txn *tx, unsigned pages, bool *more, snug_err *err)
{
    /* Merges levels of four segments or more and writes about so many pages; all of it at once
     * ('optimize') would write a large index anew for one changed row. The count of changes grows
     * by two when there was something to do. */
    static const db_query step = {
        "INSERT INTO repo_search (repo_search, rank) VALUES ('merge', $1)"};
    static const db_query changes = {"SELECT total_changes()"};
    snug_status           st = SNUG_OK;
    int64_t               before = 0, after = 0;
    db_val                arg = db_int((int64_t)pages);

    SNUG_TRY(store_number(tx, changes, NULL, 0, 0, &before, err));
    SNUG_TRY(db_exec(tx, step, &arg, 1, NULL, err));
    SNUG_TRY(store_number(tx, changes, NULL, 0, 0, &after, err));
    *more = after - before >= 2;
done:
    return st;
}

/* ---- rows written by tools ---- */

snug_status store_index_rows(db_txn *tx, store_text_fn *text, void *arg, int64_t *after, size_t n,
                             bool *done, snug_err *err)
{
    static const db_query q = {
        "SELECT " STORE_REPO_COLS
        " FROM repos r WHERE r.id > $1 AND r.state = 1 AND NOT EXISTS (SELECT 1 FROM repo_docs d "
        "WHERE d.id = r.id AND d.is_live = 1) ORDER BY r.id LIMIT $2"};
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    store_repo *rows;
    size_t      count = 0;
    db_val      args[] = {db_int(*after), db_int((int64_t)n)};

    SNUG_TRY(store_many_repos(tx, a, q, args, 2, n, &rows, &count, err));
    for (size_t i = 0; i < count; i++) {
        store_text_of t = {SNUG_LIT(""), SNUG_LIT("")};
        text(arg, &rows[i], a, &t);
        SNUG_TRY(store_index(tx, rows[i].id, &t, err));
        *after = rows[i].id;
    }
    *done = count < n;
done:
    snug_arena_free(a);
    return st;
}
