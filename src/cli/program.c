/* SPDX-License-Identifier: Apache-2.0 */
/* cli/program.c - main(), alone, so that tests can link everything else. */
#include "cli/cli.h"

int main(int argc, char **argv) { return cli_main(argc - 1, argv + 1); }
