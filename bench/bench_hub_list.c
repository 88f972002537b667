/* SPDX-License-Identifier: Apache-2.0 */
/* bench_hub_list.c - lists and searches of a hub of a million repositories.
 *
 *      bench_hub_list [REPOS [FOLDER]]      default: 1000000, in a new folder under $TMPDIR or /tmp
 *
 * Seeds a database (models, data sets and Spaces; names, tags, cards and use distributed like those
 * of a large hub, a fifth of them private or internal) unless FOLDER has one already: the folder
 * is then a data directory for `snug serve` as well, whose repositories have rows and no git.
 * One JSON object: for each kind of question the median, the 95th percentile and the worst of its
 * milliseconds as an anonymous reader, a signed-in one and an administrator; and pages near the
 * beginning against pages far behind it. */
#include "hub/hub.h"
#include "store/store.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 20000, ASKED = 150, LIMIT = 30, OWNERS = 40000 };

static uint64_t mix(uint64_t i)
{
    uint64_t z = (i + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* 0..n-1, small ones more often: each half as likely as the four before it. */
static uint64_t skewed(uint64_t r, uint64_t n)
{
    double u = (double)(r >> 11) / 9007199254740992.0;
    return (uint64_t)((double)n * u * u * u * u);
}

#define PICK(list, r) list[skewed(r, sizeof(list) / sizeof(list)[0])]

static const char *const families[] = {
    "bert",   "llama",   "gpt2",    "roberta", "mistral", "qwen",    "t5",     "whisper", "gemma",
    "phi",    "vit",     "sdxl",    "flux",    "clip",    "deberta", "falcon", "opt",     "bloom",
    "mamba",  "wav2vec", "hubert",  "yolo",    "resnet",  "swin",    "detr",   "blip",    "llava",
    "marian", "pegasus", "electra", "albert",  "xlnet",   "zephyr",  "olmo",   "granite", "smollm"};
static const char *const uses[] = {
    "base",  "chat",  "instruct", "finetuned", "lora",      "gguf", "merged", "awq",
    "large", "small", "distil",   "uncased",   "quantized", "test", "v2",     "multilingual"};
static const char *const tasks[] = {"text-generation",
                                    "text-classification",
                                    "text-to-image",
                                    "automatic-speech-recognition",
                                    "fill-mask",
                                    "token-classification",
                                    "image-classification",
                                    "question-answering",
                                    "translation",
                                    "summarization",
                                    "feature-extraction",
                                    "object-detection"};
static const char *const libraries[] = {
    "transformers",          "diffusers", "peft",  "gguf", "timm",
    "sentence-transformers", "spacy",     "keras", "onnx", "mlx"};
static const char *const licenses[] = {"apache-2.0", "mit",     "openrail",     "llama3",
                                       "cc-by-4.0",  "gpl-3.0", "cc-by-nc-4.0", "bsd-3-clause"};
static const char *const languages[] = {"en", "zh", "fr", "es", "de", "ja", "ko", "ru", "pt", "ar",
                                        "hi", "it", "tr", "vi", "nl", "pl", "th", "id", "cs", "el"};
static const char *const words[] = {
    "model",     "trained", "evaluation",  "dataset", "loss",    "learning", "rate",   "this",
    "intended",  "uses",    "limitations", "bias",    "tokens",  "weights",  "layer",  "attention",
    "precision", "recall",  "medical",     "legal",   "finance", "poetry",   "code",   "protein",
    "molecule",  "galaxy",  "turbine",     "orchid",  "glacier", "violin",   "beetle", "quasar"};

/* ---- seeding ---- */

static void name_of(uint64_t i, char *ns, char *name, size_t size)
{
    (void)snprintf(ns, size, "user%05llu", (unsigned long long)skewed(mix(i * 3), OWNERS));
    (void)snprintf(name, size, "%s-%s-%llu", PICK(families, mix(i * 5)), PICK(uses, mix(i * 7)),
                   (unsigned long long)i);
}

static size_t tags_of(uint64_t i, int type, char out[16][64])
{
    static const char *const kinds[] = {"", "task_categories:", ""};
    size_t                   n = 0;
    (void)snprintf(out[n++], 64, "%s%s", kinds[type], PICK(tasks, mix(i * 11)));
    if (type == 0) (void)snprintf(out[n++], 64, "%s", PICK(libraries, mix(i * 13)));
    if (type == 0) (void)snprintf(out[n++], 64, "%s", PICK(families, mix(i * 5)));
    (void)snprintf(out[n++], 64, "license:%s", PICK(licenses, mix(i * 17)));
    (void)snprintf(out[n++], 64, "%s%s", type == 1 ? "language:" : "",
                   PICK(languages, mix(i * 19)));
    if (i % 3 == 0)
        (void)snprintf(out[n++], 64, "dataset:user%05llu/set-%llu",
                       (unsigned long long)skewed(mix(i * 23), OWNERS),
                       (unsigned long long)skewed(mix(i * 29), 1000));
    if (i % 50 == 0)
        (void)snprintf(out[n++], 64, "arxiv:2401.%05llu", (unsigned long long)(i % 997));
    (void)snprintf(out[n++], 64, "region:us");
    return n;
}

static int type_of(uint64_t i) { return i % 10 < 6 ? 0 : i % 10 < 9 ? 1 : 2; }

static snug_status put_repo(db_txn *tx, uint64_t i, snug_err *err)
{
    static const db_query put = {
        "INSERT INTO repos (id, type, ns, ns_key, name, id_key, oid24, git_key, visibility, gated, "
        "disabled, state, creator_id, sdk, head, created_ms, modified_ms, downloads, "
        "downloads_all, likes, trending, used_storage, tags, card, pipeline_tag, library_name, "
        "params) VALUES ($1, $2, $3, $3, $4, $5, $6, $7, $8, $9, 1, 1, 1, '', $10, $11, $12, $13, "
        "$14, $15, $16, 1000, $17, $18, $19, $20, $21)"};
    static const db_query tag = {"INSERT INTO repo_tags (type, tag, repo_id) VALUES ($1, $2, $3) "
                                 "ON CONFLICT (type, tag, repo_id) DO NOTHING"};
    snug_status           st = SNUG_OK;
    snug_arena           *a = snug_arena_new();
    char                  ns[64], name[64], tags[16][64];
    int                   type = type_of(i);
    size_t                n = tags_of(i, type, tags);
    uint64_t              r = mix(i * 31);
    int64_t use = r % 2 == 0 ? 0 : (int64_t)(1000000.0 / (double)(1 + skewed(~r, 1000000)));
    SNUG_AUTO(snug_buf) json = snug_buf_init(8192);

    name_of(i, ns, name, sizeof ns);
    for (size_t k = 0; k < n; k++) snug_buf_printf(&json, "%s\"%s\"", k == 0 ? "[" : ",", tags[k]);
    snug_buf_putc(&json, ']');
    snug_slice key = snug_arena_printf(a, "%s/%s", ns, name);
    db_val     args[] = {
            db_int((int64_t)i + 1),
            db_int(type),
            db_text(snug_str(ns)),
            db_text(snug_str(name)),
            db_text(key),
            db_text(snug_arena_printf(a, "%024llx", (unsigned long long)i)),
            db_text(snug_arena_printf(a, "%032llx", (unsigned long long)i)),
            db_int(r % 100 < 80   ? 0
                   : r % 100 < 92 ? 1
                                  : 2),
            db_int(r % 37 == 0 ? 1 : 0),
            db_text(snug_arena_printf(a, "%040llx", (unsigned long long)mix(i))),
            db_int(1600000000000 + (int64_t)i * 200000),
            db_int(1600000000000 + (int64_t)i * 200000 + (int64_t)(mix(i * 37) % 10000000000)),
            db_int(use),
            db_int(use * 10),
            db_int(use / 100),
            db_int(use / 4),
            db_text(snug_buf_slice(&json)),
            db_text(snug_arena_printf(a, "{\"license\":\"%s\",\"tags\":%s}", tags[2],
                                      snug_buf_cstr(&json))),
            db_text(snug_str(type == 0 ? tags[0] : "")),
            db_text(snug_str(type == 0 ? tags[1] : "")),
            db_int(type == 0 && r % 3 == 0 ? (int64_t)(1000000.0 * (double)(1 + skewed(r, 70000))) : 0),
    };
    SNUG_TRY(db_exec(tx, put, args, sizeof args / sizeof args[0], NULL, err));
    for (size_t k = 0; k < n; k++) {
        db_val v[] = {db_int(type), db_text(snug_str(tags[k])), db_int((int64_t)i + 1)};
        SNUG_TRY(db_exec(tx, tag, v, 3, NULL, err));
    }
done:
    snug_arena_free(a);
    return st;
}

static void text_of(void *arg, const store_repo *r, snug_arena *a, store_text_of *out)
{
    uint64_t i = (uint64_t)r->id - 1;
    char     tags[16][64];
    size_t   n = tags_of(i, r->type, tags);
    SNUG_AUTO(snug_buf) b = snug_buf_init(8192);
    (void)arg;
    for (size_t k = 0; k < n; k++) snug_buf_printf(&b, "%s\n", tags[k]);
    out->words = snug_arena_dup(a, snug_buf_slice(&b));
    b.len = 0;
    if (i % 4 == 0) return; /* without a card */
    for (uint64_t k = 0; k < 40; k++) snug_buf_printf(&b, "%s ", PICK(words, mix(i * 41 + k)));
    snug_buf_printf(&b, "unique%llu", (unsigned long long)i);
    out->body = snug_arena_dup(a, snug_buf_slice(&b));
}

static snug_status tune(db *d, db_query q, snug_err *err)
{
    db_txn     *tx = NULL;
    snug_status st = db_begin(d, DB_WRITE, &tx, err);
    if (st == SNUG_OK) st = db_exec(tx, q, NULL, 0, NULL, err);
    if (st == SNUG_OK) {
        st = db_end(tx, true, err);
        tx = NULL;
    }
    db_rollback(tx);
    return st;
}

static snug_status seed(db *d, uint64_t count, snug_err *err)
{
    static const db_query large = {
        "INSERT INTO repo_search (repo_search, rank) VALUES ('hashsize', 134217728)"};
    static const db_query small = {
        "INSERT INTO repo_search (repo_search, rank) VALUES ('hashsize', 1048576)"};
    static const db_query merge = {"INSERT INTO repo_search (repo_search) VALUES ('optimize')"};
    static const db_query last = {"UPDATE counters SET value = $1 WHERE name = 'repos'"};
    snug_status           st = SNUG_OK;
    db_txn               *tx = NULL;
    int64_t               after = 0;
    bool                  done = false;

    for (uint64_t i = 0; i < count;) {
        SNUG_TRY(db_begin(d, DB_WRITE, &tx, err));
        for (uint64_t k = 0; k < BATCH && i < count; k++, i++) SNUG_TRY(put_repo(tx, i, err));
        st = db_end(tx, true, err);
        tx = NULL;
        if (st != SNUG_OK) goto done;
    }
    SNUG_TRY(tune(d, large, err));
    while (!done) {
        db_val v = db_int((int64_t)count);
        SNUG_TRY(db_begin(d, DB_WRITE, &tx, err));
        SNUG_TRY(store_index_rows(tx, text_of, NULL, &after, BATCH, &done, err));
        SNUG_TRY(db_exec(tx, last, &v, 1, NULL, err));
        st = db_end(tx, true, err);
        tx = NULL;
        if (st != SNUG_OK) goto done;
    }
    SNUG_TRY(tune(d, small, err));
    SNUG_TRY(tune(d, merge, err));
done:
    db_rollback(tx);
    return st;
}

/* ---- asking ---- */

typedef struct asker {
    hub             *h;
    uint64_t         count;
    const hub_actor *who;
    char             text[8][64];
    snug_slice       filters[4];
} asker;

typedef void make_query(asker *k, uint64_t r, hub_list_query *q);

static snug_slice keep(asker *k, int at, const char *s)
{
    (void)snprintf(k->text[at], sizeof k->text[at], "%s", s);
    return snug_str(k->text[at]);
}

static void ask_plain(asker *k, uint64_t r, hub_list_query *q)
{
    static const char *const sorts[] = {"trendingScore", "createdAt", "lastModified",  "downloads",
                                        "likes",         "id",        "num_parameters"};
    q->type = (hub_type)(r % 3);
    q->sort = snug_str(sorts[r / 3 % (q->type == HUB_SPACE ? 3 : 7)]);
    (void)k;
}

static void ask_author(asker *k, uint64_t r, hub_list_query *q)
{
    char ns[64], name[64];
    name_of(r % k->count, ns, name, sizeof ns);
    q->author = keep(k, 0, ns);
}

static void ask_tags(asker *k, uint64_t r, hub_list_query *q, size_t n)
{
    char   tags[16][64];
    size_t have = tags_of(r % k->count, 0, tags);
    for (size_t i = 0; i < n; i++) /* of several repositories: the combination may be rare */
        k->filters[i] = keep(k, (int)i, tags[(r >> (8 * i)) % (have - 1)]);
    q->filters = k->filters;
    q->filter_count = n;
}

static void ask_tag(asker *k, uint64_t r, hub_list_query *q) { ask_tags(k, r, q, 1); }
static void ask_three_tags(asker *k, uint64_t r, hub_list_query *q) { ask_tags(k, r, q, 3); }

static void ask_rare_mix(asker *k, uint64_t r, hub_list_query *q)
{
    k->filters[0] = keep(k, 0, PICK(languages, mix(r)));
    k->filters[1] = keep(k, 1, PICK(tasks, mix(r + 1)));
    k->filters[2] = keep(k, 2, PICK(libraries, mix(r + 2)));
    q->filters = k->filters;
    q->filter_count = 3;
    q->sort = SNUG_LIT("likes");
}

static void ask_gated_params(asker *k, uint64_t r, hub_list_query *q)
{
    (void)k;
    q->gate = HUB_GATES_GATED;
    q->params_min = (int64_t)(r % 10) * 1000000000;
    q->params_max = q->params_min + 3000000000;
}

static void ask_id_part(asker *k, uint64_t r, hub_list_query *q)
{
    char   ns[64], name[64];
    size_t from;
    name_of(r % k->count, ns, name, sizeof ns);
    from = r / 7 % (strlen(name) - 4);
    name[from + 4 + r % 3] = '\0';
    q->search = keep(k, 0, name + from);
}

static void ask_family(asker *k, uint64_t r, hub_list_query *q)
{
    q->search = keep(k, 0, PICK(families, mix(r)));
}

static void ask_card_word(asker *k, uint64_t r, hub_list_query *q)
{
    q->search = keep(k, 0, words[r % (sizeof words / sizeof words[0])]);
}

static void ask_two_words(asker *k, uint64_t r, hub_list_query *q)
{
    char both[64];
    (void)snprintf(both, sizeof both, "%s %s", PICK(families, mix(r)),
                   words[r % (sizeof words / sizeof words[0])]);
    q->search = keep(k, 0, both);
}

static void ask_unique(asker *k, uint64_t r, hub_list_query *q)
{
    char word[64];
    (void)snprintf(word, sizeof word, "unique%llu", (unsigned long long)(r % k->count));
    q->search = keep(k, 0, word);
}

static void ask_nothing(asker *k, uint64_t r, hub_list_query *q)
{
    char word[64];
    (void)snprintf(word, sizeof word, "zzz%llu", (unsigned long long)(r % 1000));
    q->search = keep(k, 0, word);
}

static const struct {
    const char *name;
    make_query *make;
} questions[] = {
    {"plain", ask_plain},           {"author", ask_author},      {"one_tag", ask_tag},
    {"three_tags", ask_three_tags}, {"rare_mix", ask_rare_mix},  {"gated_params", ask_gated_params},
    {"id_part", ask_id_part},       {"family", ask_family},      {"card_word", ask_card_word},
    {"two_words", ask_two_words},   {"unique_word", ask_unique}, {"no_match", ask_nothing},
};

static int by_ms(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return a < b ? -1 : a > b;
}

/* SNUG_BENCH_CPU: of this thread alone, for a machine that does other things as well. */
static double now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(
        getenv("SNUG_BENCH_CPU") != NULL ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static snug_status one(asker *k, hub_list_query *q, double *ms, snug_slice *next, snug_arena *a,
                       snug_err *err)
{
    hub_repo_info *rows;
    size_t         n;
    double         t0 = now_ms();
    snug_status    st = hub_list_repos(k->h, k->who, q, a, &rows, &n, next, err);
    *ms = now_ms() - t0;
    return st;
}

static snug_status measure(asker *k, make_query *make, double *all, size_t *n, double out[3],
                           snug_err *err)
{
    snug_status st = SNUG_OK;
    double      ms[ASKED];
    for (uint64_t i = 0; i < ASKED; i++) {
        snug_arena    *a = snug_arena_new();
        hub_list_query q = {.type = HUB_MODEL, .limit = LIMIT};
        snug_slice     next;
        make(k, mix(i * 101 + 7), &q);
        st = one(k, &q, &ms[i], &next, a, err);
        snug_arena_free(a);
        if (st != SNUG_OK) return st;
        all[(*n)++] = ms[i];
    }
    qsort(ms, ASKED, sizeof ms[0], by_ms);
    out[0] = ms[ASKED / 2];
    out[1] = ms[ASKED * 95 / 100];
    out[2] = ms[ASKED - 1];
    return st;
}

/* Pages one behind the other: the mean of the first ten and of the last ten of them. */
static snug_status go_deep(asker *k, hub_list_query q, int pages, double out[2], snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    double      ms;
    out[0] = out[1] = 0;
    for (int i = 0; i < pages; i++) {
        snug_slice next;
        SNUG_TRY(one(k, &q, &ms, &next, a, err));
        if (i < 10) out[0] += ms / 10;
        if (i >= pages - 10) out[1] += ms / 10;
        if (next.len == 0) break; /* a small hub */
        q.cursor = next;
    }
done:
    snug_arena_free(a);
    return st;
}

static snug_status report(asker *k, snug_json_out *o, snug_err *err)
{
    const struct {
        const char *name;
        hub_actor   who;
    } readers[] = {
        {"anonymous", {.user_id = 0}},
        {"user", {.user_id = 1, .name = SNUG_LIT("user00001"), .scope = HUB_ROLE_READ}},
        {"admin",
         {.user_id = 2, .name = SNUG_LIT("root"), .is_admin = true, .scope = HUB_ROLE_WRITE}}};
    static double all[3 * ASKED * sizeof questions / sizeof questions[0]];
    snug_status   st = SNUG_OK;
    size_t        n = 0;
    double        r[3], deep[2];

    for (size_t w = 0; w < 3; w++) {
        k->who = &readers[w].who;
        snug_jo_key(o, readers[w].name);
        snug_jo_begin_object(o);
        for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
            if (getenv("SNUG_BENCH_ONLY") != NULL &&
                strcmp(getenv("SNUG_BENCH_ONLY"), questions[i].name) != 0)
                continue;
            SNUG_TRY(measure(k, questions[i].make, all, &n, r, err));
            snug_jo_key(o, questions[i].name);
            snug_jo_begin_object(o);
            snug_jo_kf64(o, "median_ms", r[0]);
            snug_jo_kf64(o, "p95_ms", r[1]);
            snug_jo_kf64(o, "worst_ms", r[2]);
            snug_jo_end_object(o);
        }
        snug_jo_end_object(o);
    }
    qsort(all, n, sizeof all[0], by_ms);
    snug_jo_kf64(o, "p95_ms", all[n * 95 / 100]);
    k->who = &readers[0].who;
    snug_slice           tag[] = {SNUG_LIT("license:apache-2.0")};
    const hub_list_query walks[] = {
        {.type = HUB_MODEL, .limit = 100, .sort = SNUG_LIT("downloads")},
        {.type = HUB_MODEL, .limit = 100, .filters = tag, .filter_count = 1},
        {.type = HUB_MODEL, .limit = 100, .search = SNUG_LIT("llama"), .sort = SNUG_LIT("likes")},
    };
    static const char *const names[] = {"deep_plain", "deep_tag", "deep_search"};
    for (size_t i = 0; i < 3; i++) {
        int pages = k->count < 1000000 ? 20 : i == 0 ? 1000 : 200;
        SNUG_TRY(go_deep(k, walks[i], pages, deep, err));
        snug_jo_key(o, names[i]);
        snug_jo_begin_object(o);
        snug_jo_kf64(o, "first_ten_ms", deep[0]);
        snug_jo_kf64(o, "last_ten_ms", deep[1]);
        snug_jo_ku64(o, "pages", (uint64_t)pages);
        snug_jo_end_object(o);
    }
done:
    return st;
}

static snug_status run(uint64_t count, const char *dir, snug_json_out *o, snug_err *err)
{
    snug_status st = SNUG_OK;
    db         *d = NULL;
    hub        *h = NULL;
    struct stat info;
    char        path[1024], url[1100];
    uint64_t    t0 = snug_mono_ns();

    (void)snprintf(path, sizeof path, "%s/snug.db", dir);
    (void)snprintf(url, sizeof url, "sqlite:%s", path);
    if (stat(path, &info) != 0) {
        SNUG_TRY(db_open(snug_str(url), &d, err));
        SNUG_TRY(store_migrate(d, err));
        SNUG_TRY(seed(d, count, err));
        db_close(d);
        d = NULL;
        snug_jo_kf64(o, "seed_s", (double)(snug_mono_ns() - t0) / 1e9);
    }
    hub_opts opts = {.data_dir = dir, .admin_tool = true};
    SNUG_TRY(hub_open(&opts, &h, err));
    asker k = {.h = h, .count = count};
    if (stat(path, &info) == 0) snug_jo_ku64(o, "database_mb", (uint64_t)info.st_size / 1000000);
    SNUG_TRY(report(&k, o, err));
done:
    db_close(d);
    hub_close(h);
    return st;
}

int main(int argc, char **argv)
{
    snug_err    err = {0};
    uint64_t    count = 1000000;
    const char *tmp = getenv("TMPDIR");
    char        dir[512];
    SNUG_AUTO(snug_buf) b = snug_buf_init(1 << 16);
    snug_json_out o = snug_json_out_init(&b);

    if (argc > 1 && !snug_parse_u64(snug_str(argv[1]), &count)) return 2;
    (void)snprintf(dir, sizeof dir, "%s/snug-list-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (argc <= 2 && mkdtemp(dir) == NULL) return 1;
    snug_jo_begin_object(&o);
    snug_jo_ku64(&o, "repositories", count);
    if (run(count, argc > 2 ? argv[2] : dir, &o, &err) != SNUG_OK) {
        fprintf(stderr, "%s (%s)\n", err.msg, err.cause);
        return 1;
    }
    snug_jo_end_object(&o);
    printf("%s\n", snug_buf_cstr(&b));
    return 0;
}
