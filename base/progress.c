#include "base/progress.h"

enum { BAR_WIDTH = 20, COUNT_BYTES = 32, ETA_BYTES = 32 };

static const int64_t first_ns = NS_PER_S;

void progress_begin(struct progress *p, struct clock *clock, FILE *to, bool terminal,
                    const char *phase, const char *unit) {
    *p = (struct progress){
        .clock = clock, .to = to, .terminal = terminal, .phase = phase, .unit = unit};
    p->begin_mono_ns = clock_mono_ns(clock);
    p->next_mono_ns = p->begin_mono_ns + first_ns;
}

static void format_count(char out[COUNT_BYTES], double n) {
    static const char *const units[] = {"", " k", " M", " G", " T"};
    size_t unit = 0;
    while (n >= 1000 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        n /= 1000;
        unit++;
    }
    (void)snprintf(out, COUNT_BYTES, unit == 0 || n >= 100 ? "%.0f%s" : "%.1f%s", n, units[unit]);
}

static void format_eta(char out[ETA_BYTES], double seconds) {
    if (seconds >= 3600) {
        (void)snprintf(out, ETA_BYTES, "%.1f h", seconds / 3600);
    } else if (seconds >= 120) {
        (void)snprintf(out, ETA_BYTES, "%.0f min", seconds / 60);
    } else {
        (void)snprintf(out, ETA_BYTES, "%.0f s", seconds);
    }
}

static void write_line(const struct progress *p, uint64_t done, uint64_t total, int64_t now_ns) {
    char bar[BAR_WIDTH + 1];
    char counts[2][COUNT_BYTES];
    char rate[COUNT_BYTES];
    char eta[ETA_BYTES];
    const double seconds = (double)(now_ns - p->begin_mono_ns) / (double)NS_PER_S;
    const double per_second = (double)done / seconds;
    const double part = total == 0 || done >= total ? 1 : (double)done / (double)total;
    for (int i = 0; i < BAR_WIDTH; i++) {
        bar[i] = (double)i < part * BAR_WIDTH ? '#' : '.';
    }
    bar[BAR_WIDTH] = '\0';
    format_count(counts[0], (double)done);
    format_count(counts[1], (double)total);
    format_count(rate, per_second);
    const char *begin = p->terminal ? "\r\033[K" : "";
    const char *end = p->terminal ? "" : "\n";
    if (total == 0) {
        (void)fprintf(p->to, "%s%s  %s %s  %s/s%s", begin, p->phase, counts[0], p->unit, rate, end);
        return;
    }
    format_eta(eta, per_second > 0 ? (1 - part) * (double)total / per_second : 0);
    (void)fprintf(p->to, "%s%s  %.0f %% [%s]  %s/%s %s  %s/s  ETA %s%s", begin, p->phase,
                  part * 100, bar, counts[0], counts[1], p->unit, rate, eta, end);
}

void progress_update(struct progress *p, uint64_t done, uint64_t total) {
    if (p->to == NULL) {
        return;
    }
    const int64_t now_ns = clock_mono_ns(p->clock);
    if (now_ns < p->next_mono_ns) {
        return;
    }
    write_line(p, done, total, now_ns);
    (void)fflush(p->to);
    p->drawn = true;
    p->next_mono_ns = now_ns + (p->terminal ? NS_PER_S / 5 : 5 * NS_PER_S);
}

void progress_end(struct progress *p) {
    if (p->drawn && p->terminal) {
        (void)fputc('\n', p->to);
    }
    p->drawn = false;
}
