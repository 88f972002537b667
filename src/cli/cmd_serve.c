/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cmd_serve.c - snug serve, snug openapi. */
#include <signal.h>
#include <stdlib.h>

#include "cli/serve.h"

enum { OPENAPI_MAX = 16 * 1024 * 1024 };

/* Blocked before any thread starts, so that only the main thread ever sees them, in sigwait. */
static void block_signals(sigset_t *set)
{
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGTERM);
    (void)sigaddset(set, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, set, NULL);
}

/* From here on the next signal ends the process at once; that is safe at any moment, only rude. */
static void allow_signals(const sigset_t *set)
{
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGINT, SIG_DFL);
    (void)pthread_sigmask(SIG_UNBLOCK, set, NULL);
}

static void greet(const cli *c, const config *conf, house *h)
{
    uint64_t users = 1;
    snug_err ignored = {0};
    cli_print("listening on %s\n", house_url(h));
    (void)fflush(stdout);
    if (hub_count_users(house_hub(h), &users, &ignored) == SNUG_OK && users == 0) {
        cli_note(c,
                 "There are no accounts yet. In another terminal:\n  snug user add YOU --admin "
                 "--data %s\n  snug token create YOU --name first --role write --data %s\n",
                 config_text(conf, CONFIG_ID_data), config_text(conf, CONFIG_ID_data));
    }
}

static snug_status run(cli *c, const cli_args *a, snug_err *err)
{
    config   conf;
    house   *h = NULL;
    sigset_t set;
    int      number = 0;
    block_signals(&set);
    snug_status st = config_load(c->arena, a, &conf, err);
    if (st == SNUG_OK) st = house_open(c, &conf, &h, err);
    if (st != SNUG_OK) return st;
    greet(c, &conf, h);
    while (sigwait(&set, &number) != 0) continue;
    unsigned grace = (unsigned)config_number(&conf, CONFIG_ID_grace);
    snug_log(SNUG_INFO, "serve.stop", "signal=%s grace_s=%u", number == SIGINT ? "INT" : "TERM",
             grace);
    allow_signals(&set);
    house_close(h, 1000 * grace);
    return SNUG_OK;
}

static const char *const examples[] = {"snug serve --data /srv/snug --listen 0.0.0.0:8421",
                                       "serve a folder to the network",
                                       "SNUG_WORKERS=16 snug serve --config /etc/snug.conf",
                                       "take settings from a file and the environment", NULL};

const cli_command cli_cmd_serve = {
    .name = "serve",
    .args = "",
    .summary = "run the hub",
    .help = "Runs the hub in the foreground: API, file transfers and pages on one address. It "
            "prints one line, `listening on http://...`, when it is ready, and logs to standard "
            "error.\n\n"
            "SIGTERM or Ctrl-C stops it after the running requests; a second one at once. "
            "Stopping it at any moment, even by kill -9 or by power loss, loses nothing that was "
            "acknowledged.\n\n"
            "All settings may also stand in a config file or in SNUG_* variables: see snug "
            "config.",
    .flags = config_flags,
    .examples = examples,
    .exits = "0 2 3 5 74",
    .run = run,
};

/* ---- openapi ---- */

static snug_status run_openapi(cli *c, const cli_args *a, snug_err *err)
{
    const http_route *const *tables;
    const size_t            *sizes;
    serve_tables(c->arena, &tables, &sizes);
    SNUG_AUTO(snug_buf) b = snug_buf_init(OPENAPI_MAX);
    if (cli_flag_given(a, "markdown"))
        api_status_put(&b);
    else
        http_openapi_put(tables, sizes, &b);
    snug_status st = snug_buf_check(&b, "the document", err);
    if (st == SNUG_OK && cli_flag_given(a, "markdown"))
        cli_print("%s", snug_buf_cstr(&b));
    else if (st == SNUG_OK)
        cli_print_json(&b);
    return st;
}

static const cli_flag openapi_flags[] = {
    {"markdown", NULL, "a table of the endpoints and their state instead"}, {NULL, NULL, NULL}};
static const char *const openapi_examples[] = {
    "snug openapi > openapi.json", "keep the description of the API",
    "snug openapi | jq '.paths | keys'", "list the endpoints", NULL};

const cli_command cli_cmd_openapi = {
    .name = "openapi",
    .args = "",
    .summary = "print the description of the HTTP API",
    .help = "Prints the OpenAPI 3.1 document made from the route tables of this build.",
    .flags = openapi_flags,
    .examples = openapi_examples,
    .exits = "0",
    .run = run_openapi,
};
