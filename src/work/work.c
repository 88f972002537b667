/* SPDX-License-Identifier: Apache-2.0 */
/* work/work.c - the table of background work.
 *
 * A new kind needs: work/<kind>.c, its line in work_int.h and a row here, in the order they are
 * looked for; a test that runs it twice; a line in README.md. */
#include "work/work_int.h"

static const jobs_kind kinds[] = {
    {.name = NULL}, /* the end */
};

const jobs_kind *work_kinds(size_t *count)
{
    *count = sizeof kinds / sizeof kinds[0] - 1;
    return kinds;
}
