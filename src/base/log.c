/* SPDX-License-Identifier: Apache-2.0 */
/* base/log.c - one line per event, written with one write(2) so that lines never mix.
 *
 * Callers give "key=%s other=%d" with values that may hold spaces: the expanded text is split
 * where a space, a key and '=' follow each other, and values are quoted when they need it. A value
 * that itself holds " key=" shows as two pairs, which is why secrets never come here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/json.h"
#include "base/slice.h"
#include "base/sys.h"

/* Quoting makes at most six bytes of one, so every text fits its line: none can hide itself. */
enum { TEXT_MAX_BYTES = 2048, LINE_MAX_BYTES = 8 * TEXT_MAX_BYTES };

static snug_log_opts             setup = {SNUG_INFO, false, STDERR_FILENO};
static _Thread_local const char *request_id;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void snug_log_setup(const snug_log_opts *o) { setup = *o; }
bool snug_log_enabled(snug_log_level l) { return l >= setup.level && setup.level != SNUG_LOG_OFF; }
void snug_log_request(const char *id) { request_id = id; }

static bool is_key_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Appends key=value, quoting values that hold anything but plain characters. */
static void put_pair(snug_buf *line, snug_slice key, snug_slice value)
{
    bool plain = value.len > 0;
    for (size_t i = 0; i < value.len && plain; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        plain = c > 0x20 && c < 0x7f && c != '"' && c != '=' && c != '\\';
    }
    snug_buf_putc(line, ' ');
    snug_buf_put_slice(line, key);
    snug_buf_putc(line, '=');
    if (plain) {
        snug_buf_put_slice(line, value);
        return;
    }
    snug_json_out o = snug_json_out_init(line);
    snug_jo_str(&o, value); /* JSON quoting is what log readers know */
}

typedef struct log_line {
    snug_buf      buf;
    snug_json_out json;
} log_line;

static void line_pair(log_line *l, snug_slice key, snug_slice value)
{
    if (setup.json) {
        snug_jo_key_slice(&l->json, key);
        snug_jo_str(&l->json, value);
    } else {
        put_pair(&l->buf, key, value);
    }
}

static void line_head(log_line *l, snug_log_level level, const char *event)
{
    char stamp[25];
    snug_time_iso(snug_now_ms(), stamp);
    l->json = snug_json_out_init(&l->buf);
    if (setup.json) {
        snug_jo_begin_object(&l->json);
        snug_jo_kcstr(&l->json, "time", stamp);
        snug_jo_kcstr(&l->json, "level", level_names[level]);
        snug_jo_kcstr(&l->json, "event", event);
    } else {
        snug_buf_printf(&l->buf, "%s %-5s %s", stamp, level_names[level], event);
    }
    if (request_id != NULL) line_pair(l, SNUG_LIT("req"), snug_str(request_id));
}

static void line_end(log_line *l)
{
    if (setup.json) snug_jo_end_object(&l->json);
    snug_buf_putc(&l->buf, '\n');
    if (!l->buf.full) {
        ssize_t n = write(setup.fd, l->buf.ptr, l->buf.len);
        (void)n; /* a log that cannot be written has nowhere to complain */
    }
    snug_buf_deinit(&l->buf);
}

/* Splits "a=1 b=two words c=3" at keys: a space, key characters and '='. */
static void put_pairs(log_line *l, snug_slice text)
{
    size_t at = 0;
    while (at < text.len) {
        size_t eq = at;
        while (eq < text.len && is_key_char(text.ptr[eq])) eq++;
        if (eq == at || eq >= text.len || text.ptr[eq] != '=') {
            line_pair(l, SNUG_LIT("msg"), snug_sub(text, at, text.len));
            return;
        }
        size_t end = eq + 1;
        size_t scan = end;
        for (;;) { /* the value ends before " key=" */
            while (scan < text.len && text.ptr[scan] != ' ') scan++;
            end = scan;
            size_t k = scan + 1;
            while (k < text.len && is_key_char(text.ptr[k])) k++;
            if (scan >= text.len || (k > scan + 1 && k < text.len && text.ptr[k] == '=')) break;
            scan++;
        }
        line_pair(l, snug_sub(text, at, eq - at), snug_sub(text, eq + 1, end - eq - 1));
        at = end + 1;
    }
}

void snug_log(snug_log_level level, const char *event, const char *fmt, ...)
{
    if (!snug_log_enabled(level)) return;
    char    text[TEXT_MAX_BYTES];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n < 0) return;
    size_t   len = (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    log_line l = {.buf = snug_buf_init(LINE_MAX_BYTES)};
    line_head(&l, level, event);
    put_pairs(&l, (snug_slice){text, len});
    line_end(&l);
}

void snug_log_err(snug_log_level level, const char *event, const snug_err *err)
{
    if (!snug_log_enabled(level)) return;
    log_line l = {.buf = snug_buf_init(LINE_MAX_BYTES)};
    line_head(&l, level, event);
    line_pair(&l, SNUG_LIT("status"), snug_str(snug_status_name(err->status)));
    line_pair(&l, SNUG_LIT("msg"), snug_str(err->msg));
    if (err->cause[0] != '\0') line_pair(&l, SNUG_LIT("cause"), snug_str(err->cause));
    line_end(&l);
}
