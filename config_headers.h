/* HTTP headers by name as they are written in the file (spec/config.md section 5): "http_headers"
 * of a client and "proxy_connect_header" of its proxy. Lives in the binder's arena. */
#ifndef CONFIG_HEADERS_H
#define CONFIG_HEADERS_H

#include "base/http_config.h"
#include "config_bind.h"

/* Which of values, secrets and files may be used depends on the option. */
struct header_options {
    struct http_header *items;
    size_t count;
    bool set;
};

/* Bind, print and join a struct header_options. Those of a proxy have secrets only. */
extern const struct bind_custom headers_custom, connect_headers_custom;

/* ERR_INVALID: setting header "Authorization" is not allowed, and the like for what has an option
 * of its own or is Brasa's to set. */
MUST_CHECK enum err_code headers_check(struct binder *b, const struct header_options *headers,
                                       struct err *err);

#endif
