/* The language that a tool's --enable-feature flags make. */
#ifndef TOOL_LANGUAGE_H
#define TOOL_LANGUAGE_H

#include "query/query.h"
#include "tools.h"

/* For parsing; the caller ends it with query_engine_free. */
struct query_engine *tool_language(const struct tool_call *call);
/* A line on out for each feature that is none. */
void tool_language_warn(const struct tool_call *call);

#endif
