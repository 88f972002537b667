/* SPDX-License-Identifier: Apache-2.0 */
/* tok/decode.c - from ids back to text, at once or as they come.
 *
 * For:     infer/ (streams), the server's detokenize routes.
 * Owns:    a tok_stream and what its stages hold back.
 * Threads: a stream belongs to one thread; the tok may be shared.
 * Truth:   there is one way to decode: tok_decode pushes every id into a stream and ends it, so a
 *          stream cannot give another text than the whole does.
 *
 * The decoders of tokenizer.json turn a list of tokens into a list of texts. Here each is a stage
 * that gets tokens in fragments and passes on what it is sure of:
 *
 *   piece(text)   a part of the current token
 *   end()         the current token is complete
 *   finish()      there are no more
 *
 * A stage that must see a whole token gathers its parts first. */
#include <stdlib.h>

#include "tok/tok_int.h"

typedef struct stage_type stage_type;
typedef struct state      state;

struct tok_stage {
    const stage_type  *type;
    const tok_pattern *pattern;     /* Replace */
    snug_slice         text, other; /* as named by the loader of the type */
    uint32_t           cp;          /* Metaspace, Strip */
    uint32_t           start, stop; /* Strip */
    bool               cleanup, drop_first;
};

struct stage_type {
    const char *name;
    snug_status (*load)(snug_arena *a, snug_json v, tok_stage *s, snug_err *err);
    void (*piece)(state *s, snug_slice text); /* NULL: gather */
    void (*end)(state *s, snug_slice token);  /* token: what was gathered */
    void (*finish)(state *s);                 /* NULL: nothing held back */
};

struct state { /* of one stage in one stream */
    const tok_stage *def;
    tok_stream      *stream;
    size_t           index;
    snug_buf         gathered;
    snug_buf         held; /* what is not certain yet */
    bool             any;  /* a token has come */
    uint32_t         cut;  /* Strip: characters taken off the current token */
};

struct tok_stream {
    const tok  *t;
    bool        skip_special;
    snug_buf   *out;
    snug_status st;
    snug_err   *err;
    tok_work    work; /* for patterns */
    size_t      count;
    state       stages[];
};

/* ---- passing on ---- */

static void send_piece(state *from, snug_slice text);
static void send_end(state *from);

static void take_piece(tok_stream *s, size_t index, snug_slice text)
{
    if (text.len == 0) return;
    if (index == s->count) {
        snug_buf_put_slice(s->out, text);
        return;
    }
    state *to = &s->stages[index];
    if (to->def->type->piece != NULL)
        to->def->type->piece(to, text);
    else
        snug_buf_put_slice(&to->gathered, text);
}

static void take_end(tok_stream *s, size_t index)
{
    if (index == s->count) return;
    state *to = &s->stages[index];
    to->def->type->end(to, snug_buf_slice(&to->gathered));
    snug_buf_clear(&to->gathered);
    to->any = true;
}

static void send_piece(state *from, snug_slice text)
{
    take_piece(from->stream, from->index + 1, text);
}
static void send_end(state *from) { take_end(from->stream, from->index + 1); }

static void send_token(state *from, snug_slice text)
{
    send_piece(from, text);
    send_end(from);
}

/* ---- helpers ---- */

/* `text` with every `what` replaced, into b. */
static void replace_all(snug_buf *b, snug_slice text, snug_slice what, snug_slice with)
{
    for (;;) {
        size_t i = what.len == 0 ? SIZE_MAX : snug_find(text, what);
        if (i == SIZE_MAX) break;
        snug_buf_put_slice(b, snug_sub(text, 0, i));
        snug_buf_put_slice(b, with);
        text = snug_sub(text, i + what.len, text.len);
    }
    snug_buf_put_slice(b, text);
}

/* English punctuation pulled back to the word before it, one rule after the other. */
static void clean_up(snug_buf *b)
{
    static const char *const rules[][2] = {{" .", "."},     {" ?", "?"},           {" !", "!"},
                                           {" ,", ","},     {" ' ", "'"},          {" n't", "n't"},
                                           {" 'm", "'m"},   {" do not", " don't"}, {" 's", "'s"},
                                           {" 've", "'ve"}, {" 're", "'re"}};
    if (b->len == 0 || memchr(b->ptr, ' ', b->len) == NULL) return; /* every rule has a space */
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        snug_buf next = snug_buf_init(b->max);
        replace_all(&next, snug_buf_slice(b), snug_str(rules[i][0]), snug_str(rules[i][1]));
        snug_buf_deinit(b);
        *b = next;
    }
}

static snug_status load_nothing(snug_arena *a, snug_json v, tok_stage *s, snug_err *err)
{
    (void)a, (void)v, (void)s, (void)err;
    return SNUG_OK;
}

/* ---- without a decoder: tokens with a space between ---- */

static void join_end(state *s, snug_slice token)
{
    if (s->any) send_piece(s, SNUG_LIT(" "));
    send_piece(s, token);
}

/* ---- ByteLevel: all tokens make one string of bytes ---- */

/* Length of what stands at p: a character; minus the bytes of a broken one; or 0 when the end comes
 * in the middle of what may become a character. Broken: the longest start of a character counts as
 * one, as in UTF-8's "maximal subpart" practice. */
static int look_at(const unsigned char *p, size_t n)
{
    if (p[0] < 0x80) return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4) return -1;
    int           want = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    unsigned char low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    for (int i = 1; i < want; i++, low = 0x80, high = 0xbf) {
        if ((size_t)i == n) return 0;
        if (p[i] < low || p[i] > high) return -i;
    }
    return want;
}

static void flush_bytes(state *s, bool last)
{
    const unsigned char *p = (const unsigned char *)s->held.ptr;
    size_t               n = s->held.len, at = 0, from = 0;
    if (n == 0) return;
    while (at < n) {
        int len = look_at(p + at, n - at);
        if (len > 0) {
            at += (size_t)len;
            continue;
        }
        if (len == 0 && !last) break;
        send_piece(s, snug_slice_of(p + from, at - from));
        send_piece(s, SNUG_LIT("\xef\xbf\xbd"));
        at += len == 0 ? n - at : (size_t)-len;
        from = at;
    }
    send_piece(s, snug_slice_of(p + from, at - from));
    size_t left = n - at;
    if (left > 0) memmove(s->held.ptr, s->held.ptr + at, left);
    s->held.len = left;
}

static void bytes_end(state *s, snug_slice token)
{
    size_t before = s->held.len;
    for (snug_slice rest = token; rest.len > 0;) {
        int b = tok_cp_to_byte(snug_utf8_next(&rest));
        if (b < 0) { /* not of the byte alphabet: the token is taken as it is */
            s->held.len = before;
            snug_buf_put_slice(&s->held, token);
            break;
        }
        snug_buf_putc(&s->held, (char)b);
    }
    flush_bytes(s, false);
}

static void bytes_finish(state *s)
{
    flush_bytes(s, true);
    send_end(s);
}

/* ---- WordPiece ---- */

static snug_status load_wordpiece(snug_arena *a, snug_json v, tok_stage *s, snug_err *err)
{
    bool        set;
    snug_status st = tok_opt_str(a, v, "prefix", &s->text, &set, err);
    if (!set) s->text = SNUG_LIT("##");
    s->cleanup = snug_json_bool_or(v, "cleanup", true);
    return st;
}

static void wordpiece_end(state *s, snug_slice token)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(TOK_NORMAL_MAX);
    snug_slice prefix = s->def->text;
    if (s->any) {
        if (token.len >= prefix.len && snug_eq(snug_sub(token, 0, prefix.len), prefix)) {
            token = snug_sub(token, prefix.len, token.len);
        } else {
            snug_buf_putc(&b, ' ');
        }
    }
    snug_buf_put_slice(&b, token);
    if (s->def->cleanup) clean_up(&b);
    send_token(s, snug_buf_slice(&b));
}

/* ---- Metaspace ---- */

static snug_status load_metaspace(snug_arena *a, snug_json v, tok_stage *s, snug_err *err)
{
    snug_slice text = snug_json_str_or(v, "replacement", SNUG_LIT("\xe2\x96\x81"));
    snug_slice scheme = snug_json_str_or(v, "prepend_scheme", SNUG_LIT("always"));
    (void)a;
    if (text.len == 0) return snug_fail(err, SNUG_EINVAL, "Metaspace: replacement is empty");
    s->cp = snug_utf8_next(&text);
    s->drop_first = !snug_eq_nocase(scheme, SNUG_LIT("never")) &&
                    snug_json_bool_or(v, "add_prefix_space", true);
    return SNUG_OK;
}

static void metaspace_end(state *s, snug_slice token)
{
    while (token.len > 0) {
        snug_slice before = token;
        if (snug_utf8_next(&token) != s->def->cp)
            send_piece(s, snug_sub(before, 0, before.len - token.len));
        else if (s->any || !s->def->drop_first)
            send_piece(s, SNUG_LIT(" "));
    }
    send_end(s);
}

/* ---- BPEDecoder: the last token is treated differently, so one is held back ---- */

static snug_status load_suffix(snug_arena *a, snug_json v, tok_stage *s, snug_err *err)
{
    bool        set;
    snug_status st = tok_opt_str(a, v, "suffix", &s->text, &set, err);
    if (!set) s->text = SNUG_LIT("</w>");
    return st;
}

static void send_held(state *s, snug_slice suffix_becomes)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(TOK_NORMAL_MAX);
    replace_all(&b, snug_buf_slice(&s->held), s->def->text, suffix_becomes);
    send_token(s, snug_buf_slice(&b));
    snug_buf_clear(&s->held);
}

static void suffix_end(state *s, snug_slice token)
{
    if (s->any) send_held(s, SNUG_LIT(" "));
    snug_buf_put_slice(&s->held, token);
}

static void suffix_finish(state *s)
{
    if (s->any) send_held(s, SNUG_EMPTY);
}

/* ---- ByteFallback: a run of <0xXX> is text if all of it is, else one U+FFFD per byte ---- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 32);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void fallback_finish(state *s)
{
    if (s->held.len == 0) return;
    if (snug_utf8_valid(snug_buf_slice(&s->held))) {
        send_token(s, snug_buf_slice(&s->held));
    } else {
        for (size_t i = 0; i < s->held.len; i++) send_token(s, SNUG_LIT("\xef\xbf\xbd"));
    }
    snug_buf_clear(&s->held);
}

static void fallback_end(state *s, snug_slice t)
{
    if (t.len == 6 && snug_starts_with(t, "<0x") && t.ptr[5] == '>' && hex_value(t.ptr[3]) >= 0 &&
        hex_value(t.ptr[4]) >= 0) {
        snug_buf_putc(&s->held, (char)(hex_value(t.ptr[3]) * 16 + hex_value(t.ptr[4])));
        return;
    }
    fallback_finish(s);
    send_token(s, t);
}

/* ---- Fuse: all tokens become one ---- */

static void fuse_piece(state *s, snug_slice text) { send_piece(s, text); }
static void fuse_end(state *s, snug_slice token) { (void)s, (void)token; }
static void fuse_finish(state *s) { send_end(s); }

/* ---- Strip ---- */

static snug_status load_strip(snug_arena *a, snug_json v, tok_stage *s, snug_err *err)
{
    snug_slice  content;
    int64_t     start = snug_json_i64_or(v, "start", 0), stop = snug_json_i64_or(v, "stop", 0);
    snug_status st = snug_json_need_str(v, "content", &content, err);
    (void)a;
    if (st != SNUG_OK) return st;
    if (content.len == 0 || start < 0 || stop < 0 || start > TOK_TEXT_MAX || stop > TOK_TEXT_MAX) {
        return snug_fail(err, SNUG_EINVAL, "Strip needs a character and counts of 0 or more");
    }
    s->cp = snug_utf8_next(&content);
    s->start = (uint32_t)start;
    s->stop = (uint32_t)stop;
    return SNUG_OK;
}

/* The first `start` such characters go at once; the last ones are held until the token ends. */
static void strip_piece(state *s, snug_slice text)
{
    while (s->cut < s->def->start && text.len > 0) {
        snug_slice rest = text;
        if (snug_utf8_next(&rest) != s->def->cp) {
            s->cut = UINT32_MAX; /* something else stands first */
            break;
        }
        text = rest;
        s->cut++;
    }
    if (s->def->stop == 0)
        send_piece(s, text);
    else
        snug_buf_put_slice(&s->held, text);
}

static void strip_end(state *s, snug_slice token)
{
    snug_slice text = snug_buf_slice(&s->held);
    (void)token;
    for (uint32_t i = 0; i < s->def->stop && text.len > 0; i++) {
        size_t at = text.len - 1;
        while (at > 0 && ((unsigned char)text.ptr[at] & 0xc0) == 0x80) at--;
        snug_slice last = snug_sub(text, at, text.len);
        if (snug_utf8_next(&last) != s->def->cp) break;
        text.len = at;
    }
    send_token(s, text);
    snug_buf_clear(&s->held);
    s->cut = 0;
}

/* ---- Replace ---- */

static snug_status load_replace(snug_arena *a, snug_json v, tok_stage *s, snug_err *err)
{
    snug_slice  content;
    snug_status st = snug_json_need_str(v, "content", &content, err);
    if (st != SNUG_OK) return st;
    s->text = snug_arena_dup(a, content);
    return tok_pattern_load(a, snug_json_get(v, "pattern"), &s->pattern, err);
}

static void replace_end(state *s, snug_slice token)
{
    tok_work *w = &s->stream->work;
    w->match_count = 0;
    w->deadline_ns = 0; /* a new one for each token: a stream may live long */
    w->err = s->stream->err;
    snug_status st = tok_pattern_run(s->def->pattern, w, token.ptr, token.len);
    if (st != SNUG_OK && s->stream->st == SNUG_OK) s->stream->st = st;
    for (size_t i = 0; i < w->match_count; i++) {
        tok_match m = w->matches[i];
        send_piece(s, m.hit ? s->def->text : snug_sub(token, m.begin, m.end - m.begin));
    }
    send_end(s);
}

/* ---- CTC: speech models repeat a token while a sound lasts ---- */

static snug_status load_ctc(snug_arena *a, snug_json v, tok_stage *s, snug_err *err)
{
    bool        set;
    snug_status st = tok_opt_str(a, v, "pad_token", &s->text, &set, err);
    if (!set) s->text = SNUG_LIT("<pad>");
    if (st == SNUG_OK) st = tok_opt_str(a, v, "word_delimiter_token", &s->other, &set, err);
    if (!set) s->other = SNUG_LIT("|");
    s->cleanup = snug_json_bool_or(v, "cleanup", true);
    return st;
}

static void ctc_end(state *s, snug_slice token)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(TOK_NORMAL_MAX);
    if (s->any && snug_eq(token, snug_buf_slice(&s->held))) return;
    snug_buf_clear(&s->held);
    snug_buf_put_slice(&s->held, token);
    replace_all(&b, token, s->def->text, SNUG_EMPTY);
    if (s->def->cleanup) {
        SNUG_AUTO(snug_buf) words = snug_buf_init(TOK_NORMAL_MAX);
        clean_up(&b);
        replace_all(&words, snug_buf_slice(&b), s->def->other, SNUG_LIT(" "));
        if (words.len > 0) send_token(s, snug_buf_slice(&words));
    } else if (b.len > 0) {
        send_token(s, snug_buf_slice(&b));
    }
}

/* ---- loading ---- */

static const stage_type stage_types[] = {
    {"ByteLevel", load_nothing, NULL, bytes_end, bytes_finish},
    {"WordPiece", load_wordpiece, NULL, wordpiece_end, NULL},
    {"Metaspace", load_metaspace, NULL, metaspace_end, NULL},
    {"BPEDecoder", load_suffix, NULL, suffix_end, suffix_finish},
    {"ByteFallback", load_nothing, NULL, fallback_end, fallback_finish},
    {"Fuse", load_nothing, fuse_piece, fuse_end, fuse_finish},
    {"Strip", load_strip, strip_piece, strip_end, NULL},
    {"Replace", load_replace, NULL, replace_end, NULL},
    {"CTC", load_ctc, NULL, ctc_end, NULL},
};

static const stage_type join_type = {"", load_nothing, NULL, join_end, NULL};

typedef struct stage_list {
    tok_stage *items;
    size_t     count;
} stage_list;

static snug_status load_stages(snug_arena *a, snug_json v, unsigned depth, stage_list *list,
                               snug_err *err)
{
    snug_slice  name = tok_type_of(v);
    snug_status st = SNUG_OK;
    if (depth > TOK_NEST_MAX)
        return snug_fail(err, SNUG_ELIMIT, "decoders nested deeper than %d", TOK_NEST_MAX);
    if (snug_eq_str(name, "Sequence")) {
        snug_json kids = snug_json_get(v, "decoders");
        if (!snug_json_is(kids, SNUG_JSON_ARRAY))
            return snug_fail(err, SNUG_EINVAL, "a Sequence needs a list of decoders");
        for (snug_json_iter it = snug_json_iter_of(kids); snug_json_next(&it) && st == SNUG_OK;) {
            st = load_stages(a, it.value, depth + 1, list, err);
        }
        return st;
    }
    if (list->count == TOK_PARTS_MAX)
        return snug_fail(err, SNUG_ELIMIT, "more than %d decoders", TOK_PARTS_MAX);
    for (size_t i = 0; i < sizeof stage_types / sizeof stage_types[0]; i++) {
        if (!snug_eq_str(name, stage_types[i].name)) continue;
        tok_stage *s = &list->items[list->count++];
        s->type = &stage_types[i];
        return s->type->load(a, v, s, err);
    }
    return snug_fail(err, SNUG_EUNSUPPORTED, "decoder \"%.*s\" is not known to this build",
                     SNUG_SLICE(snug_sub(name, 0, 80)));
}

snug_status tok_stage_load(snug_arena *a, snug_json v, const tok_stage **out, size_t *count,
                           snug_err *err)
{
    stage_list  list = {snug_arena_zalloc(a, sizeof(tok_stage) * TOK_PARTS_MAX), 0};
    snug_status st = SNUG_OK;
    if (snug_json_is(v, SNUG_JSON_ABSENT) || snug_json_is(v, SNUG_JSON_NULL)) {
        list.items[list.count++].type = &join_type;
    } else {
        st = load_stages(a, v, 0, &list, err);
    }
    *out = list.items;
    *count = list.count;
    return st;
}

/* ---- streams ---- */

tok_stream *tok_stream_new(const tok *t, bool skip_special)
{
    tok_stream *s =
        snug_zalloc(sizeof *s + t->stage_count * sizeof s->stages[0]); /* at most TOK_PARTS_MAX */
    s->t = t;
    s->skip_special = skip_special;
    s->count = t->stage_count;
    tok_work_init(&s->work, t, 0, NULL);
    for (size_t i = 0; i < s->count; i++) {
        s->stages[i] = (state){.def = &t->stages[i], .stream = s, .index = i};
        s->stages[i].gathered = snug_buf_init(TOK_NORMAL_MAX);
        s->stages[i].held = snug_buf_init(TOK_NORMAL_MAX);
    }
    return s;
}

void tok_stream_free(tok_stream *s)
{
    if (s == NULL) return;
    for (size_t i = 0; i < s->count; i++) {
        snug_buf_deinit(&s->stages[i].gathered);
        snug_buf_deinit(&s->stages[i].held);
    }
    tok_work_deinit(&s->work);
    free(s);
}

static snug_status check(tok_stream *s, snug_err *err)
{
    if (s->st != SNUG_OK) return s->st;
    for (size_t i = 0; i < s->count; i++) {
        if (s->stages[i].gathered.full || s->stages[i].held.full) {
            s->st = snug_fail(err, SNUG_ELIMIT, "decoded text is larger than the limit of %d bytes",
                              TOK_NORMAL_MAX);
            return s->st;
        }
    }
    return snug_buf_check(s->out, "decoded text", err);
}

static snug_status push_text(tok_stream *s, snug_slice text, snug_buf *out, snug_err *err)
{
    s->out = out;
    s->err = err;
    take_piece(s, 0, text);
    take_end(s, 0);
    return check(s, err);
}

snug_status tok_stream_push(tok_stream *s, uint32_t id, snug_buf *out, snug_err *err)
{
    snug_slice text = tok_id_to_token(s->t, id);
    if (text.ptr == NULL || (s->skip_special && tok_is_special(s->t, id))) return SNUG_OK;
    return push_text(s, text, out, err);
}

snug_status tok_stream_end(tok_stream *s, snug_buf *out, snug_err *err)
{
    s->out = out;
    s->err = err;
    for (size_t i = 0; i < s->count; i++) {
        if (s->stages[i].def->type->finish != NULL) s->stages[i].def->type->finish(&s->stages[i]);
    }
    snug_status st = check(s, err);
    for (size_t i = 0; i < s->count; i++) { /* ready for another text */
        snug_buf_clear(&s->stages[i].gathered);
        snug_buf_clear(&s->stages[i].held);
        s->stages[i].any = false;
        s->stages[i].cut = 0;
    }
    return st;
}

snug_status tok_decode(const tok *t, const uint32_t *ids, size_t n, bool skip_special,
                       snug_buf *out, snug_err *err)
{
    tok_stream *s = tok_stream_new(t, skip_special);
    snug_status st = SNUG_OK;
    for (size_t i = 0; i < n && st == SNUG_OK; i++) st = tok_stream_push(s, ids[i], out, err);
    if (st == SNUG_OK) st = tok_stream_end(s, out, err);
    tok_stream_free(s);
    return st;
}

snug_status tok_decode_tokens(const tok *t, const snug_slice *tokens, size_t n, snug_buf *out,
                              snug_err *err)
{
    tok_stream *s = tok_stream_new(t, false);
    snug_status st = SNUG_OK;
    for (size_t i = 0; i < n && st == SNUG_OK; i++) st = push_text(s, tokens[i], out, err);
    if (st == SNUG_OK) st = tok_stream_end(s, out, err);
    tok_stream_free(s);
    return st;
}
