/* SPDX-License-Identifier: Apache-2.0 */
/* cli/stop.c - Ctrl-C during a transfer: the first asks for a clean stop, the second ends at once.
 *
 * For:     upload, download, run.
 * Owns:    the flag below, one of the two mutable globals signals make unavoidable.
 * Threads: the handler only stores to a lock-free flag. */
#include <signal.h>
#include <unistd.h>

#include "cli/cli_int.h"

static atomic_bool interrupted;

static void on_signal(int number)
{
    if (atomic_exchange(&interrupted, true)) _exit(128 + number);
}

const atomic_bool *cli_watch_interrupt(void)
{
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    (void)sigaction(SIGINT, &sa, NULL);
    (void)sigaction(SIGTERM, &sa, NULL);
    return &interrupted;
}
