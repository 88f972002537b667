/* SPDX-License-Identifier: Apache-2.0 */
/* api/render.c - a repository as JSON: one table says which keys there are, for which type, and in
 * which of the shapes each stands.
 *
 * A key that has no value is left out, never null: stock clients splat some of them into
 * constructors. `expand` picks keys by name; the 400 for a wrong name lists the valid ones, and
 * tools parse that list.
 *
 * For:     info and lists.
 * Threads: a render belongs to its request. */
#include "api/api_int.h"

#include <stdlib.h>

#include "codec/codec.h"

enum { SMALL_JSON_MAX = 1 << 20, SIBLINGS_STEP = 1000 };

enum { M = 1u << HUB_MODEL, D = 1u << HUB_DATASET, S = 1u << HUB_SPACE, ALL = M | D | S };
enum {
    INFO = API_SHAPE_INFO,
    LIST = API_SHAPE_LIST,
    FULL = API_SHAPE_FULL,
    CARD = API_SHAPE_CARD,
    CONFIG = API_SHAPE_CONFIG,
    LINKED = API_SHAPE_LINKED
};

typedef snug_status put_fn(api_render *r, snug_json_out *o, snug_err *err);

/* ---- plain keys ---- */

static snug_status put_author(api_render *r, snug_json_out *o, snug_err *err)
{
    (void)err;
    snug_jo_kcstr(o, "author", r->info->id.ns);
    return SNUG_OK;
}

static snug_status put_sha(api_render *r, snug_json_out *o, snug_err *err)
{
    (void)err;
    api_jo_oid(o, "sha", &r->commit);
    return SNUG_OK;
}

static snug_status put_created(api_render *r, snug_json_out *o, snug_err *err)
{
    (void)err;
    api_jo_time(o, "createdAt", r->info->created_ms);
    return SNUG_OK;
}

static bool at_head(const api_render *r) { return vcs_oid_eq(&r->commit, &r->info->head); }

static snug_status put_modified(api_render *r, snug_json_out *o, snug_err *err)
{
    vcs_commit  commit;
    snug_status st = SNUG_OK;
    int64_t     when = r->info->modified_ms;
    if (r->git != NULL && !at_head(r)) {
        st = vcs_read_commit(r->git, &r->commit, r->a, &commit, err);
        if (st == SNUG_OK) when = commit.when_ms;
    }
    api_jo_time(o, "lastModified", when);
    return st;
}

static snug_status put_private(api_render *r, snug_json_out *o, snug_err *err)
{
    (void)err;
    snug_jo_kbool(o, "private", r->info->visibility != HUB_PUBLIC);
    return SNUG_OK;
}

static snug_status put_gated(api_render *r, snug_json_out *o, snug_err *err)
{
    (void)err;
    if (r->info->gated != HUB_GATE_NONE)
        snug_jo_kcstr(o, "gated", r->info->gated == HUB_GATE_AUTO ? "auto" : "manual");
    else
        snug_jo_kbool(o, "gated", false);
    return SNUG_OK;
}

static snug_status put_disabled(api_render *r, snug_json_out *o, snug_err *err)
{
    (void)err;
    snug_jo_kbool(o, "disabled", r->info->disabled);
    return SNUG_OK;
}

static snug_status put_downloads(api_render *r, snug_json_out *o, snug_err *err)
{
    (void)err;
    snug_jo_ku64(o, "downloads", r->info->downloads);
    return SNUG_OK;
}

static snug_status put_downloads_all(api_render *r, snug_json_out *o, snug_err *err)
{
    (void)err;
    snug_jo_ku64(o, "downloadsAllTime", r->info->downloads_all);
    return SNUG_OK;
}

static snug_status put_trending(api_render *r, snug_json_out *o, snug_err *err)
{
    (void)err;
    snug_jo_ku64(o, "trendingScore", r->info->trending);
    return SNUG_OK;
}

static snug_status put_likes(api_render *r, snug_json_out *o, snug_err *err)
{
    (void)err;
    snug_jo_ku64(o, "likes", r->info->likes);
    return SNUG_OK;
}

static snug_status put_used(api_render *r, snug_json_out *o, snug_err *err)
{
    (void)err;
    snug_jo_ku64(o, "usedStorage", r->info->used_storage);
    return SNUG_OK;
}

static snug_status put_tags(api_render *r, snug_json_out *o, snug_err *err)
{
    (void)err;
    snug_jo_key(o, "tags");
    snug_jo_raw(o, r->info->tags_json.len > 0 ? r->info->tags_json : SNUG_LIT("[]"));
    return SNUG_OK;
}

static snug_status put_text(snug_json_out *o, const char *key, snug_slice text)
{
    if (text.len > 0) snug_jo_kstr(o, key, text);
    return SNUG_OK;
}

static snug_status put_pipeline(api_render *r, snug_json_out *o, snug_err *err)
{
    (void)err;
    return put_text(o, "pipeline_tag", r->info->pipeline_tag);
}

static snug_status put_library(api_render *r, snug_json_out *o, snug_err *err)
{
    (void)err;
    return put_text(o, "library_name", r->info->library_name);
}

static snug_status put_sdk(api_render *r, snug_json_out *o, snug_err *err)
{
    (void)err;
    return put_text(o, "sdk", r->info->sdk);
}

static snug_status put_spaces(api_render *r, snug_json_out *o, snug_err *err)
{
    (void)r, (void)err;
    snug_jo_key(o, "spaces");
    snug_jo_raw(o, SNUG_LIT("[]"));
    return SNUG_OK;
}

/* Nothing runs here: the stage clients know for that. */
static snug_status put_runtime(api_render *r, snug_json_out *o, snug_err *err)
{
    (void)r, (void)err;
    snug_jo_key(o, "runtime");
    snug_jo_raw(o, SNUG_LIT("{\"stage\":\"STOPPED\"}"));
    return SNUG_OK;
}

static snug_status put_subdomain(api_render *r, snug_json_out *o, snug_err *err)
{
    (void)err;
    snug_jo_key(o, "subdomain");
    snug_jo_strf(o, "%s-%s", r->info->id.ns, r->info->id.name);
    return SNUG_OK;
}

/* Keys clients may ask for and for which there is never a value here. */
static snug_status put_xet_enabled(api_render *r, snug_json_out *o, snug_err *err)
{
    (void)r, (void)err;
    snug_jo_kbool(o, "xetEnabled", true); /* clients of 2025 ask before they use it */
    return SNUG_OK;
}

static snug_status put_nothing(api_render *r, snug_json_out *o, snug_err *err)
{
    (void)r, (void)o, (void)err;
    return SNUG_OK;
}

/* ---- keys that need files ---- */

/* A small file of the commit; ptr NULL when there is none, or it is an object outside git. */
static snug_slice read_small(api_render *r, const char *path, size_t max)
{
    vcs_entry  e;
    snug_slice text = SNUG_EMPTY;
    if (r->git == NULL) return text;
    if (vcs_find_entry(r->git, &r->commit, snug_str(path), r->a, &e, NULL) != SNUG_OK) return text;
    if (e.kind != VCS_FILE || e.lfs.is_lfs || e.size > max) return text;
    if (vcs_read_blob(r->git, &e.oid, max, r->a, &text, NULL) != SNUG_OK) return SNUG_EMPTY;
    return text;
}

/* Card metadata at the commit asked for: the row has that of main, older ones are read again. */
static bool find_card(api_render *r, snug_json *out)
{
    snug_slice     body;
    snug_json_opts opts = {.flags = SNUG_JSON_BORROW};
    if (r->git != NULL && !at_head(r)) {
        snug_slice readme = read_small(r, "README.md", SMALL_JSON_MAX);
        return readme.len > 0 && codec_card_parse(r->a, readme, out, &body, NULL) == SNUG_OK &&
               snug_json_is(*out, SNUG_JSON_OBJECT);
    }
    return r->info->card_json.len > 0 &&
           snug_json_parse(r->a, r->info->card_json, &opts, out, NULL) == SNUG_OK &&
           snug_json_is(*out, SNUG_JSON_OBJECT);
}

static snug_status put_card(api_render *r, snug_json_out *o, snug_err *err)
{
    (void)err;
    snug_json card;
    if (r->git == NULL || at_head(r)) {
        if (r->info->card_json.len == 0) return SNUG_OK;
        snug_jo_key(o, "cardData");
        snug_jo_raw(o, r->info->card_json);
    } else if (find_card(r, &card)) {
        snug_jo_key(o, "cardData");
        snug_jo_value(o, card);
    }
    return SNUG_OK;
}

static snug_status put_card_member(api_render *r, snug_json_out *o, const char *member,
                                   const char *key)
{
    snug_json card, value;
    if (!find_card(r, &card)) return SNUG_OK;
    value = snug_json_get(card, member);
    if (snug_json_is(value, SNUG_JSON_ABSENT) || snug_json_is(value, SNUG_JSON_NULL))
        return SNUG_OK;
    snug_jo_key(o, key);
    snug_jo_value(o, value);
    return SNUG_OK;
}

static snug_status put_model_index(api_render *r, snug_json_out *o, snug_err *err)
{
    (void)err;
    return put_card_member(r, o, "model-index", "model-index");
}

static snug_status put_widget(api_render *r, snug_json_out *o, snug_err *err)
{
    (void)err;
    return put_card_member(r, o, "widget", "widgetData");
}

static snug_status put_models(api_render *r, snug_json_out *o, snug_err *err)
{
    (void)err;
    return put_card_member(r, o, "models", "models");
}

static snug_status put_datasets(api_render *r, snug_json_out *o, snug_err *err)
{
    (void)err;
    return put_card_member(r, o, "datasets", "datasets");
}

static void put_sibling(const api_render *r, snug_json_out *o, const vcs_entry *e)
{
    snug_jo_begin_object(o);
    snug_jo_kstr(o, "rfilename", e->path);
    if (r->blobs) {
        char hex[65];
        snug_jo_ku64(o, "size", e->size);
        api_jo_oid(o, "blobId", &e->oid);
        if (e->lfs.is_lfs) {
            snug_hex(e->lfs.oid.b, sizeof e->lfs.oid.b, hex);
            snug_jo_key(o, "lfs");
            snug_jo_begin_object(o);
            snug_jo_kcstr(o, "sha256", hex);
            snug_jo_ku64(o, "size", e->lfs.size);
            snug_jo_ku64(o, "pointerSize", e->lfs.pointer_size);
            snug_jo_end_object(o);
        }
    }
    snug_jo_end_object(o);
}

/* Page by page, each in an arena of its own, so that memory does not grow with the tree. */
static snug_status put_siblings(api_render *r, snug_json_out *o, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *page = NULL, *old = NULL;
    snug_slice  after = SNUG_EMPTY;
    bool        more = true;

    if (r->git == NULL) return SNUG_OK;
    snug_jo_key(o, "siblings");
    snug_jo_begin_array(o);
    while (more) {
        vcs_entry *list = NULL;
        size_t     count = 0;
        page = snug_arena_new();
        SNUG_TRY(vcs_list_tree(r->git, &r->commit, SNUG_EMPTY, true, after, SIBLINGS_STEP, page,
                               &list, &count, &more, err));
        for (size_t i = 0; i < count; i++) {
            if (list[i].kind == VCS_FILE || list[i].kind == VCS_SYMLINK)
                put_sibling(r, o, &list[i]);
        }
        SNUG_TRY(snug_buf_check(o->buf, "the list of files", err));
        if (count == 0) break;
        after = list[count - 1].path;
        snug_arena_free(old);
        old = page;
        page = NULL;
    }
    snug_jo_end_array(o);
done:
    snug_arena_free(page);
    snug_arena_free(old);
    return st;
}

/* What of config.json is public knowledge about a model; templates and the like stay in the file.
 */
static snug_status put_config(api_render *r, snug_json_out *o, snug_err *err)
{
    static const char *const keys[] = {"architectures", "model_type", "auto_map",
                                       "quantization_config"};
    (void)err;
    snug_json      config;
    snug_json_opts opts = {.flags = SNUG_JSON_BORROW | SNUG_JSON_NONFINITE};
    snug_slice     text = read_small(r, "config.json", SMALL_JSON_MAX);
    if (text.len == 0 || snug_json_parse(r->a, text, &opts, &config, NULL) != SNUG_OK)
        return SNUG_OK;
    snug_jo_key(o, "config");
    snug_jo_begin_object(o);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        snug_json v = snug_json_get(config, keys[i]);
        if (snug_json_is(v, SNUG_JSON_ABSENT)) continue;
        snug_jo_key(o, keys[i]);
        snug_jo_value(o, v);
    }
    snug_jo_end_object(o);
    return SNUG_OK;
}

/* The last words of a class name tell which automatic class loads it. */
static const struct {
    const char *ending, *auto_model, *processor;
} auto_models[] = {
    {"ForCausalLM", "AutoModelForCausalLM", "AutoTokenizer"},
    {"LMHeadModel", "AutoModelForCausalLM", "AutoTokenizer"},
    {"ForMaskedLM", "AutoModelForMaskedLM", "AutoTokenizer"},
    {"ForSequenceClassification", "AutoModelForSequenceClassification", "AutoTokenizer"},
    {"ForTokenClassification", "AutoModelForTokenClassification", "AutoTokenizer"},
    {"ForQuestionAnswering", "AutoModelForQuestionAnswering", "AutoTokenizer"},
    {"ForImageClassification", "AutoModelForImageClassification", "AutoImageProcessor"},
    {"ForAudioClassification", "AutoModelForAudioClassification", "AutoFeatureExtractor"},
    {"ForCTC", "AutoModelForCTC", "AutoProcessor"},
    {"ForConditionalGeneration", "AutoModelForSeq2SeqLM", "AutoTokenizer"},
    {"MTModel", "AutoModelForSeq2SeqLM", "AutoTokenizer"},
    {"Model", "AutoModel", "AutoTokenizer"},
};

static snug_status put_transformers(api_render *r, snug_json_out *o, snug_err *err)
{
    (void)err;
    snug_json      config;
    snug_json_opts opts = {.flags = SNUG_JSON_BORROW | SNUG_JSON_NONFINITE};
    snug_slice     text = read_small(r, "config.json", SMALL_JSON_MAX), name;
    if (text.len == 0 || snug_json_parse(r->a, text, &opts, &config, NULL) != SNUG_OK)
        return SNUG_OK;
    if (!snug_json_to_str(snug_json_at(snug_json_get(config, "architectures"), 0), &name))
        return SNUG_OK;
    for (size_t i = 0; i < sizeof auto_models / sizeof auto_models[0]; i++) {
        if (!snug_ends_with(name, auto_models[i].ending)) continue;
        snug_jo_key(o, "transformersInfo"); /* exactly the keys the client's constructor takes */
        snug_jo_begin_object(o);
        snug_jo_kcstr(o, "auto_model", auto_models[i].auto_model);
        if (r->info->pipeline_tag.len > 0) snug_jo_kstr(o, "pipeline_tag", r->info->pipeline_tag);
        snug_jo_kcstr(o, "processor", auto_models[i].processor);
        snug_jo_end_object(o);
        break;
    }
    return SNUG_OK;
}

static snug_status put_safetensors(api_render *r, snug_json_out *o, snug_err *err)
{
    (void)err;
    uint64_t counts[HUB_DTYPES_MAX], total;
    if (r->git == NULL ||
        !hub_count_params(r->hub, r->info->row, r->git, &r->commit, r->a, counts, &total))
        return SNUG_OK;
    snug_jo_key(o, "safetensors");
    snug_jo_begin_object(o);
    snug_jo_key(o, "parameters");
    snug_jo_begin_object(o);
    for (unsigned t = 0; t < CODEC_DTYPE_COUNT; t++) {
        if (counts[t] > 0) snug_jo_ku64(o, codec_dtype_name((codec_dtype)t), counts[t]);
    }
    snug_jo_end_object(o);
    snug_jo_ku64(o, "total", total);
    snug_jo_end_object(o);
    return SNUG_OK;
}

static snug_status put_security(api_render *r, snug_json_out *o, snug_err *err)
{
    (void)r, (void)err;
    snug_jo_key(o, "securityRepoStatus"); /* nothing was scanned, and we say so */
    snug_jo_raw(o, SNUG_LIT("{\"scansDone\":false,\"filesWithIssues\":[]}"));
    return SNUG_OK;
}

/* ---- the table, in the order the public hub gives in its error text: alphabetical ---- */

typedef struct key_row {
    const char *name;
    unsigned    types;
    unsigned    shapes;
    bool        files; /* needs the repository open */
    put_fn     *put;
} key_row;

static const key_row rows[] = {
    {"author", ALL, INFO | FULL, false, put_author},
    {"baseModels", M, 0, false, put_nothing},
    {"cardData", ALL, INFO | CARD, false, put_card},
    {"childrenModelCount", M, 0, false, put_nothing},
    {"citation", D, 0, false, put_nothing},
    {"config", M, INFO | CONFIG, true, put_config},
    {"createdAt", ALL, INFO | LIST, false, put_created},
    {"datasets", S, INFO | LINKED, false, put_datasets},
    {"description", D, 0, false, put_nothing},
    {"disabled", ALL, INFO | FULL, false, put_disabled},
    {"downloads", M | D, INFO | LIST, false, put_downloads},
    {"downloadsAllTime", M | D, 0, false, put_downloads_all},
    {"evalResults", M, 0, false, put_nothing},
    {"gated", M | D, INFO | LIST, false, put_gated},
    {"gguf", M, 0, false, put_nothing},
    {"gitalyUid", ALL, 0, false, put_nothing},
    {"inference", M, 0, false, put_nothing},
    {"inferenceProviderMapping", M, 0, false, put_nothing},
    {"lastModified", ALL, INFO | LIST, false, put_modified},
    {"library_name", M, INFO | LIST, false, put_library},
    {"likes", ALL, INFO | LIST, false, put_likes},
    {"mainSize", D, 0, false, put_nothing},
    {"mask_token", M, 0, false, put_nothing},
    {"model-index", M, INFO, false, put_model_index},
    {"models", S, INFO | LINKED, false, put_models},
    {"paperswithcode_id", D, 0, false, put_nothing},
    {"pipeline_tag", M, INFO | LIST, false, put_pipeline},
    {"private", ALL, INFO | LIST, false, put_private},
    {"region", S, 0, false, put_nothing},
    {"resourceGroup", ALL, 0, false, put_nothing},
    {"runtime", S, INFO, false, put_runtime},
    {"safetensors", M, INFO, true, put_safetensors},
    {"sdk", S, INFO | LIST, false, put_sdk},
    {"sha", ALL, INFO | FULL, false, put_sha},
    {"siblings", ALL, INFO | FULL, true, put_siblings},
    {"spaces", M, INFO, false, put_spaces},
    {"subdomain", S, INFO, false, put_subdomain},
    {"tags", ALL, INFO | LIST, false, put_tags},
    {"transformersInfo", M, INFO, true, put_transformers},
    {"trendingScore", ALL, LIST, false, put_trending},
    {"usedStorage", ALL, INFO, false, put_used},
    {"widgetData", M, INFO, false, put_widget},
    {"xetEnabled", ALL, 0, false, put_xet_enabled},
};
enum { ROWS = sizeof rows / sizeof rows[0] };
_Static_assert(ROWS <= 64, "expand is a 64-bit set");

static bool is_wanted(const api_render *r, size_t i)
{
    if (!(rows[i].types & (1u << r->info->id.type))) return false;
    return r->expand != 0 ? (r->expand >> i & 1) != 0 : (rows[i].shapes & r->shape) != 0;
}

bool api_render_needs_git(const api_render *r)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].files && is_wanted(r, i)) return true;
    }
    return false;
}

static snug_status fail_expand(hub_type type, snug_err *err)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(SNUG_ERR_MSG_MAX);
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].types & (1u << type))
            snug_buf_printf(&b, "%s%s", b.len > 0 ? ", " : "", rows[i].name);
    }
    return snug_fail(err, SNUG_EINVAL, "\"expand\" must be one of [%.*s]", (int)b.len,
                     snug_buf_cstr(&b));
}

snug_status api_parse_expand(http_req *rq, hub_type type, uint64_t *out, snug_err *err)
{
    snug_slice value;
    *out = 0;
    for (size_t n = 0; (value = http_req_query(rq, "expand", n)).ptr != NULL; n++) {
        size_t i = 0;
        while (i < ROWS && !((rows[i].types & (1u << type)) && snug_eq_str(value, rows[i].name)))
            i++;
        if (i == ROWS) return fail_expand(type, err);
        *out |= UINT64_C(1) << i;
    }
    return SNUG_OK;
}

snug_status api_put_repo(api_render *r, snug_json_out *o, snug_err *err)
{
    snug_status        st = SNUG_OK;
    const hub_repo_id *id = &r->info->id;

    snug_jo_begin_object(o);
    snug_jo_kcstr(o, "_id", r->info->oid24);
    snug_jo_key(o, "id");
    snug_jo_strf(o, "%s/%s", id->ns, id->name);
    if (id->type == HUB_MODEL && r->expand == 0) {
        snug_jo_key(o, "modelId");
        snug_jo_strf(o, "%s/%s", id->ns, id->name);
    }
    for (size_t i = 0; i < ROWS; i++) {
        if (is_wanted(r, i)) SNUG_TRY(rows[i].put(r, o, err));
    }
    if (r->security) SNUG_TRY(put_security(r, o, err));
    snug_jo_end_object(o);
done:
    return st;
}
