"""A Prometheus that cut its head several times, took late samples and exemplars, and was killed: all that
its next start finds stands in blocks and logs; no sample is in chunks_head alone. Brasa reads and imports
the same."""
import math
import os
import shutil
import subprocess
import time

import requests

from conftest import RELEASE, free_port, need, wait_for
from exporter import Exporter
from test_import import label_text, lines_of, page
from test_late_samples import push

OPENMETRICS = 'application/openmetrics-text; version=1.0.0; charset=utf-8'
CONFIG = 'storage: {tsdb: {out_of_order_time_window: 1h}}\n'


def with_exemplars(handler, n):
    text = page(handler, n).decode().replace(f'c_total{{i="a"}} {n}', f'c_total{{i="a"}} {n} # {{trace="t{n}"}} {n / 4}')
    return 200, {'Content-Type': OPENMETRICS}, (text + '# EOF\n').encode()


class Peer:
    """Prometheus with blocks of two seconds."""

    def __init__(self, folder, data, config):
        self.config = folder / 'p.yml'
        self.config.write_text(CONFIG + config)
        self.log = folder / 'prometheus.log'
        self.url = f'http://127.0.0.1:{free_port()}'
        with open(self.log, 'ab') as log:
            self.proc = subprocess.Popen(
                [need('prometheus'), f'--config.file={self.config}', f'--storage.tsdb.path={data}', '--storage.tsdb.min-block-duration=2s',
                 '--storage.tsdb.max-block-duration=2s', f'--web.listen-address={self.url.removeprefix("http://")}',
                 '--web.enable-remote-write-receiver', '--enable-feature=exemplar-storage'], stdout=log, stderr=log)
        wait_for(lambda: requests.get(f'{self.url}/-/ready', timeout=2).ok, 30, 0.1, 'prometheus')

    def kill(self):
        self.proc.kill()
        self.proc.wait(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def get(self, path, **params):
        return requests.get(self.url + path, params=params, timeout=30).json()['data']


def exemplars(get, end):
    answer = get('/api/v1/query_exemplars', query='{__name__=~".+"}', start=end - 3600, end=end + 60)
    return sorted((label_text(s['seriesLabels']), e['labels']['trace'], float(e['value']), round(float(e['timestamp']) * 1000))
                  for s in answer for e in s['exemplars'])


def push_late(url, first):
    """Newer ones, then older ones, in turns."""
    now = int(time.time() * 1000)
    for k, behind in enumerate((0, 60_000, 30_000, 61_000, 3_000, 90_000)):
        series = [(f'late{i}', [(now - behind + 50 * j, first + k + j / 8) for j in range(20)]) for i in range(3)]
        status, text = push(url, series)
        assert status in (200, 204), text


def test_what_a_killed_prometheus_has_is_read_whole(tmp_path, start):
    data, copy = tmp_path / 'prometheus', tmp_path / 'copy'
    with Exporter({'/metrics': with_exemplars}) as exporter:
        target = f'''global: {{scrape_interval: 100ms, scrape_timeout: 100ms}}
scrape_configs:
- {{job_name: live, static_configs: [{{targets: ["{exporter.address}"]}}]}}
'''
        with Peer(tmp_path, data, target) as peer:
            time.sleep(1)
            push_late(peer.url, 100)
            wait_for(lambda: 'WAL checkpoint complete' in peer.log.read_text(errors='replace'), 60, 0.2, 'a checkpoint')
            push_late(peer.url, 200)
            time.sleep(1.5)
    end = time.time()
    assert any(name.startswith('checkpoint.') for name in os.listdir(data / 'wal')) and not (data / 'wal' / '00000000').exists()
    assert os.listdir(data / 'chunks_head') and os.listdir(data / 'wbl')

    shutil.copytree(data, copy)
    with Peer(tmp_path, copy, '') as peer:  # scrapes nothing: it shows what was there
        result = peer.get('/api/v1/query', query='{__name__=~".+"}[1h]', time=f'{end + 1:.3f}')['result']
        want = {(label_text(s['metric']), round(float(t) * 1000)): float(v) for s in result for t, v in s['values']}
        want_exemplars = exemplars(peer.get, end)
    assert len(want) > 1000 and sum(k[0].startswith('{__name__="late') for k in want) > 200 and len(want_exemplars) > 3

    got = {}
    for line in lines_of(RELEASE, 'tsdb', 'dump', data, f'--max-time={int(end * 1000) + 1000}'):
        labels, value, ts = line.rsplit(' ', 2)
        got[labels, int(ts)] = float(value)

    def same(v, w):
        return v == w or (math.isnan(v) and math.isnan(w))
    stale = {k for k in got.keys() - want.keys()}
    assert not want.keys() - got.keys(), 'samples lost'
    assert all(math.isnan(got[k]) for k in stale), 'samples that Prometheus does not have'  # queries show no stale markers
    assert all(same(got[k], v) for k, v in want.items())

    target = tmp_path / 'brasa' / 'data'
    target.parent.mkdir()
    lines = lines_of(RELEASE, 'tsdb', 'import', data, f'--storage.tsdb.path={target}')
    assert lines[0].startswith(f'imported {len(got)} samples'), lines
    assert any(line.endswith(' exemplars') for line in lines), lines
    brasa = start('scrape_configs: []\n', flags=['--enable-feature=exemplar-storage'])
    taken = exemplars(lambda path, **params: brasa.get(path, **params)['data'], end)
    assert set(want_exemplars) <= set(taken)  # Prometheus passes over those of times that are in blocks
    assert all(value == int(trace[1:]) / 4 for _, trace, value, _ in taken)
    shown = {(label_text(s['metric']), round(t * 1000)): float(v)
             for s in brasa.query('{__name__=~".+"}[1h]', time=f'{end + 1:.3f}') for t, v in s['values']}
    assert shown.keys() == want.keys() and all(same(shown[k], v) for k, v in want.items())
