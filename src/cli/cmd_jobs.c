/* SPDX-License-Identifier: Apache-2.0 */
/* cli/cmd_jobs.c - snug jobs: work in the background, straight from the data folder.
 *
 * For:     the operator, beside a running server, which is what runs them. */
#include <stdio.h>

#include "cli/data.h"

enum { LIST_MAX = 10000, LIST_DEFAULT = 50, OUT_MAX = 64 * 1024 * 1024 };

static void print_job(cli *c, const hub_job *j)
{
    char when[25];
    snug_time_iso(j->done_ms > 0 ? j->done_ms : j->due_ms, when);
    cli_say(c, "%8lld  %-12.*s %-8s %3u  %s  %.*s\n", (long long)j->id, SNUG_SLICE(j->kind),
            j->state, j->attempts, when, SNUG_SLICE(j->error.len > 0 ? j->error : j->args));
}

static void put_job(snug_json_out *o, const hub_job *j)
{
    snug_jo_begin_object(o);
    snug_jo_ki64(o, "id", j->id);
    snug_jo_kstr(o, "kind", j->kind);
    snug_jo_kcstr(o, "state", j->state);
    snug_jo_ku64(o, "attempts", j->attempts);
    snug_jo_ki64(o, "created_ms", j->created_ms);
    snug_jo_ki64(o, "due_ms", j->due_ms);
    snug_jo_ki64(o, "done_ms", j->done_ms);
    snug_jo_key(o, "args");
    snug_jo_raw(o, j->args);
    snug_jo_kstr(o, "error", j->error);
    snug_jo_end_object(o);
}

static snug_status run_list(cli *c, const cli_args *a, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub        *h = NULL;
    hub_job    *list;
    size_t      n;
    uint64_t    limit = LIST_DEFAULT;
    const char *text = cli_flag_value(a, "limit");
    SNUG_AUTO(snug_buf) b = snug_buf_init(OUT_MAX);
    snug_json_out o = snug_json_out_init(&b);

    if (text != NULL && (!snug_parse_u64(snug_str(text), &limit) || limit > LIST_MAX))
        SNUG_FAIL(err, SNUG_EINVAL, "--limit takes a number up to %d", (int)LIST_MAX);
    SNUG_TRY(cli_open_hub(c, a, &h, err));
    SNUG_TRY(hub_list_jobs(h, cli_flag_value(a, "state"), 0, limit, c->arena, &list, &n, err));
    snug_jo_begin_array(&o);
    for (size_t i = 0; i < n; i++) {
        if (c->json)
            put_job(&o, &list[i]);
        else
            print_job(c, &list[i]);
    }
    snug_jo_end_array(&o);
    if (c->json) cli_print_json(&b);
done:
    if (h != NULL) hub_close(h);
    return st;
}

static const cli_flag list_flags[] = {
    {"state", "STATE", "only those that are waiting, running, done or failed"},
    {"limit", "N", "how many, newest first (default: 50)"},
    {NULL, NULL, NULL}};
static const char *const list_examples[] = {"snug jobs list --state failed", "what went wrong",
                                            "snug jobs list --json --data /srv/snug",
                                            "for a script", NULL};

const cli_command cli_cmd_jobs_list = {
    .name = "jobs list",
    .args = "",
    .summary = "list work in the background",
    .help = "Lists jobs: number, kind, state, attempts, when it ended or is due, and the error of "
            "the last attempt or the arguments. Done jobs are kept for a day, failed ones until "
            "they are retried.",
    .flags = list_flags,
    .groups = CLI_DATA,
    .examples = list_examples,
    .exits = "0 2 74",
    .run = run_list,
};

static snug_status run_retry(cli *c, const cli_args *a, snug_err *err)
{
    snug_status st = SNUG_OK;
    hub        *h = NULL;
    uint64_t    id;

    if (!snug_parse_u64(snug_str(cli_pos(a, 0)), &id) || id > INT64_MAX)
        SNUG_FAIL(err, SNUG_EINVAL, "\"%s\" is not the number of a job", cli_pos(a, 0));
    SNUG_TRY(cli_open_hub(c, a, &h, err));
    SNUG_TRY(hub_retry_job(h, (int64_t)id, err));
    cli_say(c, "Job %llu waits again\n", (unsigned long long)id);
done:
    if (h != NULL) hub_close(h);
    return st;
}

static const char *const retry_examples[] = {"snug jobs retry 42", "run a failed job again",
                                             "snug jobs retry 42 --data /srv/snug",
                                             "of the hub in that folder", NULL};

const cli_command cli_cmd_jobs_retry = {
    .name = "jobs retry",
    .args = "ID",
    .summary = "run a failed job again",
    .help = "Puts a failed job back; a running server takes it up within a second.",
    .groups = CLI_DATA,
    .min = 1,
    .max = 1,
    .examples = retry_examples,
    .exits = "0 2 3 74",
    .run = run_retry,
};
