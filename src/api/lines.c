/* SPDX-License-Identifier: Apache-2.0 */
/* api/lines.c - the body of a commit: one JSON object a line, read as it arrives.
 *
 *      {"key":"header","value":{"summary":"...","description":"...","parentCommit":"..."}}
 *      {"key":"file","value":{"path":"a.txt","content":"...","encoding":"base64","oldPath":"..."}}
 *      {"key":"lfsFile","value":{"path":"b.bin","algo":"sha256","oid":"...","size":123}}
 *      {"key":"deletedFile","value":{"path":"c"}}
 *      {"key":"deletedFolder","value":{"path":"d/"}}
 *      {"key":"copyFile","value":{"srcPath":"e","srcRevision":"...","path":"f"}}
 *
 * A body of any size passes through one line's worth of memory. A line that lies whole in the bytes
 * at hand is parsed where it lies; only one that is cut is collected first.
 *
 * For:     commit.c, repos.c and fuzz/fuzz_ndjson.c.
 * Owns:    a line, what was decoded from it, and the arena of its JSON.
 * Threads: one. */
#include "api/api_int.h"

#include <inttypes.h>

enum { KEEP_ARENA = 1 << 20, LINE_DEPTH_MAX = 16 };

api_lines api_lines_init(size_t line_max, api_op_fn *take, void *arg)
{
    return (api_lines){.line = snug_buf_init(line_max),
                       .content = snug_buf_init(line_max),
                       .a = snug_arena_new(),
                       .number = 1,
                       .take = take,
                       .arg = arg};
}

void api_lines_deinit(api_lines *l)
{
    snug_buf_deinit(&l->line);
    snug_buf_deinit(&l->content);
    snug_arena_free(l->a);
    l->a = NULL;
}

/* ---- one line ---- */

static snug_slice text_or_empty(snug_json value, const char *key)
{
    return snug_json_str_or(value, key, SNUG_EMPTY);
}

static snug_status need_path(snug_json value, const char *key, snug_slice *out, snug_err *err)
{
    snug_status st = snug_json_need_str(value, key, out, err);
    if (st == SNUG_OK && out->len == 0) st = snug_fail(err, SNUG_EINVAL, "\"%s\" is empty", key);
    return st;
}

static snug_status read_header(api_lines *l, snug_json value, api_op *op, snug_err *err)
{
    snug_status st = SNUG_OK;
    if (l->has_header) SNUG_FAIL(err, SNUG_EINVAL, "a second header");
    SNUG_TRY(snug_json_need_str(value, "summary", &op->summary, err));
    op->description = text_or_empty(value, "description");
    op->parent = text_or_empty(value, "parentCommit");
    l->has_header = true;
done:
    return st;
}

static snug_status read_file(api_lines *l, snug_json value, api_op *op, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  content, encoding = snug_json_str_or(value, "encoding", SNUG_LIT("utf-8"));

    SNUG_TRY(need_path(value, "path", &op->path, err));
    op->old_path = text_or_empty(value, "oldPath");
    if (snug_json_is(snug_json_get(value, "content"), SNUG_JSON_ABSENT) && op->old_path.len > 0)
        goto done; /* a rename that keeps the content */
    SNUG_TRY(snug_json_need_str(value, "content", &content, err));
    if (snug_eq_str(encoding, "base64")) {
        snug_buf_clear(&l->content);
        SNUG_TRY(snug_base64_decode(content, &l->content, err));
        SNUG_TRY(snug_buf_check(&l->content, "the content", err));
        content = snug_buf_slice(&l->content);
    } else if (!snug_eq_nocase(encoding, SNUG_LIT("utf-8")) &&
               !snug_eq_nocase(encoding, SNUG_LIT("utf8"))) {
        SNUG_FAIL(err, SNUG_EINVAL, "\"encoding\" must be \"base64\" or \"utf-8\"");
    }
    op->content = content.ptr != NULL ? content : SNUG_LIT("");
done:
    return st;
}

static snug_status read_lfs(api_lines *l, snug_json value, api_op *op, snug_err *err)
{
    (void)l;
    snug_status st = SNUG_OK;
    snug_slice  oid, algo = snug_json_str_or(value, "algo", SNUG_LIT("sha256"));
    snug_json   size = snug_json_get(value, "size");

    SNUG_TRY(need_path(value, "path", &op->path, err));
    op->old_path = text_or_empty(value, "oldPath");
    if (!snug_eq_str(algo, "sha256") && !snug_eq_str(algo, "sha_256"))
        SNUG_FAIL(err, SNUG_EINVAL, "\"algo\" must be \"sha256\"");
    SNUG_TRY(snug_json_need_str(value, "oid", &oid, err));
    if (!blob_id_parse(oid, &op->oid))
        SNUG_FAIL(err, SNUG_EINVAL, "\"oid\" must be 64 lowercase hexadecimal digits");
    op->has_size = snug_json_to_u64(size, &op->size);
    if (!op->has_size && !snug_json_is(size, SNUG_JSON_ABSENT) &&
        !snug_json_is(size, SNUG_JSON_NULL))
        SNUG_FAIL(err, SNUG_EINVAL, "\"size\" must be a whole number");
done:
    return st;
}

static snug_status read_delete(api_lines *l, snug_json value, api_op *op, snug_err *err)
{
    (void)l;
    snug_status st = need_path(value, "path", &op->path, err);
    if (st != SNUG_OK) return st;
    /* "d/" and "d" are the same folder; "d/" in deletedFile can only mean a folder. */
    while (op->path.len > 1 && op->path.ptr[op->path.len - 1] == '/') {
        op->path.len--;
        op->kind = API_OP_DELETE_FOLDER;
    }
    return SNUG_OK;
}

static snug_status read_copy(api_lines *l, snug_json value, api_op *op, snug_err *err)
{
    (void)l;
    snug_status st = SNUG_OK;
    SNUG_TRY(need_path(value, "path", &op->path, err));
    SNUG_TRY(need_path(value, "srcPath", &op->src_path, err));
    op->src_rev = text_or_empty(value, "srcRevision");
done:
    return st;
}

static const struct op_row {
    const char *key;
    api_op_kind kind;
    snug_status (*read)(api_lines *l, snug_json value, api_op *op, snug_err *err);
} op_rows[] = {
    {"header", API_OP_HEADER, read_header},
    {"file", API_OP_FILE, read_file},
    {"lfsFile", API_OP_LFS, read_lfs},
    {"deletedFile", API_OP_DELETE_FILE, read_delete},
    {"deletedFolder", API_OP_DELETE_FOLDER, read_delete},
    {"copyFile", API_OP_COPY, read_copy},
};

static const struct op_row *find_row(snug_slice key)
{
    for (size_t i = 0; i < sizeof op_rows / sizeof op_rows[0]; i++) {
        if (snug_eq_str(key, op_rows[i].key)) return &op_rows[i];
    }
    return NULL;
}

static snug_status read_op(api_lines *l, snug_slice text, api_op *op, snug_err *err)
{
    snug_status    st = SNUG_OK;
    snug_json      doc, value;
    snug_slice     key;
    snug_json_opts opts = {
        .flags = SNUG_JSON_BORROW, .depth_max = LINE_DEPTH_MAX, .size_max = l->line.max};

    SNUG_TRY(snug_json_parse(l->a, text, &opts, &doc, err));
    SNUG_TRY(snug_json_need_str(doc, "key", &key, err));
    const struct op_row *row = find_row(key);
    if (row == NULL)
        SNUG_FAIL(err, SNUG_EINVAL, "unknown operation \"%.*s\"", SNUG_SLICE(snug_sub(key, 0, 40)));
    value = snug_json_get(doc, "value");
    if (!snug_json_is(value, SNUG_JSON_OBJECT))
        SNUG_FAIL(err, SNUG_EINVAL, "\"value\" must be an object");
    if (row->kind != API_OP_HEADER && !l->has_header)
        SNUG_FAIL(err, SNUG_EINVAL, "the first operation must be the header");
    op->kind = row->kind;
    SNUG_TRY(row->read(l, value, op, err));
done:
    return st;
}

static void forget_line(api_lines *l)
{
    snug_buf_clear(&l->line);
    if (snug_arena_used(l->a) <= KEEP_ARENA) {
        snug_arena_reset(l->a);
        return;
    }
    snug_arena_free(l->a); /* a reset would keep the large block */
    l->a = snug_arena_new();
}

static snug_status take_line(api_lines *l, snug_slice text, snug_err *err)
{
    api_op      op = {.kind = API_OP_HEADER};
    snug_status st = SNUG_OK;
    text = snug_trim(text);
    if (text.len > 0) {
        st = read_op(l, text, &op, err);
        if (st != SNUG_OK)
            snug_note(err, "line %" PRIu64, l->number);
        else
            st = l->take(l->arg, &op, err);
    }
    forget_line(l);
    l->number++;
    return st;
}

/* ---- cutting ---- */

static snug_status collect(api_lines *l, snug_slice part, snug_err *err)
{
    snug_buf_put_slice(&l->line, part);
    if (!l->line.full) return SNUG_OK;
    return snug_fail(err, SNUG_ELIMIT,
                     "line %" PRIu64 " is longer than %zu bytes; upload large files through LFS",
                     l->number, l->line.max);
}

snug_status api_lines_feed(api_lines *l, snug_slice bytes, snug_err *err)
{
    snug_status st = SNUG_OK;
    while (bytes.len > 0) {
        size_t end = snug_index(bytes, '\n');
        if (end == SIZE_MAX) return collect(l, bytes, err);
        snug_slice part = snug_sub(bytes, 0, end);
        bytes = snug_sub(bytes, end + 1, bytes.len);
        if (l->line.len > 0) {
            SNUG_TRY(collect(l, part, err));
            part = snug_buf_slice(&l->line);
        }
        SNUG_TRY(take_line(l, part, err));
    }
done:
    return st;
}

snug_status api_lines_end(api_lines *l, snug_err *err)
{
    snug_status st = SNUG_OK;
    if (l->line.len > 0)
        SNUG_TRY(take_line(l, snug_buf_slice(&l->line), err)); /* no final newline */
    if (!l->has_header) SNUG_FAIL(err, SNUG_EINVAL, "the commit has no header line");
done:
    return st;
}
