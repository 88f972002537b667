/* SPDX-License-Identifier: Apache-2.0 */
/* cli/config.c - where each setting comes from: file, then variables, then flags.
 *
 * For:     serve, the account commands (for the data folder), `snug config`.
 * Owns:    nothing.
 * Threads: the main thread, before others start.
 * Truth:   after config_load every value parses as its type, so readers need no error path. */
#include "cli/config.h"

#include <stdlib.h>
#include <unistd.h>

enum { FILE_MAX = 1024 * 1024, VALUE_MAX = 4096, SECONDS_MAX = 86400 };

const config_key config_keys[CONFIG_ID_COUNT] = {
#define X(key, flag, type, dflt, word, help) {#key, flag, CONFIG_##type, dflt, word, help},
    CONFIG_LIST(X)
#undef X
};

const cli_flag config_flags[] = {
#define X(key, flag, type, dflt, word, help) {flag, word, help},
    CONFIG_LIST(X)
#undef X
        {"config", "FILE",
         "file with `key = value` lines (default: $SNUG_CONFIG, else ~/.config/snug/snug.conf)"},
    {NULL, NULL, NULL},
};

/* ---- checking ---- */

static bool parse_switch(snug_slice s, bool *out)
{
    static const char *const yes[] = {"1", "true", "yes", "on"}, *const no[] = {"0", "false", "no",
                                                                                "off", ""};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        if (snug_eq_nocase(s, snug_str(yes[i]))) return *out = true, true;
    }
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        if (snug_eq_nocase(s, snug_str(no[i]))) return *out = false, true;
    }
    return false;
}

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (strcmp(text, *words) == 0) return true;
    }
    return false;
}

static const char *const levels[] = {"debug", "info", "warn", "error", "off", NULL};
static const char *const formats[] = {"text", "json", NULL};

static snug_status check(config_id id, const char *text, const char *origin, snug_err *err)
{
    const config_key *k = &config_keys[id];
    uint64_t          n;
    bool              b;
    const char       *want = NULL;
    switch (k->type) {
    case CONFIG_COUNT:
        want = snug_parse_u64(snug_str(text), &n) && n <= 1000000 ? NULL : "a number up to 1000000";
        break;
    case CONFIG_SECONDS:
        want = snug_parse_u64(snug_str(text), &n) && n <= SECONDS_MAX ? NULL
                                                                      : "seconds, at most 86400";
        break;
    case CONFIG_SIZE:
        want = snug_parse_size(snug_str(text), &n) ? NULL : "a size such as 512, 64k or 2GiB";
        break;
    case CONFIG_SWITCH: want = parse_switch(snug_str(text), &b) ? NULL : "true or false"; break;
    case CONFIG_TEXT: break;
    }
    if (id == CONFIG_ID_log_level && !is_one_of(text, levels))
        want = "debug, info, warn, error or off";
    if (id == CONFIG_ID_log_format && !is_one_of(text, formats)) want = "text or json";
    if (want == NULL) return SNUG_OK;
    return snug_fail(err, SNUG_EINVAL, "%s = \"%s\" (from %s): this takes %s", k->name, text,
                     origin, want);
}

static snug_status set(config *c, config_id id, const char *text, const char *origin, snug_err *err)
{
    snug_status st = check(id, text, origin, err);
    if (st == SNUG_OK) c->v[id] = (config_value){text, origin};
    return st;
}

/* ---- the file ---- */

static config_id find_key(snug_slice name)
{
    for (config_id id = 0; id < CONFIG_ID_COUNT; id++) {
        if (snug_eq_str(name, config_keys[id].name) || snug_eq_str(name, config_keys[id].flag))
            return id;
    }
    return CONFIG_ID_COUNT;
}

static const char *nearest_key(const char *typed)
{
    const char *best = NULL;
    size_t      least = 4;
    for (config_id id = 0; id < CONFIG_ID_COUNT; id++) {
        size_t d = cli_distance(typed, config_keys[id].name);
        if (d < least) {
            least = d;
            best = config_keys[id].name;
        }
    }
    return best;
}

static snug_status read_line(snug_arena *a, snug_slice line, const char *origin, config *c,
                             snug_err *err)
{
    size_t eq = snug_index(line, '=');
    if (eq == SIZE_MAX) return snug_fail(err, SNUG_EINVAL, "%s: a line is `key = value`", origin);
    snug_slice key = snug_trim(snug_sub(line, 0, eq)),
               value = snug_trim(snug_sub(line, eq + 1, SIZE_MAX));
    if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
        value = snug_sub(value, 1, value.len - 2);
    if (value.len > VALUE_MAX)
        return snug_fail(err, SNUG_ELIMIT, "%s: the value is longer than %d bytes", origin,
                         VALUE_MAX);
    config_id id = find_key(key);
    if (id < CONFIG_ID_COUNT) return set(c, id, snug_arena_cstr(a, value), origin, err);
    const char *name = snug_arena_cstr(a, key), *near = nearest_key(name);
    return snug_fail(err, SNUG_EINVAL, "%s: there is no setting \"%s\"%s%s%s", origin, name,
                     near == NULL ? "" : "; did you mean \"", near == NULL ? "" : near,
                     near == NULL ? "" : "\"?");
}

snug_status config_read_text(snug_arena *a, snug_slice text, const char *file, config *c,
                             snug_err *err)
{
    snug_slice line;
    for (unsigned number = 1; snug_split(&text, '\n', &line); number++) {
        line = snug_trim(line);
        if (line.len == 0 || line.ptr[0] == '#') continue;
        snug_status st =
            read_line(a, line, snug_arena_printf(a, "%s:%u", file, number).ptr, c, err);
        if (st != SNUG_OK) return st;
    }
    return SNUG_OK;
}

static const char *home_path(snug_arena *a, const char *variable, const char *below_home,
                             const char *rest)
{
    const char *base = getenv(variable), *home = getenv("HOME");
    if (base != NULL && base[0] == '/') return snug_arena_printf(a, "%s/%s", base, rest).ptr;
    return snug_arena_printf(a, "%s/%s/%s", home != NULL && home[0] != '\0' ? home : ".",
                             below_home, rest)
        .ptr;
}

static snug_status read_file(snug_arena *a, const cli_args *args, config *c, snug_err *err)
{
    const char *file = args == NULL ? NULL : cli_flag_value(args, "config");
    snug_slice  text;
    if (file == NULL) file = getenv("SNUG_CONFIG");
    if (file == NULL || file[0] == '\0') {
        file = home_path(a, "XDG_CONFIG_HOME", ".config", "snug/snug.conf");
        if (access(file, F_OK) != 0) return SNUG_OK;
    }
    if (access(file, R_OK) != 0)
        return snug_fail(err, SNUG_ENOTFOUND, "the config file %s cannot be read", file);
    snug_status st = snug_read_file(a, file, FILE_MAX, &text, err);
    if (st != SNUG_OK) return st;
    c->file = file;
    return config_read_text(a, text, file, c, err);
}

/* ---- all three ---- */

static const char *variable_of(snug_arena *a, const char *key)
{
    char *name = snug_arena_cstr(a, snug_arena_printf(a, "SNUG_%s", key));
    for (char *p = name; *p != '\0'; p++) {
        if (*p >= 'a' && *p <= 'z') *p = (char)(*p - 'a' + 'A');
    }
    return name;
}

snug_status config_load(snug_arena *a, const cli_args *args, config *out, snug_err *err)
{
    *out = (config){.file = NULL};
    for (config_id id = 0; id < CONFIG_ID_COUNT; id++)
        out->v[id] = (config_value){config_keys[id].dflt, "default"};
    out->v[CONFIG_ID_data].text = home_path(a, "XDG_DATA_HOME", ".local/share", "snug");
    snug_status st = read_file(a, args, out, err);
    for (config_id id = 0; st == SNUG_OK && id < CONFIG_ID_COUNT; id++) {
        const char *variable = variable_of(a, config_keys[id].name), *value = getenv(variable);
        if (value != NULL && value[0] != '\0')
            st = set(out, id, value, snug_arena_printf(a, "$%s", variable).ptr, err);
        value = args == NULL ? NULL : cli_flag_value(args, config_keys[id].flag);
        if (st == SNUG_OK && value != NULL)
            st = set(out, id, value, snug_arena_printf(a, "--%s", config_keys[id].flag).ptr, err);
    }
    return st;
}

const char *config_text(const config *c, config_id id)
{
    const char *s = c->v[id].text;
    return s != NULL && s[0] != '\0' ? s : NULL;
}

uint64_t config_number(const config *c, config_id id)
{
    uint64_t n = 0;
    bool     ok = config_keys[id].type == CONFIG_SIZE ? snug_parse_size(snug_str(c->v[id].text), &n)
                                                      : snug_parse_u64(snug_str(c->v[id].text), &n);
    SNUG_ASSERT(ok);
    return n;
}

bool config_switch(const config *c, config_id id)
{
    bool on = false;
    SNUG_ASSERT(parse_switch(snug_str(c->v[id].text), &on));
    return on;
}
