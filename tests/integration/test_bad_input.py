"""Bad input ends in a clear error that names the place, and everything else goes on. Under ASan."""
import os
import socket
import subprocess
import threading
import time

import pytest
import requests

from conftest import ASAN, RELEASE, Brasa, free_port, wait_for
from exporter import Exporter

BINARY = ASAN if ASAN.exists() else RELEASE
GOOD = 'scrape_configs: [{job_name: a, static_configs: [{targets: ["127.0.0.1:1"]}]}]\n'


def run_once(tmp_path, config, flags=()):
    path = tmp_path / 'prometheus.yml'
    path.write_text(config)
    return subprocess.run([BINARY, f'--config.file={path}', f'--storage.tsdb.path={tmp_path}/data',
                           f'--web.listen-address=127.0.0.1:{free_port()}', *flags], capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize('config, texts', [
    ('global: [1\n', ['prometheus.yml', 'line']),
    ('global: {scrape_interval: fast}\n', ['prometheus.yml', 'not a valid duration string: \\"fast\\"']),
    ('global: {scrape_interval: [1]}\n', ['prometheus.yml', 'line 1', 'cannot unmarshal']),
    ('global:\n  no_such_field: 1\n', ['line 2', 'field no_such_field not found in type config.plain']),
    ('scrape_configs: [{job_name: a}, {job_name: a}]\n', ['found multiple scrape configs with job name \\"a\\"']),
    ('scrape_configs: [{static_configs: []}]\n', ['job_name is empty']),
    ('scrape_configs: [{job_name: a, relabel_configs: [{regex: "(", action: drop}]}]\n', ['error parsing regexp']),
    ('scrape_configs: [{job_name: a, relabel_configs: [{action: jump}]}]\n', ['unknown relabel action \\"jump\\"']),
    ('rule_files: ["a*/b.yml"]\n', ['invalid rule file path']),
])
def test_a_bad_configuration_is_refused_with_its_place(tmp_path, config, texts):
    out = run_once(tmp_path, config)
    assert out.returncode == 2, out.stderr
    for text in texts:
        assert text in out.stderr, out.stderr
    check = subprocess.run([BINARY, 'check', 'config', str(tmp_path / 'prometheus.yml')], capture_output=True, text=True)
    assert check.returncode == 1 and 'FAILED' in check.stderr + check.stdout


def test_bad_rules_are_refused_with_their_place(tmp_path):
    (tmp_path / 'r.yml').write_text('groups:\n- name: g\n  rules:\n  - record: x\n    expr: sum(\n')
    out = run_once(tmp_path, f'rule_files: ["{tmp_path}/r.yml"]\n')
    assert out.returncode == 2, out.stderr
    assert 'r.yml: 5:11: group \\"g\\", rule 1, \\"x\\": could not parse expression: 1:5: parse error' in out.stderr, out.stderr


def test_wrong_flags_are_refused(tmp_path):
    out = run_once(tmp_path, GOOD, ['--no.such.flag=1'])
    assert out.returncode == 2 and 'no.such.flag' in out.stderr
    out = run_once(tmp_path, GOOD, ['--query.timeout=soon'])
    assert out.returncode == 2 and 'soon' in out.stderr


def test_a_taken_port_and_a_taken_or_bad_data_folder_are_clear_errors(start, tmp_path):
    first = start(GOOD, binary=BINARY)
    out = subprocess.run([BINARY, f'--config.file={first.config}', f'--storage.tsdb.path={tmp_path}/other',
                          f'--web.listen-address=127.0.0.1:{first.port}'], capture_output=True, text=True, timeout=30)
    assert out.returncode == 1 and f'127.0.0.1:{first.port}' in out.stderr and 'address already in use' in out.stderr.lower(), out.stderr
    out = subprocess.run([BINARY, f'--config.file={first.config}', f'--storage.tsdb.path={first.data}',
                          f'--web.listen-address=127.0.0.1:{free_port()}'], capture_output=True, text=True, timeout=30)
    assert out.returncode == 1 and 'lock' in out.stderr and str(first.data) in out.stderr, out.stderr
    (tmp_path / 'file').write_text('')
    out = subprocess.run([BINARY, f'--config.file={first.config}', f'--storage.tsdb.path={tmp_path}/file/data',
                          f'--web.listen-address=127.0.0.1:{free_port()}'], capture_output=True, text=True, timeout=30)
    assert out.returncode == 1 and f'{tmp_path}/file/data' in out.stderr, out.stderr
    assert requests.get(f'{first.url}/-/healthy', timeout=5).ok


def endless(handler, n):
    handler.send_response(200)
    handler.send_header('Content-Type', 'text/plain')
    handler.end_headers()
    line = b'x' * 65536
    for _ in range(2000):
        handler.wfile.write(line)
    handler.close_connection = True


def big(handler, n):
    """100 MB of samples: more than body_size_limit."""
    handler.send_response(200)
    handler.send_header('Content-Type', 'text/plain')
    handler.end_headers()
    block = b''.join(b'big{i="%d"} 1\n' % i for i in range(5000))
    for _ in range(100_000_000 // len(block)):
        handler.wfile.write(block)
    handler.close_connection = True


def hang(handler, n):
    time.sleep(3)
    return (200, {}, b'')


BAD_PAGES = {
    '/garbage': (200, {'Content-Type': 'text/plain'}, os.urandom(20000)),
    '/binary-type': (200, {'Content-Type': 'application/octet-stream'}, b'x 1\n'),
    '/truncated': (200, {'Content-Type': 'text/plain'}, b'good 1\nbad{label="never ends'),
    '/duplicate-labels': (200, {'Content-Type': 'text/plain'}, b'x{a="1",a="2"} 1\n'),
    '/not-utf8': (200, {'Content-Type': 'text/plain'}, b'x{a="\xff\xfe"} 1\n'),
    '/gzip-lie': (200, {'Content-Type': 'text/plain', 'Content-Encoding': 'gzip'}, b'this is not gzip'),
    '/endless': endless,
    '/big': big,
    '/hang': hang,
    '/redirect-file': (302, {'Location': 'file:///etc/passwd'}, b''),
    '/redirect-loop': (302, {'Location': '/redirect-loop'}, b''),
    '/status': (503, {}, b''),
    '/empty': (200, {'Content-Type': 'text/plain'}, b''),
    '/nul': (200, {'Content-Type': 'text/plain'}, b'x 1\n\0\0\0y 1\n'),
    '/good': b'good_value 7\n',
}


def test_bad_targets_hurt_nobody_else(start):
    with Exporter(BAD_PAGES) as exporter, socket.create_server(('127.0.0.1', 0)) as rude:
        def hang_up():
            while True:
                try:
                    c, _ = rude.accept()
                    c.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx ')
                    c.close()
                except OSError:
                    return
        threading.Thread(target=hang_up, daemon=True).start()
        targets = ''.join(f'''
  - targets: ["{exporter.address}"]
    labels: {{__metrics_path__: {path}, page: "{path}"}}''' for path in BAD_PAGES)
        brasa = start(f'''
global: {{scrape_interval: 1s, scrape_timeout: 900ms, body_size_limit: 20MB}}
scrape_configs:
- job_name: pages
  static_configs:{targets}
- job_name: rude
  static_configs:
  - targets: ["127.0.0.1:{rude.getsockname()[1]}"]
  - targets: ["127.0.0.1:1"]
''', binary=BINARY)
        wait_for(lambda: exporter.count('/good') >= 5, 30, what='five rounds')
        up = {s['metric'].get('page', s['metric']['instance']): s['value'][1] for s in brasa.query('up')}
        fine = {'/good', '/empty', '/nul'}
        wrong = {p: v for p, v in up.items() if v != ('1' if p in fine else '0')}
        assert wrong == {}, wrong
        assert len(up) == len(BAD_PAGES) + 2
        assert brasa.value('good_value') == 7
        assert brasa.value('count_over_time(good_value[5s])') >= 4, 'the good target missed scrapes'
        errors = {t['discoveredLabels'].get('page', t['labels']['instance']): t['lastError'] for t in brasa.get('/api/v1/targets')['data']['activeTargets']}
        assert errors['/good'] == '' and errors['/empty'] == ''
        for page, text in {'/status': 'server returned HTTP status 503', '/hang': 'deadline exceeded', '/big': 'body size limit exceeded',
                           '/binary-type': 'unsupported Content-Type', '/gzip-lie': 'gzip: invalid header',
                           '/redirect-loop': 'stopped after 10 redirects', '127.0.0.1:1': 'connection refused',
                           '/not-utf8': 'invalid UTF-8', '/duplicate-labels': 'not unique'}.items():
            assert text in errors[page], (page, errors[page])
        assert all(text for page, text in errors.items() if page not in fine)


@pytest.mark.parametrize('query, kind, text', [
    ('sum(', 'bad_data', 'invalid parameter \"query\": 1:5: parse error: unclosed left parenthesis'),
    ('', 'bad_data', 'unknown position: parse error: no expression found in input'),
    ('foo[5m', 'bad_data', 'parse error'),
    ('{}', 'bad_data', 'vector selector must contain at least one non-empty matcher'),
    ('foo{a=~"("}', 'bad_data', 'error parsing regexp'),
    ('nonsense(1)', 'bad_data', 'unknown function with name "nonsense"'),
    ('(' * 5000, 'bad_data', 'parse error'),
    ('\xff\xfe', 'bad_data', 'parse error'),
])
def test_a_bad_query_is_a_clear_error(start, query, kind, text):
    brasa = start(GOOD, binary=BINARY)
    r = requests.post(f'{brasa.url}/api/v1/query', data={'query': query}, timeout=30)
    body = r.json()
    assert r.status_code == 400 and body['status'] == 'error' and body['errorType'] == kind, body
    assert text in body['error'], body
    assert requests.get(f'{brasa.url}/-/healthy', timeout=5).ok


def test_hostile_http_is_refused(start):
    brasa = start(GOOD, binary=BINARY)

    def raw(data):
        with socket.create_connection(('127.0.0.1', brasa.port), timeout=10) as s:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            got = b''
            while chunk := s.recv(65536):
                got += chunk
            return got
    assert b' 400 ' in raw(b'GET /..%2f..%2fetc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    assert b' 400 ' in raw(b'POST /api/v1/query HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde')
    assert b' 404 ' in raw(b'GET /no/such/page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    assert b' 405 ' in raw(b'DELETE /api/v1/query HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    raw(b'\x00' * 100000)
    raw(b'GET /' + b'a' * 1_000_000 + b' HTTP/1.1\r\n\r\n')
    r = requests.post(f'{brasa.url}/-/reload', timeout=5)
    assert r.status_code == 403 and r.text == 'Lifecycle API is not enabled.'
    assert requests.get(f'{brasa.url}/-/healthy', timeout=5).ok
