"""brasa tsdb export: what a real Prometheus has written, imported and exported again, is what promtool
and Prometheus read, sample for sample; and a folder of Prometheus is served without a byte changed."""
import hashlib
import pathlib
import subprocess
import time

import pytest
import requests

from conftest import RELEASE, free_port, need, wait_for
from exporter import Exporter
from test_import import backfill, lines_of, page

PAGE = (pathlib.Path(__file__).parent.parent / 'golden/scrape/client.pb').read_bytes()
PROTOBUF = 'application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited'


class Prometheus:
    def __init__(self, folder, data, targets=''):
        folder.mkdir(exist_ok=True)
        config = folder / 'p.yml'
        config.write_text(f'global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\n{targets}')
        port = free_port()
        self.url = f'http://127.0.0.1:{port}'
        self.log = open(folder / 'prometheus.log', 'ab')
        self.proc = subprocess.Popen(
            [need('prometheus'), f'--config.file={config}', f'--storage.tsdb.path={data}', '--storage.tsdb.retention.time=10y',
             f'--web.listen-address=127.0.0.1:{port}', '--enable-feature=native-histograms'], stdout=self.log, stderr=self.log)
        wait_for(lambda: requests.get(f'{self.url}/-/ready', timeout=1).ok, 30, 0.1, 'prometheus')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.proc.terminate()
        self.proc.wait(30)
        self.log.close()


@pytest.fixture(scope='module')
def prometheus_data(tmp_path_factory):
    """Blocks of promtool, a log with floats and native histograms of two runs."""
    folder = tmp_path_factory.mktemp('source')
    data = folder / 'prometheus'
    backfill(folder / 'back.om', int(time.time()) - 3 * 3600)
    lines_of(need('promtool'), 'tsdb', 'create-blocks-from', 'openmetrics', folder / 'back.om', data)
    histograms = {'/metrics': lambda handler, n: (200, {'Content-Type': PROTOBUF}, PAGE)}
    with Exporter({'/metrics': page}) as floats, Exporter(histograms) as native:
        targets = f'''scrape_configs:
- {{job_name: live, static_configs: [{{targets: ["{floats.address}"]}}]}}
- {{job_name: native, static_configs: [{{targets: ["{native.address}"]}}]}}
'''
        for seconds in (8, 4):
            with Prometheus(folder / 'run', data, targets):
                time.sleep(seconds)
    return data


@pytest.fixture(scope='module')
def exported(prometheus_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp('exported')
    lines_of(RELEASE, 'tsdb', 'import', prometheus_data, f'--storage.tsdb.path={folder}/brasa')
    lines_of(RELEASE, 'tsdb', 'export', folder / 'brasa', folder / 'blocks')
    (folder / 'blocks/wal').mkdir()  # promtool dump wants one
    return folder


def dump(data, *flags):
    return sorted(lines_of(need('promtool'), 'tsdb', 'dump', data, *flags))


def contents(data):
    return {p.relative_to(data): hashlib.sha256(p.read_bytes()).hexdigest() for p in data.rglob('*') if p.is_file()}


def test_promtool_reads_from_the_export_what_was_imported(prometheus_data, exported):
    want = dump(prometheus_data)
    assert len(want) > 20000
    assert dump(exported / 'blocks') == want
    ours = sorted(lines_of(RELEASE, 'tsdb', 'dump', prometheus_data))  # with histograms, which old promtools leave out
    assert any('count:' in line for line in ours), 'no histograms'
    assert {line for line in ours if 'count:' not in line} == {line for line in want if 'count:' not in line}
    assert sorted(lines_of(RELEASE, 'tsdb', 'dump', exported / 'blocks')) == ours
    assert len(lines_of(need('promtool'), 'tsdb', 'list', exported / 'blocks')) > 4
    assert any(line.startswith('Highest cardinality') for line in lines_of(need('promtool'), 'tsdb', 'analyze', exported / 'blocks'))


def test_times_selectors_and_lengths_are_obeyed(prometheus_data, exported, tmp_path):
    times = sorted(int(line.rsplit(' ', 1)[1]) for line in dump(prometheus_data))
    a, b = times[len(times) // 3], times[len(times) // 2]
    flags = [f'--min-time={a}', f'--max-time={b}', '--match=old{i="2"}', '--match=old{i="5"}']
    lines_of(RELEASE, 'tsdb', 'export', exported / 'brasa', tmp_path / 'some', *flags, '--max-block-duration=7h')
    (tmp_path / 'some/wal').mkdir()
    want = [line for line in dump(prometheus_data, f'--min-time={a}', f'--max-time={b}') if '"old"' in line and ('i="2"' in line or 'i="5"' in line)]
    assert want and dump(tmp_path / 'some') == want
    assert len(lines_of(RELEASE, 'tsdb', 'list', tmp_path / 'some')) - 1 <= 3


def answers(url, data):
    times = [int(line.rsplit(' ', 1)[1]) for line in data]
    start, end = min(times) / 1000, max(times) / 1000
    ask = lambda path, **params: requests.get(f'{url}/api/v1/{path}', params=params, timeout=30).json()['data']
    span = {'start': start, 'end': end}
    out = {'series': sorted(map(str, (sorted(s.items()) for s in ask('series', **{'match[]': '{__name__=~".+"}'}, **span)))),
           'names': ask('labels', **span), 'jobs': ask('label/job/values', **span),
           'some': ask('label/i/values', **{'match[]': 'old{instance="h1:1"}'}, **span)}
    for expression in ('old', 'max by (instance) (old)', 'g{i=~"1.*"}', 'histogram_quantile(.9, native_seconds)', 'count(up)',
                       'max_over_time(c_total[1m])', 'odd', 'native_seconds', 'rate(both_seconds[1m])'):
        result = ask('query_range', query=expression, step=max(15, (end - start) / 500), **span)['result']
        out[expression] = sorted((sorted(s['metric'].items()), s.get('values'), s.get('histograms')) for s in result)
    end_result = ask('query', query='{__name__=~".+"}', time=end)['result']
    assert out['native_seconds'] or 'native' not in out['jobs']
    out['instant'] = sorted((sorted(s['metric'].items()), s['value']) for s in end_result if 'value' in s)
    return out


def test_prometheus_answers_from_the_export_as_from_its_own_data(prometheus_data, exported, tmp_path):
    data = dump(prometheus_data)
    with Prometheus(tmp_path / 'a', exported / 'blocks') as p:
        got = answers(p.url, data)
    with Prometheus(tmp_path / 'b', prometheus_data) as p:
        want = answers(p.url, data)
    assert want['series'] and want['old'] and want['native_seconds'] and want['instant']
    assert got == want


def test_a_folder_of_prometheus_is_served_and_not_touched(prometheus_data, start, tmp_path):
    data = dump(prometheus_data)
    with Prometheus(tmp_path / 'b', prometheus_data) as p:
        want = answers(p.url, data)
    before = contents(prometheus_data)
    config = 'scrape_configs: [{job_name: x, static_configs: [{targets: ["127.0.0.1:1"]}]}]\n'
    (tmp_path / 'brasa').mkdir()
    (tmp_path / 'brasa/data').symlink_to(prometheus_data)
    brasa = start(config, flags=['--storage.prometheus-read-only', '--web.enable-admin-api',
                                 '--web.enable-remote-write-receiver'])
    got = answers(brasa.url, data)
    for what, answer in want.items():
        if what.startswith(('histogram_quantile', 'rate')):
            continue  # other last digits than in old versions
        assert got[what] == answer, what
    assert 'reading only' in requests.post(f'{brasa.url}/api/v1/admin/tsdb/snapshot', timeout=10).text
    assert requests.post(f'{brasa.url}/api/v1/admin/tsdb/delete_series', params={'match[]': 'old'}, timeout=10).status_code >= 400
    assert brasa.stop() == 0
    assert contents(prometheus_data) == before


def test_a_folder_of_prometheus_is_not_taken_for_one_of_ours(prometheus_data, start, tmp_path):
    (tmp_path / 'brasa').mkdir()
    (tmp_path / 'brasa/data').symlink_to(prometheus_data)
    brasa = start('scrape_configs: []', wait=False)
    assert brasa.proc.wait(20) == 1
    assert 'brasa tsdb import' in brasa.text() and '--storage.prometheus-read-only' in brasa.text()


def test_an_export_names_what_is_wrong(tmp_path):
    for args, text in ((['none', 'out'], 'no data folder of Brasa'), (['none', 'out', '--max-block-duration=x'], '--max-block-duration'),
                       (['none', 'out', '--match={'], 'parse error'), (['none', 'out', '--min-time=x'], '--min-time')):
        r = subprocess.run([str(RELEASE), 'tsdb', 'export', *args], capture_output=True, text=True, cwd=tmp_path)
        assert r.returncode == 1 and text in r.stderr, r


def test_a_page_with_times_becomes_history(tmp_path):
    end = int(time.time()) - 3 * 3600
    backfill(tmp_path / 'back.om', end)
    lines_of(need('promtool'), 'tsdb', 'create-blocks-from', 'openmetrics', tmp_path / 'back.om', tmp_path / 'want')
    (tmp_path / 'want/wal').mkdir(exist_ok=True)
    want = dump(tmp_path / 'want')
    assert len(want) > 20000
    lines_of(RELEASE, 'tsdb', 'create-blocks-from', 'openmetrics', '--prometheus-blocks', tmp_path / 'back.om', tmp_path / 'blocks')
    (tmp_path / 'blocks/wal').mkdir()
    assert dump(tmp_path / 'blocks') == want
    lines_of(RELEASE, 'tsdb', 'create-blocks-from', 'openmetrics', tmp_path / 'back.om', tmp_path / 'ours')
    assert sorted(lines_of(RELEASE, 'tsdb', 'dump', tmp_path / 'ours')) == want
    assert not list(tmp_path.glob('*.tmp'))

    again = lines_of(RELEASE, 'tsdb', 'dump-openmetrics', tmp_path / 'ours')
    assert again[-1] == '# EOF' and len(again) == len(want) + 1
    (tmp_path / 'again.om').write_text('\n'.join(again) + '\n')
    lines_of(RELEASE, 'tsdb', 'create-blocks-from', 'openmetrics', '--label=x=y', tmp_path / 'again.om', tmp_path / 'other')
    labelled = sorted(lines_of(RELEASE, 'tsdb', 'dump', tmp_path / 'other'))
    assert sorted(line.replace(', x="y"}', '}') for line in labelled) == want and all('x="y"' in line for line in labelled)


@pytest.mark.parametrize('page, text', [
    ('a 1\n# EOF\n', 'expected timestamp for series got none'), ('a 1 5\n', '# EOF'),
    ('a 1 5\na 2 4\n# EOF\n', 'add sample: out of order sample'), ('a 1 5\na 2 5\n# EOF\n', 'duplicate sample'),
    ('a 1 -9e15\na 2 9e15\n# EOF\n', 'too far apart')])
def test_a_page_that_is_no_history_is_refused(tmp_path, page, text):
    (tmp_path / 'x.om').write_text(page)
    r = subprocess.run([str(RELEASE), 'tsdb', 'create-blocks-from', 'openmetrics', 'x.om', 'out'], capture_output=True, text=True, cwd=tmp_path)
    assert r.returncode == 1 and text in r.stderr, r
    assert [p.name for p in tmp_path.iterdir()] == ['x.om']


def test_analyze_counts_as_promtool_does(prometheus_data, exported):
    def sections(text):
        out, title = {}, None
        for line in text:
            if line.endswith(':') and not line[0].isdigit():
                title = out.setdefault(line, [])
            elif title is not None and line:
                title.append(line)
            elif line:
                name, value = line.split(': ', 1)
                out[name.replace('Total ', '')] = value
        return {k: sorted(v) if isinstance(v, list) else v for k, v in out.items()}

    block = lines_of(RELEASE, 'tsdb', 'list', prometheus_data)[-1].split()[0]
    want = sections(lines_of(need('promtool'), 'tsdb', 'analyze', prometheus_data, block, '--limit=1000'))
    got = sections(lines_of(RELEASE, 'tsdb', 'analyze', prometheus_data, block, '--limit=1000'))
    assert len(got) == 12 and got == want
    ours = lines_of(RELEASE, 'tsdb', 'analyze', exported / 'brasa')
    assert 'Metric names with most bytes of samples:' in ours and any(line.endswith(' old') for line in ours)
    full = lines_of(RELEASE, 'tsdb', 'analyze', '--extended', exported / 'blocks')
    assert sum(line.startswith(f'{kind} per {of} chunk (min/avg/max): ') for line in full
               for kind, of in [('samples', 'float'), ('samples', 'histogram'), ('bytes', 'histogram'), ('buckets', 'histogram')]) == 4
    r = subprocess.run([str(RELEASE), 'tsdb', 'analyze', str(prometheus_data), 'none'], capture_output=True, text=True)
    assert r.returncode == 1 and 'none not found' in r.stderr
