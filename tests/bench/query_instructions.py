#!/usr/bin/env python3
"""Instructions of the query engine's kernels, which do not depend on the machine's load.

  query_instructions.py BENCH_QUERY [SERIES [PART]]

Runs bench_query under callgrind twice for each of its queries, with one round and with three; half the
difference is one query. Printed as rows of a table: ns and instructions per stored sample and per
sample in a window. callgrind knows no AVX-512: instructions are those of the AVX2 kernels."""
import re, subprocess, sys, tempfile


def instructions(bench, series, rounds, query):
    with tempfile.NamedTemporaryFile() as out:
        run = subprocess.run(['valgrind', '--tool=callgrind', f'--callgrind-out-file={out.name}',
                              bench, series, str(rounds), '=' + query], capture_output=True, text=True)
        found = re.search(r'Collected : (\d+)', run.stderr)
        if run.returncode != 0 or found is None:
            raise SystemExit(f'{query}: {run.stderr[-500:]}')
        return int(found.group(1))


def main():
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    bench = sys.argv[1]
    series = sys.argv[2] if len(sys.argv) > 2 else '100'
    part = sys.argv[3] if len(sys.argv) > 3 else ''
    text = subprocess.run([bench, series, '9'], capture_output=True, text=True, check=True).stdout
    print('| query | ns/stored | ns/window | instructions/stored | instructions/window |')
    print('|---|---|---|---|---|')
    for line in text.splitlines()[1:]:
        found = re.match(r'(.+?)\s+([\d.]+)\s+([\d.]+)\s+([\d.]+)$', line)
        query, stored_ns, window_ns = found.group(1), float(found.group(2)), float(found.group(3))
        if part not in query:
            continue
        one, three = (instructions(bench, series, rounds, query) for rounds in (1, 3))
        stored = (three - one) / 2 / (int(series) * 1440)
        window = stored * window_ns / stored_ns if stored_ns > 0 else 0
        print(f'| `{query}` | {stored_ns:.2f} | {window_ns:.3f} | {stored:.1f} | {window:.2f} |', flush=True)


if __name__ == '__main__':
    main()
