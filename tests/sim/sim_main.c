/* Deterministic simulation of the storage.
 *
 *     storage_sim [--first N] [--count N] [--seed N] [--verbose] [--harsh] [--late]
 *                 [--histograms] [--deletes] [--snapshots] [--notes] [--limits] [--verify] [--plain]
 *
 * Without one of the second line all of them but --plain, which is none. --seed replays one; the default is SIM_SEEDS of the environment or 200 seeds from 1 on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/clock.h"
#include "sim_play.h"

static uint64_t number_of(const char *text) {
    return strtoull(text, NULL, 10);
}

static bool set_mode(struct sim_mode *mode, const char *name, bool *chosen) {
    const struct {
        const char *name;
        bool *flag;
    } flags[] = {
        {"--harsh", &mode->harsh},           {"--late", &mode->late},
        {"--histograms", &mode->histograms}, {"--deletes", &mode->deletes},
        {"--snapshots", &mode->snapshots},   {"--notes", &mode->notes},
        {"--limits", &mode->limits},         {"--verify", &mode->verify},
    };
    for (size_t i = 0; i < COUNT_OF(flags); i++) {
        if (strcmp(name, flags[i].name) == 0) {
            *flags[i].flag = true;
            *chosen |= i >= 2;
            return true;
        }
    }
    const bool plain = strcmp(name, "--plain") == 0;
    *chosen |= plain;
    return plain;
}

int main(int argc, char **argv) {
    const char *count_text = getenv("SIM_SEEDS");
    uint64_t first = 1;
    uint64_t count = count_text != NULL ? number_of(count_text) : 200;
    bool verbose = false;
    struct sim_mode mode = {.harsh = false};
    bool chosen = false; /* else all that is not harsh or late */
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0) {
            verbose = true;
        } else if (set_mode(&mode, argv[i], &chosen)) {
            continue;
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
    if (!chosen) {
        mode.histograms = mode.deletes = mode.snapshots = true;
        mode.notes = mode.limits = mode.verify = true;
    }
    struct sim_totals t = {0};
    uint64_t failed = 0;
    const int64_t start_ns = clock_mono_ns(clock_system());
    for (uint64_t seed = first; seed < first + count; seed++) {
        if (!sim_play(seed, verbose, &mode, &t)) {
            failed++;
            if (failed == 5) {
                break;
            }
        }
    }
    (void)printf(
        "%llu seeds, %llu failed, %.1f s: %llu steps, %llu samples, %llu queries, %llu kills, "
        "%llu power losses, %llu clean ends, %llu failed calls, %llu samples lost within "
        "the promise, %.1f simulated days; %llu histograms, %llu deletions, %llu snapshots, "
        "%llu exemplars, %llu series refused, %llu damages\n",
        (unsigned long long)count, (unsigned long long)failed,
        (double)(clock_mono_ns(clock_system()) - start_ns) / 1e9, (unsigned long long)t.steps,
        (unsigned long long)t.samples, (unsigned long long)t.queries, (unsigned long long)t.kills,
        (unsigned long long)t.power_losses, (unsigned long long)t.clean_ends,
        (unsigned long long)t.failed_calls, (unsigned long long)t.lost,
        (double)t.simulated_s / 86400, (unsigned long long)t.histograms,
        (unsigned long long)t.deleted, (unsigned long long)t.snapshots,
        (unsigned long long)t.exemplars, (unsigned long long)t.refusals,
        (unsigned long long)t.damages);
    return failed == 0 ? 0 : 1;
}
