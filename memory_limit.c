#include "memory_limit.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/number.h"

enum { FILE_BYTES_MAX = 64 * 1024, PATH_BYTES_MAX = 4096 };

/* "max" and the huge number by which version 1 says so are no limit. */
static uint64_t smaller(uint64_t limit, uint64_t found) {
    const bool none = found == 0 || found > (UINT64_C(1) << 62);
    return none || (limit != 0 && limit < found) ? limit : found;
}

static uint64_t read_number(struct vfs *vfs, const char *path) {
    char *text = NULL;
    size_t len = 0;
    struct err err;
    uint64_t n = 0;
    if (vfs_read_file(vfs, path, FILE_BYTES_MAX, &text, &len, &err) != ERR_OK) {
        return 0;
    }
    if (number_parse_u64(str_trim((struct str){text, len}), &n) != NUMBER_OK) {
        n = 0;
    }
    mem_free(text);
    return n;
}

/* A group's limit and those of the groups that hold it. */
static uint64_t group_limit(struct vfs *vfs, const char *root, struct str group, const char *file) {
    uint64_t limit = 0;
    for (;;) {
        char path[PATH_BYTES_MAX];
        const int n = snprintf(path, sizeof(path), "%s%.*s/%s", root, STR_ARG(group), file);
        if (n > 0 && (size_t)n < sizeof(path)) {
            limit = smaller(limit, read_number(vfs, path));
        }
        const ptrdiff_t slash = str_rfind_char(group, '/');
        if (slash < 0) {
            return limit;
        }
        group = str_sub(group, 0, (size_t)slash);
    }
}

static struct str take_line(struct str *rest) {
    const ptrdiff_t end = str_find_char(*rest, '\n');
    const struct str line = end < 0 ? *rest : str_sub(*rest, 0, (size_t)end);
    *rest = end < 0 ? STR("") : str_from(*rest, (size_t)end + 1);
    return line;
}

/* Lines "<number>:<controllers>:<group>"; version 2 names no controllers. */
static uint64_t groups_limit(struct vfs *vfs, struct str rest) {
    uint64_t limit = 0;
    while (rest.len > 0) {
        const struct str line = take_line(&rest);
        const ptrdiff_t first = str_find_char(line, ':');
        const struct str behind = first < 0 ? STR("") : str_from(line, (size_t)first + 1);
        const ptrdiff_t second = str_find_char(behind, ':');
        if (second < 0) {
            continue;
        }
        const struct str controllers = str_sub(behind, 0, (size_t)second);
        const struct str group = str_from(behind, (size_t)second + 1);
        if (controllers.len == 0) {
            limit = smaller(limit, group_limit(vfs, "/sys/fs/cgroup", group, "memory.max"));
        } else if (str_eq(controllers, STR("memory"))) {
            limit = smaller(
                limit, group_limit(vfs, "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes"));
        }
    }
    return limit;
}

/* "MemTotal:       16316412 kB" */
static uint64_t machine_bytes(struct str rest) {
    while (rest.len > 0) {
        const struct str line = take_line(&rest);
        uint64_t kib = 0;
        if (str_starts(line, STR("MemTotal:")) && str_ends(line, STR(" kB"))) {
            const struct str number = str_trim(str_sub(line, 9, line.len - 12));
            return number_parse_u64(number, &kib) == NUMBER_OK ? kib * 1024 : 0;
        }
    }
    return 0;
}

static uint64_t of_file(struct vfs *vfs, const char *path,
                        uint64_t (*read)(struct vfs *vfs, struct str text)) {
    char *text = NULL;
    size_t len = 0;
    struct err err;
    if (vfs_read_file(vfs, path, FILE_BYTES_MAX, &text, &len, &err) != ERR_OK) {
        return 0;
    }
    const uint64_t bytes = read(vfs, (struct str){text, len});
    mem_free(text);
    return bytes;
}

static uint64_t read_machine(struct vfs *vfs, struct str text) {
    (void)vfs;
    return machine_bytes(text);
}

uint64_t memory_detect_bytes(struct vfs *vfs) {
    const uint64_t machine = of_file(vfs, "/proc/meminfo", read_machine);
    return smaller(machine, of_file(vfs, "/proc/self/cgroup", groups_limit));
}

uint64_t memory_limit_bytes(const struct flags *flags, struct vfs *vfs) {
    if (flags->memory_limit_bytes > 0) {
        return (uint64_t)flags->memory_limit_bytes;
    }
    if (!flags->auto_gomemlimit) {
        return 0;
    }
    const double ratio = flags->auto_gomemlimit_ratio;
    return (uint64_t)((double)memory_detect_bytes(vfs) * (ratio > 0 && ratio <= 1 ? ratio : 0.9));
}
