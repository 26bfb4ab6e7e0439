/* STATE. What a process has loaded is one thing for all of it, and so is the table below: written once
 * under the lock, and read without it by those who have called curl_library_load. The library
 * stays until the end (it may have threads and handlers at exit). */
#include "base/curl_library.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include "base/check.h"
#include "base/mutex.h"

/* Those that this program calls; a call of any other does not link. */
#define CURL_FUNCTIONS(X)                                                                          \
    X(global_init)                                                                                 \
    X(global_cleanup)                                                                              \
    X(slist_append)                                                                                \
    X(slist_free_all)                                                                              \
    X(easy_init)                                                                                   \
    X(easy_cleanup)                                                                                \
    X(easy_setopt)                                                                                 \
    X(easy_getinfo)                                                                                \
    X(easy_strerror)                                                                               \
    X(multi_init)                                                                                  \
    X(multi_cleanup)                                                                               \
    X(multi_add_handle)                                                                            \
    X(multi_remove_handle)                                                                         \
    X(multi_info_read)                                                                             \
    X(multi_socket_action)                                                                         \
    X(multi_assign)                                                                                \
    X(multi_setopt)

struct curl_functions {
#define MEMBER(name) __typeof__(&(curl_##name)) name;
    CURL_FUNCTIONS(MEMBER)
#undef MEMBER
};

static struct mutex lock = {.handle = PTHREAD_MUTEX_INITIALIZER};
static struct curl_functions library;
static bool is_loaded;

/* ---- loading ---- */

/* ISO C has no cast from an object's address to a function's. */
static bool find(void *handle, const char *name, void *to) {
    void *const at = dlsym(handle, name);
    memcpy(to, &at, sizeof(at));
    return at != NULL;
}

/* NULL in *out_missing: all are there. */
static struct curl_functions find_all(void *handle, const char **out_missing) {
    struct curl_functions found;
    *out_missing = NULL;
#define FIND(name)                                                                                 \
    if (!find(handle, "curl_" #name, &found.name)) {                                               \
        *out_missing = "curl_" #name;                                                              \
    }
    CURL_FUNCTIONS(FIND)
#undef FIND
    return found;
}

static enum err_code load_one(const char *name, struct err *err) {
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle == NULL) {
        const char *why = dlerror();
        return err_set(err, ERR_UNSUPPORTED, "loading libcurl: %s", why != NULL ? why : name);
    }
    const char *missing = NULL;
    const struct curl_functions found = find_all(handle, &missing);
    if (missing != NULL) {
        (void)dlclose(handle);
        return err_set(err, ERR_UNSUPPORTED, "loading libcurl: %s has no %s", name, missing);
    }
    library = found;
    return ERR_OK;
}

enum err_code curl_library_load(const char *const *names, struct err *err) {
    /* Debian's name for the one on GnuTLS, and everybody's. */
    static const char *const usual[] = {"libcurl-gnutls.so.4", "libcurl.so.4", NULL};
    if (names == NULL) {
        names = usual;
    }
    ASSERT(names[0] != NULL);
    enum err_code code = ERR_OK;
    mutex_lock(&lock);
    for (size_t i = 0; !is_loaded && names[i] != NULL; i++) {
        struct err other;
        code = load_one(names[i], i == 0 ? err : &other); /* the first name's reason is told */
        is_loaded = code == ERR_OK;
    }
    mutex_unlock(&lock);
    return code;
}

bool curl_library_is_loaded(void) {
    mutex_lock(&lock);
    const bool loaded = is_loaded;
    mutex_unlock(&lock);
    return loaded;
}

/* ---- forwarding ----
 *
 * Hidden, or libcurl's own calls would come here where a program exports its names. Parentheses keep
 * libcurl's macros of the same names away. */
#define FORWARD __attribute__((visibility("hidden")))

FORWARD CURLcode(curl_global_init)(long flags) {
    return library.global_init(flags);
}

FORWARD void(curl_global_cleanup)(void) {
    library.global_cleanup();
}

FORWARD struct curl_slist *(curl_slist_append)(struct curl_slist *list, const char *text) {
    return library.slist_append(list, text);
}

FORWARD void(curl_slist_free_all)(struct curl_slist *list) {
    if (list != NULL) {
        library.slist_free_all(list);
    }
}

FORWARD CURL *(curl_easy_init)(void) {
    return library.easy_init();
}

FORWARD void(curl_easy_cleanup)(CURL *easy) {
    if (easy != NULL) {
        library.easy_cleanup(easy);
    }
}

FORWARD const char *(curl_easy_strerror)(CURLcode code) {
    return library.easy_strerror(code);
}

/* The number of an option says what its argument is. */
FORWARD CURLcode(curl_easy_setopt)(CURL *easy, CURLoption option, ...) {
    va_list args;
    va_start(args, option);
    CURLcode rc = CURLE_OK;
    if ((int)option < CURLOPTTYPE_OBJECTPOINT) {
        rc = library.easy_setopt(easy, option, va_arg(args, long));
    } else if ((int)option < CURLOPTTYPE_FUNCTIONPOINT) {
        rc = library.easy_setopt(easy, option, va_arg(args, void *));
    } else if ((int)option < CURLOPTTYPE_OFF_T) {
        rc = library.easy_setopt(easy, option, va_arg(args, void (*)(void)));
    } else if ((int)option < CURLOPTTYPE_BLOB) {
        rc = library.easy_setopt(easy, option, va_arg(args, curl_off_t));
    } else {
        rc = library.easy_setopt(easy, option, va_arg(args, void *));
    }
    va_end(args);
    return rc;
}

FORWARD CURLMcode(curl_multi_setopt)(CURLM *multi, CURLMoption option, ...) {
    va_list args;
    va_start(args, option);
    CURLMcode rc = CURLM_OK;
    if ((int)option < CURLOPTTYPE_OBJECTPOINT) {
        rc = library.multi_setopt(multi, option, va_arg(args, long));
    } else if ((int)option < CURLOPTTYPE_FUNCTIONPOINT) {
        rc = library.multi_setopt(multi, option, va_arg(args, void *));
    } else {
        rc = library.multi_setopt(multi, option, va_arg(args, void (*)(void)));
    }
    va_end(args);
    return rc;
}

/* Whatever is asked for, the argument is where to put it. */
FORWARD CURLcode(curl_easy_getinfo)(CURL *easy, CURLINFO info, ...) {
    va_list args;
    va_start(args, info);
    const CURLcode rc = library.easy_getinfo(easy, info, va_arg(args, void *));
    va_end(args);
    return rc;
}

FORWARD CURLM *(curl_multi_init)(void) {
    return library.multi_init();
}

FORWARD CURLMcode(curl_multi_cleanup)(CURLM *multi) {
    return library.multi_cleanup(multi);
}

FORWARD CURLMcode(curl_multi_add_handle)(CURLM *multi, CURL *easy) {
    return library.multi_add_handle(multi, easy);
}

FORWARD CURLMcode(curl_multi_remove_handle)(CURLM *multi, CURL *easy) {
    return library.multi_remove_handle(multi, easy);
}

FORWARD CURLMsg *(curl_multi_info_read)(CURLM *multi, int *out_left) {
    return library.multi_info_read(multi, out_left);
}

FORWARD CURLMcode(curl_multi_socket_action)(CURLM *multi, curl_socket_t fd, int what,
                                            int *out_running) {
    return library.multi_socket_action(multi, fd, what, out_running);
}

FORWARD CURLMcode(curl_multi_assign)(CURLM *multi, curl_socket_t fd, void *ctx) {
    return library.multi_assign(multi, fd, ctx);
}
