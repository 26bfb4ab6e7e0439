#!/bin/sh
# Documents name only files that exist, and the tree names no machine.
set -eu
cd "$(dirname "$0")/../.."
bad=0
for doc in README.md ARCHITECTURE.md CONTRIBUTING.md RELIABILITY.md */README.md tsdb/FORMAT.md; do
    [ -f "$doc" ] || continue
    for path in $(grep -oE '`[A-Za-z0-9_./-]+\.(c|h|md|sh|py|yml|ts|tsx)`' "$doc" | tr -d '`' | sort -u); do
        [ -e "$path" ] || [ -e "$(dirname "$doc")/$path" ] || ls ./*/"$path" >/dev/null 2>&1 ||
            { echo "$doc names $path, which does not exist"; bad=1; }
    done
done
exit $bad
