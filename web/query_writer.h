/* A query's result as the JSON of /query and /query_range (spec/http-api.md section 2), in pieces: a
 * large one is written while it is sent, so that the text never stands whole beside the result. */
#ifndef WEB_QUERY_WRITER_H
#define WEB_QUERY_WRITER_H

#include "query/query.h"
#include "web/api.h"

/* Writes the first piece to the answer and leaves it a source when there is more. The result and
 * what api holds live in the request's arena; count is how many series to write. */
void query_writer_start(const struct api *api, const struct query_result *result, size_t count,
                        bool with_stats);

#endif
