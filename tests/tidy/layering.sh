#!/bin/sh
# Who may include whom (ARCHITECTURE.md, "Layers"), one third-party header per file, and
# functions that nobody may call. Prints every breach; exits 1 if there was one.
set -eu
cd "$(dirname "$0")/../.."
bad=$(mktemp)
trap 'rm -f "$bad"' EXIT

sources() { # files of a folder, sub-folders included
    find "$1" -name '*.[ch]' 2>/dev/null | sort
}

# folder, then the headers it may include beside its own, as an extended regular expression
allow() {
    folder=$1 allowed=$2
    sources "$folder" | while read -r file; do
        sed -nE 's/^#include "([^"]+)".*/\1/p' "$file" |
            grep -vE "^($folder/|$allowed)" |
            sed "s|^|$file: may not include |" >>"$bad" || true
    done
}
allow base 'base/'
allow tsdb 'base/'
allow scrape 'base/|tsdb/storage\.h$'
allow query 'base/|tsdb/storage\.h$'
allow alert 'base/|tsdb/storage\.h$|query/query\.h$|scrape/sd\.h$'
allow web 'base/|(tsdb/storage|query/query|scrape/scrape|scrape/sd|alert/alert)\.h$'
for file in *.[ch]; do
    sed -nE 's/^#include "([^"]+)".*/\1/p' "$file" |
        grep -vE '^(base/|[a-z_]+\.h$|(tsdb/tsdb|tsdb/analyze|tsdb/storage|tsdb/storage_dump|tsdb/export|tsdb/frozen|tsdb/import|tsdb/prom_block_writer|tsdb/prom_db|tsdb/prom_dump|tsdb/prom_storage|tsdb/verify|query/query|query/script/fake_storage|query/script/promqltest|query/script/promqltest_sequence|scrape/expo|scrape/metric_lint|scrape/page_report|scrape/scrape|scrape/sd|alert/alert|web/web)\.h$)' |
        sed "s|^|$file: may not include |" >>"$bad" || true
done

# third-party header -> the files that may know it
only() {
    header=$1 owners=$2
    grep -lE "^#include <$header>" -r base tsdb query scrape alert web ./*.[ch] 2>/dev/null | sed 's|^\./||' |
        grep -vE "^($owners)$" | sed "s|$| may not include <$header>|" >>"$bad" || true
}
only 'pcre2.h' 'base/regex_engine\.c'
only 'curl/curl.h' 'base/curl_library\.h'
only 'yaml.h' 'base/yaml_node\.c'
only 'microhttpd.h' 'web/exchange\.h'
only 'jansson.h' 'base/json_in\.c'
only 'libdeflate.h' 'base/gzip\.c|base/compress\.c'
only 'zlib.h' 'base/gzip_stream\.c'
only 'zstd.h' 'base/zstd\.c|base/compress\.c'
only 'nettle/.*' 'base/hash\.c'
only 'snappy-c.h' 'none: tests pack, the server unpacks by itself'
only 'xxhash.h' 'base/hash\.c'

# calls that hide a length, a locale, a shell or an abort
grep -nE '(^|[^a-z_>.])(strcpy|strcat|sprintf|vsprintf|gets|strtok|setlocale|system|popen|atoi|atof|strtod|sscanf|alloca|asprintf|localtime|gmtime|ctime|rand|srand)\(' \
    -r base tsdb query scrape alert web ./*.c --include='*.c' --include='*.h' |
    grep -vE '^\S+:[0-9]+:\s*(\*|/\*|//)' | sed 's|$|  <- banned call|' >>"$bad" || true
grep -nE '(^|[^a-z_>.])(malloc|calloc|realloc|free)\(' -r base tsdb query scrape alert web ./*.c --include='*.c' |
    grep -vE '^(base/mem\.c|base/regex\.c|base/json_in\.c|base/yaml_node\.c|base/http_client\.c|base/url\.c|web/server\.c):' | grep -vE '^\S+:[0-9]+:\s*(\*|/\*|//)' |
    sed 's|$|  <- use base/mem.h|' >>"$bad" || true

# every header opens with what it is for
for dir in base tsdb query scrape alert web .; do
    depth=""; [ "$dir" = . ] && depth="-maxdepth 1"
    find "$dir" $depth -name '*.h' | while read -r file; do
        head -n 1 "$file" | grep -q '^/\*' || echo "$file: does not open with a comment" >>"$bad"
    done
done

# names are unique in the tree, so that grep and the debugger need no path
find base tsdb query scrape alert web -name '*.[ch]' -printf '%f\n' | sort | uniq -d | sed 's|$|: two files have this name|' >>"$bad"

if [ -s "$bad" ]; then
    cat "$bad"
    exit 1
fi
echo "layering: clean"
