/* libcurl, which is loaded when the first request needs it: with what it pulls in (two TLS libraries,
 * Kerberos, LDAP, SSH) it takes some 6 MB, and a server whose targets are plain HTTP at addresses
 * never needs it (http_plain.h).
 *
 * Its functions have their own names here, so that libcurl's checks of options' types still work;
 * curl_library.c forwards the ones that are used. None of them may be called before
 * curl_library_load has succeeded, but for those that free, with NULL. */
#ifndef BASE_CURL_LIBRARY_H
#define BASE_CURL_LIBRARY_H

#include <curl/curl.h>
#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"

/* Loads the first of the named libraries that is there and has all functions; names end with NULL, and
 * NULL stands for the usual ones. Once that has succeeded it always does. ERR_UNSUPPORTED with
 * the loader's reason; the next call tries again. Any thread. */
MUST_CHECK enum err_code curl_library_load(const char *const *names, struct err *err);

bool curl_library_is_loaded(void);

#endif
