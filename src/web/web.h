/* SPDX-License-Identifier: Apache-2.0 */
/* web/web.h - pages for people: what is on this hub and how to point a client at it.
 * Plain HTML without scripts, under a strict content security policy. */
#ifndef SNUG_WEB_WEB_H
#define SNUG_WEB_WEB_H

#include "http/http.h"
#include "hub/hub.h"

/* The app pointer of the web routes. All borrowed for the life of the server. */
typedef struct web_app {
    hub                     *hub;
    const http_route *const *tables; /* NULL-ended: the endpoints the front page lists */
    const size_t            *table_sizes;
} web_app;

const http_route *web_routes(size_t *count);

#endif
