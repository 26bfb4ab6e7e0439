"""Real exporters are scraped, and Prometheus, given the same page, stores the same values."""
import json
import struct
import subprocess
import tarfile
import time

import pytest
import requests

import expo
from conftest import SHARED, free_port, need, wait_for
from exporter import Exporter


def config(targets, interval='1s', extra=''):
    return f'''
global: {{scrape_interval: {interval}, scrape_timeout: {interval}}}
scrape_configs:
- job_name: test
  {extra}
  static_configs: [{{targets: {json.dumps(targets)}}}]
'''


def bits(text):
    return struct.pack('<d', float(text.replace('Inf', 'inf').replace('NaN', 'nan')))


def without(labels, *names):
    return frozenset((k, v) for k, v in labels if k not in names)


def test_node_exporter_is_scraped_and_promtool_reads_it(start, node_exporter):
    brasa = start(config([node_exporter]))
    wait_for(lambda: brasa.value('up{job="test"}') == 1, what='up')
    page = expo.read(requests.get(f'http://{node_exporter}/metrics').content)
    assert brasa.value('count({job="test",__name__=~"node_.*"})') > 100
    assert brasa.value('scrape_samples_scraped{job="test"}') > 300
    (expected,) = [v for k, v in page.items() if dict(k)['__name__'] == 'node_memory_MemTotal_bytes']
    assert brasa.value('node_memory_MemTotal_bytes') == float(expected)

    promtool = need('promtool')
    out = subprocess.run([promtool, 'query', 'instant', brasa.url, 'node_memory_MemTotal_bytes'], capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    assert f'instance="{node_exporter}"' in out.stdout and '=> ' in out.stdout
    assert float(out.stdout.split('=>')[1].split('@')[0]) == float(expected)
    out = subprocess.run([promtool, 'query', 'labels', brasa.url, 'job'], capture_output=True, text=True)
    assert out.stdout.split() == ['test']
    out = subprocess.run([promtool, 'query', 'series', '--match=up', brasa.url], capture_output=True, text=True)
    assert '__name__="up"' in out.stdout


def test_prometheus_stores_the_same_values_from_the_same_page(start, run, node_exporter, tmp_path):
    page = requests.get(f'http://{node_exporter}/metrics').content
    odd = b'''# HELP odd_value odd but legal
# TYPE odd_value gauge
odd_value{form="exp"} 1.073741824e+09
odd_value{form="tiny"} 4.9e-324
odd_value{form="huge"} 1.7976931348623157e+308
odd_value{form="digits"} 0.30000000000000004
odd_value{form="minus zero"} -0
odd_value{form="nan"} NaN
odd_value{form="inf"} +Inf
odd_value{form="esc\\"a\\\\pe\\n"} 1
# TYPE odd_seconds histogram
odd_seconds_bucket{le="0.1"} 1
odd_seconds_bucket{le="1"} 2
odd_seconds_bucket{le="1e6"} 3
odd_seconds_bucket{le="+Inf"} 4
odd_seconds_sum 1.25
odd_seconds_count 4
'''
    with Exporter({'/metrics': page + odd}) as exporter:
        brasa = start(config([exporter.address]))
        port = free_port()
        peer = tmp_path / 'peer'
        peer.mkdir()
        (peer / 'p.yml').write_text(config([exporter.address]))
        run([need('prometheus'), f'--config.file={peer}/p.yml', f'--storage.tsdb.path={peer}/data',
             f'--web.listen-address=127.0.0.1:{port}'], 'prometheus')
        ask = lambda url: requests.get(f'{url}/api/v1/query', params={'query': '{job="test"}'}, timeout=10).json()['data']['result']
        wait_for(lambda: len(ask(brasa.url)) > 100, what='brasa has series')
        wait_for(lambda: len(ask(f'http://127.0.0.1:{port}')) > 100, what='prometheus has series')
        skip = ('scrape_duration_seconds', 'scrape_series_added')
        ours = {frozenset(s['metric'].items()): s['value'][1] for s in ask(brasa.url) if s['metric']['__name__'] not in skip}
        theirs = {frozenset(s['metric'].items()): s['value'][1] for s in ask(f'http://127.0.0.1:{port}') if s['metric']['__name__'] not in skip}
        # 3.x writes le and quantile as OpenMetrics floats, 2.42 as exposed (scrape spec 5.1)
        norm = lambda d: {frozenset((k, str(float(v)) if k in ('le', 'quantile') else v) for k, v in labels): value for labels, value in d.items()}
        ours, theirs = norm(ours), norm(theirs)
        assert ours.keys() == theirs.keys()
        assert {k: v for k, v in ours.items() if bits(v) != bits(theirs[k])} == {}


@pytest.mark.skipif(not (SHARED / 'data/corpus.tar.zst').exists(), reason='skipped: the corpus of recorded pages is not here')
def test_every_recorded_page_reads_back_bit_for_bit(start, tmp_path):
    """Each target advances one page per scrape; every sample of every page must come back. A page says its own
    number, and they come round again: on a busy machine a scrape may time out, and its page is lost."""
    tar = tmp_path / 'corpus.tar'
    subprocess.run(['zstd', '-dcq', '--long=27', str(SHARED / 'data/corpus.tar.zst'), '-o', str(tar)], check=True)
    pages = {}
    with tarfile.open(tar) as t:
        for m in sorted((m for m in t if m.isfile()), key=lambda m: m.name):
            parts = m.name.lstrip('./').split('/')
            pages.setdefault(parts[0], []).append(t.extractfile(m).read())
    assert all(len(list_) == 480 and all(page.endswith(b'\n') for page in list_) for list_ in pages.values()) and len(pages) == 6
    # six targets an exporter, so that none is scraped too fast for a busy machine
    parts = {f'{name}-{i}': [page + b'corpus_page %d\n' % n for n, page in enumerate(list_[i::6])] for name, list_ in pages.items() for i in range(6)}

    def serve(list_):
        return lambda handler, n: list_[n % len(list_)]

    def all_seen(brasa):
        seen = {s['metric']['job']: {int(v) for _, v in s['values']} for s in brasa.query('corpus_page[10m]')}
        return all(len(seen.get(part, ())) == len(list_) for part, list_ in parts.items())

    with Exporter({f'/{part}': serve(list_) for part, list_ in parts.items()}) as exporter:
        jobs = '\n'.join(f'''- job_name: {part}
  metrics_path: /{part}
  static_configs: [{{targets: ["{exporter.address}"]}}]''' for part in parts)
        brasa = start(f'global: {{scrape_interval: 700ms, scrape_timeout: 700ms}}\nscrape_configs:\n{jobs}\n')
        wait_for(lambda: all(exporter.count(f'/{n}') >= len(parts[n]) for n in parts) and all_seen(brasa), 300, 1, 'all pages scraped')
        total = 0
        for part, list_ in parts.items():
            total += compare_pages(brasa, part, list_)
        assert total > 1_500_000


def compare_pages(brasa, job, list_):
    """Each row of a job holds the page whose number it has, value for value."""
    times = {int(n): at for at, n in brasa.query(f'corpus_page{{job="{job}"}}[10m]')[0]['values']}
    assert times.keys() == set(range(len(list_)))
    got = {without(s['metric'].items(), 'job', 'instance'): dict(map(tuple, s['values'])) for s in brasa.query(f'{{job="{job}"}}[10m]')}
    total = 0
    for n, at in times.items():
        for labels, text in expo.read(list_[n]).items():
            if any(k in ('instance', 'job') for k, _ in labels):  # honor_labels is off: they move
                labels = frozenset((f'exported_{k}' if k in ('instance', 'job') else k, v) for k, v in labels)
            value = got.get(labels, {}).get(at)
            assert value is not None, (job, at, dict(labels))
            assert bits(value) == bits(text), (job, dict(labels), text, value)
            total += 1
    return total


def test_series_and_targets_that_go_away_become_stale(start):
    pages = [b'a 1\nb 2\n', b'a 1\n']
    with Exporter({'/metrics': lambda h, n: pages[0] if n < 2 else pages[1] if n < 6 else (500, {}, b'no')}) as exporter:
        brasa = start(config([exporter.address], '300ms'))
        wait_for(lambda: brasa.value('b') == 2, what='b')
        wait_for(lambda: brasa.query('b') == [], what='b stale')
        assert brasa.value('a') == 1
        wait_for(lambda: brasa.value('up') == 0 and brasa.query('a') == [], what='a stale after failure')
        (target,) = brasa.get('/api/v1/targets')['data']['activeTargets']
        assert target['health'] == 'down' and 'server returned HTTP status 500' in target['lastError']


def test_file_sd_follows_its_file_and_relabelling_drops_and_renames(start, tmp_path):
    with Exporter({'/metrics': b'x 1\n'}) as exporter:
        targets = tmp_path / 'targets.json'
        targets.write_text(json.dumps([{'targets': [exporter.address], 'labels': {'team': 'a'}}]))
        brasa = start(f'''
global: {{scrape_interval: 300ms, scrape_timeout: 300ms}}
scrape_configs:
- job_name: files
  file_sd_configs: [{{files: ["{targets}"]}}]
  relabel_configs:
  - {{source_labels: [team], regex: "(.*)", target_label: owner, replacement: "team-$1"}}
  - {{source_labels: [team], regex: drop, action: drop}}
  metric_relabel_configs:
  - {{source_labels: [__name__], regex: x, target_label: __name__, replacement: renamed}}
''')
        wait_for(lambda: brasa.value('renamed{owner="team-a"}') == 1, what='first target')
        targets.write_text(json.dumps([{'targets': [exporter.address], 'labels': {'team': 'drop'}}]))
        wait_for(lambda: brasa.get('/api/v1/targets')['data']['droppedTargetCounts'].get('files') == 1, 30, what='dropped')
        wait_for(lambda: brasa.query('renamed') == [], 30, what='stale after the target left')


def test_reload_applies_a_new_configuration_and_keeps_the_old_one_on_error(start, tmp_path):
    with Exporter({'/metrics': b'x 1\n', '/other': b'y 1\n'}) as exporter:
        brasa = start(config([exporter.address], '300ms'))
        wait_for(lambda: brasa.value('x') == 1, what='x')
        brasa.config.write_text('global: {scrape_intervall: 1s}\n')
        brasa.proc.send_signal(1)
        wait_for(lambda: 'field scrape_intervall not found' in brasa.text(), what='error logged')
        assert brasa.get('/api/v1/status/runtimeinfo')['data']['reloadConfigSuccess'] is False
        before = exporter.count()
        wait_for(lambda: exporter.count() > before + 1, what='old config goes on')
        brasa.config.write_text(config([exporter.address], '300ms', 'metrics_path: /other'))
        brasa.proc.send_signal(1)
        wait_for(lambda: brasa.value('y') == 1, what='new config')
        assert brasa.get('/api/v1/status/runtimeinfo')['data']['reloadConfigSuccess'] is True
