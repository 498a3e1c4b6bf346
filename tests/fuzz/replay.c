// SPDX-License-Identifier: MIT
/* Runs a fuzz target over its corpus without a fuzzer:
 *
 *   fuzz_NAME                        every file of tests/fuzz/corpus/NAME (from the root of the project)
 *   fuzz_NAME FILE|DIRECTORY ..      these
 *
 * Each file is given whole, and cut at every byte of its beginning; each input lies in memory of exactly its
 * size, so that AddressSanitizer sees a read past its end. No file at all is a failure: a corpus that is not
 * found must not look like one that passed. */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_MAX = 1 << 20, CUTS_MAX = 1024 };

static unsigned replayed;

static void run_copy(const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len);
    if (!copy && len > 0)
        abort();
    if (len > 0)
        memcpy(copy, bytes, len);
    LLVMFuzzerTestOneInput(copy, len);
    free(copy);
}

static int replay_file(const char *path)
{
    static uint8_t bytes[FILE_MAX];
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        return -1;
    }
    size_t len = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    printf("%s\n", path);
    fflush(stdout); /* names the file if the target aborts */
    for (size_t cut = 0; cut < len && cut < CUTS_MAX; cut++)
        run_copy(bytes, cut);
    run_copy(bytes, len);
    replayed++;
    return 0;
}

static int replay_directory(const char *path)
{
    DIR *d = opendir(path);
    if (!d) {
        perror(path);
        return -1;
    }
    int rc = 0;
    for (struct dirent *e; (e = readdir(d));) {
        char file[PATH_MAX];
        if (e->d_name[0] == '.')
            continue;
        snprintf(file, sizeof file, "%s/%s", path, e->d_name);
        if (replay_file(file) < 0)
            rc = -1;
    }
    closedir(d);
    return rc;
}

static int replay_path(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? replay_directory(path) : replay_file(path);
}

/* The corpus of the program's own name. */
static int replay_own(const char *program)
{
    static const char prefix[] = "fuzz_";
    char path[PATH_MAX];
    const char *slash = strrchr(program, '/');
    const char *name = slash ? slash + 1 : program;
    if (strncmp(name, prefix, strlen(prefix)) == 0)
        name += strlen(prefix);
    snprintf(path, sizeof path, "tests/fuzz/corpus/%s", name);
    return replay_directory(path);
}

int main(int argc, char **argv)
{
    int rc = argc > 1 ? 0 : replay_own(argv[0]);
    for (int i = 1; i < argc; i++)
        if (replay_path(argv[i]) < 0)
            rc = -1;
    printf("%u inputs replayed\n", replayed);
    return rc == 0 && replayed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
