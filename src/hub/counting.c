/* SPDX-License-Identifier: Apache-2.0 */
/* hub/counting.c - what is one download.
 *
 *   model      each GET or HEAD of a query file: the one file every way of loading it asks for
 *   data set   all files asked for by one address within five minutes
 *   Space      nothing
 *
 * For:     every door that gives out files.
 * Owns:    the addresses of the last five minutes; they are never written down.
 * Threads: one short mutex.
 * Truth:   a full table forgets the window that began first: that data set may count once more. */
#include <stdlib.h>

#include "base/hash.h"
#include "hub/hub_int.h"

enum { SLOTS = 8192, PROBES = 8, WINDOW_MS = 5 * 60 * 1000 };

typedef struct visit {
    uint64_t key; /* of repository and address */
    int64_t  began_ms;
} visit;

struct hub_visits {
    snug_mutex lock; /* guards all */
    visit      slots[SLOTS];
};

hub_visits *hub_visits_new(void)
{
    hub_visits *v = snug_zalloc(sizeof *v);
    snug_mutex_init(&v->lock, "hub-visits", HUB_RANK_VISITS);
    return v;
}

void hub_visits_free(hub_visits *v)
{
    if (v == NULL) return;
    snug_mutex_deinit(&v->lock);
    free(v);
}

/* Does a new window begin with this? */
static bool begins_visit(hub_visits *v, int64_t row, snug_slice address, int64_t now_ms)
{
    char        text[128];
    snug_sha256 d;
    uint64_t    key;
    visit      *use = NULL;
    bool        fresh = true;

    (void)snprintf(text, sizeof text, "%lld %.*s", (long long)row,
                   SNUG_SLICE(snug_sub(address, 0, 90)));
    d = snug_sha256_of(snug_str(text));
    memcpy(&key, d.b, sizeof key);
    snug_lock(&v->lock);
    for (size_t i = 0; i < PROBES; i++) {
        visit *s = &v->slots[(key + i) % SLOTS];
        if (s->key == key) {
            use = s;
            fresh = now_ms - s->began_ms >= WINDOW_MS;
            break;
        }
        if (use == NULL || s->began_ms < use->began_ms) use = s;
    }
    if (fresh) *use = (visit){key, now_ms};
    snug_unlock(&v->lock);
    return fresh;
}

/* ---- query files ---- */

typedef enum match_kind { PATH, ENDING, TOP_ENDING } match_kind;
typedef struct rule {
    const char *library; /* NULL: a model of any library without rules of its own */
    match_kind  kind;
    const char *text;
} rule;
static const rule rules[] = {
    {"peft", PATH, "adapter_config.json"},
    {"adapter-transformers", PATH, "adapter_config.json"},
    {"nemo", ENDING, ".nemo"},
    {"timm", PATH, "pytorch_model.bin"},
    {"timm", PATH, "model.safetensors"},
    {"spacy", ENDING, ".whl"},
    {"diffusers", PATH, "model_index.json"},
    {"diffusers", PATH, "modular_model_index.json"},
    {"diffusers", TOP_ENDING, ".safetensors"},
    {"diffusers", TOP_ENDING, ".ckpt"},
    {"diffusers", TOP_ENDING, ".bin"},
    {NULL, PATH, "config.json"},
    {NULL, PATH, "config.yaml"},
    {NULL, PATH, "hyperparams.yaml"},
    {NULL, PATH, "params.json"},
    {NULL, PATH, "meta.yaml"},
};

static bool rule_fits(const rule *r, snug_slice path)
{
    if (r->kind == PATH) return snug_eq_str(path, r->text);
    if (r->kind == TOP_ENDING && snug_index(path, '/') != SIZE_MAX) return false;
    return snug_ends_with(path, r->text);
}

bool hub_is_query_file(snug_slice library, snug_slice path)
{
    bool own = false;
    if (snug_ends_with(path, ".gguf")) return true; /* each is a model by itself */
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        bool mine = rules[i].library == NULL ? !own : snug_eq_str(library, rules[i].library);
        if (mine && rule_fits(&rules[i], path)) return true;
        own = own || (mine && rules[i].library != NULL);
    }
    return false;
}

void hub_count_file(hub *h, const hub_repo_info *info, snug_slice path, snug_slice address,
                    int64_t now_ms)
{
    bool counts = false;
    if (info->id.type == HUB_MODEL) counts = hub_is_query_file(info->library_name, path);
    if (info->id.type == HUB_DATASET) counts = begins_visit(h->visits, info->row, address, now_ms);
    if (counts) hub_count_download(h, info->row);
}

void hub_count_object(hub *h, int64_t row, snug_slice address, int64_t now_ms)
{
    snug_arena   *a = snug_arena_new();
    hub_repo_info info;
    bool          found = false;
    snug_err      err = {0};
    if (hub_load_row(h, row, a, &info, &found, &err) == SNUG_OK && found &&
        info.id.type == HUB_DATASET)
        hub_count_file(h, &info, SNUG_EMPTY, address, now_ms);
    snug_arena_free(a);
}
