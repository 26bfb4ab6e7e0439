/* Binary operators with a histogram on at least one side (spec/promql.md section 5). */
#ifndef QUERY_EVAL_BINARY_NATIVE_H
#define QUERY_EVAL_BINARY_NATIVE_H

#include "query/eval.h"

/* A float, or, when h is not NULL, a histogram. */
struct element {
    const struct histogram *h;
    double v;
};

/* Refused: the two do not go together, which was noted; such a pair is no match either. */
enum element_result { ELEMENT_NONE, ELEMENT_REFUSED, ELEMENT_FLOAT, ELEMENT_HISTOGRAM };

/* What a pair is warned about; the last four name the types of left and right. */
enum native_note {
    NATIVE_NOTE_NONE,
    NATIVE_NOTE_LAYOUT,
    NATIVE_NOTE_HINTS,
    NATIVE_NOTE_RECONCILED,
    NATIVE_NOTE_FLOAT_FLOAT,
    NATIVE_NOTE_FLOAT_HISTOGRAM,
    NATIVE_NOTE_HISTOGRAM_FLOAT,
    NATIVE_NOTE_HISTOGRAM_HISTOGRAM,
    NATIVE_NOTE_COUNT
};

struct native_result {
    enum element_result kind;
    enum native_note note;
    struct element element;
};

/* What left op right is; made histograms go to work. Floats on both sides of a trim have no result
 * either; any other operator of two floats is not for here. */
MUST_CHECK enum err_code native_binary(const struct plan_node *node, struct work *work,
                                       struct element left, struct element right,
                                       struct native_result *out, struct err *err);

/* Adds the warning to ev, at node's place. */
void native_note_add(struct eval *ev, const struct plan_node *node, enum native_note note);

/* Of the pairs of one step only the last that is to be warned about is. */
struct native_notes {
    uint8_t *by_step; /* enum native_note; NULL: none yet */
    size_t step_count;
};
MUST_CHECK enum err_code native_notes_put(struct native_notes *n, struct work *work, size_t step,
                                          enum native_note note, struct err *err);
void native_notes_add(const struct native_notes *n, struct eval *ev, const struct plan_node *node);

#endif
