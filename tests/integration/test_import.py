"""brasa tsdb: a directory that a real Prometheus has filled (blocks of promtool, its own log, a
deletion) is listed, dumped and imported; what promtool dumps, Brasa's query API returns bit for bit."""
import json
import math
import random
import struct
import subprocess
import time

import requests

from conftest import RELEASE, free_port, need, wait_for
from exporter import Exporter

BACKFILL_HOURS = 9


def page(handler, n):
    r = random.Random(n)
    lines = ['# TYPE c counter', f'c_total{{i="a"}} {n}', '# TYPE g gauge']
    lines += [f'g{{i="{i}",q="x\\"y\\\\z"}} {r.uniform(-1e6, 1e6)!r}' for i in range(20)]
    lines += [f'short{{i="{i}"}} {r.randrange(1000) / 8}' for i in range(20) if r.random() < .7]
    lines += ['odd{i="nan"} NaN', 'odd{i="inf"} -Inf', 'odd{i="zero"} -0', f'odd{{i="tiny"}} {5e-324 * n}']
    return ('\n'.join(lines) + '\n').encode()


def backfill(path, end):
    """OpenMetrics of hours before end: every 15 s, with gaps and a series that comes late."""
    r = random.Random(7)
    start = end - BACKFILL_HOURS * 3600
    with open(path, 'w') as f:
        for name, i in [('old', k) for k in range(12)]:
            if i == 0:
                f.write(f'# TYPE {name} gauge\n')
            for k in range(BACKFILL_HOURS * 240):
                if r.random() < .03 or (i == 5 and k < 900) or (i == 6 and 300 < k < 1500):
                    continue
                f.write(f'{name}{{job="back",instance="h{i % 3}:1",i="{i}"}} {r.uniform(-1, 1) * 10 ** r.randrange(-9, 12)!r} {start + k * 15 + i / 8}\n')
        f.write('# EOF\n')


def run_prometheus(tmp_path, data, exporter, seconds):
    config = tmp_path / 'p.yml'
    config.write_text(f'''
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
- job_name: live
  static_configs: [{{targets: ["{exporter.address}"]}}]
''')
    port = free_port()
    log = open(tmp_path / 'prometheus.log', 'ab')
    p = subprocess.Popen([need('prometheus'), f'--config.file={config}', f'--storage.tsdb.path={data}',
                          f'--web.listen-address=127.0.0.1:{port}', '--web.enable-admin-api'], stdout=log, stderr=log)
    try:
        url = f'http://127.0.0.1:{port}'
        wait_for(lambda: requests.get(f'{url}/-/ready', timeout=1).ok, 30, 0.1, 'prometheus')
        time.sleep(seconds)
        r = requests.post(f'{url}/api/v1/admin/tsdb/delete_series', params={
            'match[]': ['old{i="3"}', 'g{i="4"}'], 'start': time.time() - 5 * 3600, 'end': time.time() - 2}, timeout=10)
        assert r.status_code == 204, r.text
        time.sleep(2)
    finally:
        p.terminate()
        p.wait(30)
        log.close()


def lines_of(*args):
    r = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=120)
    assert r.returncode == 0, r.stderr
    return r.stdout.splitlines()


def bits(v):
    return struct.pack('>d', v)


def test_import_of_a_prometheus_directory_keeps_every_sample(tmp_path, start):
    promtool = need('promtool')
    data = tmp_path / 'prometheus'
    end = int(time.time()) - 3 * 3600
    backfill(tmp_path / 'back.om', end)
    lines_of(promtool, 'tsdb', 'create-blocks-from', 'openmetrics', tmp_path / 'back.om', data)
    with Exporter({'/metrics': page}) as exporter:
        run_prometheus(tmp_path, data, exporter, 6)
        run_prometheus(tmp_path, data, exporter, 3)  # a second run: further segments, stale markers

    for flags in ([], ['-r']):
        assert lines_of(RELEASE, 'tsdb', 'list', data, *flags) == lines_of(promtool, 'tsdb', 'list', data, *flags)

    want = sorted(lines_of(promtool, 'tsdb', 'dump', data))
    assert len(want) > 20000 and any(s.startswith('{__name__="g"') for s in want)
    assert sorted(lines_of(RELEASE, 'tsdb', 'dump', data)) == want
    some = [s for s in want if s.startswith('{__name__="old"') and 'i="2"' in s]
    assert sorted(lines_of(RELEASE, 'tsdb', 'dump', data, '--match=old{i="2"}')) == some and some

    target = tmp_path / 'brasa' / 'data'
    target.parent.mkdir()
    imports = [RELEASE, 'tsdb', 'import', data, f'--storage.tsdb.path={target}']
    first = lines_of(*imports)
    assert first[0].startswith(f'imported {len(want)} samples'), first
    second = lines_of(*imports)
    assert second[0].startswith('imported 0 samples') and f'  {len(want)} samples were there already' in second, second

    brasa = start('scrape_configs: []\n')
    got = everything(brasa)
    expected = {}
    for line in want:
        labels, value, ts = line.rsplit(' ', 2)
        expected[labels, int(ts)] = value
    stale = {k for k in expected if k not in got}
    wrong = {k: (v, got[k]) for k, v in expected.items() if k in got and bits(float(v)) != bits(float(got[k]))}
    assert not wrong, next(iter(wrong.items()))
    assert len(stale) < len(want) / 10 and all(expected[k] == 'NaN' for k in stale), 'samples lost'  # stale markers: queries do not return them
    assert not got.keys() - expected.keys()
    assert any(math.isnan(float(v)) for v in got.values())

    # now that newer data is there, a second import is refused
    with Exporter({'/metrics': page}) as exporter:
        brasa.config.write_text(f'global: {{scrape_interval: 100ms, scrape_timeout: 100ms}}\nscrape_configs:\n- job_name: new\n  static_configs: [{{targets: ["{exporter.address}"]}}]\n')
        brasa.proc.send_signal(1)
        wait_for(lambda: brasa.query('up{job="new"}'), what='a scrape')
    assert brasa.stop() == 0
    r = subprocess.run([str(a) for a in imports], capture_output=True, text=True, timeout=60)
    assert r.returncode == 1 and 'newer samples' in r.stderr and 'import into an empty directory' in r.stderr, r


def label_text(metric):
    return '{' + ', '.join(f'{k}={json.dumps(v)}' for k, v in sorted(metric.items())) + '}'


def everything(brasa):
    got = {}
    for series in brasa.query('{__name__=~".+"}[1d]'):
        for t, v in series['values']:
            got[label_text(series['metric']), round(t * 1000)] = v
    return got


def test_damaged_and_missing_directories_are_named(tmp_path):
    r = subprocess.run([str(RELEASE), 'tsdb', 'list', str(tmp_path / 'none')], capture_output=True, text=True)
    assert r.returncode == 1 and 'opening the db dir' in r.stderr and 'none' in r.stderr
    block = tmp_path / 'data' / '01M81SMZS3NYHPT3380FEDZKNZ'
    block.mkdir(parents=True)
    (block / 'meta.json').write_text('{"ulid":"x","version":1}')
    r = subprocess.run([str(RELEASE), 'tsdb', 'import', str(block.parent), f'--storage.tsdb.path={tmp_path}/out'], capture_output=True, text=True)
    assert r.returncode == 1 and '01M81SMZS3NYHPT3380FEDZKNZ/meta.json' in r.stderr, r
