/* The handlers that router.c lists, by file. Each fills one response; see spec/http-api.md. */
#ifndef WEB_HANDLERS_H
#define WEB_HANDLERS_H

#include "web/router.h"

http_handler api_query, api_query_range, api_format_query, api_parse_query; /* api_query.c */
http_handler api_explain;                                                   /* api_explain.c */
http_handler api_query_exemplars;                                           /* api_exemplars.c */
http_handler api_queries, api_query_kill;                                   /* api_running.c */
http_handler api_labels, api_label_values, api_series;                      /* api_series.c */
http_handler api_targets, api_scrape_pools, api_metadata, api_targets_metadata; /* api_targets.c */
http_handler api_rules, api_alerts, api_alertmanagers;                          /* api_rules.c */
http_handler api_status_buildinfo, api_status_config, api_status_flags, api_status_runtimeinfo,
    api_status_tsdb;                                                /* api_status.c */
http_handler api_snapshot, api_delete_series, api_clean_tombstones; /* api_admin.c */
http_handler remote_write;                                          /* remote_write.c */
http_handler health_healthy, health_ready, health_reload, health_quit,
    health_version;                                         /* health.c */
http_handler own_metrics;                                   /* own_metrics.c */
http_handler page_index, page_asset, page_root, page_graph; /* page.c */

#endif
