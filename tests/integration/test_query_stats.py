"""stats=all against Debian's Prometheus (2.42): the same numbers of samples, in total and by step.

Times of steps lie between samples, because windows of 2.42 hold their left edge; stats that came later
(samplesRead) have unit tests. peakSamples is what is held at once: 2.42 goes step by step and holds the
inputs and outputs of a step beside the whole columns, which are never there here, so it is an upper bound."""
import json
import time
import urllib.parse
import urllib.request

import pytest

from conftest import Brasa, Process, RELEASE, free_port, need, wait_for
from promql_differential import write

STEP_MS = 15000
SAMPLES = 120
FEATURE = '--enable-feature=promql-per-step-stats'
TIMINGS = ['evalTotalTime', 'resultSortTime', 'queryPreparationTime', 'innerEvalTime', 'execQueueTime', 'execTotalTime']
QUERIES = [
    'requests_total',
    'rate(requests_total[5m])',
    'sum by (job) (rate(requests_total[5m]))',
    'requests_total / requests_total',
    'requests_total / (requests_total + load)',
    'topk(2, load)',
    'quantile(0.9, load)',
    'histogram_quantile(0.9, sum by (le) (rate(took_seconds_bucket[2m])))',
    'histogram_quantile(0.9, sum by (le) (rate(took_seconds_bucket[2m]))) - histogram_quantile(0.5, sum by (le) (rate(took_seconds_bucket[2m])))',
    'max_over_time(load[10m])',
    'load offset 5m',
    'count(load) + on () sum(load)',
    'absent(nothing)',
    'sort(load)',
    'vector(1)',
]


def data(start_ms):
    series = []
    for i in range(6):
        labels = {'job': f'j{i % 2}', 'n': str(i)}
        counter = [(start_ms + k * STEP_MS, float(k * (i + 1))) for k in range(SAMPLES) if i != 5 or k % 3]
        series.append(({'__name__': 'requests_total', **labels}, counter))
        series.append(({'__name__': 'load', **labels}, [(t, v % 7) for t, v in counter if i != 4 or t < start_ms + 60 * STEP_MS]))
        for le in ('0.1', '1', '+Inf'):
            series.append(({'__name__': 'took_seconds_bucket', 'le': le, **labels}, counter))
    return sorted(series, key=lambda s: sorted(s[0].items()))


def stats(url, query, params):
    path = '/api/v1/query' if 'time' in params else '/api/v1/query_range'
    text = urllib.parse.urlencode({'query': query, 'stats': 'all', **params})
    with urllib.request.urlopen(f'{url}{path}?{text}', timeout=20) as answer:
        return json.load(answer)['data']['stats']


@pytest.fixture(scope='module')
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp('stats')
    start_ms = (int(time.time()) // 60 - 40) * 60000
    config = 'global: {scrape_interval: 1h}\n'
    brasa = Brasa(config, folder / 'brasa', RELEASE, ['--web.enable-remote-write-receiver', FEATURE])
    port = free_port()
    (folder / 'peer.yml').write_text(config)
    peer = Process([need('prometheus'), f'--config.file={folder}/peer.yml', f'--storage.tsdb.path={folder}/peer', FEATURE,
                    f'--web.listen-address=127.0.0.1:{port}', '--web.enable-remote-write-receiver'], folder / 'peer.log')
    url = f'http://127.0.0.1:{port}'
    wait_for(lambda: urllib.request.urlopen(url + '/-/ready', timeout=2).status == 200, what='prometheus')
    for to in (brasa.url, url):
        write(to, data(start_ms))
    yield brasa.url, url, start_ms
    peer.stop()
    assert brasa.stop() == 0


@pytest.mark.parametrize('query', QUERIES)
@pytest.mark.parametrize('steps', [1, 20])
def test_samples_are_counted_as_by_prometheus(pair, query, steps):
    brasa, peer, start_ms = pair
    at_s = (start_ms + 70 * STEP_MS + 7123) / 1000
    params = {'time': at_s} if steps == 1 else {'start': at_s, 'end': at_s + 30 * (steps - 1), 'step': 30}
    want, got = stats(peer, query, params), stats(brasa, query, params)
    assert list(got['timings']) == TIMINGS
    assert all(isinstance(s, (int, float)) and 0 <= s < 60 for s in got['timings'].values())
    assert got['timings']['execTotalTime'] > 0
    assert list(got['samples']) == ['totalQueryableSamplesPerStep', 'totalQueryableSamples', 'samplesReadPerStep',
                                    'samplesRead', 'peakSamples']
    for key in ('totalQueryableSamplesPerStep', 'totalQueryableSamples'):
        assert got['samples'][key] == want['samples'][key], key
    assert len(got['samples']['samplesReadPerStep']) == steps
    assert sum(n for _, n in got['samples']['samplesReadPerStep']) == got['samples']['samplesRead']
    assert min(1, want['samples']['peakSamples']) <= got['samples']['peakSamples'] <= want['samples']['peakSamples']
