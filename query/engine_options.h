/* What the parser asks of an engine. Private to query/. */
#ifndef QUERY_ENGINE_OPTIONS_H
#define QUERY_ENGINE_OPTIONS_H

#include "query/parse.h"

struct query_engine;

/* The parts of the language that the engine's options switch on. */
struct parse_options engine_parse_options(const struct query_engine *engine);

#endif
