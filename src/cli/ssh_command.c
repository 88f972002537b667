/* SPDX-License-Identifier: Apache-2.0 */
/* cli/ssh_command.c - the one line a git client sends over SSH.
 *
 *     git-upload-pack '/ada/my-model.git'        git upload-pack 'datasets/ada/x'
 *     git-lfs-authenticate ada/my-model.git download
 *
 * For:     cmd_ssh.c; fuzzed.
 * Truth:   only names of repositories come out of here. */
#include "cli/ssh.h"

enum { COMMAND_MAX = 1024 };

static const struct {
    const char *word;
    ssh_verb    verb;
} verbs[] = {
    {"git-upload-pack", SSH_FETCH},
    {"git-receive-pack", SSH_PUSH},
    {"git-lfs-authenticate", SSH_LFS_READ},
};

static snug_slice next_word(snug_slice *rest)
{
    *rest = snug_trim(*rest);
    size_t end = snug_index(*rest, ' ');
    if (end == SIZE_MAX) end = rest->len;
    snug_slice word = snug_sub(*rest, 0, end);
    *rest = snug_trim(snug_sub(*rest, end, SIZE_MAX));
    return word;
}

/* Names need no quoting, so quotes are only taken off around a whole word. */
static snug_slice unquote(snug_slice s)
{
    bool quoted =
        s.len >= 2 && (s.ptr[0] == '\'' || s.ptr[0] == '"') && s.ptr[s.len - 1] == s.ptr[0];
    return quoted ? snug_sub(s, 1, s.len - 2) : s;
}

/* "/ada/x.git", "datasets/ada/x" */
static snug_status parse_path(snug_slice path, hub_repo_id *out, snug_err *err)
{
    snug_slice part[3];
    size_t     n = 0;
    hub_type   type = HUB_MODEL;

    while (snug_starts_with(path, "/")) path = snug_sub(path, 1, SIZE_MAX);
    while (snug_ends_with(path, "/")) path.len--;
    if (snug_ends_with(path, ".git")) path.len -= 4;
    snug_slice rest = path;
    while (n < 3 && snug_split(&rest, '/', &part[n])) n++;
    bool typed = n == 3 && hub_type_parse(part[0], &type);
    if (rest.ptr != NULL || (n != 2 && !typed))
        return snug_fail(err, SNUG_EINVAL,
                         "a repository's address is ssh://HOST/OWNER/NAME, or "
                         "ssh://HOST/datasets/OWNER/NAME");
    return hub_parse_id(type, part[n - 2], part[n - 1], out, err);
}

static snug_status parse_lfs_word(snug_slice word, ssh_command *out, snug_err *err)
{
    if (snug_eq_str(word, "upload"))
        out->verb = SSH_LFS_WRITE;
    else if (!snug_eq_str(word, "download"))
        return snug_fail(err, SNUG_EINVAL, "git-lfs-authenticate is for upload or download");
    return SNUG_OK;
}

snug_status ssh_parse_command(snug_slice text, ssh_command *out, snug_err *err)
{
    snug_status st = SNUG_OK;
    snug_slice  rest = snug_trim(text), word;
    size_t      v = 0;
    char        dashed[32] = "";

    if (rest.len == 0)
        SNUG_FAIL(err, SNUG_EFORBIDDEN,
                  "You are logged in, but there is no shell here: git clone, fetch and push work");
    if (rest.len > COMMAND_MAX) SNUG_FAIL(err, SNUG_EINVAL, "the command is too long");
    word = next_word(&rest);
    if (snug_eq_str(word, "git")) { /* "git upload-pack" is git-upload-pack */
        word = next_word(&rest);
        if (word.len < sizeof dashed - 4)
            (void)snprintf(dashed, sizeof dashed, "git-%.*s", SNUG_SLICE(word));
        word = snug_str(dashed);
    }
    if (snug_eq_str(word, "git-lfs-transfer"))
        SNUG_FAIL(err, SNUG_EUNSUPPORTED,
                  "git-lfs-transfer is not served here; git-lfs goes on over HTTP by itself");
    if (snug_eq_str(word, "git-upload-archive"))
        SNUG_FAIL(err, SNUG_EUNSUPPORTED, "git archive is not served here: clone with --depth 1");
    while (v < sizeof verbs / sizeof *verbs && !snug_eq_str(word, verbs[v].word)) v++;
    if (v == sizeof verbs / sizeof *verbs)
        SNUG_FAIL(err, SNUG_EFORBIDDEN, "Only git is served here: clone, fetch, push and git-lfs");
    out->verb = verbs[v].verb;
    word = next_word(&rest);
    SNUG_TRY(parse_path(unquote(word), &out->repo, err));
    if (out->verb == SSH_LFS_READ) {
        SNUG_TRY(parse_lfs_word(next_word(&rest), out, err));
        (void)next_word(&rest); /* older clients name an object */
    }
    if (rest.len > 0) SNUG_FAIL(err, SNUG_EINVAL, "the command has a word too many");
done:
    return st;
}
