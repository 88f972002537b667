/* SPDX-License-Identifier: Apache-2.0 */
/* cli/config.h - the settings of the server: one table for the file, the environment, the flags,
 * `snug config` and docs/config.md. */
#ifndef SNUG_CLI_CONFIG_H
#define SNUG_CLI_CONFIG_H

#include "cli/cli_int.h"

typedef enum config_type {
    CONFIG_TEXT,
    CONFIG_COUNT,
    CONFIG_SECONDS,
    CONFIG_SIZE,
    CONFIG_SWITCH
} config_type;

/* X(key, flag, type, default, value word, help). Variables are SNUG_<KEY>; a new row also needs a
 * line in serve.c that uses it. */
#define CONFIG_LIST(X)                                                                             \
    X(data, "data", TEXT, NULL, "DIR",                                                             \
      "data folder: database, blobs, repositories (default ~/.local/share/snug)")                  \
    X(listen, "listen", TEXT, "127.0.0.1:8421", "HOST:PORT",                                       \
      "address to serve: host:port, [v6]:port or unix:/path; port 0 takes any free one")           \
    X(public_url, "public-url", TEXT, "", "URL",                                                   \
      "what clients call this hub, for links in answers (default: what they put in Host)")         \
    X(trusted_proxies, "trusted-proxies", TEXT, "", "LIST",                                        \
      "addresses whose X-Forwarded-* headers are believed, separated by commas")                   \
    X(io_threads, "io-threads", COUNT, "0", "N",                                                   \
      "threads that copy bytes; 0: one per CPU, at most 4")                                        \
    X(workers, "workers", COUNT, "0", "N", "threads that answer requests; 0: 8")                   \
    X(stream_workers, "stream-workers", COUNT, "0", "N", "threads that read uploads; 0: 32")       \
    X(job_threads, "job-threads", COUNT, "0", "N", "threads for work in the background; 0: 4")     \
    X(webhook_allow, "webhook-allow", TEXT, "", "LIST",                                            \
      "private networks that webhooks may reach, such as 10.0.0.0/8,127.0.0.1")                    \
    X(webhook_pause, "webhook-pause", SECONDS, "0", "S",                                           \
      "pause after a webhook's first failure, doubled each time; 0: 10")                           \
    X(webhook_attempts, "webhook-attempts", COUNT, "0", "N",                                       \
      "attempts before a delivery is given up; 0: 6")                                              \
    X(queue_max, "queue-max", COUNT, "0", "N",                                                     \
      "requests that may wait for a worker before clients get 503; 0: 1024")                       \
    X(connections_max, "connections-max", COUNT, "0", "N", "open connections; 0: 4096")            \
    X(idle_timeout, "idle-timeout", SECONDS, "0", "S",                                             \
      "seconds a silent connection is kept; 0: 75")                                                \
    X(body_timeout, "body-timeout", SECONDS, "0", "S",                                             \
      "seconds of silence inside an upload; 0: 30")                                                \
    X(memory_body_max, "memory-body-max", SIZE, "0", "SIZE",                                       \
      "largest request body held in memory; 0: 16MiB")                                             \
    X(raw_file_max, "raw-file-max", SIZE, "0", "SIZE",                                             \
      "largest file kept in git itself, larger ones go through LFS; 0: 10MiB")                     \
    X(lfs_file_max, "lfs-file-max", SIZE, "0", "SIZE", "largest LFS object; 0: 500GB")             \
    X(dedup, "dedup", SWITCH, "true", NULL,                                                        \
      "cut large files that arrive whole into chunks in the background, each stored once")         \
    X(dedup_min, "dedup-min", SIZE, "1MiB", "SIZE", "smaller files stay as they came")             \
    X(xet_token_life, "xet-token-life", SECONDS, "900", "S",                                       \
      "seconds a token for the Xet store is good; clients renew it in time")                       \
    X(xet_link_life, "xet-link-life", SECONDS, "7200", "S",                                        \
      "seconds a signed address of stored chunks is good; clients ask for new ones")               \
    X(gc, "gc", SWITCH, "true", NULL, "remove what nobody uses, every six hours")                  \
    X(gc_grace, "gc-grace", SECONDS, "86400", "S",                                                 \
      "seconds that something must have been unused before it is removed, at least 3600")          \
    X(lfs_parts_from, "lfs-parts-from", SIZE, "0", "SIZE",                                         \
      "LFS objects of this size and more may be sent in parts; 0: 2GiB")                           \
    X(read_only, "read-only", SWITCH, "false", NULL, "serve, but refuse every change")             \
    X(db, "db", TEXT, "", "URL", "database (default: sqlite in the data folder)")                  \
    X(grace, "grace", SECONDS, "10", "S", "seconds running requests get when the server stops")    \
    X(log_level, "log-level", TEXT, "info", "LEVEL", "debug, info, warn, error or off")            \
    X(log_format, "log-format", TEXT, "text", "FORMAT", "text or json")

typedef enum config_id {
#define X(key, flag, type, dflt, word, help) CONFIG_ID_##key,
    CONFIG_LIST(X)
#undef X
        CONFIG_ID_COUNT
} config_id;

typedef struct config_key {
    const char *name, *flag;
    config_type type;
    const char *dflt, *word, *help;
} config_key;
extern const config_key config_keys[CONFIG_ID_COUNT];
extern const cli_flag   config_flags[]; /* the keys as flags, and --config */

typedef struct config_value {
    const char *text, *origin;
} config_value; /* origin: "default", "$SNUG_DATA", ... */
typedef struct config {
    config_value v[CONFIG_ID_COUNT];
    const char  *file; /* read; NULL: none */
} config;

/* File (--config, $SNUG_CONFIG, else snug.conf in $XDG_CONFIG_HOME/snug when it exists), then
 * SNUG_* variables, then flags. Every value is checked. */
snug_status config_load(snug_arena *a, const cli_args *args, config *out,
                        snug_err *err) SNUG_MUST_USE;
/* "key = value" lines; # starts a comment line. Exposed for its tests. */
snug_status config_read_text(snug_arena *a, snug_slice text, const char *file, config *c,
                             snug_err *err) SNUG_MUST_USE;
const char *config_text(const config *c, config_id id); /* NULL when empty */
uint64_t    config_number(const config *c, config_id id);
bool        config_switch(const config *c, config_id id);

#endif
