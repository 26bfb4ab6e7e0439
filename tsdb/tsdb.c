#include "tsdb/tsdb.h"
