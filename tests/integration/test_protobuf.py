"""Protobuf: a page of the Go client, asked for, scraped, stored and queried with its histograms."""
import gzip
import pathlib

import requests

from conftest import wait_for
from exporter import Exporter
from test_scrape import config

PAGE = (pathlib.Path(__file__).parent.parent / 'golden/scrape/client.pb').read_bytes()
PROTOBUF = 'application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited'


def histogram(brasa, expression):
    answer = requests.get(f'{brasa.url}/api/v1/query', {'query': expression}).json()
    (series,) = answer['data']['result']
    return series['histogram'][1]


def test_native_histograms_are_asked_for_scraped_and_queried(start):
    asked = []

    def page(handler, n):
        asked.append(handler.headers['Accept'])
        return 200, {'Content-Type': PROTOBUF, 'Content-Encoding': 'gzip'}, gzip.compress(PAGE)

    with Exporter({'/metrics': page}) as exporter:
        brasa = start(config([exporter.address], extra='scrape_native_histograms: true'))
        wait_for(lambda: brasa.value('up{job="test"}') == 1, what='up')
        assert asked[0].startswith(PROTOBUF.replace(' ', '') + ';q=0.6,')
        assert brasa.value('sum(requests_total)') == 300
        assert brasa.value('rpc_seconds_count{m="x"}') == 100
        assert brasa.value('classic_seconds_bucket{a="x",le="+Inf"}') == 100
        assert histogram(brasa, 'native_seconds{a="x"}')['count'] == '100'
        assert brasa.value('histogram_count(both_seconds{a="y"})') == 100
        assert brasa.value('count(both_seconds_bucket) or vector(0)') == 0
        metadata = requests.get(f'{brasa.url}/api/v1/metadata', {'metric': 'requests_total'}).json()
        assert metadata['data']['requests_total'] == [{'type': 'counter', 'help': 'Requests \\ by\ncode.', 'unit': ''}]


def test_classic_histograms_are_converted(start):
    with Exporter({'/metrics': lambda handler, n: (200, {'Content-Type': PROTOBUF}, PAGE)}) as exporter:
        brasa = start(config([exporter.address], extra='convert_classic_histograms_to_nhcb: true'))
        wait_for(lambda: brasa.value('up{job="test"}') == 1, what='up')
        assert histogram(brasa, 'classic_seconds{a="x"}')['count'] == '100'
        assert brasa.value('count(classic_seconds_bucket) or vector(0)') == 0
