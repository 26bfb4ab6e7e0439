"""Remote write: a real Prometheus pushes what it scrapes, and the same series and values arrive;
a snapshot opens as a data directory."""
import shutil
import time

import requests

from conftest import free_port, need, wait_for
from exporter import Exporter

RECEIVE = ['--web.enable-remote-write-receiver', '--web.enable-admin-api']


def page(handler, n):
    lines = [f'pushed_total{{i="{i}",zone="ä"}} {n * 3 + i}' for i in range(50)]
    lines += [f'pushed_gauge{{i="{i}"}} {(n * 7919 + i) % 1000 / 8}' for i in range(50)]
    lines += ['pushed_odd{kind="nan"} NaN', 'pushed_odd{kind="inf"} +Inf', 'pushed_odd{kind="small"} 1e-300']
    if n % 7 < 4:  # comes and goes: stale markers are pushed too
        lines.append('pushed_shy 1')
    return ('\n'.join(lines) + '\n').encode()


def samples(url, expr, at):
    """All samples of a range selector; values as text."""
    r = requests.post(f'{url}/api/v1/query', data={'query': expr, 'time': at}, timeout=30).json()
    assert r['status'] == 'success', r
    return {tuple(sorted(s['metric'].items())): s['values'] for s in r['data']['result']}


def prometheus(run, tmp_path, exporter, target, name):
    port = free_port()
    (tmp_path / f'{name}.yml').write_text(f'''
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
remote_write:
- url: {target}/api/v1/write
  queue_config: {{batch_send_deadline: 100ms, max_shards: 2, min_shards: 1}}
scrape_configs:
- job_name: pushed
  static_configs: [{{targets: ["{exporter.address}"]}}]
''')
    run([need('prometheus'), f'--config.file={tmp_path}/{name}.yml', f'--storage.tsdb.path={tmp_path}/{name}',
         f'--web.listen-address=127.0.0.1:{port}'], name)
    url = f'http://127.0.0.1:{port}'
    wait_for(lambda: requests.get(f'{url}/-/ready', timeout=2).ok, what='prometheus')
    return url


def test_what_prometheus_scraped_arrives_unchanged(start, run, tmp_path):
    brasa = start('global: {}\n', flags=RECEIVE)
    with Exporter({'/metrics': page}) as exporter:
        peer = prometheus(run, tmp_path, exporter, brasa.url, 'sender')
        wait_for(lambda: (brasa.value('count_over_time(pushed_gauge{i="1"}[1m])') or 0) > 20, 30, 0.2, 'samples')
    at = time.time() - 0.5
    expr = '{job="pushed"}[1m]'

    def newest(url):
        return max(v[-1][0] for v in samples(url, expr, at).values())
    wait_for(lambda: newest(brasa.url) >= newest(peer), 15, 0.2, 'the last samples')
    want, got = samples(peer, expr, at), samples(brasa.url, expr, at)
    assert len(want) > 100
    assert got.keys() == want.keys()
    assert got == want
    shy = 'absent_over_time(pushed_shy[200ms])'
    span = {'start': at - 4, 'end': at, 'step': 0.05, 'query': shy}
    answers = [requests.get(f'{u}/api/v1/query_range', params=span, timeout=30).json()['data']['result'] for u in (peer, brasa.url)]
    assert answers[0] == answers[1]
    text = requests.get(f'{peer}/metrics', timeout=5).text
    lines = [l for l in text.splitlines() if l.startswith('prometheus_remote_storage_samples_failed_total{')]
    assert lines and all(float(l.rsplit(' ', 1)[1]) == 0 for l in lines)


def test_a_snapshot_opens_as_a_data_directory(start, run, tmp_path):
    brasa = start('global: {}\n', flags=RECEIVE)
    with Exporter({'/metrics': page}) as exporter:
        prometheus(run, tmp_path, exporter, brasa.url, 'sender')
        wait_for(lambda: (brasa.value('count_over_time(pushed_gauge{i="1"}[1m])') or 0) > 20, 30, 0.2, 'samples')
        at = time.time() - 2
        want = samples(brasa.url, '{job="pushed"}[1m]', at)
        r = requests.post(f'{brasa.url}/api/v1/admin/tsdb/snapshot', timeout=30)
        assert r.status_code == 200 and r.json()['status'] == 'success', r.text
        name = r.json()['data']['name']
        time.sleep(0.5)  # the source goes on
        assert samples(brasa.url, '{job="pushed"}[1m]', at) == want
    shutil.copytree(brasa.data / 'snapshots' / name, tmp_path / 'copy' / 'data')
    copy = start('global: {}\n', name='copy')
    assert samples(copy.url, '{job="pushed"}[1m]', at) == want
    assert 'skipped' not in copy.text() and 'cut off' not in copy.text()


def test_the_admin_api_and_the_receiver_are_off_by_default(start):
    brasa = start('global: {}\n')
    r = requests.post(f'{brasa.url}/api/v1/admin/tsdb/snapshot', timeout=5)
    assert (r.status_code, r.json()) == (500, {'status': 'error', 'errorType': 'unavailable', 'error': 'admin APIs disabled'})
    r = requests.post(f'{brasa.url}/api/v1/write', data=b'', timeout=5)
    assert (r.status_code, r.text) == (404, 'remote write receiver needs to be enabled with --web.enable-remote-write-receiver\n')


def test_requests_are_refused_over_http_as_documented(start):
    brasa = start('global: {}\n', flags=RECEIVE)
    url = f'{brasa.url}/api/v1/write'
    r = requests.get(url, timeout=5)
    assert (r.status_code, r.headers['Allow'], r.text) == (405, 'OPTIONS, POST', 'Method Not Allowed\n')
    r = requests.post(url, data=b'x' * (32 * 1024 * 1024 + 1), timeout=30)
    assert (r.status_code, r.text) == (413, 'request body exceeds the 33554432 bytes limit\n')
    r = requests.post(url, data=b'\x00', timeout=5)  # an empty message, packed
    assert (r.status_code, r.content) == (204, b'')
    r = requests.post(url, data=b'\x00', headers={'Content-Type': 'application/x-protobuf;proto=io.prometheus.write.v2.Request'}, timeout=5)
    assert (r.status_code, r.headers['X-Prometheus-Remote-Write-Samples-Written']) == (204, '0')
    r = requests.post(url, data=b'\x00', headers={'Origin': 'http://evil.example', 'Content-Type': ''}, timeout=5)
    assert r.status_code == 403
    assert brasa.value('vector(1)') == 1
