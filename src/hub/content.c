/* SPDX-License-Identifier: Apache-2.0 */
/* hub/content.c - what a repository's row says about its content, read from the tip of main.
 *
 * For:     commits, pushes, creation, healing: all go through here.
 * Owns:    nothing; everything written here can be written again from the refs.
 * Threads: the caller's git handle and arena.
 * Truth:   a file that is missing, too large or broken gives less to say and no error. */
#include "hub/hub_int.h"

enum { CONFIG_MAX = 1 << 20, ROOT_ENTRIES_MAX = 1000 };

/* A small file of the commit, or nothing. */
static snug_slice read_small(vcs_repo *git, const vcs_oid *commit, const char *path, uint64_t max,
                             snug_arena *a)
{
    vcs_entry  e;
    snug_slice text = SNUG_EMPTY;
    snug_err   err;
    if (vcs_find_entry(git, commit, snug_str(path), a, &e, &err) != SNUG_OK) return SNUG_EMPTY;
    if (e.kind != VCS_FILE || e.lfs.is_lfs || e.size > max) return SNUG_EMPTY;
    if (vcs_read_blob(git, &e.oid, max, a, &text, &err) != SNUG_OK) return SNUG_EMPTY;
    return text;
}

/* ---- the task of a model, from the class its config.json names ----
 * The first row whose ending fits decides; more exact endings stand first. */
static const struct {
    const char *ending, *task;
} class_tasks[] = {
    {"ForTableQuestionAnswering", "table-question-answering"},
    {"ForDocumentQuestionAnswering", "document-question-answering"},
    {"ForVisualQuestionAnswering", "visual-question-answering"},
    {"ForQuestionAnswering", "question-answering"},
    {"ForTokenClassification", "token-classification"},
    {"ForMultipleChoice", "multiple-choice"},
    {"ForMaskedLM", "fill-mask"},
    {"ForZeroShotImageClassification", "zero-shot-image-classification"},
    {"ForImageClassification", "image-classification"},
    {"ForVideoClassification", "video-classification"},
    {"ForZeroShotObjectDetection", "zero-shot-object-detection"},
    {"ForObjectDetection", "object-detection"},
    {"ForSemanticSegmentation", "image-segmentation"},
    {"ForInstanceSegmentation", "image-segmentation"},
    {"ForUniversalSegmentation", "image-segmentation"},
    {"ForImageSegmentation", "image-segmentation"},
    {"ForDepthEstimation", "depth-estimation"},
    {"ForKeypointDetection", "keypoint-detection"},
    {"ForAudioClassification", "audio-classification"},
    {"ForAudioFrameClassification", "audio-classification"},
    {"ForCTC", "automatic-speech-recognition"},
    {"ForSpeechSeq2Seq", "automatic-speech-recognition"},
    {"WhisperForConditionalGeneration", "automatic-speech-recognition"},
    {"LlavaForConditionalGeneration", "image-text-to-text"},
    {"VLForConditionalGeneration", "image-text-to-text"},
    {"PaliGemmaForConditionalGeneration", "image-text-to-text"},
    {"BlipForConditionalGeneration", "image-to-text"},
    {"ForImageTextToText", "image-text-to-text"},
    {"MarianMTModel", "translation"},
    {"ForCausalLM", "text-generation"},
    {"LMHeadModel", "text-generation"},
    {"ForTextToSpeech", "text-to-speech"},
    {"VitsModel", "text-to-speech"},
    {"CLIPModel", "zero-shot-image-classification"},
    {"SiglipModel", "zero-shot-image-classification"},
    {"ViTModel", "image-feature-extraction"},
    {"Dinov2Model", "image-feature-extraction"},
    {"ForSequenceClassification", "text-classification"},
    {"Model", "feature-extraction"},
};
static const char *const audio_types[] = {"wav2vec2",      "hubert",         "wavlm",
                                          "whisper",       "unispeech",      "unispeech-sat",
                                          "wav2vec2-bert", "data2vec-audio", "sew"};

static void read_config(vcs_repo *git, const vcs_oid *commit, snug_arena *a, hub_found *out)
{
    snug_slice text = read_small(git, commit, "config.json", CONFIG_MAX, a), name, kind;
    snug_json  config;
    snug_err   err;

    if (text.len == 0 || snug_json_parse(a, text, NULL, &config, &err) != SNUG_OK) return;
    /* Only files that transformers wrote carry its version; any program may have a config.json. */
    if (snug_json_is(snug_json_get(config, "transformers_version"), SNUG_JSON_STRING))
        out->library_name = SNUG_LIT("transformers");
    kind = snug_json_str_or(config, "model_type", SNUG_EMPTY);
    if (!snug_json_to_str(snug_json_at(snug_json_get(config, "architectures"), 0), &name)) return;
    for (size_t i = 0; i < sizeof class_tasks / sizeof class_tasks[0]; i++) {
        if (!snug_ends_with(name, class_tasks[i].ending)) continue;
        out->pipeline_tag = snug_str(class_tasks[i].task);
        break;
    }
    if (!snug_ends_with(name, "ForSequenceClassification")) return;
    for (size_t i = 0; i < sizeof audio_types / sizeof audio_types[0]; i++) {
        if (snug_eq_str(kind, audio_types[i])) out->pipeline_tag = SNUG_LIT("audio-classification");
    }
}

/* ---- formats and libraries, from the names in the root folder ---- */

static void add_format(hub_found *out, const char *format)
{
    for (size_t i = 0; i < out->format_count; i++) {
        if (strcmp(out->formats[i], format) == 0) return;
    }
    if (out->format_count < HUB_FORMATS_MAX) out->formats[out->format_count++] = format;
}

static void look_at_name(snug_slice name, hub_type type, hub_found *out)
{
    static const struct {
        const char *ending, *format;
        hub_type    type;
    } formats[] = {
        {".safetensors", "safetensors", HUB_MODEL},
        {".gguf", "gguf", HUB_MODEL},
        {".onnx", "onnx", HUB_MODEL},
        {"pytorch_model.bin", "pytorch", HUB_MODEL},
        {".parquet", "format:parquet", HUB_DATASET},
        {".csv", "format:csv", HUB_DATASET},
        {".jsonl", "format:json", HUB_DATASET},
        {".arrow", "format:arrow", HUB_DATASET},
    };
    static const struct {
        const char *file, *library;
    } libraries[] = {
        {"adapter_config.json", "peft"},
        {"model_index.json", "diffusers"},
        {"modular_model_index.json", "diffusers"},
        {"config_sentence_transformers.json", "sentence-transformers"},
    };
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (formats[i].type == type && snug_ends_with(name, formats[i].ending))
            add_format(out, formats[i].format);
    }
    for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++) {
        if (type == HUB_MODEL && snug_eq_str(name, libraries[i].file))
            out->library_name = snug_str(libraries[i].library);
    }
}

static void look_around(vcs_repo *git, const vcs_oid *commit, hub_type type, snug_arena *a,
                        hub_found *out)
{
    vcs_entry *e;
    size_t     n;
    bool       more;
    snug_err   err;

    if (type == HUB_MODEL) read_config(git, commit, a, out);
    if (vcs_list_tree(git, commit, SNUG_EMPTY, false, SNUG_EMPTY, ROOT_ENTRIES_MAX, a, &e, &n,
                      &more, &err) != SNUG_OK)
        return;
    for (size_t i = 0; i < n; i++) {
        if (e[i].kind == VCS_FILE) look_at_name(e[i].path, type, out);
    }
    if (snug_eq_str(out->library_name, "sentence-transformers"))
        out->pipeline_tag = SNUG_LIT("sentence-similarity");
}

void hub_read_content(hub *h, vcs_repo *git, const vcs_oid *commit, const hub_repo_info *repo,
                      snug_arena *a, hub_content *out)
{
    hub_found  files = {.format_count = 0};
    snug_slice readme = read_small(git, commit, "README.md", HUB_README_MAX, a);
    uint64_t   by_type[HUB_DTYPES_MAX], total;
    look_around(git, commit, repo->id.type, a, &files);
    hub_card_content(readme, repo->id.type, repo->sdk, a, &files, out);
    if (repo->id.type == HUB_MODEL &&
        hub_count_params(h, repo->row, git, commit, a, by_type, &total))
        out->params = (int64_t)total;
}

/* ---- the row follows the refs ---- */

snug_status hub_refresh_row_locked(hub *h, int64_t row, vcs_repo *git, int64_t now_ms,
                                   snug_err *err)
{
    snug_status   st = SNUG_OK;
    snug_arena   *a = snug_arena_new();
    db_txn       *tx = NULL;
    hub_repo_info info;
    hub_content   c = {.tags_json = SNUG_LIT("[]")};
    vcs_oid       head;
    bool          found, moved = true;
    uint64_t      bytes;
    char          hex[41] = "";

    SNUG_TRY(hub_load_row(h, row, a, &info, &found, err));
    if (!found) goto done; /* deleted meanwhile */
    st = vcs_resolve_rev(git, SNUG_LIT("refs/heads/main"), &head, err);
    if (st == SNUG_OK) {
        hub_read_content(h, git, &head, &info, a, &c);
        vcs_oid_hex(&head, hex);
        moved = !vcs_oid_eq(&head, &info.head);
    } else if (st == SNUG_ENOTFOUND) { /* a push may have left other branches only */
        c.sdk = info.sdk;
    } else {
        goto done;
    }
    SNUG_TRY(db_begin(h->db, DB_WRITE, &tx, err));
    SNUG_TRY(store_lfs_bytes(tx, a, row, &bytes, err));
    store_repo    fresh = {.id = row,
                           .type = (int)info.id.type,
                           .head = snug_str(hex),
                           .modified_ms =
                            moved && now_ms > info.modified_ms ? now_ms : info.modified_ms,
                           .used_storage = (int64_t)bytes,
                           .tags_json = c.tags_json,
                           .card_json = c.card_json,
                           .pipeline_tag = c.pipeline_tag,
                           .library_name = c.library_name,
                           .sdk = c.sdk,
                           .params = c.params};
    store_text_of text = {c.words, c.body};
    SNUG_TRY(store_set_content(tx, &fresh, c.keys, c.key_count, &text, err));
    if (moved && hex[0] != '\0') {
        hub_ref_move move = {SNUG_LIT("refs/heads/main"), &info.head, &head};
        hub_news     news = {.action = "update",
                             .scope = "repo.content",
                             .repo = &info,
                             .head = &head,
                             .moves = &move,
                             .move_count = 1};
        SNUG_TRY(hub_tell(h, tx, &news, err));
    }
    st = db_end(tx, true, err);
    tx = NULL;
    if (st == SNUG_OK) hub_touch(h, &info.id);
done:
    db_rollback(tx);
    snug_arena_free(a);
    return st;
}

snug_status hub_after_ref_change(hub *h, const hub_repo_id *id, snug_err *err)
{
    snug_status   st = SNUG_OK;
    snug_arena   *a = snug_arena_new();
    db_txn       *tx = NULL;
    vcs_repo     *git = NULL;
    store_repo    row;
    hub_repo_info info;
    bool          found, locked = false;

    SNUG_TRY(db_begin(h->db, DB_READ, &tx, err));
    SNUG_TRY(store_find_repo(tx, a, (int)id->type, hub_key_of(a, id), &row, &found, err));
    db_rollback(tx);
    tx = NULL;
    if (!found || row.state != STORE_LIVE) {
        st = snug_fail_code(err, SNUG_ENOTFOUND, "RepoNotFound", "Repository not found");
        goto done;
    }
    hub_info_of_row(&row, &info);
    SNUG_TRY(hub_lock_repo(h, info.row, err));
    locked = true;
    SNUG_TRY(vcs_acquire(h->vcs, snug_str(info.key), &git, err));
    SNUG_TRY(hub_refresh_row_locked(h, info.row, git, snug_now_ms(), err));
done:
    db_rollback(tx);
    vcs_release(git);
    if (locked) hub_unlock_repo(h, info.row);
    snug_arena_free(a);
    return st;
}
