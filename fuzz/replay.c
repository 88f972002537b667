/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz/replay.c - runs a fuzz target over the files of its corpus, for `make test` under gcc. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *dir, const char *name)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "rb");
    if (f == NULL) return 1;
    size_t   cap = 1u << 22, n = 0;
    uint8_t *data = malloc(cap);
    if (data != NULL) n = fread(data, 1, cap, f);
    (void)fclose(f);
    if (data == NULL) return 1;
    /* An exact allocation, so that a read past the end is seen. */
    uint8_t *tight = realloc(data, n == 0 ? 1 : n);
    (void)LLVMFuzzerTestOneInput(tight != NULL ? tight : data, n);
    free(tight != NULL ? tight : data);
    return 0;
}

int main(int argc, char **argv)
{
    DIR *d = argc > 1 ? opendir(argv[1]) : NULL;
    if (d == NULL) {
        (void)fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
        return 2;
    }
    unsigned       count = 0;
    struct dirent *e;
    while ((e = readdir(d)) != NULL) {
        if (e->d_name[0] == '.') continue;
        if (replay(argv[1], e->d_name) != 0) return 1;
        count++;
    }
    (void)closedir(d);
    printf("%u inputs replayed\n", count);
    return 0;
}
