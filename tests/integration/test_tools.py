"""The command-line tools against a running server; where Debian's promtool can do the same, its
output is the expected one."""
import re
import subprocess
import time

import pytest

from conftest import ASAN, RELEASE, ROOT, need, wait_for
from exporter import Exporter

PAGE = b'''# TYPE requests_total counter
requests_total{code="200",path="/a \\"b\\" & <c>"} 10
requests_total{code="500",path="/"} 1
# TYPE temperature gauge
temperature 21.5
big 1.5e+300
small 1e-9
bad NaN
endless +Inf
'''
CONFIG = '''
global: {{scrape_interval: 300ms, scrape_timeout: 300ms}}
scrape_configs: [{{job_name: test, static_configs: [{{targets: ["{address}"]}}]}}]
'''
BINARY = ASAN if ASAN.exists() else RELEASE


def tool(binary, *args):
    p = subprocess.run([str(binary), *map(str, args)], capture_output=True, text=True, timeout=60)
    return p.stdout, p.stderr.replace('brasa: error:', 'promtool: error:'), p.returncode


def test_queries_print_what_promtool_prints(start):
    promtool = need('promtool')
    with Exporter({'/metrics': PAGE}) as exporter:
        brasa = start(CONFIG.format(address=exporter.address))
        wait_for(lambda: brasa.value('temperature') == 21.5, what='scraped')
        time.sleep(1.5)
        now = time.time() - 0.4
        cases = [['instant', f'--time={now:.3f}', brasa.url, expr] for expr in (
            'up', 'requests_total', '{__name__=~"big|small|bad|endless"}', '1+1', 'nothing', 'sum(requests_total)',
            'requests_total[1s]', 'sum(', 'vector(1) + on() requests_total', '-Inf', 'label_replace(up, "ab", "<&>", "", "")',
            'sort_desc(requests_total)')]
        cases += [['range', f'--start={now - 1:.3f}', f'--end={now:.3f}', '--step=250ms', brasa.url, expr] for expr in (
            '{job="test"}', 'rate(requests_total[1s])', '1', 'sum without(instance)(requests_total)', 'sum(')]
        cases += [['range', f'--start={now - 500:.3f}', f'--end={now:.3f}', brasa.url, 'temperature'],
                  ['series', '--match=requests_total', '--match=up', brasa.url],
                  ['series', '--match={', brasa.url],
                  ['series', '--match=nothing', brasa.url],
                  ['labels', brasa.url, 'code'], ['labels', brasa.url, 'nothing'],
                  ['labels', brasa.url, '__name__', f'--start={now - 5}', f'--end={now}'],
                  ['instant', '--time=abc', brasa.url, 'up'], ['instant', brasa.url], ['series', brasa.url],
                  ['range', '--start=10', '--end=5', brasa.url, 'up'], ['range', '--step=abc', brasa.url, 'up'],
                  ['range', '--start=x', brasa.url, 'up'], ['range', '--end=x', brasa.url, 'up'],
                  ['range', '--start=0', '--end=100000', '--step=1s', brasa.url, 'up'],
                  ['instant', 'http://127.0.0.1:1', 'up'], ['instant', f'{brasa.url}/prefix', 'up'],
                  ['instant', '-o', 'xml', brasa.url, 'up'],
                  ['range', '--header=a', brasa.url, 'up'], ['range', '--header=a=b', '--start=1', '--end=2', brasa.url, 'up']]
        bad = []
        for form in ('promql', 'json'):
            for case in cases:
                args = ['query', *case[:1], '-o', form, *case[1:]] if '-o' not in case else ['query', *case]
                want, got = tool(promtool, *args), tool(BINARY, *args)
                if got != want:
                    bad.append((args, 'got', got, 'want', want))
        assert not bad, '\n'.join(map(str, bad))
        assert tool(BINARY, 'query', 'instant', '--time=1.5', brasa.url, '"text"') == ('text\n', '', 0)
        assert tool(BINARY, 'query', 'instant', '-ojson', '--time=1.5', brasa.url, '"text"') == ('[1.5,"text"]\n', '', 0)


def test_a_server_is_asked_whether_it_is_well(start):
    brasa = start('global: {}')
    assert tool(BINARY, 'check', 'ready', f'--url={brasa.url}/') == ('', '  SUCCESS:  Prometheus Server is Ready.\n\n', 0)
    assert tool(BINARY, 'check', 'healthy', f'--url={brasa.url}') == ('', '  SUCCESS:  Prometheus Server is Healthy.\n\n', 0)
    assert tool(BINARY, 'check', 'ready', f'--url={brasa.url}/x') == ('', f'check failed: URL={brasa.url}/x, status=404\n', 1)
    out, err, code = tool(BINARY, 'check', 'healthy', '--url=http://127.0.0.1:1')
    assert code == 1 and 'connection refused' in err and 'AddressSanitizer' not in err


def test_options_of_the_http_client_reach_the_server(start, tmp_path):
    with Exporter({'/metrics': PAGE}) as exporter:
        brasa = start(CONFIG.format(address=exporter.address))
        wait_for(lambda: brasa.value('temperature') == 21.5, what='scraped')
        (tmp_path / 'http.yml').write_text('basic_auth: {username: a, password: b}\n')
        flag = f'--http.config.file={tmp_path}/http.yml'
        with_user = brasa.url.replace('http://', 'http://user:secret@')
        assert tool(BINARY, 'query', 'instant', flag, brasa.url, '1')[2] == 0
        assert tool(BINARY, 'query', 'instant', with_user, '1')[2] == 0
        assert tool(BINARY, 'query', 'instant', brasa.url.removeprefix('http://'), '1')[2] == 0
        assert tool(BINARY, 'query', 'instant', flag, with_user, '1') == (
            '', 'Cannot set base auth in the server URL and use a http.config.file at the same time\n', 1)
        (tmp_path / 'http.yml').write_text('basic_auth: {user: a}\n')
        out, err, code = tool(BINARY, 'query', 'instant', flag, brasa.url, '1')
        assert code == 1 and err.startswith('Failed to load HTTP config file: ') and 'field user not found' in err


@pytest.mark.parametrize('name', ['ok', 'bad', 'noname', 'fields', 'order', 'evaluation'])
def test_rule_tests_print_what_promtool_prints(name, monkeypatch):
    promtool = need('promtool')
    monkeypatch.chdir(ROOT / 'tests/golden/rule_tests')
    out, err, code = tool(promtool, 'test', 'rules', f'{name}.yml')
    assert tool(BINARY, 'test', 'rules', f'{name}.yml') == (re.sub('Unit Testing: .*\n', '', out), err, code)
