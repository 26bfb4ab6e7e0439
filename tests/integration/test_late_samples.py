"""out_of_order_time_window against Prometheus: both get the same remote write requests, in any order of time,
and must say the same about each, store the same samples and count the same; also after a kill, and after
the window was closed while running."""
import random
import signal
import struct
import time
import urllib.error
import urllib.request

import requests

from conftest import free_port, need, wait_for
from promql_differential import field, snappy, varint

MINUTE = 60_000
WINDOW_MINUTES = 120
CONFIG = 'storage: {{tsdb: {{out_of_order_time_window: {}m}}}}\n'
FLAGS = ['--web.enable-remote-write-receiver', '--web.enable-lifecycle']


def push(url, series):
    """Status and text; series: [(name, [(ms, value)])]."""
    raw = b''
    for name, samples in series:
        labels = {'__name__': name, 'instance': f'i{int(name[4:]) % 3}', 'job': 'late'}
        body = b''.join(field(1, field(1, k.encode()) + field(2, v.encode())) for k, v in labels.items())
        for ms, value in samples:
            body += field(2, b'\x09' + struct.pack('<d', value) + b'\x10' + varint(ms))
        raw += field(1, body)
    headers = {'Content-Encoding': 'snappy', 'Content-Type': 'application/x-protobuf', 'X-Prometheus-Remote-Write-Version': '0.1.0'}
    try:
        return urllib.request.urlopen(urllib.request.Request(url + '/api/v1/write', snappy(raw), headers), timeout=30).status, ''
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode().strip()


def reason(text):
    """What is wrong, without what only the newer Prometheus says."""
    for known in ('too old sample', 'out of order sample', 'out of bounds', 'duplicate sample for timestamp'):
        if known in text:
            return known
    return text


def everything(url, at_ms):
    r = requests.post(f'{url}/api/v1/query', data={'query': '{job="late"}[8h]', 'time': at_ms / 1000}, timeout=60).json()
    assert r['status'] == 'success', r
    return {s['metric']['__name__']: [(t, float(v)) for t, v in s['values']] for s in r['data']['result']}


def counted(url, name):
    """Sum over the types of a metric."""
    text = requests.get(f'{url}/metrics', timeout=5).text
    return sum(float(line.rsplit(' ', 1)[1]) for line in text.splitlines() if line.startswith((name + ' ', name + '{')))


class Both:
    def __init__(self, brasa, peer):
        self.urls = brasa, peer
        self.answers = {}
        self.stored = set()
        self.repeated = 0

    def push(self, series):
        got, want = (push(url, series) for url in self.urls)
        if 'too old sample' in want[1]:  # 2.42 says 500, and its senders would try for ever; 3.14 says 400
            want = 400, want[1]
        assert (got[0], reason(got[1])) == (want[0], reason(want[1])), (got, want, series)
        self.answers[want[0], reason(want[1])] = self.answers.get((want[0], reason(want[1])), 0) + 1
        for name, samples in series if want[0] == 204 else ():
            self.repeated += sum((name, ms) in self.stored for ms, _ in samples)
            self.stored.update((name, ms) for ms, _ in samples)
        return want[0]

    def compare(self, at_ms):
        got, want = (everything(url, at_ms) for url in self.urls)
        assert got.keys() == want.keys()
        for name in want:
            assert got[name] == want[name], name
        return sum(len(v) for v in want.values())


def requests_of(rnd, now_ms):
    """Requests whose newest time goes from seven hours ago to now; what is late is up to three hours late. The
    value of a series depends on its time alone, but for some that repeat the newest one."""
    newest = {}
    front_ms = now_ms - 420 * MINUTE
    while front_ms < now_ms:
        series = []
        front_ms += rnd.randrange(3 * MINUTE)
        for name in rnd.sample([f'late{i}' for i in range(14)], rnd.randrange(1, 9)):
            back = rnd.choice([0, 0, 1, 60, 130, 180]) * MINUTE
            times = rnd.sample(range(0, back + 1 if back else 1000), min(rnd.randrange(1, 6), back + 1))
            samples = [(front_ms - t, (front_ms - t) % 1000 / 8) for t in times]
            if rnd.randrange(40) == 0 and name in newest:
                samples = [(newest[name][0], newest[name][1] + rnd.randrange(2))]
            top = max(samples)
            if top > newest.get(name, (0, 0)):
                newest[name] = top
            series.append((name, samples))
        yield series


def start_both(start, run, tmp_path):
    brasa = start(CONFIG.format(WINDOW_MINUTES), flags=FLAGS)
    port = free_port()
    config = tmp_path / 'peer.yml'
    config.write_text(CONFIG.format(WINDOW_MINUTES))
    run([need('prometheus'), f'--config.file={config}', f'--storage.tsdb.path={tmp_path}/peer',
         f'--web.listen-address=127.0.0.1:{port}', *FLAGS], 'peer')
    url = f'http://127.0.0.1:{port}'
    wait_for(lambda: requests.get(f'{url}/-/ready', timeout=2).ok, what='prometheus')
    return brasa, url, config


def test_late_samples_are_taken_refused_and_read_as_in_prometheus(start, run, tmp_path):
    brasa, peer, config = start_both(start, run, tmp_path)
    both = Both(brasa.url, peer)
    now_ms = int(time.time() * 1000)
    for series in requests_of(random.Random(7), now_ms):
        both.push(series)
    assert both.answers[204, ''] > 50 and both.answers[400, 'too old sample'] > 20, both.answers
    assert both.compare(now_ms) > 500
    assert counted(brasa.url, 'prometheus_tsdb_too_old_samples_total') == counted(peer, 'prometheus_tsdb_too_old_samples_total') > 0
    # Prometheus looks for a time that comes again among the newest 32 late samples of the series only
    got, want = (counted(url, 'prometheus_tsdb_head_out_of_order_samples_appended_total') for url in both.urls)
    assert 0 < got <= want <= got + both.repeated
    assert counted(brasa.url, 'prometheus_tsdb_sample_ooo_delta_count') >= got  # 2.42 does not show it

    brasa.stop(signal.SIGKILL)
    brasa = start(None, check_exit=True, flags=FLAGS)
    both.urls = brasa.url, peer
    both.compare(now_ms)
    assert both.push([('late1', [(now_ms - 3 * MINUTE, 77)])]) == 204
    both.compare(now_ms)

    for path in (config, brasa.config):
        path.write_text(CONFIG.format(0))
    for url in both.urls:
        assert requests.post(f'{url}/-/reload', timeout=10).ok
    both.push([('late1', [(now_ms + 1000, 1)])])
    assert both.push([('late1', [(now_ms - 7 * MINUTE, 7)])]) == 400
    assert both.push([('late1', [(now_ms - 70 * MINUTE, 7)])]) == 400
    assert both.push([('late1', [(now_ms + 2000, 2)])]) == 204
    both.compare(now_ms + 3000)
    assert (400, 'out of order sample') in both.answers and (400, 'out of bounds') in both.answers
