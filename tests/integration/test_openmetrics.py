"""OpenMetrics: pages of the Python client, scraped by Brasa and by Debian's Prometheus, which must
store the same and refuse the same."""
import re
import time

import pytest
import requests

from conftest import free_port, need, wait_for
from exporter import Exporter
from test_scrape import bits, config

client = pytest.importorskip('prometheus_client', reason='python3-prometheus-client is not installed')

from prometheus_client import exposition, parser  # noqa: E402
from prometheus_client.metrics_core import (  # noqa: E402
    CounterMetricFamily, GaugeHistogramMetricFamily, GaugeMetricFamily, StateSetMetricFamily, UnknownMetricFamily)
from prometheus_client.openmetrics import exposition as openmetrics  # noqa: E402

OPENMETRICS = 'application/openmetrics-text; version=1.0.0; charset=utf-8'


class Families:
    """What the client has no class for: own timestamps, gauge histograms, odd values."""

    def __init__(self, now):
        self.now = now

    def collect(self):
        timed = GaugeMetricFamily('timed_seconds', 'with its own time', unit='seconds', labels=['at'])
        timed.add_metric(['integer'], 1.5, timestamp=int(self.now) - 20)
        timed.add_metric(['fraction'], 2.5, timestamp=int(self.now) - 10.125)
        timed.add_metric(['before'], 3.5, timestamp=int(self.now) - 100.5)
        yield timed
        counted = CounterMetricFamily('counted', 'a counter with its start', labels=['a'], created=None)
        counted.add_metric(['x'], 17, created=self.now - 1000.25)
        yield counted
        yield GaugeHistogramMetricFamily('queue', 'now waiting', buckets=[('1.0', 2), ('10.0', 3), ('+Inf', 4)], gsum_value=17)
        states = StateSetMetricFamily('phase', 'of the moon', labels=['planet'])
        states.add_metric(['earth'], {'full': False, 'new': True})
        yield states
        odd = UnknownMetricFamily('odd', 'odd but legal', labels=['form'])
        for form, value in {'exp': 1.073741824e+09, 'tiny': 4.9e-324, 'huge': 1.7976931348623157e+308, 'digits': 0.30000000000000004,
                            'minus zero': -0.0, 'nan': float('nan'), 'inf': float('inf'), 'esc"a\\pe\n': 1, 'é\t,{}#': 2}.items():
            odd.add_metric([form], value)
        yield odd


def registry():
    r = client.CollectorRegistry()
    requests_ = client.Counter('requests', 'Served; "quoted" \\ and\nbroken', ['code'], registry=r)
    requests_.labels('200').inc(5, {'trace_id': 'abc', 'span': 'e"f\\'})
    requests_.labels('500').inc(0.5)
    latency = client.Histogram('latency_seconds', 'of requests', ['path'], unit='seconds', buckets=(0.1, 1, 2.5, 1e6), registry=r)
    for i, v in enumerate((0.05, 0.5, 2, 1e5, 1e7)):
        latency.labels('/').observe(v, {'trace_id': str(i)})
    client.Summary('size_bytes', 'of answers', unit='bytes', registry=r).observe(12.5)
    client.Info('build', 'what runs here', registry=r).info({'version': '1.2', 'branch': 'main'})
    client.Enum('mode', 'of work', states=['on', 'off'], registry=r).state('off')
    client.Gauge('level_ratio', 'a gauge', unit='ratio', registry=r).set(0.25)
    r.register(Families(time.time()))
    return r


def serving(r, asked):
    def page(handler, n):
        asked.append(handler.headers.get('Accept'))
        encoder, content_type = exposition.choose_encoder(handler.headers.get('Accept'))
        return 200, {'Content-Type': content_type}, encoder(r)
    return page


@pytest.fixture
def prometheus(run, tmp_path):
    """prometheus(config) -> URL of Debian's Prometheus."""
    def make(text):
        port = free_port()
        peer = tmp_path / f'peer{port}'
        peer.mkdir()
        (peer / 'p.yml').write_text(text)
        run([need('prometheus'), f'--config.file={peer}/p.yml', f'--storage.tsdb.path={peer}/data',
             f'--web.listen-address=127.0.0.1:{port}'], f'prometheus{port}')
        url = f'http://127.0.0.1:{port}'
        wait_for(lambda: requests.get(f'{url}/-/ready', timeout=2).ok, what='prometheus')
        return url
    return make


def ask(url, path, **params):
    body = requests.get(f'{url}/api/v1/{path}', params=params, timeout=10).json()
    assert body['status'] == 'success', body
    return body['data']


def stored(url):
    """{labels: [(time, value)]} of the job without the report series; times only where the page gives them."""
    result = ask(url, 'query', query='{job="test",__name__!~"up|scrape_.*"}[10m]')['result']
    out = {}
    for series in result:
        labels = series['metric']
        # 3.x writes le and quantile as OpenMetrics floats, 2.42 as exposed
        key = frozenset((k, str(float(v)) if k in ('le', 'quantile') else v) for k, v in labels.items())
        timed = labels['__name__'] == 'timed_seconds'
        out[key] = [(t if timed else None, bits(v)) for t, v in (series['values'] if timed else series['values'][-1:])]
    return out


def test_the_pages_of_the_python_client_are_stored_as_prometheus_stores_them(start, prometheus):
    asked = []
    with Exporter({'/metrics': serving(registry(), asked)}) as exporter:
        brasa = start(config([exporter.address]))
        wait_for(lambda: brasa.value('up{job="test"}') == 1, what='up')
        assert asked[0].startswith('application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,')
        peer = prometheus(config([exporter.address]))
        wait_for(lambda: len(ask(peer, 'query', query='{job="test"}')['result']) > 40, what='prometheus has series')
        # the third page is read by lines that are known
        wait_for(lambda: brasa.value('count_over_time(up{job="test"}[5m])') >= 3, what='three scrapes')
        ours, theirs = stored(brasa.url), stored(peer)
        assert ours.keys() == theirs.keys()
        assert {k: (v, theirs[k]) for k, v in ours.items() if v != theirs[k]} == {}
        assert brasa.value('requests_total{code="200"}') == 5 and brasa.value('requests_created{code="200"}') > 1e9
        assert brasa.value('build_info{version="1.2",branch="main"}') == 1
        assert brasa.value('mode{mode="off"}') == 1 and brasa.value('queue_gcount') == 4
        assert brasa.value('latency_seconds_bucket{le="1e+06"}') == 4
        for name in ('scrape_samples_scraped', 'scrape_samples_post_metric_relabeling'):
            assert brasa.value(name) == float(ask(peer, 'query', query=name)['result'][0]['value'][1])


def test_metadata_has_the_types_units_and_help_that_prometheus_sees(start, prometheus):
    with Exporter({'/metrics': serving(registry(), [])}) as exporter:
        brasa = start(config([exporter.address]))
        peer = prometheus(config([exporter.address]))
        theirs = wait_for(lambda: ask(peer, 'metadata'), what='their metadata')
        ours = wait_for(lambda: ask(brasa.url, 'metadata'), what='our metadata')
        assert ours == theirs
        assert ours['latency_seconds'] == [{'type': 'histogram', 'unit': 'seconds', 'help': 'of requests'}]
        assert ours['requests'][0]['help'] == 'Served; "quoted" \\ and\nbroken'
        assert [ours[f][0]['type'] for f in ('queue', 'build', 'mode', 'odd')] == ['gaugehistogram', 'info', 'stateset', 'unknown']


class Parsed:
    """A page in the text format as the client reads it."""

    def __init__(self, page):
        self.families = list(parser.text_string_to_metric_families(page))

    def collect(self):
        return self.families


def test_a_page_of_prometheus_gives_the_same_series_in_both_formats(start, prometheus):
    page = requests.get(prometheus('global: {scrape_interval: 1h}\n') + '/metrics', timeout=10).content
    other = openmetrics.generate_latest(Parsed(page.decode()))
    with Exporter({'/text': page, '/om': (200, {'Content-Type': OPENMETRICS}, other)}) as exporter:
        jobs = ''.join(f'''
- job_name: {job}
  metrics_path: /{job}
  static_configs: [{{targets: ["{exporter.address}"]}}]''' for job in ('text', 'om'))
        brasa = start(f'global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:{jobs}\n')
        # the third page is read by lines that are known
        wait_for(lambda: [s['value'][1] for s in brasa.query('count_over_time(up[5m]) >= 3')][1:], what='three scrapes')

        def series(job):
            return {frozenset((k, v) for k, v in s['metric'].items() if k != 'job'): s['value'][1]
                    for s in brasa.query(f'{{job="{job}",__name__!~"scrape_.*"}}')}
        text, om = series('text'), series('om')
        assert len(text) > 250 and text == om
        # a counter's family has no _total in OpenMetrics
        assert ask(brasa.url, 'metadata', metric='prometheus_http_requests')['prometheus_http_requests'][0]['type'] == 'counter'


BAD = {
    'no end': b'a 1\n',
    'more behind the end': b'a 1\n# EOF\n\n',
    'an unknown comment': b'# note\na 1\n# EOF\n',
    'a blank line': b'a 1\n\n# EOF\n',
    'two spaces': b'a  1\n# EOF\n',
    'an untyped family': b'# TYPE a untyped\na 1\n# EOF\n',
    'a wrong unit': b'# UNIT a seconds\na 1\n# EOF\n',
    'no help': b'# HELP a\n# EOF\n',
    'a hexadecimal value': b'a 0x1p-3\n# EOF\n',
    'a word for a value': b'good 1\na true\n# EOF\n',
    'a time that is none': b'a 1 NaN\n# EOF\n',
    'two times': b'a 1 1 1\n# EOF\n',
    'an open label value': b'a{b="\n# EOF\n',
    'a bad exemplar': b'a_total 1 # {b="c"}\n# EOF\n',
    'an exemplar without quotes': b'a_total 1 # {aa=bb}\n# EOF\n',
    'an endless exemplar time': b'a_total 1 # {} 1 +Inf\n# EOF\n',
}

# refused by both, in words that 3.x changed
REWORDED = {'an unknown comment', 'a blank line', 'a wrong unit', 'a time that is none', 'an endless exemplar time'}


def short(error):
    """3.x says where it was; 2.42 only what it expected and got."""
    error = re.sub(r', got ".*" \("(\w+)"\) while parsing: ".*"$', r', got "\1"', error)
    return re.sub(r' while parsing: ".*"$', '', error)


def test_bad_pages_are_refused_with_the_text_of_prometheus(start, prometheus):
    pages = {f'/{i}': (200, {'Content-Type': OPENMETRICS}, page) for i, page in enumerate(BAD.values())}
    with Exporter(pages) as exporter:
        jobs = ''.join(f'''
- job_name: "{i}"
  metrics_path: /{i}
  static_configs: [{{targets: ["{exporter.address}"]}}]''' for i in range(len(BAD)))
        text = f'global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:{jobs}\n'
        brasa, peer = start(text), prometheus(text)

        def errors(url):
            targets = ask(url, 'targets')['activeTargets']
            return len(targets) == len(BAD) and all(t['health'] == 'down' for t in targets) and {
                t['scrapePool']: t['lastError'] for t in targets}
        ours = wait_for(lambda: errors(brasa.url), what='our targets are down')
        theirs = wait_for(lambda: errors(peer), what='their targets are down')
        same = {name: str(i) for i, name in enumerate(BAD) if name not in REWORDED}
        assert {name: short(ours[i]) for name, i in same.items()} == {name: theirs[i] for name, i in same.items()}


def test_protocols_and_fallback_follow_the_configuration(start):
    asked = []

    def blank(handler, n):
        asked.append(handler.headers.get('Accept'))
        return 200, {'Content-Type': ''}, b'# TYPE a counter\na_total 1 # {id="x"} 1\n# EOF\n'
    with Exporter({'/metrics': blank}) as exporter:
        brasa = start(config([exporter.address], extra='fallback_scrape_protocol: OpenMetricsText1.0.0\n  scrape_protocols: [PrometheusText0.0.4, OpenMetricsText0.0.1]'))
        wait_for(lambda: brasa.value('a_total') == 1, what='a_total')
        assert asked[0] == 'text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,*/*;q=0.4'
