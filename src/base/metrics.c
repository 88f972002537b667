/* SPDX-License-Identifier: Apache-2.0 */
/* base/metrics.c - counters and gauges of SNUG_METRIC_LIST, as Prometheus text; declared in sys.h. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/slice.h"
#include "base/sys.h"

static atomic_int_fast64_t values[SNUG_METRIC_COUNT];

void snug_metric_add(snug_metric m, int64_t n)
{
    atomic_fetch_add_explicit(&values[m], n, memory_order_relaxed);
}

void snug_metric_set(snug_metric m, int64_t v)
{
    atomic_store_explicit(&values[m], v, memory_order_relaxed);
}

int64_t snug_metric_get(snug_metric m)
{
    return (int64_t)atomic_load_explicit(&values[m], memory_order_relaxed);
}

/* Pages resident, from the kernel; 0 where /proc is not mounted. */
static uint64_t resident_bytes(void)
{
    char     line[128] = ""; /* "total resident shared ..." */
    uint64_t pages = 0;
    FILE    *f = fopen("/proc/self/statm", "re");
    if (f == NULL) return 0;
    size_t n = fread(line, 1, sizeof line, f);
    (void)fclose(f);
    snug_slice rest = {line, n}, field;
    for (int i = 0; i < 2; i++) {
        if (!snug_split(&rest, ' ', &field)) return 0;
    }
    return snug_parse_u64(field, &pages) ? pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

void snug_metrics_put(snug_buf *b)
{
    static const struct {
        const char *name, *type, *help;
    } rows[SNUG_METRIC_COUNT] = {
#define TYPE_COUNTER "counter"
#define TYPE_GAUGE "gauge"
#define X(id, type, metric, text) {metric, TYPE_##type, text},
        SNUG_METRIC_LIST(X)
#undef X
    };
    for (unsigned i = 0; i < SNUG_METRIC_COUNT; i++) {
        snug_buf_printf(b, "# HELP %s %s.\n# TYPE %s %s\n%s %" PRId64 "\n", rows[i].name,
                        rows[i].help, rows[i].name, rows[i].type, rows[i].name,
                        snug_metric_get((snug_metric)i));
    }
    snug_buf_printf(b,
                    "# HELP process_resident_memory_bytes Resident memory.\n"
                    "# TYPE process_resident_memory_bytes gauge\n"
                    "process_resident_memory_bytes %" PRIu64 "\n",
                    resident_bytes());
}
