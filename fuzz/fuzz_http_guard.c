/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz: http - networks an operator allows and addresses somebody wants to be called at: whatever
 * they say, a guard that allows nothing lets no private address through. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

#include "http/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool allows4(const http_guard *g, const char *text)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    SNUG_ASSERT(inet_pton(AF_INET, text, &sa.sin_addr) == 1);
    return http_guard_allows(g, (const struct sockaddr *)&sa);
}

/* Four bytes as IPv4, and the same inside IPv6: whoever refuses one refuses the other. */
static void compare_forms(const http_guard *g, const uint8_t *four)
{
    struct sockaddr_in  v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b};
    memcpy(&v4.sin_addr, four, 4);
    bool yes = http_guard_allows(g, (const struct sockaddr *)&v4);
    memcpy(&v6.sin6_addr, mapped, 12);
    memcpy((uint8_t *)&v6.sin6_addr + 12, four, 4);
    SNUG_ASSERT(http_guard_allows(g, (const struct sockaddr *)&v6) == yes);
    memcpy(&v6.sin6_addr, nat64, 12);
    SNUG_ASSERT(http_guard_allows(g, (const struct sockaddr *)&v6) == yes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    snug_slice  s = snug_slice_of(data, size);
    http_guard *g = NULL, *none = NULL;
    snug_err    err = {0};

    SNUG_ASSERT(http_guard_new(SNUG_EMPTY, &none, &err) == SNUG_OK);
    bool fine = http_guard_check_url(none, s, &err) == SNUG_OK;
    SNUG_ASSERT(!fine || size > 7);
    if (size >= 4) compare_forms(none, data);
    if (http_guard_new(s, &g, &err) == SNUG_OK) {
        SNUG_ASSERT(!fine || http_guard_check_url(g, s, &err) == SNUG_OK); /* it allows more */
        (void)allows4(g, "127.0.0.1");
        http_guard_free(g);
    }
    SNUG_ASSERT(!allows4(none, "169.254.169.254") && !allows4(none, "10.1.2.3"));
    SNUG_ASSERT(allows4(none, "93.184.215.14"));
    http_guard_free(none);
    return 0;
}
