"""Hundreds of targets, hostile and odd ones among them, are scraped by Brasa and by Debian's
Prometheus 2.42; both must store the same samples, times, stale markers and report series. Where
3.14 differs by the specification, the case names its section and what must be stored instead.

differential_campaign.py runs the generated cases from other seeds for as long as one likes."""
import random

import differential_cases as cases
import differential_pages as pages
from differential import report, run_cases

SCRAPES = 6


def test_both_servers_store_the_same_from_the_same_answers(start, run, tmp_path):
    rng = random.Random(1)
    all_cases = (cases.line_cases() + cases.utf8_cases() + cases.named_differences() + cases.life_cases() + cases.type_cases() + cases.limit_cases() +
                 cases.relabel_cases(rng, 20) + cases.series_cases(rng, 60, SCRAPES) + cases.mutated_cases(rng, 60, SCRAPES))
    assert len(all_cases) >= 600
    ours, theirs = run_cases(all_cases, start, run, tmp_path, SCRAPES)
    wrong = report(all_cases, ours, theirs)
    assert not wrong, f'{len(wrong)} of {len(all_cases)} cases:\n' + '\n'.join(wrong)
    assert sum(len(rows) for rows in theirs.rows.values()) > 4000


def test_both_servers_store_the_same_from_pages_of_real_programs(start, run, tmp_path):
    """Recorded exporters, where there are recordings, and a client library in all formats."""
    all_cases = pages.recorded_cases(tmp_path, 3, SCRAPES) + pages.client_cases(6, SCRAPES) + pages.hostile_protobuf_cases()
    assert len(all_cases) >= 40
    ours, theirs = run_cases(all_cases, start, run, tmp_path, SCRAPES)
    wrong = report(all_cases, ours, theirs)
    assert not wrong, f'{len(wrong)} of {len(all_cases)} cases:\n' + '\n'.join(wrong)
    assert sum(len(rows) for rows in theirs.rows.values()) > 1000
