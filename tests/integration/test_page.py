"""The pages in a real browser: a query as table and graph, and a disk that fails."""
import resource
import subprocess

import pytest
import requests

from conftest import ROOT, need, wait_for
from exporter import Exporter

FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
         '--disable-component-update', '--disable-sync', '--virtual-time-budget=8000', '--window-size=1200,900']


def dump(url, folder):
    out = subprocess.run([need('chromium'), *FLAGS, f'--user-data-dir={folder}', '--dump-dom', url],
                         capture_output=True, text=True, timeout=120)
    return out.stdout


def test_the_page_shows_table_and_graph(start, tmp_path):
    evil = 'x{path="<img src=x onerror=alert(1)>"} 1\n'
    with Exporter({'/metrics': b'temperature{room="hall"} 21.5\n' + evil.encode()}) as exporter:
        brasa = start(f'''
global: {{scrape_interval: 300ms, scrape_timeout: 300ms}}
scrape_configs: [{{job_name: test, static_configs: [{{targets: ["{exporter.address}"]}}]}}]
''')
        wait_for(lambda: brasa.value('temperature') == 21.5, what='scraped')
        page = requests.get(f'{brasa.url}/')
        if page.status_code == 404:
            pytest.skip('built without the UI')
        assert page.url.endswith('/query') and "default-src 'none'" in page.headers['Content-Security-Policy']
        table = dump(f'{brasa.url}/query?g0.expr=temperature&g0.tab=1', tmp_path / 'chromium')
        assert '21.5' in table and 'hall' in table, table[-3000:]
        graph = dump(f'{brasa.url}/query?g0.expr=temperature&g0.tab=0&g0.range_input=5m', tmp_path / 'chromium')
        assert '<canvas' in graph and 'hall' in graph, graph[-3000:]
        harmless = dump(f'{brasa.url}/query?g0.expr=x&g0.tab=1', tmp_path / 'chromium')
        assert '&lt;img src=x' in harmless and '<img src=x' not in harmless
        error = dump(f'{brasa.url}/query?g0.expr=sum(&g0.tab=1', tmp_path / 'chromium')
        assert 'parse error' in error


def limit_files(brasa, size_bytes):
    """From here on no file of the server grows past this: its disk is full."""
    resource.prlimit(brasa.proc.pid, resource.RLIMIT_FSIZE, (size_bytes, resource.RLIM_INFINITY))


def test_a_failing_disk_is_on_every_page_until_it_works_again(start, tmp_path):
    with Exporter({'/metrics': b'temperature 21.5\n'}) as exporter:
        brasa = start(f'''
global: {{scrape_interval: 300ms, scrape_timeout: 300ms}}
scrape_configs: [{{job_name: test, static_configs: [{{targets: ["{exporter.address}"]}}]}}]
''')

        def info():
            return brasa.get('/api/v1/status/runtimeinfo')['data']

        wait_for(lambda: brasa.value('temperature') == 21.5, what='scraped')
        assert info()['storageFailing'] is False and info()['storageFaultCount'] == 0
        has_pages = requests.get(f'{brasa.url}/status').status_code == 200
        limit_files(brasa, 0)
        wait_for(lambda: info()['storageFailing'], what='the disk fails')
        assert 'File too large' in info()['storageLastFault'] and info()['storageLastFaultTime']
        if has_pages:
            for path in ('status', 'query?g0.expr=temperature&g0.tab=1'):
                page = dump(f'{brasa.url}/{path}', tmp_path / 'chromium')
                assert 'The disk fails' in page and 'File too large' in page, page[-3000:]
        limit_files(brasa, resource.RLIM_INFINITY)
        wait_for(lambda: not info()['storageFailing'], what='the disk works again')
        assert info()['storageFaultCount'] > 0
        if has_pages:
            page = dump(f'{brasa.url}/status', tmp_path / 'chromium')
            assert '<td>Works again</td>' in page and 'The disk fails' not in page, page[-3000:]
