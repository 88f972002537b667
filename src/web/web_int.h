/* SPDX-License-Identifier: Apache-2.0 */
/* web/web_int.h - HTML building blocks shared by the pages. */
#ifndef SNUG_WEB_WEB_INT_H
#define SNUG_WEB_WEB_INT_H

#include "web/web.h"

enum { WEB_PAGE_MAX = 4 << 20 };

/* Text for element content and double-quoted attributes. */
void html_text(snug_buf *b, snug_slice s);
/* "%s"-like with everything escaped: html_f(b, "<b>%.*s</b>") does NOT escape; use html_tag. */
void html_tag(snug_buf *b, const char *tag, snug_slice text); /* <tag>text</tag> */

/* Opens and closes a page; `title` is escaped. */
void page_begin(snug_buf *b, snug_slice title);
void page_end(snug_buf *b);
/* Sends the page with its security headers. */
void page_reply(http_res *rs, int status, snug_buf *buf_taken);

http_handler web_home, web_repo, web_style;

#endif
