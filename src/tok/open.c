/* SPDX-License-Identifier: Apache-2.0 */
/* tok/open.c - finds the tokenizer in a folder and reads it.
 *
 * For:     cli/ and whoever has a path rather than bytes.
 * Threads: pure but for the files it reads. */
#include <sys/stat.h>
#include <unistd.h>

#include "tok/tok_int.h"

snug_status tok_open(const char *path, tok **out, snug_err *err)
{
    snug_arena *a = snug_arena_new(); /* the text is not needed once the tokenizer is built */
    snug_status st = SNUG_OK;
    const char *file = path;
    snug_slice  text;
    struct stat sb;
    if (stat(path, &sb) == 0 && S_ISDIR(sb.st_mode)) {
        file = snug_arena_printf(a, "%s/tokenizer.json", path).ptr;
        if (access(file, F_OK) != 0)
            SNUG_FAIL(err, SNUG_ENOTFOUND, "no tokenizer.json in %s", path);
    }
    SNUG_TRY(snug_read_file(a, file, TOK_JSON_MAX, &text, err));
    SNUG_TRY(tok_load(text, out, err));
done:
    snug_arena_free(a);
    return st;
}
