/* SPDX-License-Identifier: Apache-2.0 */
/* base/fault.c - fault points for the torture tests; declared in sys.h.
 *
 * Threads: set up once before threads start; the hit counters are atomic. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/slice.h"
#include "base/sys.h"

enum { FAULTS_MAX = 32 };

typedef struct fault {
    char        name[48];
    bool        kill; /* end the process instead of failing the call */
    bool        from; /* "@3+": the third pass and every later one */
    uint64_t    at;
    atomic_uint passes;
} fault;

bool            snug_faults_on;
static fault    faults[FAULTS_MAX];
static unsigned fault_count;

/* "name=fail@3", "name=kill@1", "name=fail@1+" */
static bool parse_one(snug_slice text, fault *f)
{
    snug_slice name, action, at = text;
    if (!snug_split(&at, '=', &name) || !snug_split(&at, '@', &action)) return false;
    if (name.len == 0 || name.len >= sizeof f->name) return false;
    memcpy(f->name, name.ptr, name.len);
    f->name[name.len] = '\0';
    f->kill = snug_eq_str(action, "kill");
    if (!f->kill && !snug_eq_str(action, "fail")) return false;
    f->from = snug_ends_with(at, "+");
    if (f->from) at.len--;
    return snug_parse_u64(at, &f->at) && f->at > 0;
}

void snug_faults_setup(const char *spec)
{
    snug_slice rest = snug_str(spec), item;
    fault_count = 0;
    memset(faults, 0, sizeof faults);
    while (snug_split(&rest, ',', &item)) {
        if (item.len == 0) continue;
        if (fault_count == FAULTS_MAX || !parse_one(item, &faults[fault_count])) {
            (void)fprintf(stderr, "snug: SNUG_FAULTS: cannot read '%.*s'\n", SNUG_SLICE(item));
            exit(2);
        }
        fault_count++;
    }
    snug_faults_on = fault_count > 0;
}

bool snug_fault_hit(const char *name)
{
    bool fail = false;
    for (unsigned i = 0; i < fault_count; i++) {
        fault *f = &faults[i];
        if (strcmp(f->name, name) != 0) continue;
        uint64_t pass = atomic_fetch_add(&f->passes, 1u) + 1u;
        if (pass != f->at && !(f->from && pass > f->at)) continue;
        if (f->kill) (void)kill(getpid(), SIGKILL);
        errno = EIO;
        fail = true;
    }
    return fail;
}
