#include "web/assets.h"

const struct asset web_assets[] = {{.path = NULL}};
const size_t web_asset_count = 0;
