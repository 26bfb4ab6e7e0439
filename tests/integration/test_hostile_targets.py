"""No target, however hostile, hurts another: every good one keeps all its scrapes, memory stays
bounded, and descriptors come back.

The short form runs with all tests; BRASA_HOSTILE_SECONDS=600 is the long one."""
import os
import pathlib
import time

import pytest
import requests
import yaml

import hostile
from conftest import wait_for
from exporter import Exporter
from hostile import KINDS, Hostile

SECONDS = int(os.environ.get('BRASA_HOSTILE_SECONDS', '12'))
GOOD = 8
LATE = 'context deadline exceeded'  # a busy machine makes any of them late
# What one body may take while it is read, times how many may be under way at once.
BODY_LIMIT = 10_000_000


def config(jobs):
    return yaml.safe_dump({'global': {'scrape_interval': '1s', 'scrape_timeout': '900ms', 'body_size_limit': f'{BODY_LIMIT}B'},
                           'scrape_configs': jobs})


def job(name, addresses, **options):
    return {'job_name': name, 'static_configs': [{'targets': addresses}], **options}


def descriptors(brasa):
    return len(list(pathlib.Path(f'/proc/{brasa.proc.pid}/fd').iterdir()))


def assert_good_targets_missed_nothing(brasa, seconds):
    """By their own timestamps: none was skipped, each is an interval behind the one before."""
    found = brasa.query(f'good_value[{seconds}s]')
    assert len(found) == GOOD
    for series in found:
        times = [t for t, _ in series['values']]
        gaps = [round(b - a, 3) for a, b in zip(times, times[1:])]
        assert len(times) >= seconds - 1, (series['metric'], len(times))
        assert max(gaps) < 1.5, (series['metric'], gaps)
    assert min(s['value'][1] for s in brasa.query(f'min_over_time(up{{job="good"}}[{seconds}s])')) == '1'


@pytest.fixture
def good():
    exporters = [Exporter({'/metrics': b'good_value 7\n'}) for _ in range(GOOD)]
    yield exporters
    for e in exporters:
        e.__exit__()


def run_beside(start, good, hostile_jobs, flags=(), seconds=SECONDS):
    """Scrapes the good targets alone, with the hostile ones, and alone again."""
    base = [job('good', [e.address for e in good])]
    brasa = start(config(base), flags=['--web.enable-lifecycle', *flags])
    wait_for(lambda: len(brasa.query('good_value')) == GOOD, what='good targets')
    time.sleep(2)
    before, rss = descriptors(brasa), brasa.rss()
    brasa.config.write_text(config(base + hostile_jobs))
    assert requests.post(brasa.url + '/-/reload').status_code == 200
    peak, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        peak = max(peak, brasa.rss())
        time.sleep(0.2)
        assert requests.get(brasa.url + '/-/healthy', timeout=2).ok
    targets = brasa.get('/api/v1/targets', details='true')['data']['activeTargets']
    assert_good_targets_missed_nothing(brasa, seconds)
    brasa.config.write_text(config(base))
    assert requests.post(brasa.url + '/-/reload').status_code == 200
    wait_for(lambda: descriptors(brasa) <= before + 2, 15, what=f'descriptors are {before} again')
    assert_good_targets_missed_nothing(brasa, seconds)
    return brasa, targets, peak - rss


def test_every_kind_of_hostile_target_hurts_itself_only(start, good):
    with Hostile({name: serve for name, (serve, _) in KINDS.items()}) as them:
        jobs = [job(name, [them.address[name]], scheme='https' if name == 'tls-noise' else 'http') for name in KINDS]
        _, targets, grown = run_beside(start, good, jobs)
        found = {t['scrapePool']: t for t in targets}
        assert all(found[name]['lastScrape'][:4] != '0001' for name in KINDS), 'each was scraped'
        quiet = {'two-lengths', 'length-and-chunks', 'length-huge', 'head-tricks', 'no-status'}  # may be read in a harmless way
        wrong = {name: found[name]['lastError'] for name, (_, texts) in KINDS.items()
                 if name not in quiet and (found[name]['health'] == 'up' or not any(t in found[name]['lastError'] for t in [*texts, LATE]))}
        assert wrong == {}, wrong
        assert all(found[n]['details']['scrapeFailureReason'] for n in KINDS if found[n]['health'] == 'down')
        assert grown < 24 * BODY_LIMIT, f'{grown >> 20} MB more'


@pytest.mark.parametrize('encoding, make', [(b'gzip', hostile.gzip_bomb), (b'zstd', hostile.zstd_bomb)], ids=['gzip', 'zstd'])
def test_a_bomb_does_not_go_off(start, good, encoding, make):
    with Hostile({f'b{i}': hostile.bomb(encoding, make()) for i in range(4)}) as them:
        _, targets, grown = run_beside(start, good, [job('bombs', list(them.address.values()))], seconds=max(6, SECONDS // 2))
        errors = {t['lastError'] for t in targets if t['scrapePool'] == 'bombs'}
        assert errors == {'body size limit exceeded'}, errors
        assert grown < 12 * BODY_LIMIT, f'{grown >> 20} MB more'


def test_new_series_without_end_are_refused_and_known_ones_go_on(start, good):
    with Hostile({f'c{i}': hostile.churn for i in range(8)}) as them:  # 10 M new series a minute
        brasa, targets, grown = run_beside(start, good, [job('churn', list(them.address.values()))], flags=['--storage.max-series=100000'])
        assert grown < 300_000_000, f'{grown >> 20} MB more'
        heads = brasa.get('/api/v1/status/tsdb')['data']['headStats']['numSeries']
        assert heads <= 100_000
        assert brasa.value('count(good_value)') == GOOD
