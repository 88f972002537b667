/* SPDX-License-Identifier: Apache-2.0 */
/* bench/bench_jinja_render.c - chat templates rendered by us and by Python's jinja2.
 *
 * For each family of tests/golden/jinja a conversation of 40 turns: microseconds to compile and to
 * render, medians. jinja2 does the same in a child process, with its template compiled once:
 * $SNUG_BENCH_PYTHON names an interpreter that has it (default python3); without it its figures are
 * null. */
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"
#include "jinja/jinja.h"

enum { RUNS = 15, TURNS = 40, OUT_MAX = 8 << 20 };

static const char *const families[] = {"chatml", "llama3", "mistral-tools", "gemma", "qwen-tools"};

static const char peer[] =
    "import sys,json,time,statistics\n"
    "try:\n"
    " from jinja2.sandbox import ImmutableSandboxedEnvironment as E\n"
    " import jinja2\n"
    "except ImportError:\n"
    " print('null null'); sys.exit()\n"
    "text=open(sys.argv[1]).read(); data=json.load(open(sys.argv[2]))\n"
    "def env():\n"
    " e=E(trim_blocks=True,lstrip_blocks=True,extensions=['jinja2.ext.loopcontrols'])\n"
    " e.globals['strftime_now']=lambda f:time.strftime(f)\n"
    " e.filters['tojson']=lambda v,indent=None:json.dumps(v,ensure_ascii=False,indent=indent)\n"
    " return e\n"
    "def med(f,n):\n"
    " t=[]\n"
    " for _ in range(n):\n"
    "  s=time.perf_counter(); f(); t.append(time.perf_counter()-s)\n"
    " return statistics.median(t)*1e6\n"
    "e=env(); t=e.from_string(text)\n"
    "print(med(lambda: env().from_string(text),9), med(lambda: t.render(**data),41))\n";

static int by_time(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void put_context(snug_buf *b)
{
    snug_json_out o = snug_json_out_init(b);
    snug_jo_begin_object(&o);
    snug_jo_kcstr(&o, "bos_token", "<s>");
    snug_jo_kcstr(&o, "eos_token", "</s>");
    snug_jo_kcstr(&o, "date_string", "26 Jul 2026");
    snug_jo_kbool(&o, "add_generation_prompt", true);
    snug_jo_key(&o, "messages");
    snug_jo_begin_array(&o);
    for (int i = 0; i < TURNS; i++) {
        snug_jo_begin_object(&o);
        snug_jo_kcstr(&o, "role", i % 2 == 0 ? "user" : "assistant");
        snug_jo_key(&o, "content");
        snug_jo_strf(&o, "Turn %d: the quick brown fox, \"quoted\" and é, jumps again and again.",
                     i);
        snug_jo_end_object(&o);
    }
    snug_jo_end_array(&o);
    snug_jo_end_object(&o);
}

static void die(const char *what, const snug_err *err)
{
    (void)fprintf(stderr, "%s: %s\n", what, err->msg);
    exit(1);
}

/* Median microseconds to compile and to render. */
static void measure(snug_slice text, snug_json context, double *compile_us, double *render_us)
{
    double   c[RUNS], t[RUNS];
    snug_err err = {0};
    for (int i = 0; i < RUNS; i++) {
        snug_arena           *a = snug_arena_new();
        snug_buf              out = snug_buf_init(OUT_MAX);
        const jinja_template *compiled;
        uint64_t              start = snug_mono_ns(), middle;
        if (jinja_compile(a, text, &jinja_chat_opts, &compiled, &err) != SNUG_OK)
            die("compiling", &err);
        middle = snug_mono_ns();
        if (jinja_render(compiled, context, NULL, &out, &err) != SNUG_OK) die("rendering", &err);
        t[i] = (double)(snug_mono_ns() - middle) / 1e3;
        c[i] = (double)(middle - start) / 1e3;
        snug_buf_deinit(&out);
        snug_arena_free(a);
    }
    qsort(c, RUNS, sizeof *c, by_time);
    qsort(t, RUNS, sizeof *t, by_time);
    *compile_us = c[RUNS / 2];
    *render_us = t[RUNS / 2];
}

static void ask_peer(const char *template_path, const char *data_path, double *compile_us,
                     double *render_us)
{
    const char *python = getenv("SNUG_BENCH_PYTHON");
    char        command[4096], script[] = "/tmp/snug-bench-jinja-XXXXXX";
    int         fd = mkstemp(script);
    FILE       *f = fd < 0 ? NULL : fdopen(fd, "w");
    *compile_us = *render_us = 0;
    if (f == NULL) return;
    (void)fputs(peer, f);
    (void)fclose(f);
    (void)snprintf(command, sizeof command, "%s %s %s %s", python == NULL ? "python3" : python,
                   script, template_path, data_path);
    f = popen(command, "r");
    if (f != NULL && fscanf(f, "%lf %lf", compile_us, render_us) != 2) *render_us = 0;
    if (f != NULL) (void)pclose(f);
    (void)remove(script);
}

static void put_figure(snug_json_out *o, const char *key, double v)
{
    snug_jo_key(o, key);
    if (v > 0)
        snug_jo_f64(o, v);
    else
        snug_jo_null(o);
}

int main(void)
{
    snug_arena   *a = snug_arena_new();
    snug_buf      data = snug_buf_init(1 << 20), b = snug_buf_init(1 << 20);
    snug_json_out o = snug_json_out_init(&b);
    snug_json     context;
    snug_err      err = {0};
    char          path[] = "/tmp/snug-bench-chat-XXXXXX";
    int           fd = mkstemp(path);

    put_context(&data);
    if (fd < 0 || write(fd, data.ptr, data.len) != (ssize_t)data.len) return 1;
    if (snug_json_parse(a, snug_buf_slice(&data), NULL, &context, &err) != SNUG_OK)
        die("data", &err);
    snug_jo_begin_object(&o);
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        const char *file = snug_arena_printf(a, "tests/golden/jinja/%s.jinja", families[i]).ptr;
        snug_slice  text;
        double      compile_us, render_us, peer_compile, peer_render;
        if (snug_read_file(a, file, 1 << 20, &text, &err) != SNUG_OK) die(file, &err);
        measure(text, context, &compile_us, &render_us);
        ask_peer(file, path, &peer_compile, &peer_render);
        snug_jo_key(&o, families[i]);
        snug_jo_begin_object(&o);
        put_figure(&o, "compile_us", compile_us);
        put_figure(&o, "render_us", render_us);
        put_figure(&o, "jinja2_compile_us", peer_compile);
        put_figure(&o, "jinja2_render_us", peer_render);
        put_figure(&o, "render_times_jinja2", render_us > 0 ? peer_render / render_us : 0);
        snug_jo_end_object(&o);
    }
    snug_jo_end_object(&o);
    (void)printf("%.*s\n", SNUG_SLICE(snug_buf_slice(&b)));
    (void)remove(path);
    snug_buf_deinit(&data);
    snug_buf_deinit(&b);
    snug_arena_free(a);
    return 0;
}
