/*
 * Gives every file of the folders named on the command line to a fuzz target: the corpus as an
 * ordinary test.
 */
#include <dirent.h>
#include <stdio.h>

#include "tests/fuzz/fuzz.h"

#define INPUT_BYTES_MAX (1 << 20)

static void read_input(const char *path)
{
    FILE *file = fopen(path, "rb");
    REQUIRE(file);
    uint8_t *data = malloc(INPUT_BYTES_MAX);
    REQUIRE(data);
    size_t bytes = fread(data, 1, INPUT_BYTES_MAX, file);
    fclose(file);
    /* A copy of just its size: reading one byte too many is seen. */
    uint8_t *exact = malloc(bytes ? bytes : 1);
    REQUIRE(exact);
    memcpy(exact, data, bytes);
    free(data);
    LLVMFuzzerTestOneInput(exact, bytes);
    free(exact);
}

static size_t read_folder(const char *folder)
{
    DIR *directory = opendir(folder);
    if (!directory) {
        fprintf(stderr, "no folder %s\n", folder);
        exit(1);
    }
    size_t count = 0;
    struct dirent *entry;
    while ((entry = readdir(directory))) {
        char path[4096];
        if (entry->d_name[0] != '.') {
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
            read_input(path);
            count++;
        }
    }
    closedir(directory);
    return count;
}

int main(int argc, char **argv)
{
    size_t count = 0;
    for (int i = 1; i < argc; i++) {
        count += read_folder(argv[i]);
    }
    printf("%zu inputs\n", count);
    return count ? 0 : 1;
}
