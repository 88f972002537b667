/* SPDX-License-Identifier: Apache-2.0 */
/* hub/license.c - the ids a card may use: licenses and tasks.
 *
 * For:     card.c, check_card.c, hub_create_repo.
 * Owns:    two tables. A new id is a line here; facts about a license live elsewhere.
 * Threads: constants.
 * Truth:   ids are compared as they stand, in lower case. */
#include "hub/hub_int.h"

/* clang-format off */
static const char *const licenses[] = {
    "afl-3.0", "agpl-3.0", "apache-2.0", "apple-amlr", "apple-ascl", "artistic-2.0",
    "bigcode-openrail-m", "bigscience-bloom-rail-1.0", "bigscience-openrail-m", "bsd",
    "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "bsl-1.0", "c-uda", "cc", "cc-by-2.0",
    "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0",
    "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0",
    "cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0", "cdla-permissive-1.0",
    "cdla-permissive-2.0", "cdla-sharing-1.0", "creativeml-openrail-m", "deepfloyd-if-license",
    "ecl-2.0", "epl-1.0", "epl-2.0", "etalab-2.0", "eupl-1.1", "eupl-1.2",
    "fair-noncommercial-research-license", "gemma", "gfdl", "gpl", "gpl-2.0", "gpl-3.0",
    "grok2-community", "h-research", "intel-research", "isc", "lgpl", "lgpl-2.1", "lgpl-3.0",
    "lgpl-lr", "llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4", "lppl-1.3c", "mit",
    "mpl-2.0", "ms-pl", "ncsa", "odbl", "odc-by", "ofl-1.1", "openmdw-1.0", "openmdw-1.1",
    "openrail", "openrail++", "osl-3.0", "other", "pddl", "postgresql", "unknown", "unlicense",
    "wtfpl", "zlib",
};
/* clang-format on */

/* Families without a version: what is meant exactly stays open. */
static const char *const families[] = {"bsd", "cc", "gfdl", "gpl", "lgpl"};

/* clang-format off */
static const char *const tasks[] = {
    /* language */
    "text-classification", "token-classification", "table-question-answering",
    "question-answering", "zero-shot-classification", "translation", "summarization",
    "feature-extraction", "text-generation", "fill-mask", "sentence-similarity", "table-to-text",
    "multiple-choice", "text-ranking", "text-retrieval",
    /* vision */
    "depth-estimation", "image-classification", "object-detection", "image-segmentation",
    "text-to-image", "image-to-text", "image-to-image", "image-to-video",
    "unconditional-image-generation", "video-classification", "text-to-video",
    "zero-shot-image-classification", "mask-generation", "zero-shot-object-detection",
    "text-to-3d", "image-to-3d", "image-feature-extraction", "keypoint-detection",
    "video-to-video",
    /* several modalities */
    "audio-text-to-text", "image-text-to-text", "image-text-to-image", "image-text-to-video",
    "visual-question-answering", "document-question-answering", "video-text-to-text",
    "visual-document-retrieval", "any-to-any",
    /* audio */
    "text-to-speech", "text-to-audio", "automatic-speech-recognition", "audio-to-audio",
    "audio-classification", "voice-activity-detection",
    /* tables, agents, the rest */
    "tabular-classification", "tabular-regression", "tabular-to-text", "time-series-forecasting",
    "reinforcement-learning", "robotics", "graph-ml", "other",
};
/* clang-format on */

static bool listed(const char *const *table, size_t n, snug_slice id)
{
    for (size_t i = 0; i < n; i++) {
        if (snug_eq_str(id, table[i])) return true;
    }
    return false;
}

bool hub_license_known(snug_slice id)
{
    return listed(licenses, sizeof licenses / sizeof licenses[0], id);
}

bool hub_license_is_family(snug_slice id)
{
    return listed(families, sizeof families / sizeof families[0], id);
}

bool hub_task_known(snug_slice id) { return listed(tasks, sizeof tasks / sizeof tasks[0], id); }
