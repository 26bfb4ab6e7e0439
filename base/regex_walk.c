#include "base/regex_walk.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/regex_engine.h"
#include "base/regex_program.h"
#include "base/utf8.h"

/* Steps between two looks at the cancel, and how many a rune and one set that needs Unicode's
 * tables are; captures of all that is alive. */
enum { STEPS_BETWEEN_LOOKS = 64 * 1024, RUNE_STEPS = 4, TABLE_STEPS = 32 };
enum { CAPTURES_BYTES_MAX = 16 * 1024 * 1024 };

/* Instructions alive at one place, the preferred first: a sparse set. */
struct alive {
    uint32_t *dense, *sparse;
    uint32_t count;
    size_t *captures; /* [count * slots] */
};

/* What is left to follow: an instruction, or a capture to put back. */
struct frame {
    uint32_t pc;
    bool restores;
    uint32_t slot;
    size_t value;
};

struct walk {
    const struct regex_program *program;
    struct str subject;
    size_t slots;
    struct alive now, then;
    struct frame *frames;
    size_t *captures; /* of what is followed */
    size_t *found;
    bool matched;
    uint64_t steps; /* since the last look */
};

static void alive_init(struct alive *a, size_t insts, size_t slots) {
    a->dense = mem_array(insts, sizeof(*a->dense));
    a->sparse = mem_zalloc(insts * sizeof(*a->sparse));
    a->captures = slots != 0 ? mem_array(insts, slots * sizeof(*a->captures)) : NULL;
    a->count = 0;
}

static void alive_release(struct alive *a) {
    mem_free(a->dense);
    mem_free(a->sparse);
    mem_free(a->captures);
}

static bool alive_add(struct alive *a, uint32_t pc) {
    const uint32_t at = a->sparse[pc];
    if (at < a->count && a->dense[at] == pc) {
        return false;
    }
    a->sparse[pc] = a->count;
    a->dense[a->count++] = pc;
    return true;
}

static bool is_word(uint32_t rune) {
    return (rune >= '0' && rune <= '9') || (rune >= 'a' && rune <= 'z') ||
           (rune >= 'A' && rune <= 'Z') || rune == '_';
}

/* What holds before the byte at. All that matters of its neighbours is ASCII. */
static uint32_t places(struct str s, size_t at) {
    const bool begin = at == 0;
    const bool end = at == s.len;
    const unsigned char before = begin ? 0 : (unsigned char)s.ptr[at - 1];
    const unsigned char behind = end ? 0 : (unsigned char)s.ptr[at];
    uint32_t holds = is_word(before) != is_word(behind) ? PLACE_WORD_EDGE : PLACE_NO_WORD_EDGE;
    holds |= begin ? PLACE_BEGIN_TEXT | PLACE_BEGIN_LINE : 0;
    holds |= end ? PLACE_END_TEXT | PLACE_END_LINE : 0;
    holds |= before == '\n' ? PLACE_BEGIN_LINE : 0;
    holds |= behind == '\n' ? PLACE_END_LINE : 0;
    return holds;
}

static size_t *captures_of(const struct walk *w, const struct alive *a, uint32_t i) {
    return a->captures + i * w->slots;
}

/* pc, and all that it leads to without a rune, are alive before the byte at. Each is entered once,
 * so there are never more frames than instructions. */
static void follow(struct walk *w, struct alive *to, uint32_t first, size_t at, uint32_t holds) {
    const struct regex_inst *insts = w->program->insts;
    size_t n = 0;
    w->frames[n++] = (struct frame){.pc = first};
    while (n > 0) {
        const struct frame f = w->frames[--n];
        if (f.restores) {
            w->captures[f.slot] = f.value;
            continue;
        }
        uint32_t pc = f.pc;
        bool on = true;
        while (on && alive_add(to, pc)) {
            const struct regex_inst *inst = &insts[pc];
            w->steps++;
            on = inst->op == INST_SPLIT || inst->op == INST_SAVE ||
                 (inst->op == INST_ASSERT && (holds & inst->arg) != 0);
            if (inst->op == INST_SPLIT) {
                w->frames[n++] = (struct frame){.pc = inst->arg};
            } else if (inst->op == INST_SAVE && inst->arg < w->slots) {
                w->frames[n++] = (struct frame){
                    .restores = true, .slot = inst->arg, .value = w->captures[inst->arg]};
                w->captures[inst->arg] = at;
            } else if (!on && w->slots != 0) {
                memcpy(captures_of(w, to, to->count - 1), w->captures,
                       w->slots * sizeof(*w->captures));
                w->steps += w->slots / 8;
            }
            pc = inst->next;
        }
    }
}

static bool accepts(struct walk *w, const struct regex_inst *inst, uint32_t rune) {
    switch (inst->op) {
    case INST_RUNE:
        return inst->arg == rune;
    case INST_SET:
        w->steps += rune < 0x80 ? 0 : TABLE_STEPS;
        return regex_set_has(&w->program->sets[inst->arg], rune);
    case INST_ANY:
        return true;
    case INST_NOT_NEWLINE:
        return rune != '\n';
    case INST_MATCH:
    case INST_SPLIT:
    case INST_SAVE:
    case INST_ASSERT:
    case INST_FAIL:
        break;
    }
    return false;
}

/* From what is alive before the byte at to what is alive before end. A match ends all that is less
 * preferred. */
static void advance(struct walk *w, size_t at, uint32_t rune, size_t end) {
    const bool more = at < w->subject.len;
    const uint32_t holds = places(w->subject, end);
    w->then.count = 0;
    w->steps += w->now.count + RUNE_STEPS;
    for (uint32_t i = 0; i < w->now.count; i++) {
        const struct regex_inst *inst = &w->program->insts[w->now.dense[i]];
        if (inst->op == INST_MATCH) {
            w->matched = true;
            if (w->slots != 0) {
                memcpy(w->found, captures_of(w, &w->now, i), w->slots * sizeof(*w->found));
                w->found[1] = at;
            }
            break;
        }
        if (more && accepts(w, inst, rune)) {
            if (w->slots != 0) {
                memcpy(w->captures, captures_of(w, &w->now, i), w->slots * sizeof(*w->captures));
            }
            follow(w, &w->then, inst->next, end, holds);
        }
    }
    const struct alive done = w->now;
    w->now = w->then;
    w->then = done;
}

static void start_at(struct walk *w, size_t at) {
    for (size_t i = 0; i < w->slots; i++) {
        w->captures[i] = REGEX_UNSET;
    }
    if (w->slots != 0) {
        w->captures[0] = at;
    }
    follow(w, &w->now, w->program->start, at, places(w->subject, at));
}

static enum err_code look(struct walk *w, struct regex_patience *p, struct err *err) {
    const uint64_t done = w->steps;
    w->steps = 0;
    if (done > p->steps_left) {
        p->steps_left = 0;
        return err_set(err, ERR_LIMIT, "too many steps for a text of %zu bytes", w->subject.len);
    }
    p->steps_left -= done;
    const enum err_code code = cancel_check(p->cancel);
    return code == ERR_OK ? ERR_OK : err_set(err, code, "stopped in a regexp");
}

static enum err_code run(struct walk *w, size_t offset, struct regex_patience *patience,
                         struct err *err) {
    enum err_code code = ERR_OK;
    for (size_t at = offset; code == ERR_OK;) {
        if (!w->matched && (at == offset || !w->program->anchored)) {
            start_at(w, at);
        }
        size_t bytes = 0;
        const uint32_t rune = at < w->subject.len ? utf8_rune(str_from(w->subject, at), &bytes) : 0;
        advance(w, at, rune, at + bytes);
        if (at == w->subject.len || (w->matched && (w->slots == 0 || w->now.count == 0)) ||
            (w->program->anchored && w->now.count == 0)) {
            break;
        }
        at += bytes;
        if (w->steps >= STEPS_BETWEEN_LOOKS) {
            code = look(w, patience, err);
        }
    }
    return code == ERR_OK ? look(w, patience, err) : code;
}

enum err_code regex_walk(const struct regex_program *program, struct str subject, size_t offset,
                         size_t slots, struct regex_patience *patience, size_t *at, bool *out,
                         struct err *err) {
    ASSERT(slots == 0 || slots >= 2);
    const size_t insts = program->inst_count;
    if (slots * insts > CAPTURES_BYTES_MAX / sizeof(size_t)) {
        return err_set(err, ERR_LIMIT, "too many groups for its size");
    }
    struct walk w = {.program = program, .subject = subject, .slots = slots, .found = at};
    alive_init(&w.now, insts, slots);
    alive_init(&w.then, insts, slots);
    w.frames = mem_array(insts + 1, sizeof(*w.frames));
    w.captures = mem_array(slots + 1, sizeof(*w.captures));
    const enum err_code code = run(&w, offset, patience, err);
    if (code == ERR_OK) {
        *out = w.matched;
    }
    mem_free(w.captures);
    mem_free(w.frames);
    alive_release(&w.then);
    alive_release(&w.now);
    return code;
}
