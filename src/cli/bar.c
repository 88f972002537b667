/* SPDX-License-Identifier: Apache-2.0 */
/* cli/bar.c - progress on standard error.
 *
 * For:     upload, download, run.
 * Owns:    the last line of the terminal while it is drawn.
 * Threads: the thread that started the transfer.
 * Truth:   nothing is shown for work under a second; without a terminal at most a line every 10 s.
 */
#include "cli/bar.h"

#include <sys/ioctl.h>
#include <unistd.h>

enum {
    QUIET_MS = 1000,
    DRAW_MS = 100,
    LOG_MS = 10000,
    STALL_LOG_MS = 3000,
    WINDOW_MS = 2000,
    CELLS_MAX = 30,
    NAME_MIN = 12
};

cli_bar cli_bar_new(const cli *c)
{
    uint64_t now = snug_mono_ms();
    return (cli_bar){.c = c, .began_ms = now, .shown_ms = now, .mark_ms = now};
}

/* A smoothed rate: a window of two seconds, half of the old figure kept. */
static void update_rate(cli_bar *b, uint64_t now, uint64_t done)
{
    if (!b->started) {
        b->started = true;
        b->first_done = b->mark_done = done;
        b->mark_ms = now;
    }
    uint64_t span = now - b->mark_ms;
    if (span < WINDOW_MS && b->rate > 0) return;
    if (span < 200) return;
    double fresh = 1000.0 * (double)(done - b->mark_done) / (double)span;
    b->rate = b->rate > 0 ? 0.5 * b->rate + 0.5 * fresh : fresh;
    if (span >= WINDOW_MS) {
        b->mark_ms = now;
        b->mark_done = done;
    }
}

/* The end of a long name tells more than its beginning. */
static void put_name(snug_buf *out, const char *name, size_t room)
{
    size_t n = strlen(name);
    if (n <= room) {
        snug_buf_printf(out, "%-*s", (int)room, name);
        return;
    }
    name += n - (room - 1);
    while (((unsigned char)*name & 0xC0) == 0x80) name++; /* not inside a character */
    snug_buf_printf(out, "~%s", name);
}

static void put_cells(snug_buf *out, uint64_t done, uint64_t total, unsigned cells)
{
    unsigned full = total == 0 ? cells : (unsigned)((double)cells * (double)done / (double)total);
    snug_buf_putc(out, '[');
    for (unsigned i = 0; i < cells; i++) snug_buf_putc(out, i < full ? '=' : i == full ? '>' : ' ');
    snug_buf_putc(out, ']');
}

void cli_bar_line(const cli_bar *b, const remote_progress *p, unsigned width, snug_buf *out)
{
    char     done[16], total[16], rate[16], left[32] = "";
    unsigned percent = p->total == 0 ? 100 : (unsigned)(100.0 * (double)p->done / (double)p->total);
    snug_size_human(p->done, done);
    snug_size_human(p->total, total);
    snug_size_human((uint64_t)b->rate, rate);
    if (b->rate > 0 && p->done < p->total && p->stall == NULL)
        snug_time_human((uint64_t)(1000.0 * (double)(p->total - p->done) / b->rate), left);
    SNUG_AUTO(snug_buf) tail = snug_buf_init(256);
    snug_buf_printf(&tail, " %3u%%  %s/%s", percent, done, total);
    if (p->files_total > 1)
        snug_buf_printf(&tail, "  %zu/%zu files", p->files_done, p->files_total);
    if (p->stall != NULL) { /* the reason is worth more than a picture */
        unsigned room = width > tail.len + 3 ? width - (unsigned)tail.len - 3 : 0;
        snug_buf_printf(out, "%.*s%s  %.*s", NAME_MIN, "waiting", snug_buf_cstr(&tail),
                        (int)(room > NAME_MIN ? room - NAME_MIN : 0), p->stall);
        return;
    }
    if (b->rate > 0) snug_buf_printf(&tail, "  %s/s", rate);
    if (left[0] != '\0') snug_buf_printf(&tail, "  %s left", left);
    unsigned room = width > tail.len + 1 ? width - (unsigned)tail.len - 1 : 0;
    unsigned cells = room > NAME_MIN + 12 ? (room - NAME_MIN - 3) / 2 : 0;
    if (cells > CELLS_MAX) cells = CELLS_MAX;
    unsigned name = room > (cells > 0 ? cells + 3 : 0) ? room - (cells > 0 ? cells + 3 : 0) : 0;
    if (name > 40) name = 40;
    if (name >= NAME_MIN) put_name(out, p->what, name);
    if (cells > 0) {
        snug_buf_putc(out, ' ');
        put_cells(out, p->done, p->total, cells);
    }
    snug_buf_put_slice(out, snug_buf_slice(&tail));
}

static unsigned terminal_width(void)
{
    struct winsize w;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col : 80;
}

void cli_bar_show(void *arg, const remote_progress *p)
{
    cli_bar *b = arg;
    uint64_t now = snug_mono_ms();
    update_rate(b, now, p->done);
    if (b->c->quiet || b->c->json) return;
    bool     tty = b->c->err_tty;
    uint64_t every = tty ? DRAW_MS : p->stall != NULL ? STALL_LOG_MS : LOG_MS;
    if (now - b->began_ms < QUIET_MS || (now - b->shown_ms < every && !(p->finished && b->drawn)))
        return;
    b->shown_ms = now;
    b->drawn = true;
    SNUG_AUTO(snug_buf) line = snug_buf_init(4096);
    cli_bar_line(b, p, tty ? terminal_width() : 100, &line);
    if (tty)
        (void)fprintf(stderr, "\r\033[K%s%s", snug_buf_cstr(&line), p->finished ? "\n" : "");
    else
        (void)fprintf(stderr, "%s\n", snug_buf_cstr(&line));
    (void)fflush(stderr);
    if (p->finished) b->drawn = false;
}

void cli_bar_end(cli_bar *b)
{
    if (b->drawn && b->c->err_tty) (void)fprintf(stderr, "\r\033[K");
    b->drawn = false;
}
