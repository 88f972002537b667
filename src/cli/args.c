/* SPDX-License-Identifier: Apache-2.0 */
/* cli/args.c - from argv to a command, its flags and its arguments, with help for slips.
 *
 * For:     cli_main and the tests of the command line.
 * Owns:    nothing.
 * Threads: pure functions over argv and the table. */
#include "cli/cli_int.h"

enum { WORD_MAX = 64, FLAGS_MAX = 256 };

const cli_flag cli_global_flags[] = {
    {"json", NULL, "results as JSON on standard output, errors as JSON on standard error"},
    {"quiet", NULL, "no progress and no remarks, only results and errors"},
    {"color", "WHEN", "auto (default), always or never"},
    {"help", NULL, "this text"},
    {NULL, NULL, NULL},
};

const cli_flag cli_remote_flags[] = {
    {"endpoint", "URL", "the hub to talk to (default: $HF_ENDPOINT, else http://127.0.0.1:8421)"},
    {"token", "TOKEN", "the access token (default: $HF_TOKEN, else what `snug login` stored)"},
    {NULL, NULL, NULL},
};

const cli_flag cli_data_flags[] = {
    {"data", "DIR", "the data folder (default: $SNUG_DATA, else ~/.local/share/snug)"},
    {NULL, NULL, NULL},
};

/* ---- words that are nearly right ---- */

static size_t least(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

size_t cli_distance(const char *a, const char *b)
{
    size_t rows[3][WORD_MAX + 1], na = strlen(a), nb = strlen(b);
    if (na > WORD_MAX || nb > WORD_MAX) return SIZE_MAX;
    for (size_t j = 0; j <= nb; j++) rows[0][j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t *now = rows[i % 3], *up = rows[(i - 1) % 3], *up2 = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            now[j] = least(up[j] + 1, now[j - 1] + 1, up[j - 1] + (a[i - 1] != b[j - 1]));
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && up2[j - 2] + 1 < now[j]) now[j] = up2[j - 2] + 1;
        }
    }
    return rows[na % 3][nb];
}

static bool is_close(size_t distance, const char *typed)
{
    size_t n = strlen(typed);
    return distance <= (n <= 3 ? 1u : n <= 6 ? 2u : 3u);
}

const char *cli_nearest_command(const char *typed)
{
    const char *best = NULL;
    size_t      best_distance = SIZE_MAX;
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        const char *name = cli_commands[i]->name;
        const char *space = strchr(name, ' ');
        char        first[WORD_MAX];
        (void)snprintf(first, sizeof first, "%.*s",
                       space == NULL ? WORD_MAX - 1 : (int)(space - name), name);
        size_t whole = cli_distance(typed, name), group = cli_distance(typed, first);
        size_t d = whole < group ? whole : group;
        if (d < best_distance) {
            best_distance = d;
            best = name;
        }
    }
    return best != NULL && is_close(best_distance, typed) ? best : NULL;
}

/* ---- the command ---- */

bool cli_is_group(const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        const char *name = cli_commands[i]->name;
        if (strncmp(name, word, n) == 0 && name[n] == ' ') return true;
    }
    return false;
}

const cli_command *cli_find_command(int argc, char **argv, int *used)
{
    char two[2 * WORD_MAX] = "";
    *used = 0;
    if (argc < 1) return NULL;
    if (argc > 1) (void)snprintf(two, sizeof two, "%.60s %.60s", argv[0], argv[1]);
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        bool both = argc > 1 && strcmp(cli_commands[i]->name, two) == 0;
        if (both || strcmp(cli_commands[i]->name, argv[0]) == 0) {
            *used = both ? 2 : 1;
            return cli_commands[i];
        }
    }
    return NULL;
}

/* ---- flags ---- */

/* All flags a command takes, its own first. */
static size_t collect_flags(const cli_command *cmd, const cli_flag *out[FLAGS_MAX])
{
    const cli_flag *lists[] = {cmd->flags, cmd->groups & CLI_DATA ? cli_data_flags : NULL,
                               cmd->groups & CLI_REMOTE ? cli_remote_flags : NULL,
                               cli_global_flags};
    size_t          n = 0;
    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++) {
        for (const cli_flag *f = lists[l]; f != NULL && f->name != NULL && n < FLAGS_MAX; f++)
            out[n++] = f;
    }
    return n;
}

static snug_status unknown_flag(const cli_command *cmd, const char *typed,
                                const cli_flag *const *flags, size_t n, snug_err *err)
{
    const cli_flag *best = NULL;
    size_t          best_distance = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        size_t d = cli_distance(typed, flags[i]->name);
        if (d < best_distance) {
            best_distance = d;
            best = flags[i];
        }
    }
    if (best != NULL && is_close(best_distance, typed)) {
        return snug_fail(err, SNUG_EINVAL, "%s has no flag --%s; did you mean --%s?", cmd->name,
                         typed, best->name);
    }
    return snug_fail(err, SNUG_EINVAL, "%s has no flag --%s; see snug %s --help", cmd->name, typed,
                     cmd->name);
}

/* The short forms people's fingers know. */
static const char *long_form(const char *word)
{
    if (strcmp(word, "-h") == 0) return "--help";
    if (strcmp(word, "-q") == 0) return "--quiet";
    if (strcmp(word, "-o") == 0) return "--out";
    return word;
}

static snug_status take_flag(const cli_command *cmd, const char *word, int argc, char **argv,
                             int *i, const cli_flag *const *flags, size_t n, cli_args *out,
                             snug_err *err)
{
    char        name[WORD_MAX + 1];
    const char *eq = strchr(word, '=');
    size_t      len = eq == NULL ? strlen(word) : (size_t)(eq - word);
    (void)snprintf(name, sizeof name, "%.*s", len > WORD_MAX ? WORD_MAX : (int)len, word);
    const cli_flag *flag = NULL;
    for (size_t k = 0; k < n && flag == NULL; k++) {
        if (strcmp(flags[k]->name, name) == 0) flag = flags[k];
    }
    if (flag == NULL) return unknown_flag(cmd, name, flags, n, err);
    const char *value = eq == NULL ? NULL : eq + 1;
    if (flag->value == NULL && value != NULL)
        return snug_fail(err, SNUG_EINVAL, "--%s takes no value", name);
    if (flag->value != NULL && value == NULL) {
        if (*i + 1 >= argc)
            return snug_fail(err, SNUG_EINVAL, "--%s needs a value: --%s %s", name, name,
                             flag->value);
        value = argv[++*i];
    }
    out->given[out->given_count++] = (cli_given){flag, value == NULL ? "true" : value};
    return SNUG_OK;
}

static snug_status check_count(const cli_command *cmd, const cli_args *a, snug_err *err)
{
    if (cli_flag_given(a, "help")) return SNUG_OK;
    if (a->pos_count < cmd->min)
        return snug_fail(err, SNUG_EINVAL, "%s needs more: snug %s %s", cmd->name, cmd->name,
                         cmd->args);
    if (a->pos_count > cmd->max) {
        return snug_fail(err, SNUG_EINVAL, "%s does not know what to do with \"%s\": snug %s %s",
                         cmd->name, a->pos[cmd->max], cmd->name, cmd->args);
    }
    return SNUG_OK;
}

snug_status cli_parse_args(const cli_command *cmd, int argc, char **argv, snug_arena *a,
                           cli_args *out, snug_err *err)
{
    const cli_flag *flags[FLAGS_MAX];
    size_t          n = collect_flags(cmd, flags);
    bool            only_pos = false;
    *out = (cli_args){.given = snug_arena_zalloc(a, ((size_t)argc + 1) * sizeof *out->given),
                      .pos = snug_arena_zalloc(a, ((size_t)argc + 1) * sizeof *out->pos)};
    for (int i = 0; i < argc; i++) {
        const char *word = only_pos ? argv[i] : long_form(argv[i]);
        if (!only_pos && strcmp(word, "--") == 0) {
            only_pos = true;
        } else if (!only_pos && strncmp(word, "--", 2) == 0) {
            snug_status st = take_flag(cmd, word + 2, argc, argv, &i, flags, n, out, err);
            if (st != SNUG_OK) return st;
        } else if (!only_pos && word[0] == '-' && word[1] != '\0' &&
                   (word[1] < '0' || word[1] > '9')) {
            return snug_fail(
                err, SNUG_EINVAL,
                "%s has no flag %s; flags are written with two dashes, and -- ends them", cmd->name,
                word);
        } else {
            out->pos[out->pos_count++] = word;
        }
    }
    return check_count(cmd, out, err);
}

const char *cli_flag_nth(const cli_args *a, const char *name, size_t index)
{
    for (size_t i = 0; i < a->given_count; i++) {
        if (strcmp(a->given[i].flag->name, name) == 0 && index-- == 0) return a->given[i].value;
    }
    return NULL;
}

const char *cli_flag_value(const cli_args *a, const char *name)
{
    for (size_t i = a->given_count; i > 0; i--) {
        if (strcmp(a->given[i - 1].flag->name, name) == 0) return a->given[i - 1].value;
    }
    return NULL;
}

bool cli_flag_given(const cli_args *a, const char *name) { return cli_flag_value(a, name) != NULL; }
const char *cli_pos(const cli_args *a, size_t index)
{
    return index < a->pos_count ? a->pos[index] : NULL;
}
