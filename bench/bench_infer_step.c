/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_infer_step.c - one model, timed by command: what bench/engine.py compares with its
 * peers. usage: bench_infer_step FOLDER_OR_GGUF [THREADS]; commands on stdin, a line of JSON each:
 *
 *   encode ROUNDS LEN...      a batch of texts of these lengths through an encoder
 *   dump PATH LEN...          the same once; the first output as raw float32 into PATH
 *   prompt ROUNDS N           N tokens through a decoder at once
 *   generate ROUNDS HELD N    N tokens one by one behind HELD
 *   beams ROUNDS BEAMS N LEN...   N tokens by beam search behind each of a batch of texts that an
 *                             encoder reads, and the ids written
 *
 * Times are medians and minima over ROUNDS in seconds: of the wall, and of this process's CPUs,
 * which others on the machine cannot stretch. */
#include <stdlib.h>
#include <time.h>

#include "infer/infer_int.h"

enum { ROUNDS_MAX = 1000, TEXTS_MAX = 4096, LINE_MAX_BYTES = 1 << 16 };

static void must(snug_status st, const snug_err *err)
{
    if (st == SNUG_OK) return;
    (void)fprintf(stderr, "%s\n", err->msg);
    exit(1);
}

static double cpu_seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

typedef struct times {
    double wall[ROUNDS_MAX], cpu[ROUNDS_MAX], wall_from, cpu_from;
    size_t count;
} times;

static void start(times *t)
{
    t->cpu_from = cpu_seconds();
    t->wall_from = (double)snug_mono_ns() / 1e9;
}

static void stop(times *t)
{
    t->wall[t->count] = (double)snug_mono_ns() / 1e9 - t->wall_from;
    t->cpu[t->count++] = cpu_seconds() - t->cpu_from;
}

/* Without the closing brace. */
static void report_open(times *t)
{
    qsort(t->wall, t->count, sizeof t->wall[0], by_value);
    qsort(t->cpu, t->count, sizeof t->cpu[0], by_value);
    printf("{\"wall\": %.9f, \"wall_min\": %.9f, \"cpu\": %.9f, \"cpu_min\": %.9f",
           t->wall[t->count / 2], t->wall[0], t->cpu[t->count / 2], t->cpu[0]);
    t->count = 0;
}

static void report(times *t)
{
    report_open(t);
    printf("}\n");
    (void)fflush(stdout);
}

static size_t number(char **line) { return strtoul(*line, line, 10); }

static times clock_of;

/* ids are 1 + i * 7 % (vocabulary - 1) within a text, as engine.py makes them; 0 pads. */
static model_batch texts_of(const model *m, const size_t *len, size_t count, int32_t **owned)
{
    size_t most = 0, vocab = model_shape_of(m)->vocab;
    bool   mixed = false;
    for (size_t b = 0; b < count; b++) {
        most = len[b] > most ? len[b] : most;
        mixed |= len[b] != len[0];
    }
    int32_t *ids = snug_zalloc(2 * count * most * sizeof *ids), *mask = ids + count * most;
    for (size_t b = 0; b < count; b++)
        for (size_t i = 0; i < len[b]; i++) {
            ids[b * most + i] = (int32_t)(1 + (b + i * 7) % (vocab - 1));
            mask[b * most + i] = 1;
        }
    *owned = ids;
    return (model_batch){
        .batch = count, .times = most, .ids = ids, .mask = mixed ? mask : NULL, .unpadded = true};
}

static void encode(model *m, size_t rounds, char *line, const char *dump)
{
    static size_t len[TEXTS_MAX];
    size_t        count = 0;
    int32_t      *ids = NULL;
    model_out     out;
    snug_err      err;
    for (size_t n = number(&line); n > 0 && count < TEXTS_MAX; n = number(&line)) len[count++] = n;
    if (count == 0) return;
    model_batch in = texts_of(m, len, count, &ids);
    for (size_t r = 0; r < rounds; r++) {
        start(&clock_of);
        out = (model_out){0};
        must(model_forward(m, &in, &out, &err), &err);
        must(tensor_sync(model_dev(m), &err), &err);
        stop(&clock_of);
    }
    if (dump != NULL) {
        size_t size = tensor_size(&out.item[0].value);
        void  *bytes = snug_alloc(size);
        FILE  *f = fopen(dump, "wb");
        must(tensor_get(&out.item[0].value, bytes, size, &err), &err);
        if (f == NULL || fwrite(bytes, 1, size, f) != size || fclose(f) != 0) exit(1);
        free(bytes);
    }
    free(ids);
    report(&clock_of);
}

static void step(model *m, nn_kv *kv, size_t n)
{
    snug_err  err;
    model_out out = {0};
    int32_t  *ids = snug_zalloc(n * sizeof *ids);
    for (size_t i = 0; i < n; i++) ids[i] = (int32_t)(1 + i * 7 % (model_shape_of(m)->vocab - 1));
    must(model_forward(
             m, &(model_batch){.batch = 1, .times = n, .ids = ids, .kv = kv, .last_only = true},
             &out, &err),
         &err);
    must(tensor_sync(model_dev(m), &err), &err);
    free(ids);
}

static void decode(model *m, size_t rounds, size_t held, size_t n, bool at_once)
{
    snug_err err;
    nn_kv   *kv = NULL;
    must(model_new_kv(m, 1, held + n, &kv, &err), &err);
    if (held > 0) step(m, kv, held);
    for (size_t r = 0; r < rounds; r++) {
        nn_kv_rewind(kv, held);
        start(&clock_of);
        if (at_once) step(m, kv, n);
        for (size_t i = 0; !at_once && i < n; i++) step(m, kv, 1);
        stop(&clock_of);
    }
    nn_kv_free(kv);
    report(&clock_of);
}

static void search(model *m, size_t rounds, size_t beams, size_t n, char *line)
{
    static size_t len[TEXTS_MAX];
    size_t        count = 0;
    int32_t      *ids = NULL, start_ids[TEXTS_MAX] = {0};
    snug_err      err;
    gen_result    r = {0};
    gen_sink      none = {0};
    for (size_t v = number(&line); v > 0 && count < TEXTS_MAX; v = number(&line)) len[count++] = v;
    if (count == 0 || rounds == 0) return;
    model_batch in = texts_of(m, len, count, &ids);
    in.unpadded = false;
    gen_conf conf = {.max_new_tokens = n,
                     .max_length = SIZE_MAX,
                     .vocab = model_shape_of(m)->vocab,
                     .pad = -1,
                     .beams = beams,
                     .returns = 1,
                     .length_penalty = 1};
    conf.sample = sample_conf_off();
    for (size_t i = 0; i < rounds; i++) {
        model_memory *read = NULL;
        free(r.ids);
        start(&clock_of);
        must(model_encode(m, &in, &read, &err), &err);
        gen_prompt prompt = {.batch = count, .times = 1, .ids = start_ids, .memory = read};
        must(gen_beam(m, &conf, &prompt, &none, &r, &err), &err);
        stop(&clock_of);
        model_memory_free(read);
    }
    report_open(&clock_of);
    printf(", \"ids\": [");
    for (size_t b = 0; b < count; b++)
        for (size_t i = 1; i < r.times; i++)
            printf("%s%d%s",
                   i > 1   ? ", "
                   : b > 0 ? ", ["
                           : "[",
                   (int)r.ids[b * r.times + i], i + 1 == r.times ? "]" : "");
    printf("]}\n");
    (void)fflush(stdout);
    free(r.ids);
    free(ids);
}

int main(int argc, char **argv)
{
    static char line[LINE_MAX_BYTES];
    tensor_dev *d = NULL;
    model      *m = NULL;
    snug_err    err;
    if (argc < 2) {
        printf("{\"usage\": \"run by bench/engine.py\"}\n");
        return 0;
    }
    must(tensor_dev_open(tensor_backend_best(), argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0,
                         &d, &err),
         &err);
    must(model_open(argv[1], SNUG_EMPTY, d, &m, &err), &err);
    while (fgets(line, sizeof line, stdin) != NULL) {
        char  *rest = strchr(line, ' '), *path = NULL;
        size_t rounds = 1;
        if (rest == NULL) continue;
        *rest++ = '\0';
        if (strcmp(line, "dump") == 0) {
            path = rest;
            rest = strchr(rest, ' ');
            if (rest == NULL) continue;
            *rest++ = '\0';
        } else {
            rounds = number(&rest);
            rounds = rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
        }
        if (strcmp(line, "encode") == 0 || path != NULL) encode(m, rounds, rest, path);
        if (strcmp(line, "prompt") == 0) decode(m, rounds, 0, number(&rest), true);
        if (strcmp(line, "beams") == 0) {
            size_t beams = number(&rest), n = number(&rest);
            search(m, rounds, beams, n, rest);
        }
        if (strcmp(line, "generate") == 0) {
            size_t held = number(&rest);
            decode(m, rounds, held, number(&rest), false);
        }
    }
    model_close(m);
    tensor_dev_close(d);
    return 0;
}
