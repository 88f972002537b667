/* SPDX-License-Identifier: Apache-2.0 */
/* hub/card.c - from the front matter of a README.md to tags, task and library.
 *
 * For:     content.c, whenever main moves.
 * Owns:    nothing.
 * Threads: any; one arena.
 * Truth:   nothing written in a card makes this fail: what cannot be used is left out, and broken
 *          YAML gives a repository without a card. */
#include "codec/codec.h"
#include "hub/hub_int.h"

typedef struct tagset {
    snug_arena *a;
    snug_slice  tag[HUB_TAGS_MAX];
    size_t      count;
} tagset;

static bool usable(snug_slice s)
{
    if (s.len == 0 || s.len > HUB_TAG_MAX || !snug_utf8_valid(s)) return false;
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f) return false;
    }
    return true;
}

static void add_tag(tagset *t, const char *prefix, snug_slice value)
{
    value = snug_trim(value);
    if (value.len == 0 || !usable(value)) return;
    snug_slice tag = snug_arena_printf(t->a, "%s%.*s", prefix, SNUG_SLICE(value));
    if (!usable(tag) || t->count == HUB_TAGS_MAX) return;
    for (size_t i = 0; i < t->count; i++) {
        if (snug_eq(t->tag[i], tag)) return;
    }
    t->tag[t->count++] = tag;
}

/* Strings, and numbers as people write years into tags. */
static bool as_text(snug_json v, snug_arena *a, snug_slice *out)
{
    int64_t i;
    double  f;
    if (snug_json_to_str(v, out)) return true;
    if (snug_json_is(v, SNUG_JSON_INT) && snug_json_to_i64(v, &i)) {
        *out = snug_arena_printf(a, "%lld", (long long)i);
        return true;
    }
    if (!snug_json_is(v, SNUG_JSON_REAL) || !snug_json_to_f64(v, &f)) return false;
    *out = snug_arena_printf(a, "%g", f);
    return true;
}

/* One value or a list of them, each as a tag. */
static void add_each(tagset *t, const char *prefix, snug_json v)
{
    snug_slice s;
    if (as_text(v, t->a, &s)) {
        add_tag(t, prefix, s);
        return;
    }
    if (!snug_json_is(v, SNUG_JSON_ARRAY)) return;
    for (snug_json_iter it = snug_json_iter_of(v); snug_json_next(&it);) {
        if (as_text(it.value, t->a, &s)) add_tag(t, prefix, s);
    }
}

/* base_model:x and base_model:<relation>:x. Two bases are a merge; one is a fine-tune unless the
 * library says adapter. */
static void add_bases(tagset *t, snug_json card, snug_slice library)
{
    static const char *const relations[] = {"finetune", "adapter", "quantized", "merge"};
    snug_json                base = snug_json_get(card, "base_model");
    snug_slice               given = snug_json_str_or(card, "base_model_relation", SNUG_EMPTY);
    const char              *relation = "finetune";

    if (!snug_json_is(base, SNUG_JSON_STRING) && !snug_json_is(base, SNUG_JSON_ARRAY)) return;
    if (snug_json_count(base) > 1)
        relation = "merge";
    else if (snug_eq_str(library, "peft"))
        relation = "adapter";
    else if (snug_eq_str(library, "gguf"))
        relation = "quantized";
    for (size_t i = 0; i < sizeof relations / sizeof relations[0]; i++) {
        if (snug_eq_str(given, relations[i])) relation = relations[i];
    }
    add_each(t, "base_model:", base);
    snug_slice prefix = snug_arena_printf(t->a, "base_model:%s:", relation);
    add_each(t, prefix.ptr, base);
}

/* arXiv numbers (2301.01234) after the addresses that name a paper. */
static void add_papers(tagset *t, snug_slice body)
{
    static const char *const places[] = {"arxiv.org/abs/", "arxiv.org/pdf/",
                                         "huggingface.co/papers/"};
    enum { PAPERS_MAX = 50 };
    size_t found = 0;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        snug_slice rest = body, place = snug_str(places[i]);
        for (size_t at; found < PAPERS_MAX && (at = snug_find(rest, place)) != SIZE_MAX;) {
            rest = snug_sub(rest, at + place.len, rest.len);
            size_t n = 0, dots = 0;
            while (n < rest.len && n < 10 &&
                   ((rest.ptr[n] >= '0' && rest.ptr[n] <= '9') || (n == 4 && rest.ptr[n] == '.')))
                dots += rest.ptr[n++] == '.';
            if (dots == 1 && n >= 9) {
                add_tag(t, "arxiv:", snug_sub(rest, 0, n));
                found++;
            }
        }
    }
}

static void add_model_tags(tagset *t, snug_json card, const hub_content *c, snug_slice body)
{
    add_tag(t, "", c->library_name);
    add_tag(t, "", c->pipeline_tag);
    add_each(t, "", snug_json_get(card, "tags"));
    add_each(t, "", snug_json_get(card, "language"));
    add_each(t, "dataset:", snug_json_get(card, "datasets"));
    add_papers(t, body);
    add_bases(t, card, c->library_name);
    add_each(t, "license:", snug_json_get(card, "license"));
}

static void add_dataset_tags(tagset *t, snug_json card, snug_slice body)
{
    static const char *const facets[] = {
        "task_categories",   "task_ids",        "annotations_creators",
        "language_creators", "multilinguality", "source_datasets",
        "language",          "license",         "size_categories",
    };
    for (size_t i = 0; i < sizeof facets / sizeof facets[0]; i++) {
        snug_slice prefix = snug_arena_printf(t->a, "%s:", facets[i]);
        add_each(t, prefix.ptr, snug_json_get(card, facets[i]));
    }
    add_papers(t, body);
    add_each(t, "", snug_json_get(card, "tags"));
}

static void add_space_tags(tagset *t, snug_json card, const hub_content *c)
{
    add_tag(t, "", c->sdk);
    add_each(t, "", snug_json_get(card, "tags"));
    add_each(t, "license:", snug_json_get(card, "license"));
}

/* Also found under the name of their kind, which the plain tag does not tell. */
static void add_keys(tagset *keys, snug_json card, const hub_content *c, hub_type type)
{
    if (type == HUB_MODEL) {
        add_each(keys, "language:", snug_json_get(card, "language"));
        add_tag(keys, "library:", c->library_name);
        add_tag(keys, "pipeline_tag:", c->pipeline_tag);
    }
    if (type == HUB_SPACE) {
        add_tag(keys, "sdk:", c->sdk);
        add_each(keys, "model:", snug_json_get(card, "models"));
        add_each(keys, "dataset:", snug_json_get(card, "datasets"));
    }
}

static snug_slice tags_json(const tagset *t)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(HUB_TAGS_MAX * (HUB_TAG_MAX * 2 + 8));
    snug_json_out o = snug_json_out_init(&b);
    snug_jo_begin_array(&o);
    for (size_t i = 0; i < t->count; i++) snug_jo_str(&o, t->tag[i]);
    snug_jo_end_array(&o);
    return snug_arena_dup(t->a, b.full ? SNUG_LIT("[]") : snug_buf_slice(&b));
}

/* The card as JSON text; too large to keep: none. */
static snug_slice card_json(snug_arena *a, snug_json card)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(HUB_CARD_MAX);
    snug_json_out o = snug_json_out_init(&b);
    if (!snug_json_is(card, SNUG_JSON_OBJECT)) return SNUG_EMPTY;
    snug_jo_value(&o, card);
    return b.full ? SNUG_EMPTY : snug_arena_dup(a, snug_buf_slice(&b));
}

static snug_json parse_card(snug_slice readme, snug_arena *a, snug_slice *body)
{
    snug_json  card = {NULL};
    snug_slice yaml;
    snug_err   err;

    codec_card_split(readme, &yaml, body);
    if (yaml.len > HUB_CARD_MAX) return (snug_json){NULL};
    if (codec_card_parse(a, readme, &card, body, &err) != SNUG_OK) return (snug_json){NULL};
    return snug_json_is(card, SNUG_JSON_OBJECT) ? card : (snug_json){NULL};
}

/* What a search for words looks at beside the id. */
static snug_slice search_words(snug_arena *a, snug_json card, const tagset *tags)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(HUB_TAGS_MAX * (HUB_TAG_MAX + 2) + 8192);
    static const char *const titles[] = {"pretty_name", "title", "model_name", "short_description"};
    snug_slice               text;
    for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++) {
        if (!snug_json_to_str(snug_json_get(card, titles[i]), &text)) continue;
        if (text.len > 1000 || !snug_utf8_valid(text)) continue;
        snug_buf_put_slice(&b, text);
        snug_buf_putc(&b, '\n');
    }
    for (size_t i = 0; i < tags->count; i++) {
        if (snug_eq_str(tags->tag[i], "region:us")) continue;
        snug_buf_put_slice(&b, tags->tag[i]);
        snug_buf_putc(&b, '\n');
    }
    return snug_arena_dup(a, snug_buf_slice(&b));
}

/* The beginning of the text; cut between characters, and only what is text. */
static snug_slice search_body(snug_arena *a, snug_slice body)
{
    size_t n = body.len < HUB_BODY_MAX ? body.len : HUB_BODY_MAX;
    while (n > 0 && n < body.len && ((unsigned char)body.ptr[n] & 0xc0) == 0x80) n--;
    body = snug_sub(body, 0, n);
    if (!snug_utf8_valid(body)) return SNUG_LIT("");
    char *copy = snug_arena_alloc(a, n + 1);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)body.ptr[i];
        copy[i] = c < 0x20 && c != '\n' && c != '\t' ? ' ' : (char)c;
    }
    return (snug_slice){copy, n};
}

void hub_card_content(snug_slice readme, hub_type type, snug_slice sdk, snug_arena *a,
                      const hub_found *files, hub_content *out)
{
    tagset    *tags = SNUG_NEW(a, tagset), *keys = SNUG_NEW(a, tagset);
    snug_slice body, text;
    snug_json  card = parse_card(readme, a, &body);

    *out = (hub_content){
        .sdk = sdk, .pipeline_tag = files->pipeline_tag, .library_name = files->library_name};
    tags->a = keys->a = a;
    if (snug_json_to_str(snug_json_get(card, "pipeline_tag"), &text) && hub_task_known(text))
        out->pipeline_tag = text;
    if (snug_json_to_str(snug_json_get(card, "library_name"), &text) && usable(text))
        out->library_name = text;
    if (type == HUB_SPACE && snug_json_to_str(snug_json_get(card, "sdk"), &text) && usable(text))
        out->sdk = text;
    if (type == HUB_MODEL)
        add_model_tags(tags, card, out, body);
    else
        out->pipeline_tag = out->library_name = SNUG_EMPTY;
    if (type == HUB_DATASET) add_dataset_tags(tags, card, body);
    if (type == HUB_SPACE) add_space_tags(tags, card, out);
    for (size_t i = 0; i < files->format_count; i++) add_tag(tags, "", snug_str(files->formats[i]));
    add_tag(tags, "", SNUG_LIT("region:us")); /* stock clients expect one */
    for (size_t i = 0; i < tags->count; i++) add_tag(keys, "", tags->tag[i]);
    add_keys(keys, card, out, type);
    out->tags_json = tags_json(tags);
    out->card_json = card_json(a, card);
    out->words = search_words(a, card, tags);
    out->body = search_body(a, body);
    out->keys = keys->tag;
    out->key_count = keys->count;
}
