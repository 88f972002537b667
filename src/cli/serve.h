/* SPDX-License-Identifier: Apache-2.0 */
/* cli/serve.h - the house, wired: hub, endpoints, pages and the HTTP server in one process. */
#ifndef SNUG_CLI_SERVE_H
#define SNUG_CLI_SERVE_H

#include "api/api.h"
#include "cli/config.h"

/* All route tables of this build, as http_server_opts wants them; in the arena. */
void serve_tables(snug_arena *a, const http_route *const **tables, const size_t **sizes);

typedef struct house house;
/* Locks the data folder, opens the hub and starts the server. */
snug_status house_open(cli *c, const config *conf, house **out, snug_err *err) SNUG_MUST_USE;
/* "http://127.0.0.1:8421"; lives as long as the house. */
const char *house_url(const house *h);
hub        *house_hub(house *h);
void        house_close(house *h, unsigned grace_ms); /* NULL is fine */

#endif
