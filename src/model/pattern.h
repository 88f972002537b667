/* SPDX-License-Identifier: Apache-2.0 */
/* model/pattern.h - the regular expressions of adapter configurations. Private to the folder. */
#ifndef SNUG_MODEL_PATTERN_H
#define SNUG_MODEL_PATTERN_H

#include "base/base.h"

enum { PATTERN_BYTES_MAX = 1024, PATTERN_STEPS_MAX = 100000 };

/* Whether a pattern matches the whole of `text`, or, with tail, the end of it that follows a dot or
 * is all of it. Known: literals, ., classes [a-z], \d \w \s, groups, |, *, +, ?, {n,m}, anchors at
 * the ends. SNUG_EUNSUPPORTED: something else, or more work than PATTERN_STEPS_MAX. */
snug_status pattern_match(snug_slice pattern, snug_slice text, bool tail, bool *out,
                          snug_err *err) SNUG_MUST_USE;

#endif
