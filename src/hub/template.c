/* SPDX-License-Identifier: Apache-2.0 */
/* hub/template.c - what a new repository contains.
 *
 * For:     hub_create_repo.
 * Owns:    nothing.
 * Threads: any; the draft belongs to its thread.
 * Truth:   .gitattributes is byte for byte what stock clients find on a fresh repository: 1519
 *          bytes for models and Spaces, 2504 for datasets. */
#include "hub/hub_int.h"

/* '#' begins a comment line of its own; "+" marks patterns that only datasets have. */
/* clang-format off */
static const char *const patterns[] = {
    "*.7z", "*.arrow", "+*.avro", "*.bin", "*.bz2", "*.ckpt", "*.ftz", "*.gz", "*.h5", "*.joblib",
    "*.lfs.*", "+*.lz4", "+*.mds", "*.mlmodel", "*.model", "*.msgpack", "*.npy", "*.npz", "*.onnx",
    "*.ot", "*.parquet", "*.pb", "*.pickle", "*.pkl", "*.pt", "*.pth", "*.rar", "*.safetensors",
    "saved_model/**/*", "*.tar.*", "*.tar", "*.tflite", "*.tgz", "*.wasm", "*.xz", "*.zip", "*.zst",
    "*tfevents*",
    "+# Audio files - uncompressed", "+*.pcm", "+*.sam", "+*.raw",
    "+# Audio files - compressed", "+*.aac", "+*.flac", "+*.mp3", "+*.ogg", "+*.wav",
    "+# Image files - uncompressed", "+*.bmp", "+*.gif", "+*.png", "+*.tiff",
    "+# Image files - compressed", "+*.jpg", "+*.jpeg", "+*.webp",
    "+# Video files - compressed", "+*.mp4", "+*.webm",
};
/* clang-format on */

void hub_default_attributes(hub_type type, snug_buf *out)
{
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        const char *p = patterns[i];
        if (*p == '+' && type != HUB_DATASET) continue;
        if (*p == '+') p++;
        snug_buf_puts(out, p);
        if (*p != '#') snug_buf_puts(out, " filter=lfs diff=lfs merge=lfs -text");
        snug_buf_putc(out, '\n');
    }
}

snug_status hub_put_file(vcs_repo *git, vcs_draft *d, snug_slice path, snug_slice text,
                         snug_err *err)
{
    vcs_oid     id;
    snug_status st = vcs_put_blob(git, text, &id, err);
    return st == SNUG_OK ? vcs_draft_put(d, path, &id, err) : st;
}

/* Names and licence ids hold nothing that YAML would take apart inside double quotes. */
static void write_readme(const hub_new_repo *want, snug_buf *out)
{
    snug_buf_puts(out, "---\n");
    if (want->id.type == HUB_SPACE) {
        snug_buf_printf(out,
                        "title: \"%s\"\nemoji: \xF0\x9F\x8C\xB1\ncolorFrom: green\n"
                        "colorTo: blue\nsdk: %.*s\n",
                        want->id.name, SNUG_SLICE(want->sdk));
        if (snug_eq_str(want->sdk, "gradio")) snug_buf_puts(out, "app_file: app.py\n");
        if (snug_eq_str(want->sdk, "streamlit")) snug_buf_puts(out, "app_file: app.py\n");
        if (snug_eq_str(want->sdk, "static")) snug_buf_puts(out, "app_file: index.html\n");
        snug_buf_puts(out, "pinned: false\n");
    }
    if (want->license.len > 0) snug_buf_printf(out, "license: %.*s\n", SNUG_SLICE(want->license));
    snug_buf_puts(out, "---\n");
    if (want->id.type == HUB_SPACE) snug_buf_printf(out, "\n# %s\n", want->id.name);
}

static void write_index(const hub_new_repo *want, snug_buf *out)
{
    snug_buf_printf(out,
                    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                    "<meta name=\"viewport\" content=\"width=device-width\">\n<title>%s</title>\n"
                    "<link rel=\"stylesheet\" href=\"style.css\">\n</head>\n<body>\n<main>\n"
                    "<h1>%s</h1>\n<p>This Space is empty: replace <code>index.html</code> to fill "
                    "it.</p>\n</main>\n</body>\n</html>\n",
                    want->id.name, want->id.name);
}

static const char style_css[] =
    "body { font-family: system-ui, sans-serif; margin: 0; padding: 2rem; }\n"
    "main { max-width: 40rem; margin: 0 auto; }\n";

snug_status hub_put_template(vcs_repo *git, vcs_draft *d, const hub_new_repo *want, snug_err *err)
{
    snug_status st = SNUG_OK;
    SNUG_AUTO(snug_buf) text = snug_buf_init(16 << 10);

    hub_default_attributes(want->id.type, &text);
    SNUG_TRY(hub_put_file(git, d, SNUG_LIT(".gitattributes"), snug_buf_slice(&text), err));
    if (want->id.type == HUB_SPACE || want->license.len > 0) {
        snug_buf_clear(&text);
        write_readme(want, &text);
        SNUG_TRY(hub_put_file(git, d, SNUG_LIT("README.md"), snug_buf_slice(&text), err));
    }
    if (want->id.type == HUB_SPACE && snug_eq_str(want->sdk, "static")) {
        snug_buf_clear(&text);
        write_index(want, &text);
        SNUG_TRY(hub_put_file(git, d, SNUG_LIT("index.html"), snug_buf_slice(&text), err));
        SNUG_TRY(hub_put_file(git, d, SNUG_LIT("style.css"), snug_str(style_css), err));
    }
    st = snug_buf_check(&text, "the first commit", err);
done:
    return st;
}
