#!/bin/sh
# Every C file is as clang-format 14 would write it.
set -eu
cd "$(dirname "$0")/../.."
format=$(command -v clang-format-14 || command -v clang-format) || {
    echo "format: skipped, clang-format-14 is not installed"
    exit 77
}
find base tsdb query scrape alert web tests . -maxdepth 6 -name '*.[ch]' -not -path './build/*' -not -path '*/node_modules/*' |
    sort -u | xargs "$format" --dry-run --Werror
echo "format: clean"
