/* SPDX-License-Identifier: Apache-2.0 */
/* remote/env.c - the variables and files that stock clients share with us, and the saved token.
 *
 * For:     remote_open, and the log-in command.
 * Owns:    $HF_HOME/token and stored_tokens, together with every other client of this user.
 * Threads: any; reads the environment only.
 * Truth:   a token file we wrote is readable by its owner alone from its first byte on. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "remote/remote_int.h"

enum { TOKEN_FILE_MAX = 64 * 1024, TOKEN_MAX = 4096 };

static const char *env_or_null(const char *name)
{
    const char *v = getenv(name);
    return v != NULL && v[0] != '\0' ? v : NULL;
}

static char *user_home(void)
{
    const char *home = env_or_null("HOME");
    if (home == NULL) {
        const struct passwd *pw = getpwuid(getuid());
        home = pw != NULL && pw->pw_dir != NULL ? pw->pw_dir : "/";
    }
    return snug_strdup(snug_str(home));
}

static char *join(const char *dir, const char *rest)
{
    SNUG_AUTO(snug_buf) b = snug_buf_init(64 * 1024);
    snug_buf_printf(&b, "%s/%s", dir, rest);
    return snug_strdup(snug_buf_slice(&b));
}

/* "~" and "~/x" in a variable mean the home folder, as stock clients read them. */
static char *expand(const char *path)
{
    if (path[0] != '~' || (path[1] != '/' && path[1] != '\0')) return snug_strdup(snug_str(path));
    char *home = user_home();
    if (path[1] == '\0') return home;
    char *full = join(home, path + 2);
    free(home);
    return full;
}

char *remote_env_home(void)
{
    const char *v = env_or_null("HF_HOME");
    if (v != NULL) return expand(v);
    v = env_or_null("XDG_CACHE_HOME");
    char *base = v != NULL ? expand(v) : expand("~/.cache");
    char *home = join(base, "huggingface");
    free(base);
    return home;
}

static char *below_home(const char *name)
{
    char *home = remote_env_home();
    char *path = join(home, name);
    free(home);
    return path;
}

char *remote_env_cache(void)
{
    const char *v = env_or_null("HF_HUB_CACHE");
    if (v == NULL) v = env_or_null("HUGGINGFACE_HUB_CACHE"); /* its older name */
    return v != NULL ? expand(v) : below_home("hub");
}

char *remote_env_xet(void)
{
    const char *v = env_or_null("HF_XET_CACHE");
    return v != NULL ? expand(v) : below_home("xet");
}

char *remote_env_token_path(void)
{
    const char *v = env_or_null("HF_TOKEN_PATH");
    return v != NULL ? expand(v) : below_home("token");
}

/* White space around a token comes from editors and pipes. */
static char *clean_token(snug_slice s)
{
    s = snug_trim(s);
    if (s.len == 0 || s.len > TOKEN_MAX) return NULL;
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.ptr[i] <= 0x20 || s.ptr[i] == 0x7f)
            return NULL; /* no header splitting */
    }
    return snug_strdup(s);
}

char *remote_env_token(void)
{
    const char *v = env_or_null("HF_TOKEN");
    if (v == NULL) v = env_or_null("HUGGING_FACE_HUB_TOKEN"); /* its older name */
    if (v != NULL) return clean_token(snug_str(v));
    char       *path = remote_env_token_path();
    snug_arena *a = snug_arena_new();
    snug_slice  text;
    char       *token = NULL;
    if (snug_read_file(a, path, TOKEN_FILE_MAX, &text, NULL) == SNUG_OK) {
        token = clean_token(text);
        snug_secret_wipe((void *)(uintptr_t)text.ptr, text.len);
    }
    snug_arena_free(a);
    free(path);
    return token;
}

bool remote_env_true(const char *name)
{
    static const char *const yes[] = {"1", "on", "yes", "true"};
    const char              *v = getenv(name);
    for (size_t i = 0; v != NULL && i < sizeof yes / sizeof *yes; i++) {
        if (snug_eq_nocase(snug_str(v), snug_str(yes[i]))) return true;
    }
    return false;
}

static snug_status make_parent(const char *path, snug_err *err)
{
    size_t      cut = snug_rindex(snug_str(path), '/');
    snug_status st = SNUG_OK;
    if (cut == SIZE_MAX || cut == 0) return st;
    char *dir = snug_strdup(snug_slice_of(path, cut));
    st = snug_mkdirs(dir, 0700, err);
    free(dir);
    return st;
}

/* stored_tokens is an INI file: [name], then hf_token = ... Other sections stay as they are. */
static void put_sections(snug_buf *b, snug_slice old, snug_slice name, snug_slice token)
{
    snug_slice line;
    bool       mine = false;
    while (snug_split(&old, '\n', &line)) {
        snug_slice t = snug_trim(line);
        if (t.len >= 2 && t.ptr[0] == '[' && t.ptr[t.len - 1] == ']') {
            mine = snug_eq(snug_sub(t, 1, t.len - 2), name);
        }
        if (mine || t.len == 0) continue;
        if (t.ptr[0] == '[' && b->len > 0) snug_buf_putc(b, '\n');
        snug_buf_put_slice(b, t);
        snug_buf_putc(b, '\n');
    }
    if (b->len > 0) snug_buf_putc(b, '\n');
    snug_buf_printf(b, "[%.*s]\nhf_token = %.*s\n\n", SNUG_SLICE(name), SNUG_SLICE(token));
}

static snug_status save_stored(const char *token_path, snug_slice name, snug_slice token,
                               snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_arena *a = snug_arena_new();
    snug_buf    text = snug_buf_init(2 * TOKEN_FILE_MAX);
    snug_slice  dir = snug_str(token_path), old = SNUG_EMPTY;
    size_t      cut = snug_rindex(dir, '/');
    const char *path = cut == SIZE_MAX
                           ? "stored_tokens"
                           : snug_arena_printf(a, "%.*s/stored_tokens", (int)cut, dir.ptr).ptr;
    if (access(path, F_OK) == 0) SNUG_TRY(snug_read_file(a, path, TOKEN_FILE_MAX, &old, err));
    put_sections(&text, old, name, token);
    SNUG_TRY(snug_buf_check(&text, "stored_tokens", err));
    SNUG_TRY(snug_write_file_atomic(path, snug_buf_slice(&text), 0600, err));
done:
    if (text.ptr != NULL) snug_secret_wipe(text.ptr, text.cap);
    snug_buf_deinit(&text);
    snug_arena_free(a);
    return st;
}

snug_status remote_save_token(snug_slice name, snug_slice token, snug_err *err)
{
    snug_status st = SNUG_OK;
    char       *path = remote_env_token_path(), *clean = clean_token(token);
    if (clean == NULL) SNUG_FAIL(err, SNUG_EINVAL, "this is not an access token");
    if (name.len == 0) name = SNUG_LIT("snug");
    for (size_t i = 0; i < name.len; i++) {
        unsigned char ch = (unsigned char)name.ptr[i];
        if (ch < 0x20 || ch == '[' || ch == ']') {
            SNUG_FAIL(err, SNUG_EINVAL,
                      "a token's name cannot hold brackets or control characters");
        }
    }
    SNUG_TRY(make_parent(path, err));
    SNUG_TRY(save_stored(path, name, snug_str(clean), err));
    SNUG_TRY(snug_write_file_atomic(path, snug_str(clean), 0600, err));
done:
    if (clean != NULL) snug_secret_wipe(clean, strlen(clean));
    free(clean);
    free(path);
    return st;
}

snug_status remote_forget_token(snug_err *err)
{
    snug_status st = SNUG_OK;
    char       *path = remote_env_token_path();
    if (unlink(path) != 0 && errno != ENOENT) st = remote_fail_file(err, errno, "remove", path);
    free(path);
    return st;
}
