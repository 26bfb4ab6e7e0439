"""/api/v1/status/tsdb beside Debian's Prometheus (2.42) that scrapes the same page: the same counts."""
import collections
import re

import requests

from conftest import free_port, need, wait_for
from exporter import Exporter

TABLES = ['seriesCountByMetricName', 'labelValueCountByLabelName', 'seriesCountByLabelValuePair']


def page():
    lines = []
    for i in range(40):
        lines.append(f'requests_total{{code="{i % 7}",path="/a/{i}"}} {i}')
    for i in range(25):
        lines.append(f'queue_length{{queue="q{i}",code="{i % 3}"}} {i}')
    lines.append('equals{a="b=c"} 1')
    return ('\n'.join(lines) + '\n').encode()


def values(stats, table):
    return [entry['value'] for entry in stats[table]]


def test_the_head_is_counted_as_prometheus_counts_it(start, run, tmp_path):
    with Exporter({'/metrics': page()}) as exporter:
        config = f'''
global: {{scrape_interval: 1s}}
scrape_configs:
- job_name: app
  static_configs: [{{targets: ["{exporter.address}"], labels: {{path: "of the target", team: one}}}}]
'''
        brasa = start(config, flags=['--no-scrape.failure-reason-series'])
        (tmp_path / 'peer.yml').write_text(config)
        port = free_port()
        run([need('prometheus'), f'--config.file={tmp_path}/peer.yml', f'--storage.tsdb.path={tmp_path}/peer',
             f'--web.listen-address=127.0.0.1:{port}'], 'prometheus')

        def get(url, **params):
            return requests.get(f'{url}/api/v1/status/tsdb', params=params, timeout=5).json()['data']

        def head_series(url):
            return float(re.findall(r'^prometheus_tsdb_head_series (.*)$', requests.get(f'{url}/metrics', timeout=5).text, re.M)[0])

        peer = f'http://127.0.0.1:{port}'  # remembers its first answer for 30 s
        wait_for(lambda: head_series(brasa.url) == head_series(peer) > 60, what='as many series on both')
        ours, theirs = get(brasa.url), get(peer)
        for count in ('numSeries', 'numLabelPairs'):
            assert ours['headStats'][count] == theirs['headStats'][count]
        for table in TABLES:
            assert values(ours, table) == values(theirs, table), table
        assert len(ours['seriesCountByMetricName']) == len(theirs['seriesCountByMetricName'])

        # Whole tables, and the bytes as 3.x counts them, against the series themselves.
        everything = get(brasa.url, limit=10000)
        pairs, bytes_of = collections.Counter(), collections.Counter()
        for labels in brasa.get('/api/v1/series', **{'match[]': '{__name__=~".+"}'})['data']:
            for name, value in labels.items():
                pairs[f'{name}={value}'] += 1
                bytes_of[name] += len(name) + len(value) + 2
        assert {e['name']: e['value'] for e in everything['seriesCountByLabelValuePair']} == pairs
        assert {e['name']: e['value'] for e in everything['memoryInBytesByLabelName']} == bytes_of
        assert everything['headStats']['numLabelPairs'] == len(pairs)
        assert len(get(brasa.url, limit=3)['seriesCountByLabelValuePair']) == 3
