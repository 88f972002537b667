/* SPDX-License-Identifier: Apache-2.0 */
/* codec/card.c - finds the YAML front matter of a README.
 *
 * For:     hub/ (card rules), web/ (shows the body alone).
 * Threads: pure functions. */
#include "codec/codec_int.h"

/* Takes one line with its end off *rest; *line is without the end and without trailing blanks. */
static void take_line(snug_slice *rest, snug_slice *line)
{
    size_t end = snug_index(*rest, '\n');
    *line = snug_sub(*rest, 0, end == SIZE_MAX ? rest->len : end);
    *rest = snug_sub(*rest, end == SIZE_MAX ? rest->len : end + 1, rest->len);
    while (line->len > 0) {
        char last = line->ptr[line->len - 1];
        if (last != '\r' && last != ' ' && last != '\t') break;
        line->len--;
    }
}

void codec_card_split(snug_slice readme, snug_slice *yaml, snug_slice *body)
{
    snug_slice line, rest;
    if (snug_starts_with(readme, "\xef\xbb\xbf")) readme = snug_sub(readme, 3, readme.len);
    *yaml = SNUG_EMPTY;
    *body = readme;
    rest = readme;
    take_line(&rest, &line);
    if (!snug_eq_str(line, "---")) return;
    const char *start = rest.ptr;
    while (rest.len > 0) {
        const char *at = rest.ptr;
        take_line(&rest, &line);
        if (!snug_eq_str(line, "---") && !snug_eq_str(line, "...")) continue;
        *yaml = snug_slice_of(start, (size_t)(at - start));
        *body = rest;
        return;
    }
    /* never closed: all of it is text */
}

snug_status codec_card_parse(snug_arena *a, snug_slice readme, snug_json *out, snug_slice *body,
                             snug_err *err)
{
    snug_slice yaml;
    codec_card_split(readme, &yaml, body);
    *out = (snug_json){NULL};
    if (yaml.ptr == NULL) return SNUG_OK;
    return codec_yaml_parse_at(a, yaml, 2, out, err); /* line 1 is the "---" */
}
