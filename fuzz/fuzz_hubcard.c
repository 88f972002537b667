/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: hub - README.md to findings and tags: any bytes give an answer, and tags stay in bounds. */
#include <stdint.h>
#include <stdlib.h>

#include "hub/hub_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void note(void *arg, bool is_error, const char *text)
{
    (void)is_error;
    SNUG_ASSERT(strlen(text) < SNUG_ERR_MSG_MAX);
    ++*(size_t *)arg;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 1 << 16) return 0;
    snug_slice  readme = snug_slice_of(data + 1, size - 1);
    hub_type    type = (hub_type)(data[0] % HUB_TYPE_COUNT);
    hub_found   none = {.format_count = 0};
    snug_arena *a = snug_arena_new();
    hub_content c;
    snug_json   tags;
    size_t      findings = 0;

    hub_check_card(readme, type, note, &findings);
    hub_card_content(readme, type, SNUG_LIT("static"), a, &none, &c);
    SNUG_ASSERT(c.key_count <= HUB_TAGS_MAX);
    for (size_t i = 0; i < c.key_count; i++)
        SNUG_ASSERT(c.keys[i].len <= HUB_TAG_MAX && c.keys[i].len > 0);
    SNUG_ASSERT(snug_json_parse(a, c.tags_json, NULL, &tags, NULL) == SNUG_OK);
    if (c.card_json.len > 0)
        SNUG_ASSERT(snug_json_parse(a, c.card_json, NULL, &tags, NULL) == SNUG_OK);
    snug_arena_free(a);
    return 0;
}
