/* Deterministic simulation of the storage.
 *
 *     storage_sim [--first N] [--count N] [--seed N] [--verbose] [--harsh] [--late]
 *
 * --seed replays one; the default is SIM_SEEDS of the environment or 200 seeds from 1 on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sim_play.h"

static uint64_t number_of(const char *text) {
    return strtoull(text, NULL, 10);
}

int main(int argc, char **argv) {
    const char *count_text = getenv("SIM_SEEDS");
    uint64_t first = 1;
    uint64_t count = count_text != NULL ? number_of(count_text) : 200;
    bool verbose = false;
    bool harsh = false;
    bool late = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0) {
            verbose = true;
        } else if (strcmp(argv[i], "--harsh") == 0) {
            harsh = true;
        } else if (strcmp(argv[i], "--late") == 0) {
            late = true;
        } else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0) {
            first = number_of(argv[++i]);
            count = 1;
        } else if (i + 1 < argc && strcmp(argv[i], "--first") == 0) {
            first = number_of(argv[++i]);
        } else if (i + 1 < argc && strcmp(argv[i], "--count") == 0) {
            count = number_of(argv[++i]);
        } else {
            (void)fprintf(stderr, "usage: storage_sim [--first N] [--count N] [--seed N]\n");
            return 2;
        }
    }
    struct sim_totals t = {0};
    uint64_t failed = 0;
    const int64_t start_ns = clock_mono_ns(clock_system());
    for (uint64_t seed = first; seed < first + count; seed++) {
        if (!sim_play(seed, verbose, harsh, late, &t)) {
            failed++;
            if (failed == 5) {
                break;
            }
        }
    }
    (void)printf(
        "%llu seeds, %llu failed, %.1f s: %llu steps, %llu samples, %llu queries, %llu kills, "
        "%llu power losses, %llu clean ends, %llu failed calls, %llu samples lost within "
        "the promise, %.1f simulated days\n",
        (unsigned long long)count, (unsigned long long)failed,
        (double)(clock_mono_ns(clock_system()) - start_ns) / 1e9, (unsigned long long)t.steps,
        (unsigned long long)t.samples, (unsigned long long)t.queries, (unsigned long long)t.kills,
        (unsigned long long)t.power_losses, (unsigned long long)t.clean_ends,
        (unsigned long long)t.failed_calls, (unsigned long long)t.lost,
        (double)t.simulated_s / 86400);
    return failed == 0 ? 0 : 1;
}
