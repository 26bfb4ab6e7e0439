#include "base/http_framing.h"

#include "base/number.h"

static bool set_fault(struct http_framing *framing, enum http_framing_fault fault) {
    if (framing->fault == HTTP_FRAMING_SOUND) {
        framing->fault = fault;
    }
    return false;
}

static bool take_length(struct http_framing *framing, struct str text) {
    uint64_t length = 0;
    for (size_t i = 0; i < text.len; i++) { /* no sign, whatever the number's parser allows */
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return set_fault(framing, HTTP_FRAMING_BAD_LENGTH);
        }
    }
    if (number_parse_u64(text, &length) != NUMBER_OK || length > INT64_MAX) {
        return set_fault(framing, HTTP_FRAMING_BAD_LENGTH);
    }
    framing->repeated |= framing->has_length || framing->chunked;
    if (framing->has_length && length != framing->length) {
        return set_fault(framing, HTTP_FRAMING_LENGTHS_DIFFER);
    }
    framing->has_length = true;
    framing->length = length;
    return true;
}

static bool take_encoding(struct http_framing *framing, struct str text) {
    framing->repeated |= framing->has_length || framing->chunked;
    if (framing->chunked) {
        return set_fault(framing, HTTP_FRAMING_MANY_ENCODINGS);
    }
    if (!str_eq_nocase(text, STR("chunked"))) {
        return set_fault(framing, HTTP_FRAMING_UNKNOWN_ENCODING);
    }
    framing->chunked = true;
    return true;
}

bool http_framing_field(struct http_framing *framing, struct str name, struct str value) {
    if (str_eq_nocase(name, STR("Content-Length"))) {
        return take_length(framing, value);
    }
    if (str_eq_nocase(name, STR("Transfer-Encoding"))) {
        return take_encoding(framing, value);
    }
    return true;
}
