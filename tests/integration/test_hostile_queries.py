"""Sixty hostile queries at once under a memory limit: the server stays below the limit, goes on
answering `up` within 250 ms, and ends each of them within 100 ms of its deadline. One that is killed,
or whose client leaves, ends at once.

Memory must hold in every round. Times are those of the server and of whatever else the machine runs:
they must hold in one round of ROUNDS, so a server that is slow by itself fails and a processor that
was away for a moment does not.

BRASA_LONG=1 takes five times the series and longer deadlines."""
import collections
import json
import multiprocessing
import os
import signal
import subprocess
import threading
import time

import pytest
import requests

from conftest import RELEASE, free_port, wait_for
from hostile_load import Sampler, ask_all, load

LONG = os.environ.get('BRASA_LONG') == '1'
SERIES = 20000 if LONG else 4000
SAMPLES = 240
LIMIT_BYTES = (512 if LONG else 256) << 20
TIMEOUT_S = 5 if LONG else 1.5
ROUNDS = 4
UP_S, LATE_S = 0.25, 0.1
FLAGS = ['--web.enable-remote-write-receiver', '--web.enable-admin-api', f'--memory.limit={LIMIT_BYTES}B',
         '--enable-feature=promql-experimental-functions']


CONFIG = '''
global: {scrape_interval: 1s, scrape_timeout: 1s, query_log_file: queries.log}
scrape_configs:
- job_name: self
  static_configs: [{targets: ["127.0.0.1:%d"]}]
'''


def launch(start, **kw):
    port = free_port()
    return start(CONFIG % port, port=port, flags=FLAGS, **kw)


def log_lines(server):
    return [json.loads(line) for line in (server.folder / 'queries.log').read_text().splitlines()]


def time_up(server):
    begin = time.monotonic()
    body = server.get('/api/v1/query', query='up')
    assert body['status'] == 'success', body
    return time.monotonic() - begin


def hostile_round(server, now, first):
    """Worst time of `up`, and of a query behind its deadline; seconds."""
    before = len(log_lines(server))
    answers = multiprocessing.Queue()
    clients = multiprocessing.Process(target=ask_all, args=(server.url, now, 60, TIMEOUT_S, answers, False, first))
    with Sampler(0.01, server.rss) as rss, Sampler(0.02, lambda: time_up(server)) as up:
        clients.start()
        results = answers.get(timeout=120)
        clients.join()
    took = sorted(((line['stats']['timings']['execTotalTime'], line['params']['query'], line.get('error'))
                   for line in log_lines(server)[before:] if line['params']['query'] != 'up'), reverse=True)
    print('rss', max(rss.values) >> 20, 'MiB; up', len(up.values), 'times, worst', round(max(up.values) * 1000),
          'ms; latest', round((took[0][0] - TIMEOUT_S) * 1000), 'ms behind the deadline; statuses',
          collections.Counter(str(s) for s, *_ in results.values()))
    print('\n'.join(f'{t:.3f} {q[:70]} {e}' for t, q, e in took[:10]))
    assert len(took) == 60 and len(up.values) >= 10
    assert max(rss.values) < LIMIT_BYTES
    assert {s for s, *_ in results.values()} <= {200, 422, 503}
    assert server.get('/api/v1/admin/queries')['data'] == \
        {'queries': [], 'memory': {'usedBytes': pytest.approx(0, abs=64 << 10), 'limitBytes': LIMIT_BYTES // 2}}
    return max(up.values), took[0][0] - TIMEOUT_S


def test_sixty_hostile_queries_at_once(start):
    server = launch(start)
    now = load(server.url, SERIES, SAMPLES)
    wait_for(lambda: server.value('up') == 1, what='up')
    rounds = []
    while len(rounds) < ROUNDS:
        rounds.append(hostile_round(server, now, 7 * len(rounds)))
        if any(up < UP_S for up, _ in rounds) and any(late < LATE_S for _, late in rounds):
            return
    pytest.fail(f'seconds that up took, and that a query went on behind its deadline: {rounds}')


LONG_QUERY = 'mad_over_time(mad_over_time(vector(time())[1h:1s])[1d:1s])'


def running(server):
    return server.get('/api/v1/admin/queries')['data']['queries']


def test_a_query_is_listed_and_killed(start):
    server = launch(start)
    results = {}
    client = threading.Thread(target=lambda: results.update(
        body=server.get('/api/v1/query', query=LONG_QUERY)))
    client.start()
    listed = wait_for(lambda: running(server), what='the query in the list')[0]
    assert listed['query'] == LONG_QUERY and listed['client'] == '127.0.0.1' and listed['state'] == 'running'
    begin = time.monotonic()
    r = requests.post(f'{server.url}/api/v1/admin/queries/kill', data={'id': listed['id']}, timeout=5)
    assert r.status_code == 204, r.text
    client.join()
    assert time.monotonic() - begin < 0.5
    assert results['body'] == {'status': 'error', 'errorType': 'canceled', 'error': 'query was killed'}
    assert running(server) == []


def test_a_client_that_leaves_ends_its_query(start):
    server = launch(start)
    with pytest.raises(requests.Timeout):
        requests.get(f'{server.url}/api/v1/query', params={'query': LONG_QUERY}, timeout=0.3)
    wait_for(lambda: running(server) == [], 1.0, what='the end of the query')


def test_a_crash_tells_what_was_running(start):
    server = launch(start, check_exit=False)
    client = threading.Thread(target=ask_and_forget, args=(server,))
    client.start()
    wait_for(lambda: running(server), what='the query in the list')
    server.stop(signal.SIGKILL)
    client.join()
    assert LONG_QUERY in (server.data / 'queries.active').read_text()
    again = launch(start, name=server.folder.name)
    assert "These queries didn't finish in the last run" in again.text()
    assert LONG_QUERY in again.text()


def ask_and_forget(server):
    try:
        server.get('/api/v1/query', query=LONG_QUERY)
    except requests.RequestException:
        pass


def test_explain_prints_the_plan_and_what_it_cost(start):
    server = launch(start)
    wait_for(lambda: server.value('up') == 1, what='up')

    def explain(*args):
        return subprocess.run([RELEASE, 'query', 'explain', *args], capture_output=True, text=True, timeout=20)
    r = explain('--analyze', server.url, 'sum(up) + 1')
    lines = r.stdout.splitlines()
    assert r.returncode == 0 and len(lines) == 4, r
    assert lines[0].startswith('sum(up) + 1  [at most 1 series; was 1 series, 1 samples, ')
    assert lines[2].startswith('    up  [at most 1 series, about 1 samples; was 1 series, 1 samples, ')
    r = explain('--step=15s', server.url, 'rate(up[5m])')
    assert r.stdout.startswith('rate(up[5m])  [at most 1 series]\n  up[5m]  [at most 1 series, about '), r
    r = explain(server.url, 'sum(')
    assert r.returncode == 1 and 'unclosed left parenthesis' in r.stderr
