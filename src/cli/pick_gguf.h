/* SPDX-License-Identifier: Apache-2.0 */
/* cli/pick_gguf.h - one GGUF model among the files of a repository. Private to the folder. */
#ifndef SNUG_CLI_PICK_GGUF_H
#define SNUG_CLI_PICK_GGUF_H

#include "base/base.h"

/* keep[i]: paths[i] is needed. *picked: the model's first file, one of paths; empty: the repository
 * is one of safetensors, or holds no GGUF file, and all of it is kept. type empty: Q4_K_M, else the
 * first by name. SNUG_ENOTFOUND: there is no file of that type. */
snug_status cli_pick_gguf(snug_slice type, const snug_slice *paths, size_t n, bool *keep,
                          snug_slice *picked, snug_err *err) SNUG_MUST_USE;

#endif
