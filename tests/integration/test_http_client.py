"""Every option of the HTTP client, from the configuration file to a real server."""
import base64
import json
import os
import shutil
import ssl
import subprocess
import urllib.parse

import pytest
import requests
import yaml

from conftest import ASAN, RELEASE, free_port, wait_for
from tls import Authority, Proxy, Server, page, tls_context

BINARY = ASAN if ASAN.exists() else RELEASE


def config(jobs):
    """jobs: {name: (target, options)}"""
    return yaml.safe_dump({
        'global': {'scrape_interval': '1s', 'scrape_timeout': '900ms'},
        'scrape_configs': [{'job_name': name, 'static_configs': [{'targets': [target]}], **options} for name, (target, options) in jobs.items()]})


def targets(brasa):
    """{job: target}, once all were scraped."""
    def check():
        found = brasa.get('/api/v1/targets', details='true')['data']['activeTargets']
        return found and all(t['health'] != 'unknown' for t in found) and {t['scrapePool']: t for t in found}
    return wait_for(check, what='a scrape of each target')


def reason(target):
    return target['details']['scrapeFailureReason']


@pytest.fixture(scope='module')
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp('ca'), 'Test CA')


def test_tls_options_are_obeyed(start, authority):
    cert, key = authority.issue('server')
    mine, my_key = authority.issue('client')
    ca = {'ca_file': str(authority.cert)}
    own = {'cert_file': str(mine), 'key_file': str(my_key)}
    with Server(context=tls_context(cert, key)) as plain, \
         Server(context=tls_context(cert, key, client_ca=authority.cert)) as strict, \
         Server(context=tls_context(cert, key, maximum=ssl.TLSVersion.TLSv1_2)) as old:
        def job(server, **tls):
            return f'127.0.0.1:{server.port}', {'scheme': 'https', 'tls_config': tls}
        good = {
            'ca': job(plain, **ca),
            'ca-inline': job(plain, ca=authority.cert.read_text()),
            'insecure': job(plain, insecure_skip_verify=True),
            'name': job(plain, server_name='foo.example', **ca),
            'client': job(strict, **ca, **own),
            'client-inline': job(strict, cert=mine.read_text(), key=my_key.read_text(), **ca),
            'max': job(old, max_version='TLS12', **ca),
        }
        bad = {
            'no-ca': job(plain),
            'wrong-name': job(plain, server_name='bar.example', **ca),
            'no-client': job(strict, **ca),
            'min': job(old, min_version='TLS13', **ca),
            'http-to-https': (f'127.0.0.1:{plain.port}', {}),
        }
        found = targets(start(config({**good, **bad}), binary=BINARY))
        assert {j: found[j]['lastError'] for j in good if found[j]['health'] != 'up'} == {}
        assert {j for j in bad if found[j]['health'] != 'down'} == set()
        assert {j: reason(found[j]) for j in ('no-ca', 'wrong-name', 'min')} == {'no-ca': 'tls', 'wrong-name': 'tls', 'min': 'tls'}
        assert 'certificate' in found['no-ca']['lastError'] and found['no-ca']['lastError'].startswith('Get "https://127.0.0.1:')


def test_changed_certificate_files_are_used_at_the_next_scrape(start, authority, tmp_path):
    other = Authority(tmp_path / 'other', 'Other CA')
    cert, key = authority.issue('rotating')
    ca = tmp_path / 'ca.pem'
    shutil.copy(authority.cert, ca)
    with Server(context=tls_context(cert, key)) as server:
        brasa = start(config({'j': (f'127.0.0.1:{server.port}', {'scheme': 'https', 'tls_config': {'ca_file': str(ca)}})}), binary=BINARY)
        wait_for(lambda: targets(brasa)['j']['health'] == 'up', what='up')
        shutil.copy(other.cert, ca)
        wait_for(lambda: targets(brasa)['j']['health'] == 'down', what='the old connection is not used any more')
        shutil.copy(authority.cert, ca)
        wait_for(lambda: targets(brasa)['j']['health'] == 'up', what='up again')
        assert [e['reason'] for e in targets(brasa)['j']['details']['errors']] == ['tls']


def test_http2_is_spoken_over_tls_and_can_be_switched_off(start, run, authority, tmp_path):
    nginx = shutil.which('nginx', path=os.environ['PATH'] + ':/usr/sbin')
    if nginx is None:
        pytest.skip('nginx is not installed')
    cert, key = authority.issue('nginx')
    port = free_port()
    root = tmp_path / 'root'
    root.mkdir()
    root.chmod(0o755)
    (root / 'metrics').write_text('answer 42\n')
    (tmp_path / 'nginx.conf').write_text(f'''
daemon off; error_log {tmp_path}/error.log; pid {tmp_path}/pid;
{"user root;" if os.geteuid() == 0 else ""}
events {{}}
http {{
  log_format protocol "$arg_job $server_protocol"; access_log {tmp_path}/access.log protocol; default_type text/plain;
  client_body_temp_path {tmp_path}/b; proxy_temp_path {tmp_path}/p; fastcgi_temp_path {tmp_path}/f; uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;
  server {{ listen 127.0.0.1:{port} ssl http2; ssl_certificate {cert}; ssl_certificate_key {key}; root {root}; }}
}}''')
    run([nginx, '-p', tmp_path, '-c', tmp_path / 'nginx.conf'], 'nginx')
    tls = {'scheme': 'https', 'tls_config': {'ca_file': str(authority.cert)}}
    brasa = start(config({
        'two': (f'127.0.0.1:{port}', {**tls, 'params': {'job': ['two']}}),
        'one': (f'127.0.0.1:{port}', {**tls, 'params': {'job': ['one']}, 'enable_http2': False})}), binary=BINARY)
    log = tmp_path / 'access.log'
    wait_for(lambda: {j: t['health'] for j, t in targets(brasa).items()} == {'one': 'up', 'two': 'up'}, what='both up')
    wait_for(lambda: len(log.read_text().splitlines()) > 6, what='some scrapes')
    assert set(log.read_text().splitlines()) == {'two HTTP/2.0', 'one HTTP/1.1'}
    assert brasa.value('answer{job="two"}') == 42


def test_credentials_come_from_files_and_are_not_shown(start, tmp_path):
    for name, text in {'password': 'canary-1\n', 'token': 'canary-2\n', 'header': 'canary-3\n'}.items():
        (tmp_path / name).write_text(text)
    with Server() as server:
        t = f'127.0.0.1:{server.port}'
        brasa = start(config({
            'basic': (t, {'basic_auth': {'username': 'u', 'password_file': str(tmp_path / 'password')}, 'metrics_path': '/basic'}),
            'bearer': (t, {'authorization': {'credentials_file': str(tmp_path / 'token')}, 'metrics_path': '/bearer'}),
            'inline': (t, {'authorization': {'type': 'Odd', 'credentials': 'canary-4'}, 'metrics_path': '/inline'}),
            'header': (t, {'metrics_path': '/header', 'http_headers': {
                'X-A': {'values': ['v'], 'secrets': ['canary-5'], 'files': [str(tmp_path / 'header')]}}}),
        }), binary=BINARY)
        assert {x['health'] for x in targets(brasa).values()} == {'up'}

        def said(path, name):
            with server.lock:
                return [h.get(name) for p, h in server.heard if p == path][-1]
        assert said('/basic', 'Authorization') == 'Basic ' + base64.b64encode(b'u:canary-1').decode()
        assert said('/bearer', 'Authorization') == 'Bearer canary-2'
        assert said('/inline', 'Authorization') == 'Odd canary-4'
        assert said('/header', 'X-A') is not None
        (tmp_path / 'token').write_text('rotated')
        wait_for(lambda: said('/bearer', 'Authorization') == 'Bearer rotated', what='the new token')
        (tmp_path / 'token').unlink()
        wait_for(lambda: targets(brasa)['bearer']['health'] == 'down', what='down without its file')
        failed = targets(brasa)['bearer']
        assert reason(failed) == 'request' and 'unable to read authorization credentials' in failed['lastError']
        shown = brasa.text() + ''.join(requests.get(brasa.url + p).text for p in (
            '/api/v1/status/config', '/api/v1/targets?details=true', '/api/v1/status/flags', '/metrics'))
        assert 'canary' not in shown and 'rotated' not in shown


def test_oauth2_tokens_are_fetched_once_and_kept(start, authority, tmp_path):
    cert, key = authority.issue('tokens')
    asked = []

    def tokens(handler):
        asked.append((handler.headers.get('Authorization'), urllib.parse.parse_qs(handler.posted.decode())))
        return 200, {'Content-Type': 'application/json'}, json.dumps(
            {'access_token': f't{len(asked)}', 'token_type': 'bearer', 'expires_in': 12}).encode()

    (tmp_path / 'secret').write_text('canary-6\n')
    with Server(context=tls_context(cert, key), answer=tokens) as server, Server() as exporter:
        oauth2 = {'client_id': 'me', 'client_secret_file': str(tmp_path / 'secret'), 'scopes': ['a', 'b'],
                  'token_url': f'https://127.0.0.1:{server.port}/token', 'endpoint_params': {'audience': 'x'},
                  'tls_config': {'ca_file': str(authority.cert)}}
        blind = {**oauth2, 'tls_config': {}}
        brasa = start(config({'good': (f'127.0.0.1:{exporter.port}', {'oauth2': oauth2}),
                              'blind': (f'127.0.0.1:{exporter.port}', {'oauth2': blind, 'metrics_path': '/never'})}), binary=BINARY)
        found = targets(brasa)
        assert found['good']['health'] == 'up', found['good']['lastError']
        assert exporter.headers()['Authorization'] == 'Bearer t1'
        basic, form = asked[0]
        assert basic == 'Basic ' + base64.b64encode(b'me:canary-6').decode()
        assert form == {'grant_type': ['client_credentials'], 'scope': ['a b'], 'audience': ['x']}
        assert reason(found['blind']) == 'token' and 'Post "https://127.0.0.1:' in found['blind']['lastError']
        assert '/never' not in exporter.paths()
        wait_for(lambda: len(asked) >= 2, what='a token for the one that expired')
        first = [h.get('Authorization') for _, h in exporter.heard].count('Bearer t1')
        assert first >= 2, 'a token is kept until ten seconds before its end'
        assert 'canary' not in brasa.text() + requests.get(brasa.url + '/api/v1/status/config').text


def test_proxies_are_used_as_configured(start, authority, monkeypatch):
    cert, key = authority.issue('behind')
    with Server(context=tls_context(cert, key)) as secure, Server() as open_, Proxy({'behind.invalid:443': secure.port}) as proxy, \
         Proxy() as environment:
        via = {'proxy_url': f'http://127.0.0.1:{proxy.port}'}
        tls = {'tls_config': {'ca_file': str(authority.cert), 'server_name': 'foo.example'}}
        with monkeypatch.context() as patch:  # for Brasa, not for this test's own requests
            patch.setenv('http_proxy', f'http://127.0.0.1:{environment.port}')
            brasa = start(config({
                'forward': ('plain.invalid:80', via),
                'tunnel': ('behind.invalid:443', {'scheme': 'https', 'proxy_connect_header': {'X-Proxy': ['canary-7']}, **via, **tls}),
                'except': (f'127.0.0.1:{open_.port}', {**via, 'no_proxy': 'other.invalid'}),
                'environment': ('env.invalid:80', {'proxy_from_environment': True}),
                'direct': ('direct.invalid:80', {}),
            }), binary=BINARY, wait=False)
        brasa.ready()
        found = targets(brasa)
        health = {j: t['health'] for j, t in found.items()}
        assert health == {'forward': 'up', 'tunnel': 'up', 'except': 'up', 'environment': 'up', 'direct': 'down'}, \
            {j: t['lastError'] for j, t in found.items()}
        assert reason(found['direct']) == 'lookup', found['direct']['lastError']
        heads = ''.join(proxy.heard)
        assert 'GET http://plain.invalid' in heads and 'CONNECT behind.invalid:443 ' in heads
        tunnel = next(h for h in proxy.heard if h.startswith('CONNECT'))
        assert 'X-Proxy: canary-7' in tunnel
        assert 'X-Proxy' not in secure.headers(), 'the proxy header went to the target'
        assert any('GET http://env.invalid' in h for h in environment.heard)
        assert not any(f':{open_.port}' in h for h in proxy.heard), 'loopback is an exception where no_proxy is set'


def test_redirects_carry_credentials_to_their_own_host_only(start):
    def away(handler):
        where = {'/same': '/metrics', '/other': f'http://localhost:{other.port}/metrics', '/file': 'file:///etc/passwd',
                 '/gopher': 'gopher://127.0.0.1:1/', '/loop': '/loop', '/bad': 'http://[::1'}.get(handler.path)
        return (302, {'Location': where}, b'') if where else page(handler)

    with Server() as other, Server(answer=away) as server:
        secret = {'authorization': {'credentials': 'canary'}, 'http_headers': {'X-Secret': {'secrets': ['canary']}}}
        t = f'127.0.0.1:{server.port}'
        jobs = {p: (t, {'metrics_path': f'/{p}', **secret}) for p in ('same', 'other', 'file', 'gopher', 'loop', 'bad')}
        jobs['left'] = (t, {'metrics_path': '/same', 'follow_redirects': False})
        brasa = start(config(jobs), binary=BINARY)
        found = targets(brasa)
        assert {j for j, x in found.items() if x['health'] == 'up'} == {'same', 'other'}
        assert 'Authorization' not in other.headers() and 'X-Secret' not in other.headers()
        assert {j: reason(found[j]) for j in ('file', 'gopher', 'loop', 'bad')} == dict.fromkeys(('file', 'gopher', 'loop', 'bad'), 'redirect')
        assert 'unsupported protocol scheme "file"' in found['file']['lastError']
        assert 'stopped after 10 redirects' in found['loop']['lastError']
        assert reason(found['left']) == 'status' and found['left']['lastError'] == 'server returned HTTP status 302 Found'


def test_a_unix_socket_is_scraped(start, tmp_path):
    path = tmp_path / 's'
    with Server(unix=path):
        brasa = start(config({'j': ('local', {'relabel_configs': [{'target_label': '__unix_socket__', 'replacement': str(path)}]})}), binary=BINARY)
        assert targets(brasa)['j']['health'] == 'up', targets(brasa)['j']['lastError']
        assert brasa.value('answer') == 42


def test_link_local_targets_can_be_denied(start):
    with Server(answer=lambda h: (302, {'Location': 'http://169.254.169.254/latest/meta-data/'}, b'')) as server:
        brasa = start(config({'direct': ('169.254.169.254:80', {}), 'mapped': ('[::ffff:169.254.169.254]:80', {}),
                              'redirect': (f'127.0.0.1:{server.port}', {})}), binary=BINARY, flags=['--scrape.deny-link-local'])
        for name, target in targets(brasa).items():
            assert 'link-local addresses are refused' in target['lastError'], (name, target['lastError'])


def test_failures_are_logged_once_a_change_and_to_their_file_each_time(start, tmp_path):
    up = {'now': False}
    log, own = tmp_path / 'all.log', tmp_path / 'own.log'
    with Server(answer=lambda h: page(h) if up['now'] else (500, {}, b'')) as server:
        t = f'127.0.0.1:{server.port}'
        brasa = start(config({'a': (t, {}), 'b': (t, {'scrape_failure_log_file': str(own)})}), binary=BINARY,
                      flags=[f'--scrape.failure-log-file={log}'])
        wait_for(lambda: all(f.exists() and len(f.read_text().splitlines()) >= 3 for f in (log, own)), what='three lines each')
        line = json.loads(own.read_text().splitlines()[0])
        assert list(line) == ['time', 'level', 'source', 'msg', 'job_name', 'target']
        assert (line['level'], line['job_name'], line['target']) == ('ERROR', 'b', f'http://{t}/metrics')
        assert line['msg'] == 'server returned HTTP status 500 Internal Server Error'
        assert {json.loads(x)['job_name'] for x in log.read_text().splitlines()} == {'a'}
        assert brasa.text().count('Target is down') == 2 and 'reason=status' in brasa.text()
        failures = requests.get(brasa.url + '/metrics').text
        assert 'brasa_target_scrape_failures_total{reason="status",scrape_job="a"}' in failures
        up['now'] = True
        wait_for(lambda: brasa.text().count('Target is up again') == 2, what='up')
        assert brasa.text().count('Target is down') == 2


def test_debug_scrape_shows_what_came_and_what_becomes_of_it(tmp_path):
    body = b'# TYPE a counter\na{x="1",secret="s"} 1\nbad_b 2\nc{ 3\nd 4\n'
    (tmp_path / 'p.yml').write_text(yaml.safe_dump({'scrape_configs': [{
        'job_name': 'node', 'static_configs': [{'targets': ['x:1']}],
        'relabel_configs': [{'source_labels': ['__meta_zone'], 'target_label': 'zone'}],
        'metric_relabel_configs': [{'source_labels': ['__name__'], 'regex': 'bad_.*', 'action': 'drop'},
                                   {'regex': 'secret', 'action': 'labeldrop'}]}]}))
    with Server(answer=lambda h: (302, {'Location': '/metrics'}, b'') if h.path == '/moved' else (200, {'X-Escape': '\x1b[31m'}, body)) as server:
        def debug(*args):
            return subprocess.run([BINARY, 'debug', 'scrape', *args], capture_output=True, text=True, timeout=30)
        out = debug(f'127.0.0.1:{server.port}/moved', f'--config.file={tmp_path}/p.yml', '--job=node', '--label=__meta_zone=eu')
        assert out.returncode == 1, out.stderr  # the page is bad
        for text in ('HTTP/1.1 302 Found', 'HTTP/1.1 200 OK', ', after 1 redirect\n', 'format  text', 'line 4, column 4: expected label name',
                     'lines   3 samples', '1 are dropped by metric_relabel_configs', '  bad_b\n  > dropped',
                     'a{secret="s", x="1"}\n  > a{instance="127.0.0.1', 'zone="eu"'):
            assert text in out.stdout, (text, out.stdout)
        assert '\x1b' not in out.stdout, 'a target must not steer the terminal'
        side = next(line for line in out.stdout.splitlines() if line.startswith('zone'))
        assert side.split() == ['zone', '-', 'eu']
        assert max(len(line) for line in out.stdout.split('Parsed')[0].splitlines()) <= 80
        assert debug(f'127.0.0.1:{server.port}/metrics', '--job=x').stderr == 'error: --job needs --config.file\n'
        assert 'connection refused' in debug('127.0.0.1:1').stdout
    with Server() as server:
        out = debug(f'127.0.0.1:{server.port}/metrics')
        assert out.returncode == 0 and '1 would be stored' in out.stdout, out.stdout + out.stderr


def test_targets_tell_details_only_when_asked(start):
    with Server() as server:
        brasa = start(config({'j': (f'127.0.0.1:{server.port}', {'sample_limit': 5})}), binary=BINARY)
        details = targets(brasa)['j']['details']
        assert details['scrapeFailureReason'] == '' and details['errors'] == []
        assert (details['samples'], details['samplesKept'], details['samplesLeft'], details['bodySizeBytes']) == (1, 1, 4, 10)
        plain = brasa.get('/api/v1/targets')['data']['activeTargets'][0]
        assert set(plain) == {'discoveredLabels', 'labels', 'scrapePool', 'scrapeUrl', 'globalUrl', 'lastError', 'lastScrape',
                              'lastScrapeDuration', 'health', 'scrapeInterval', 'scrapeTimeout'}
