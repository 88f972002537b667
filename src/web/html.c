/* SPDX-License-Identifier: Apache-2.0 */
/* web/html.c - escaping, the frame of every page, the style sheet.
 *
 * Truth: everything that did not come from this file passes through html_text. */
#include "web/web_int.h"

void html_text(snug_buf *b, snug_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        switch (s.ptr[i]) {
        case '&': snug_buf_puts(b, "&amp;"); break;
        case '<': snug_buf_puts(b, "&lt;"); break;
        case '>': snug_buf_puts(b, "&gt;"); break;
        case '"': snug_buf_puts(b, "&quot;"); break;
        case '\'': snug_buf_puts(b, "&#39;"); break;
        default: snug_buf_putc(b, s.ptr[i]);
        }
    }
}

void html_tag(snug_buf *b, const char *tag, snug_slice text)
{
    snug_buf_printf(b, "<%s>", tag);
    html_text(b, text);
    snug_buf_printf(b, "</%s>", tag);
}

void page_begin(snug_buf *b, snug_slice title)
{
    snug_buf_puts(b, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                     "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    html_tag(b, "title", title);
    snug_buf_puts(b, "<link rel=\"stylesheet\" href=\"/-/style.css\"></head>\n<body>"
                     "<header><a class=\"home\" href=\"/\">Snug</a></header>\n<main>\n");
}

void page_end(snug_buf *b)
{
    snug_buf_puts(b, "</main>\n<footer>Snug " SNUG_VERSION
                     " · <a href=\"/openapi.json\">API description</a> · "
                     "<a href=\"/metrics\">metrics</a></footer></body></html>\n");
}

void page_reply(http_res *rs, int status, snug_buf *buf_taken)
{
    http_set_status(rs, status);
    http_set_header(rs, "Content-Security-Policy",
                    SNUG_LIT("default-src 'none'; style-src 'self'; img-src 'self'; "
                             "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"));
    http_set_header(rs, "X-Content-Type-Options", SNUG_LIT("nosniff"));
    http_set_header(rs, "Referrer-Policy", SNUG_LIT("same-origin"));
    http_set_header(rs, "Cache-Control", SNUG_LIT("private, no-cache"));
    http_reply_bytes(rs, SNUG_LIT("text/html; charset=utf-8"), buf_taken);
}

static const char style[] =
    ":root{color-scheme:light dark;--fg:#1d2330;--dim:#5b6475;--bg:#fbfaf8;--card:#fff;"
    "--line:#ddd8cf;--link:#0b57b0}\n"
    "@media(prefers-color-scheme:dark){:root{--fg:#e8e6e1;--dim:#a3a9b5;--bg:#16181d;"
    "--card:#1f2229;--line:#363b45;--link:#8ab8ff}}\n"
    "*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--fg);"
    "font:16px/1.5 system-ui,sans-serif}\n"
    "header,main,footer{max-width:64rem;margin:0 auto;padding:.75rem 1rem}\n"
    "header{padding-top:1.25rem}.home{font-weight:700;font-size:1.25rem;color:var(--fg);"
    "text-decoration:none}\n"
    "footer{color:var(--dim);border-top:1px solid var(--line);margin-top:2rem}\n"
    "a{color:var(--link)}a:focus-visible{outline:3px solid var(--link);outline-offset:2px}\n"
    "h1{font-size:1.6rem;margin:.5rem 0;overflow-wrap:anywhere}h2{font-size:1.15rem;"
    "margin:1.75rem 0 .5rem}\n"
    "pre{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.75rem 1rem;"
    "overflow:auto;font-size:.875rem}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;width:100%;background:var(--card);"
    "border:1px solid var(--line)}\n"
    "th,td{text-align:left;padding:.4rem .75rem;border-top:1px solid var(--line);"
    "vertical-align:top}th{color:var(--dim);font-weight:600;border-top:0}\n"
    "th.n,td.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}\n"
    "code{font-family:ui-monospace,monospace;font-size:.9em;overflow-wrap:anywhere}\n"
    ".dim{color:var(--dim)}.tag{display:inline-block;border:1px solid var(--line);"
    "border-radius:99px;padding:0 .6rem;margin:0 .25rem .25rem 0;font-size:.85rem;"
    "color:var(--dim)}\n";

snug_status web_style(http_req *rq, http_res *rs, snug_err *err)
{
    (void)rq;
    (void)err;
    http_set_header(rs, "Cache-Control", SNUG_LIT("max-age=3600"));
    http_reply_static(rs, SNUG_LIT("text/css; charset=utf-8"),
                      snug_slice_of(style, sizeof style - 1));
    return SNUG_OK;
}
