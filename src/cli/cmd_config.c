/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cmd_config.c - snug config: every setting, its value and where it came from. */
#include "cli/config.h"

enum { OUT_MAX = 1024 * 1024 };

static const char *const type_names[] = {"text", "number", "seconds", "size", "true or false"};

static void print_markdown(void)
{
    cli_print("<!-- Made by `snug config --markdown` (make docs). Edit the table in "
              "src/cli/config.h instead. -->\n"
              "# Settings\n\nEach setting is read from the config file, then from its variable, "
              "then from its flag; the last one "
              "wins. The file is\n`--config FILE`, else `$SNUG_CONFIG`, else "
              "`~/.config/snug/snug.conf` (below `$XDG_CONFIG_HOME` "
              "when that is set). Its lines are\n`key = value`; `#` starts a comment line. `snug "
              "config` prints what is in force and "
              "where it came from.\n\n| key | variable | flag | takes | default | "
              "|\n|---|---|---|---|---|---|\n");
    for (config_id id = 0; id < CONFIG_ID_COUNT; id++) {
        const config_key *k = &config_keys[id];
        cli_print("| `%s` | `SNUG_", k->name);
        for (const char *p = k->name; *p != '\0'; p++)
            (void)fputc(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p, stdout);
        const char *dflt = id == CONFIG_ID_data ? "~/.local/share/snug" : k->dflt;
        cli_print("` | `--%s` | %s | %s%s%s | %s |\n", k->flag, type_names[k->type],
                  dflt[0] == '\0' ? "" : "`", dflt, dflt[0] == '\0' ? "" : "`", k->help);
    }
}

static snug_status run(cli *c, const cli_args *a, snug_err *err)
{
    config conf;
    if (cli_flag_given(a, "markdown")) {
        print_markdown();
        return SNUG_OK;
    }
    snug_status st = config_load(c->arena, a, &conf, err);
    if (st != SNUG_OK) return st;
    SNUG_AUTO(snug_buf) b = snug_buf_init(OUT_MAX);
    snug_json_out j = snug_json_out_init(&b);
    snug_jo_begin_object(&j);
    for (config_id id = 0; id < CONFIG_ID_COUNT; id++) {
        const char *text = conf.v[id].text;
        if (!c->json) {
            cli_print("%-16s = %-28s # %s\n", config_keys[id].name, text, conf.v[id].origin);
            continue;
        }
        snug_jo_key(&j, config_keys[id].name);
        snug_jo_begin_object(&j);
        snug_jo_kcstr(&j, "value", text);
        snug_jo_kcstr(&j, "origin", conf.v[id].origin);
        snug_jo_end_object(&j);
    }
    snug_jo_end_object(&j);
    if (c->json) cli_print_json(&b);
    return SNUG_OK;
}

/* The flags of serve, and one of its own. */
static const cli_flag flags[CONFIG_ID_COUNT + 3] = {
#define X(key, flag, type, dflt, word, help) {flag, word, help},
    CONFIG_LIST(X)
#undef X
        {"config", "FILE", "file with `key = value` lines"},
    {"markdown", NULL, "docs/config.md: every setting in one table"},
};
static const char *const examples[] = {"snug config", "print all settings and where they come from",
                                       "snug config > ~/.config/snug/snug.conf",
                                       "begin a config file", NULL};

const cli_command cli_cmd_config = {
    .name = "config",
    .args = "",
    .summary = "print the settings of the server",
    .help = "Prints every setting of `snug serve` with its value and where it came from: the "
            "config file, a SNUG_* variable, a flag or the default. What it prints is itself a "
            "config file.",
    .flags = flags,
    .examples = examples,
    .exits = "0 2 3",
    .run = run,
};
