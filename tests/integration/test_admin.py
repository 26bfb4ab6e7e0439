"""The admin endpoints: the answers of Prometheus 2.42, and what they do to the data."""
import pathlib
import re
import subprocess

import pytest
import requests

from conftest import RELEASE, free_port, need, wait_for

CONFIG = '''
global: {scrape_interval: 1s}
scrape_configs:
- job_name: down
  static_configs: [{targets: ['127.0.0.1:1', '127.0.0.1:2']}]
'''
ADMIN = '/api/v1/admin/tsdb/'


@pytest.fixture
def both(start, run, tmp_path):
    """Brasa and the URL of Prometheus, which scrape the same."""
    brasa = start(CONFIG, flags=['--web.enable-admin-api'])
    port = free_port()
    run([need('prometheus'), f'--config.file={brasa.config}', f'--storage.tsdb.path={tmp_path}/prometheus',
         f'--web.listen-address=127.0.0.1:{port}', '--web.enable-admin-api'], 'prometheus')
    peer = f'http://127.0.0.1:{port}'
    for url in (brasa.url, peer):
        wait_for(lambda: len(result(url, 'count_over_time(up[1m]) > 1')) == 2, what='samples')
    return brasa, peer


def result(url, expr):
    return requests.post(f'{url}/api/v1/query', data={'query': expr}, timeout=10).json()['data']['result']


def answer(url, endpoint, method='POST', **params):
    r = requests.request(method, url + ADMIN + endpoint, params=params, timeout=30)
    body = r.json() if r.headers.get('Content-Type', '').startswith('application/json') else r.text
    if isinstance(body, dict) and 'name' in (body.get('data') or {}):
        body['data']['name'] = re.sub(r'^\d{8}T\d{6}Z-[0-9a-f]{16}$', 'NAME', body['data']['name'])
    return r.status_code, body


def test_answers_are_those_of_prometheus(both):
    brasa, peer = both
    requests_made = [
        ('delete_series', {}),
        ('delete_series', {'match[]': 'nothing{here="is"}'}),
        ('delete_series', {'match[]': ['up', 'nothing'], 'start': '0', 'end': '1'}),
        ('delete_series', {'match[]': 'up', 'start': '2', 'end': '1'}),
        ('clean_tombstones', {}),
        ('snapshot', {}),
        ('snapshot', {'skip_head': 'true'}),
        ('snapshot', {'skip_head': 'false'}),
    ]
    for endpoint, params in requests_made:
        for method in ('POST', 'PUT'):
            assert answer(brasa.url, endpoint, method, **params) == answer(peer, endpoint, method, **params), (endpoint, params)
    # The parser's messages are those of 3.x.
    for endpoint, params in [('delete_series', {'match[]': ''}), ('delete_series', {'match[]': 'up{'}), ('delete_series', {'match[]': 'up', 'start': 'x'}),
                             ('delete_series', {'match[]': 'up', 'end': 'x'}), ('snapshot', {'skip_head': 'x'})]:
        ours, theirs = answer(brasa.url, endpoint, **params), answer(peer, endpoint, **params)
        assert (ours[0], ours[1]['errorType']) == (theirs[0], theirs[1]['errorType']) == (400, 'bad_data'), (endpoint, params)


def test_what_is_deleted_is_gone_there_and_here(both):
    for url in (both[0].url, both[1]):
        at = float(result(url, 'time()')[1])
        deleted = 'up{instance="127.0.0.1:1"}'
        assert answer(url, 'delete_series', **{'match[]': deleted, 'end': at}) == (204, '')

        def left():
            r = requests.get(f'{url}/api/v1/query', params={'query': f'{deleted}[1h]', 'time': at}, timeout=10)
            return r.json()['data']['result']
        assert left() == []
        assert len(result(url, 'count_over_time(up{instance="127.0.0.1:2"}[1m]) > 1')) == 1
        assert answer(url, 'clean_tombstones') == (204, '')
        assert left() == []
        wait_for(lambda: result(url, deleted), what='the next sample')  # it comes again


def test_a_snapshot_is_sound(both):
    brasa = both[0]
    assert answer(brasa.url, 'delete_series', **{'match[]': 'up{instance="127.0.0.1:1"}'}) == (204, '')
    r = requests.post(brasa.url + ADMIN + 'snapshot', timeout=30)
    folder = pathlib.Path(brasa.data) / 'snapshots' / r.json()['data']['name']
    done = subprocess.run([RELEASE, 'tsdb', 'verify', folder], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'no damage' in done.stdout and ' 1 series with deleted samples' in done.stdout
