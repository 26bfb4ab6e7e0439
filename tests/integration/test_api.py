"""The API's shapes, as Grafana and promtool read them."""
import time

import requests

from conftest import wait_for
from exporter import Exporter

PAGE = b'''# HELP requests_total Requests & <more>.
# TYPE requests_total counter
requests_total{code="200",path="/"} 10
requests_total{code="500",path="/"} 1
# TYPE temperature gauge
temperature 21.5
'''


def test_endpoints_answer_as_prometheus_does(start):
    with Exporter({'/metrics': PAGE}) as exporter:
        brasa = start(f'''
global: {{scrape_interval: 300ms, scrape_timeout: 300ms}}
scrape_configs: [{{job_name: test, static_configs: [{{targets: ["{exporter.address}"]}}]}}]
''')
        wait_for(lambda: brasa.value('temperature') == 21.5, what='scraped')
        ok = lambda path, **p: (lambda b: (b, b['data']))(brasa.get(path, **p))[1]
        vector = ok('/api/v1/query', query='requests_total', time=time.time())
        assert vector['resultType'] == 'vector' and len(vector['result']) == 2
        assert list(vector['result'][0]['metric']) == sorted(vector['result'][0]['metric'])
        assert ok('/api/v1/query', query='1+1', time=4)['result'] == [4, '2']
        assert ok('/api/v1/query', query='"text"', time='4.5')['result'] == [4.5, 'text']
        t = time.time()
        matrix = ok('/api/v1/query_range', query='temperature', start=t - 60, end=t, step=15)
        assert matrix['resultType'] == 'matrix' and matrix['result'][0]['values'][-1][1] == '21.5'
        assert ok('/api/v1/labels') == ['__name__', 'code', 'instance', 'job', 'path']
        assert ok('/api/v1/label/code/values') == ['200', '500']
        assert ok('/api/v1/label/code/values', **{'match[]': 'requests_total{code!="500"}'}) == ['200']
        assert len(ok('/api/v1/series', **{'match[]': 'requests_total'})) == 2
        assert ok('/api/v1/metadata', metric='requests_total') == {'requests_total': [{'type': 'counter', 'unit': '', 'help': 'Requests & <more>.'}]}
        assert 'Requests \\u0026 \\u003cmore\\u003e.' in requests.get(f'{brasa.url}/api/v1/metadata').text
        assert ok('/api/v1/targets')['activeTargets'][0]['scrapeUrl'] == f'http://{exporter.address}/metrics'
        info = ok('/api/v1/status/buildinfo')
        assert info['version'].startswith('3.') and 'features' not in info
        assert 'job_name: test' in ok('/api/v1/status/config')['yaml']
        assert ok('/api/v1/status/flags')['query.lookback-delta'] == '5m'
        assert ok('/api/v1/rules') == {'groups': []} and ok('/api/v1/alerts') == {'alerts': []}
        cut = brasa.get('/api/v1/query', query='requests_total', limit=1)
        assert len(cut['data']['result']) == 1 and cut['warnings'] == ['results truncated due to limit']

        bad = requests.get(f'{brasa.url}/api/v1/query_range', params={'query': 'x', 'start': 0, 'end': 1e6, 'step': 1})
        assert bad.status_code == 400 and 'exceeded maximum resolution of 11,000 points' in bad.json()['error']
        bad = requests.get(f'{brasa.url}/api/v1/query_range', params={'query': 'x'})
        assert bad.json()['error'] == 'invalid parameter "start": cannot parse "" to a valid timestamp'
        bad = requests.get(f'{brasa.url}/api/v1/series')
        assert bad.json()['error'] == 'no match[] parameter provided'
        packed = requests.get(f'{brasa.url}/metrics', headers={'Accept-Encoding': 'gzip'})
        assert packed.headers['Content-Encoding'] == 'gzip' and 'prometheus_tsdb_head_series' in packed.text
        assert requests.head(f'{brasa.url}/-/ready').status_code == 200


def test_own_metrics_can_be_scraped_by_itself(start):
    brasa = start('global: {scrape_interval: 300ms, scrape_timeout: 300ms}\n', wait=True)
    brasa.config.write_text(f'''
global: {{scrape_interval: 300ms, scrape_timeout: 300ms}}
scrape_configs: [{{job_name: self, static_configs: [{{targets: ["127.0.0.1:{brasa.port}"]}}]}}]
''')
    brasa.proc.send_signal(1)
    wait_for(lambda: brasa.value('up{job="self"}') == 1, what='self scrape')
    assert brasa.value('prometheus_build_info{job="self"}') == 1
    assert brasa.value('process_resident_memory_bytes{job="self"}') > 1e6
    wait_for(lambda: brasa.value('prometheus_tsdb_head_series{job="self"}') > 10, what='head series')
