/* SPDX-License-Identifier: Apache-2.0 */
/* bench libs: jansson */
/* bench/bench_base_json.c - the JSON reader and writer against jansson and yyjson, on the same
 * bytes.
 *
 * Prints one JSON object: for each document its size, the median MB/s (10^6 bytes) of each reader
 * and our ratio to yyjson. yyjson is measured through its Python module in a child process, on a
 * file with the same bytes: $SNUG_BENCH_PYTHON names an interpreter that has it (default python3);
 * when there is none its figures are null. Documents are made from a fixed seed. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "base/json.h"
#include "base/slice.h"
#include "base/sys.h"

enum { RUNS = 9, DOC_MAX = 64 << 20 };

/* ---- documents ---- */

static uint64_t next_random(uint64_t *state) /* splitmix64 */
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* A piece of a vocabulary: letters, often with the byte-level mark of a space before them. */
static snug_slice make_piece(uint64_t *rnd, char room[64])
{
    static const char *const marks[] = {"\xc4\xa0", "", "", "\xc4\x8a", "\xe4\xb8\xad"};
    const char              *mark = marks[next_random(rnd) % 5];
    size_t                   n = strlen(mark), letters = 2 + next_random(rnd) % 8;
    memcpy(room, mark, n);
    for (size_t i = 0; i < letters; i++) room[n++] = (char)('a' + next_random(rnd) % 26);
    return (snug_slice){room, n};
}

static void make_tokenizer(snug_buf *b)
{
    uint64_t      rnd = 1;
    char          room[64], key[80];
    snug_json_out o = snug_json_out_init(b);
    o.pretty = true;
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "version", "1.0");
    snug_jo_key(&o, "model");
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "type", "BPE");
    snug_jo_kbool(&o, "byte_fallback", false);
    snug_jo_key(&o, "vocab");
    snug_jo_begin_object(&o);
    for (int i = 0; i < 128000; i++) {
        snug_slice s = make_piece(&rnd, room);
        int        n = snprintf(key, sizeof key, "%.*s%x", SNUG_SLICE(s), (unsigned)i);
        snug_jo_key_slice(&o, (snug_slice){key, (size_t)n});
        snug_jo_i64(&o, i);
    }
    snug_jo_end_object(&o);
    snug_jo_key(&o, "merges");
    snug_jo_begin_array(&o);
    for (int i = 0; i < 270000; i++) {
        snug_jo_begin_array(&o);
        snug_jo_str(&o, make_piece(&rnd, room));
        snug_jo_str(&o, make_piece(&rnd, room));
        snug_jo_end_array(&o);
    }
    snug_jo_end_array(&o);
    snug_jo_end_object(&o);
    snug_jo_end_object(&o);
}

static void put_text(snug_json_out *o, uint64_t *rnd, size_t words)
{
    static const char *const pieces[] = {"the ",
                                         "model ",
                                         "reads ",
                                         "caf\xc3\xa9 ",
                                         "a \"quoted\" word ",
                                         "line\n",
                                         "weights and biases ",
                                         "of ",
                                         "tokens, "};
    char                     text[2048];
    size_t                   n = 0;
    for (size_t i = 0; i < words; i++) {
        uint64_t    pick = next_random(rnd) % 64;
        const char *w = pieces[pick < 9 ? pick : pick % 4 == 3 ? 6 : pick % 4];
        size_t      len = strlen(w);
        if (n + len > sizeof text) break;
        memcpy(text + n, w, len);
        n += len;
    }
    snug_jo_str(o, (snug_slice){text, n});
}

static void put_record(snug_json_out *o, uint64_t *rnd, int i, size_t words)
{
    snug_jo_begin_object(o);
    snug_jo_ki64(o, "id", i);
    snug_jo_kbool(o, "gated", next_random(rnd) % 7 == 0);
    snug_jo_ku64(o, "downloads", next_random(rnd) % 100000000);
    snug_jo_kf64(o, "score", (double)(next_random(rnd) >> 11) * 0x1p-53);
    snug_jo_kf64(o, "price", (double)(next_random(rnd) % 100000) / 100.0);
    snug_jo_key(o, "text");
    put_text(o, rnd, words);
    snug_jo_key(o, "tags");
    snug_jo_begin_array(o);
    for (int t = 0; t < 4; t++) snug_jo_strf(o, "tag-%u", (unsigned)(next_random(rnd) % 1000));
    snug_jo_end_array(o);
    snug_jo_key(o, "box");
    snug_jo_begin_array(o);
    for (int t = 0; t < 4; t++) snug_jo_f64(o, (double)(next_random(rnd) % 1000000) / 1000.0);
    snug_jo_end_array(o);
    snug_jo_end_object(o);
}

static void make_records(snug_buf *b)
{
    uint64_t      rnd = 2;
    snug_json_out o = snug_json_out_init(b);
    snug_jo_begin_array(&o);
    for (int i = 0; i < 60000; i++) put_record(&o, &rnd, i, 16);
    snug_jo_end_array(&o);
}

static void make_lines(snug_buf *b)
{
    uint64_t rnd = 3;
    for (int i = 0; i < 30000; i++) {
        snug_json_out o = snug_json_out_init(b);
        put_record(&o, &rnd, i, 80);
        snug_buf_putc(b, '\n');
    }
}

/* ---- readers: each parses the whole text once ---- */

static void die(const char *what)
{
    (void)fprintf(stderr, "bench_base_json: %s\n", what);
    exit(1);
}

static void run_ours(snug_slice text, bool lines, unsigned flags)
{
    snug_json_opts opts = {.flags = flags, .size_max = DOC_MAX};
    snug_arena    *a = snug_arena_new();
    snug_slice     one = text;
    snug_json      v;
    snug_err       err;
    if (!lines) {
        if (snug_json_parse(a, text, &opts, &v, &err) != SNUG_OK) die(err.msg);
    }
    while (lines && snug_split(&text, '\n', &one)) {
        if (one.len == 0) continue;
        snug_arena_reset(a);
        if (snug_json_parse(a, one, &opts, &v, &err) != SNUG_OK) die(err.msg);
    }
    snug_arena_free(a);
}

static void run_copy(snug_slice text, bool lines) { run_ours(text, lines, 0); }
static void run_borrow(snug_slice text, bool lines) { run_ours(text, lines, SNUG_JSON_BORROW); }
static void run_unique(snug_slice text, bool lines) { run_ours(text, lines, SNUG_JSON_UNIQUE); }

static void run_jansson(snug_slice text, bool lines)
{
    snug_slice rest = text, one = text;
    while (lines ? snug_split(&rest, '\n', &one) : rest.len > 0) {
        if (!lines) rest.len = 0;
        if (one.len == 0) continue;
        json_t *v = json_loadb(one.ptr, one.len, 0, NULL);
        if (v == NULL) die("jansson refuses the document");
        json_decref(v);
    }
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_mbs(void (*run)(snug_slice, bool), snug_slice text, bool lines)
{
    double mbs[RUNS];
    run(text, lines);
    for (int i = 0; i < RUNS; i++) {
        uint64_t from = snug_mono_ns();
        run(text, lines);
        mbs[i] = (double)text.len * 1e3 / (double)(snug_mono_ns() - from);
    }
    qsort(mbs, RUNS, sizeof mbs[0], compare_doubles);
    return mbs[RUNS / 2];
}

/* Writes the parsed document again and again. */
static double writer_mbs(snug_slice text)
{
    snug_arena *a = snug_arena_new();
    snug_json   v;
    snug_err    err;
    snug_buf    b = snug_buf_init(2 * (size_t)DOC_MAX);
    double      best = 0;
    if (snug_json_parse(a, text, NULL, &v, &err) != SNUG_OK) die(err.msg);
    for (int i = 0; i < RUNS; i++) {
        snug_buf_clear(&b);
        snug_json_out o = snug_json_out_init(&b);
        uint64_t      from = snug_mono_ns();
        snug_jo_value(&o, v);
        double mbs = (double)b.len * 1e3 / (double)(snug_mono_ns() - from);
        if (mbs > best) best = mbs;
    }
    snug_buf_deinit(&b);
    snug_arena_free(a);
    return best;
}

/* ---- yyjson, through Python ---- */

static const char script[] = "import sys, time, statistics, yyjson\n"
                             "data = open(sys.argv[1], 'rb').read()\n"
                             "parts = data.splitlines() if sys.argv[2] == '1' else [data]\n"
                             "times = []\n"
                             "for i in range(10):\n"
                             "    t = time.perf_counter()\n"
                             "    for p in parts: yyjson.Document(p)\n"
                             "    times.append(time.perf_counter() - t)\n"
                             "print(len(data) / 1e6 / statistics.median(times[1:]))\n";

static double yyjson_mbs(const char *folder, snug_slice text, bool lines)
{
    char        data[256], program[256], command[1024], reply[64] = "";
    const char *python = getenv("SNUG_BENCH_PYTHON");
    snug_err    err;
    (void)snprintf(data, sizeof data, "%s/data.json", folder);
    (void)snprintf(program, sizeof program, "%s/run.py", folder);
    if (snug_write_file_atomic(data, text, 0600, &err) != SNUG_OK) die(err.cause);
    if (snug_write_file_atomic(program, snug_str(script), 0600, &err) != SNUG_OK) die(err.cause);
    (void)snprintf(command, sizeof command, "'%s' '%s' '%s' %d 2>/dev/null",
                   python == NULL ? "python3" : python, program, data, lines ? 1 : 0);
    FILE *f = popen(command, "r");
    if (f == NULL) return (double)NAN;
    char *got = fgets(reply, sizeof reply, f);
    (void)pclose(f);
    return got == NULL ? (double)NAN : strtod(reply, NULL);
}

/* ---- report ---- */

static void bench(snug_json_out *o, const char *folder, const char *name, void (*make)(snug_buf *),
                  bool lines)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(DOC_MAX);
    make(&b);
    snug_slice text = snug_buf_slice(&b);
    double     yy = yyjson_mbs(folder, text, lines);
    double copy = median_mbs(run_copy, text, lines), borrow = median_mbs(run_borrow, text, lines);
    double jansson = median_mbs(run_jansson, text, lines);
    snug_jo_key(o, name);
    snug_jo_begin_object(o);
    snug_jo_ku64(o, "bytes", text.len);
    snug_jo_kf64(o, "snug_mbs", round(copy));
    snug_jo_kf64(o, "snug_borrow_mbs", round(borrow));
    snug_jo_kf64(o, "snug_unique_mbs", round(median_mbs(run_unique, text, lines)));
    snug_jo_kf64(o, "jansson_mbs", round(jansson));
    snug_jo_kf64(o, "yyjson_mbs", round(yy));
    snug_jo_kf64(o, "snug_to_yyjson", round(copy / yy * 100) / 100);
    snug_jo_kf64(o, "snug_to_jansson", round(copy / jansson * 100) / 100);
    if (!lines) snug_jo_kf64(o, "snug_writer_best_mbs", round(writer_mbs(text)));
    snug_jo_end_object(o);
}

int main(void)
{
    char     folder[] = "/tmp/snug-bench-XXXXXX";
    snug_err err;
    if (mkdtemp(folder) == NULL) die(strerror(errno));
    SNUG_AUTO(snug_buf) b = snug_buf_init(1 << 20);
    snug_json_out o = snug_json_out_init(&b);
    o.pretty = true;
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "bench", "base_json");
    bench(&o, folder, "tokenizer", make_tokenizer, false);
    bench(&o, folder, "records", make_records, false);
    bench(&o, folder, "jsonl", make_lines, true);
    snug_jo_end_object(&o);
    puts(snug_buf_cstr(&b));
    return snug_remove_tree(folder, &err) == SNUG_OK ? 0 : 1;
}
