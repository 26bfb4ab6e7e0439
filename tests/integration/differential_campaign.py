#!/usr/bin/python3
"""The generated cases of the differential test from many seeds, for as long as one likes:

    tests/integration/differential_campaign.py [--seconds N] [--seed S] [--brasa FILE]

Each round is a fresh pair of servers, Brasa and Debian's Prometheus, with some 400 targets. Prints
what differs and ends with 1 if anything did."""
import argparse
import os
import pathlib
import random
import sys
import tempfile
import time


def round_of(seed, scrapes):
    import differential_cases as cases
    rng = random.Random(seed)
    return cases.relabel_cases(rng, 60, fixed=False) + cases.series_cases(rng, 200, scrapes) + cases.mutated_cases(rng, 140, scrapes)


def run_round(seed, scrapes):
    """(number of cases, differences)"""
    from conftest import Brasa, Process
    from differential import report, run_cases
    running = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)

        def start(config, name, **kw):
            running.append(Brasa(config, folder / name, **kw))
            return running[-1]

        def run(args, name):
            running.append(Process(args, folder / f'{name}.log'))
            return running[-1]
        try:
            all_cases = round_of(seed, scrapes)
            ours, theirs = run_cases(all_cases, start, run, folder, scrapes)
            return len(all_cases), report(all_cases, ours, theirs)
        finally:
            for p in running:
                p.stop()
                if 'runtime error:' in p.text() or 'AddressSanitizer' in p.text():
                    print(p.text()[-6000:])


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('--seconds', type=float, default=600)
    options.add_argument('--seed', type=int, default=1)
    options.add_argument('--scrapes', type=int, default=8)
    options.add_argument('--brasa', help='the binary (default: build/release/brasa)')
    a = options.parse_args()
    if a.brasa:
        os.environ['BRASA'] = a.brasa
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    end, seed, total, wrong = time.monotonic() + a.seconds, a.seed, 0, 0
    while seed == a.seed or time.monotonic() < end:
        count, lines = run_round(seed, a.scrapes)
        total, wrong = total + count, wrong + len(lines)
        print(f'seed {seed}: {count} targets, {len(lines)} differ', *lines, sep='\n', flush=True)
        seed += 1
    print(f'{seed - a.seed} rounds, {total} targets, {wrong} differ')
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
