/* Any JSON is refused with a text or read to an answer whose JSON form reads back to the same. */
#include "base/check.h"
#include "query_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const TYPES[] = {"vector", "matrix", "scalar", "string"};

static void check_round_trip(struct arena *arena, struct answer *answer) {
    struct buf first;
    struct buf second;
    struct buf shown;
    struct json_doc *doc = NULL;
    struct answer again;
    struct err err;
    buf_init(&first, 64 * 1024 * 1024);
    buf_init(&second, 64 * 1024 * 1024);
    buf_init(&shown, 64 * 1024 * 1024);
    answer_print_json(&first, answer);
    const struct str text = arena_printf(arena, "{\"resultType\":\"%s\",\"result\":%.*s}",
                                         TYPES[answer->type], STR_ARG(buf_str(&first)));
    ASSERT(json_parse(text, &doc, &err) == ERR_OK);
    ASSERT(answer_read(arena, json_root(doc), &again, &err) == ERR_OK);
    answer_print_json(&second, &again);
    ASSERT(str_eq(buf_str(&first), buf_str(&second)));
    answer_print(arena, &shown, answer);
    ASSERT(buf_ok(&shown) && shown.ptr[shown.len - 1] == '\n');
    json_doc_free(doc);
    buf_release(&first);
    buf_release(&second);
    buf_release(&shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct json_doc *doc = NULL;
    struct answer answer;
    struct err err;
    arena_init(&arena, 0);
    err.text[0] = '\0';
    if (json_parse((struct str){(const char *)data, size}, &doc, &err) == ERR_OK) {
        err.text[0] = '\0';
        if (answer_read(&arena, json_root(doc), &answer, &err) == ERR_OK) {
            check_round_trip(&arena, &answer);
        } else {
            ASSERT(err.text[0] != '\0');
        }
    }
    json_doc_free(doc);
    arena_release(&arena);
    return 0;
}
