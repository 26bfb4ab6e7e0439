#!/bin/sh
# The twenty longest functions, and a limit that only goes down.
set -eu
cd "$(dirname "$0")/../.."
limit_lines=${LIMIT_LINES:-90}
command -v pmccabe >/dev/null || {
    echo "functions: skipped, pmccabe is not installed"
    exit 77
}
list=$(find base tsdb query scrape alert web ./*.c -name '*.c' -not -path '*/node_modules/*' | sort -u | xargs pmccabe 2>/dev/null | sort -k5,5nr | head -20)
echo "$list" | awk '{print $5 " lines, complexity " $1 ": " $6 " " $7}'
longest=$(echo "$list" | awk 'NR == 1 {print $5}')
[ "${longest:-0}" -le "$limit_lines" ] || { echo "a function has $longest lines, the limit is $limit_lines"; exit 1; }
