/* SPDX-License-Identifier: Apache-2.0 */
/* base/sys.h - clock, log, metrics, fault points and files. */
#ifndef SNUG_BASE_SYS_H
#define SNUG_BASE_SYS_H

#include "base/mem.h"

/* ---- clock ---- */
int64_t  snug_now_ms(void);  /* wall clock, milliseconds since 1970 UTC */
uint64_t snug_mono_ns(void); /* monotonic, nanoseconds */
static inline uint64_t snug_mono_ms(void) { return snug_mono_ns() / 1000000u; }
/* "2026-11-20T12:34:56.789Z": the only form stock clients parse. out needs 25 bytes. */
void snug_time_iso(int64_t ms, char out[25]);
/* "Fri, 20 Nov 2026 12:34:56 GMT" (RFC 9110). out needs 30 bytes. */
void snug_time_http(int64_t ms, char out[30]);
/* "850 ms", "12 s", "3 min 4 s", "2 h 5 min": for people. out needs 32 bytes. */
void snug_time_human(uint64_t ms, char out[32]);
/* "12.3 MB" (decimal units). out needs 16 bytes. */
void snug_size_human(uint64_t bytes, char out[16]);

/* ---- log: one line per event: time level event key=value ... (or JSON) ---- */
typedef enum snug_log_level { SNUG_DEBUG, SNUG_INFO, SNUG_WARN, SNUG_ERROR, SNUG_LOG_OFF } snug_log_level;
typedef struct snug_log_opts {
    snug_log_level level;
    bool           json;
    int            fd; /* borrowed; 2 for stderr */
} snug_log_opts;
void snug_log_setup(const snug_log_opts *o); /* once, before threads start */
bool snug_log_enabled(snug_log_level l);
/* fmt is "key=%s other=%d": values with spaces or quotes are quoted by the logger. Never put a
 * secret here. The line carries req=<id> when snug_log_request was called on this thread. */
void snug_log(snug_log_level l, const char *event, const char *fmt, ...) SNUG_PRINTF(3, 4);
void snug_log_err(snug_log_level l, const char *event, const snug_err *err); /* msg and cause */
void snug_log_request(const char *id_borrowed); /* NULL: none. Thread-local */

/* ---- metrics: the whole list, X(id, type, prometheus name, help). Types: COUNTER, GAUGE. ---- */
#define SNUG_METRIC_LIST(X)                                                                        \
    X(HTTP_REQUESTS, COUNTER, "snug_http_requests_total", "Requests answered")                     \
    X(HTTP_ERRORS_4XX, COUNTER, "snug_http_client_errors_total", "Answers with a 4xx status")      \
    X(HTTP_ERRORS_5XX, COUNTER, "snug_http_server_errors_total", "Answers with a 5xx status")      \
    X(HTTP_INLINE, COUNTER, "snug_http_inline_total", "Requests answered on the I/O thread")       \
    X(HTTP_SHED, COUNTER, "snug_http_shed_total", "Requests refused because a queue was full")     \
    X(HTTP_CONNECTIONS, GAUGE, "snug_http_connections", "Open client connections")                 \
    X(HTTP_BYTES_IN, COUNTER, "snug_http_request_bytes_total", "Request body bytes received")      \
    X(HTTP_BYTES_OUT, COUNTER, "snug_http_response_bytes_total", "Response body bytes sent")       \
    X(WORKERS_BUSY, GAUGE, "snug_workers_busy", "Worker threads running a handler")                \
    X(WORKERS_QUEUED, GAUGE, "snug_workers_queued", "Requests waiting for a worker")               \
    X(STREAMS_BUSY, GAUGE, "snug_stream_workers_busy", "Workers reading a streamed body")          \
    X(BLOBS_WRITTEN, COUNTER, "snug_blobs_written_total", "Blobs stored")                          \
    X(BLOB_BYTES_WRITTEN, COUNTER, "snug_blob_bytes_written_total", "Blob bytes stored")           \
    X(BLOBS_REJECTED, COUNTER, "snug_blobs_rejected_total", "Uploads whose hash or size was false")\
    X(COMMITS, COUNTER, "snug_commits_total", "Commits made over the API")                         \
    X(PUSHES, COUNTER, "snug_pushes_total", "Git pushes that moved a ref")                         \
    X(COMMIT_CONFLICTS, COUNTER, "snug_commit_conflicts_total", "Commits refused as stale")        \
    X(DB_QUERIES, COUNTER, "snug_db_queries_total", "SQL statements run")                          \
    X(DB_WRITES_WAITING, GAUGE, "snug_db_writers_waiting", "Threads waiting to write")             \
    X(REPO_CACHE_HITS, COUNTER, "snug_repo_cache_hits_total", "Repo info answered from memory")    \
    X(REPO_CACHE_MISSES, COUNTER, "snug_repo_cache_misses_total", "Repo info rendered anew")       \
    X(AUTH_FAILURES, COUNTER, "snug_auth_failures_total", "Bad tokens and passwords")              \
    X(RECONCILED, COUNTER, "snug_repos_reconciled_total", "Rows healed from refs after a crash")   \
    X(JOBS_DONE, COUNTER, "snug_jobs_done_total", "Background jobs that succeeded")                \
    X(JOBS_FAILED, COUNTER, "snug_jobs_failed_total", "Attempts of background jobs that failed")

typedef enum snug_metric {
#define X(id, type, name, help) SNUG_M_##id,
    SNUG_METRIC_LIST(X)
#undef X
    SNUG_METRIC_COUNT
} snug_metric;
void    snug_metric_add(snug_metric m, int64_t n);
void    snug_metric_set(snug_metric m, int64_t v);
int64_t snug_metric_get(snug_metric m);
void    snug_metrics_put(snug_buf *b); /* Prometheus text, with process memory and uptime */

/* ---- fault points: places where the torture test makes one call fail or the process die ----
 * SNUG_FAULTS="blob.rename=fail@3,vcs.ref=kill@1" : the third pass through blob.rename fails with
 * EIO, the first through vcs.ref ends the process as by kill -9. Compiled in always; costs one
 * load and a predictable branch when unset. */
#define SNUG_FAULT(name) (__builtin_expect(snug_faults_on, 0) && snug_fault_hit(name))
extern bool snug_faults_on;
void snug_faults_setup(const char *spec); /* NULL: none; called by main() with $SNUG_FAULTS */
bool snug_fault_hit(const char *name);    /* true: fail now (errno set to EIO) */

/* ---- files; paths are C strings, errors go through snug_fail_sys ---- */
typedef struct snug_fd { int fd; } snug_fd; /* for SNUG_AUTO(snug_fd) f = {-1}; */
void snug_fd_deinit(snug_fd *f);

/* Reads a whole file of at most max bytes into the arena. */
snug_status snug_read_file(snug_arena *a, const char *path, size_t max, snug_slice *out,
                           snug_err *err) SNUG_MUST_USE;
/* Writes path.tmp.<random>, fsyncs, renames over path, fsyncs the folder. */
snug_status snug_write_file_atomic(const char *path, snug_slice bytes, unsigned mode,
                                   snug_err *err) SNUG_MUST_USE;
snug_status snug_mkdirs(const char *path, unsigned mode, snug_err *err) SNUG_MUST_USE;
snug_status snug_fsync_dir(const char *path, snug_err *err) SNUG_MUST_USE;
snug_status snug_remove_tree(const char *path, snug_err *err) SNUG_MUST_USE; /* absent is fine */
snug_status snug_write_all(int fd, const void *p, size_t n, snug_err *err) SNUG_MUST_USE;
/* Reads exactly n bytes at off; SNUG_ECORRUPT when the file is shorter. */
snug_status snug_pread_all(int fd, void *p, size_t n, uint64_t off, snug_err *err) SNUG_MUST_USE;

/* A read-only mapping of a whole file. */
typedef struct snug_map { const char *ptr; size_t len; } snug_map;
snug_status snug_map_open(const char *path, snug_map *out, snug_err *err) SNUG_MUST_USE;
void        snug_map_deinit(snug_map *m);

#endif
