/* From the documents of a Docker Engine to targets; what sd_docker.c and tests share. Pure. */
#ifndef SCRAPE_SD_SD_DOCKER_H
#define SCRAPE_SD_SD_DOCKER_H

#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"
#include "scrape/sd/sd_provider.h"

/* containers and networks: JSON as /containers/json and /networks answer it. Adds one box, the
 * group "Docker". ERR_INVALID, prefixed as Prometheus does, when either is not what it should be;
 * ERR_LIMIT beyond SD_TARGETS_MAX targets. */
MUST_CHECK enum err_code docker_targets(const struct sd_config *config, struct str containers,
                                        struct str networks, struct sd_boxes *out, struct err *err);

#endif
