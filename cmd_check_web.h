/* brasa check web-config: files that turn on TLS and authentication of a Prometheus server
 * (--web.config.file, spec/config.md section 14), with promtool's output and exit codes. Brasa's
 * own server takes no such file. */
#ifndef CMD_CHECK_WEB_H
#define CMD_CHECK_WEB_H

#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"
#include "base/vfs.h"
#include "tools.h"

/* Strict YAML, hashes of users, headers, TLS with the files it names, relative ones in folder ("" =
 * the working folder). ERR_INVALID, ERR_LIMIT, or what reading a file gave. */
MUST_CHECK enum err_code check_web_text(struct vfs *vfs, struct str folder, struct str text,
                                        struct err *err);

tool_run_fn cmd_check_web_config;

#endif
