/* SPDX-License-Identifier: Apache-2.0 */
/* base/base.h - everything in base/, for callers who use most of it. */
#ifndef SNUG_BASE_BASE_H
#define SNUG_BASE_BASE_H

#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/slice.h"
#include "base/sys.h"
#include "base/thread.h"

#endif
