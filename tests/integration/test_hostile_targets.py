"""No target, however hostile, hurts another: every good one keeps all its scrapes, memory stays
bounded, and descriptors come back.

What is asserted holds on a busy machine, too: a scrape may be late, but none is missed (a loop keeps
one tick while it waits), and no good target is ever down. The short form runs with all tests;
BRASA_HOSTILE_SECONDS=600 is the long one (scripts/campaign hostile)."""
import os
import pathlib
import time

import pytest
import requests
import yaml

import hostile
from conftest import ASAN, RELEASE, wait_for
from exporter import Exporter
from hostile import KINDS, QUIET, Hostile

SECONDS = int(os.environ.get('BRASA_HOSTILE_SECONDS', '12'))
GOOD = 8
INTERVAL = 2  # of the good ones, in seconds
LATE = 'context deadline exceeded'  # a busy machine makes any of them late
# What one body may take while it is read, times how many may be under way at once.
BODY_LIMIT = 10_000_000


def config(jobs):
    return yaml.safe_dump({'global': {'scrape_interval': '1s', 'scrape_timeout': '900ms', 'body_size_limit': f'{BODY_LIMIT}B'},
                           'scrape_configs': jobs})


def job(name, addresses, **options):
    return {'job_name': name, 'static_configs': [{'targets': addresses}], **options}


def good_job(good):
    return job('good', [e.address for e in good], scrape_interval=f'{INTERVAL}s', scrape_timeout=f'{INTERVAL}s')


def descriptors(brasa):
    return len(list(pathlib.Path(f'/proc/{brasa.proc.pid}/fd').iterdir()))


def assert_good_targets_missed_nothing(brasa, seconds):
    """By their own timestamps: no two scrapes of one are two intervals apart, and all were good."""
    found = brasa.query(f'good_value[{seconds + INTERVAL}s]')
    assert len(found) == GOOD
    for series in found:
        times = [t for t, _ in series['values']]
        gaps = [round(b - a, 3) for a, b in zip(times, times[1:])]
        assert len(times) >= seconds // INTERVAL - 1, (series['metric'], times)
        assert max(gaps) < 2 * INTERVAL, (series['metric'], gaps)
    assert min(s['value'][1] for s in brasa.query(f'min_over_time(up{{job="good"}}[{seconds}s])')) == '1'


@pytest.fixture
def good():
    exporters = [Exporter({'/metrics': b'good_value 7\n'}) for _ in range(GOOD)]
    yield exporters
    for e in exporters:
        e.__exit__()


def run_beside(start, good, hostile_jobs, flags=(), seconds=SECONDS, binary=RELEASE):
    """Scrapes the good targets alone, with the hostile ones, and alone again."""
    base = [good_job(good)]
    brasa = start(config(base), flags=['--web.enable-lifecycle', *flags], binary=binary)
    wait_for(lambda: len(brasa.query('good_value')) == GOOD, what='good targets')
    before, rss = descriptors(brasa), brasa.rss()
    brasa.config.write_text(config(base + hostile_jobs))
    assert requests.post(brasa.url + '/-/reload').status_code == 200
    peak, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        peak = max(peak, brasa.rss())
        time.sleep(0.2)
        assert requests.get(brasa.url + '/-/healthy', timeout=20).ok
    targets = brasa.get('/api/v1/targets', details='true')['data']['activeTargets']
    assert_good_targets_missed_nothing(brasa, seconds)
    brasa.config.write_text(config(base))
    assert requests.post(brasa.url + '/-/reload').status_code == 200
    wait_for(lambda: descriptors(brasa) <= before + 2 * GOOD, 60, what=f'descriptors are {before} again')
    assert_good_targets_missed_nothing(brasa, seconds)
    return brasa, targets, peak - rss


def wrong_errors(found):
    """{kind: lastError} of those that were taken for good, or failed for another reason than theirs."""
    return {name: found[name]['lastError'] for name, (_, texts) in KINDS.items()
            if name not in QUIET and (found[name]['health'] == 'up' or not any(t in found[name]['lastError'] for t in [*texts, LATE]))}


@pytest.mark.parametrize('binary', [RELEASE, ASAN], ids=['release', 'asan'])
def test_every_kind_of_hostile_target_hurts_itself_only(start, good, binary):
    with Hostile({name: serve for name, (serve, _) in KINDS.items()}) as them:
        jobs = [job(name, [them.address[name]], scheme='https' if name == 'tls-noise' else 'http') for name in KINDS]
        brasa, targets, grown = run_beside(start, good, jobs, binary=binary)
        found = {t['scrapePool']: t for t in targets}
        assert all(found[name]['lastScrape'][:4] != '0001' for name in KINDS), 'each was scraped'
        assert wrong_errors(found) == {}
        assert all(found[n]['details']['scrapeFailureReason'] for n in KINDS if found[n]['health'] == 'down')
        # one request a scrape, whatever is unusual about an answer; the last may not be stored yet
        assert them.seen['no-content'] <= brasa.value('count_over_time(up{job="no-content"}[1h])') + 1
        if binary == RELEASE:  # what was freed stays for a while under ASan
            assert grown < 32 * BODY_LIMIT, f'{grown >> 20} MB more'


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
