"""Tools that only read: beside a server that works on the same data folder, and of one that was
killed. Nothing in the folder changes, and what the server had stored is there."""
import pathlib
import random
import signal
import subprocess
import time

import pytest

from conftest import RELEASE, need, wait_for
from exporter import Exporter
from test_import import lines_of

COMMANDS = ['list', 'verify', 'analyze', 'dump', 'dump-openmetrics']


def page(handler, n):
    """Some series live for a few scrapes only."""
    r = random.Random(f'{handler.path} {n}')
    lines = [f'counter_total{{i="{i}"}} {n * 7 + i}' for i in range(40)]
    lines += [f'short{{i="{i}",n="{n // 3}"}} {r.uniform(-9, 9)!r}' for i in range(10)]
    return ('\n'.join(lines) + '\n').encode()


@pytest.fixture
def busy(start):
    with Exporter({f'/t{i}': page for i in range(3)}) as exporter:
        targets = ''.join(f'\n  - targets: ["{exporter.address}"]\n    labels: {{__metrics_path__: /t{i}, target: t{i}}}' for i in range(3))
        server = start(f'global: {{scrape_interval: 100ms, scrape_timeout: 100ms}}\nscrape_configs:\n- job_name: load\n  static_configs:{targets}\n', check_exit=False)
        wait_for(lambda: server.value('count(counter_total)') == 120)
        yield server


def stored(server):
    """The times of each series' samples until now."""
    at = time.time()
    return at, {tuple(sorted(s['metric'].items())): [t for t, _ in s['values']] for s in server.query('{job="load"}[10m]', at)}


def dumped(folder, at):
    got = {}
    for line in lines_of(RELEASE, 'tsdb', 'dump-openmetrics', f'--max-time={int(at * 1000)}', folder)[:-1]:
        labels, _, when = line.rsplit(' ', 2)
        got.setdefault(labels, set()).add(float(when))
    return got


def as_openmetrics(metric):
    rest = ','.join(f'{k}="{v}"' for k, v in metric if k != '__name__')
    return f'{dict(metric)["__name__"]}{{{rest}}}'


def fingerprint(folder):
    return {p: (p.stat().st_mtime_ns, p.stat().st_ctime_ns, p.read_bytes() if p.is_file() else None) for p in sorted(pathlib.Path(folder).rglob('*'))}


def test_a_folder_is_read_while_a_server_works_on_it(busy, tmp_path):
    for _ in range(5):
        time.sleep(0.5)
        at, want = stored(busy)
        got = dumped(busy.data, at)
        for metric, times in want.items():
            assert set(times) <= got[as_openmetrics(metric)], metric
        for command in COMMANDS:
            r = subprocess.run([str(RELEASE), 'tsdb', command, str(busy.data)], capture_output=True, text=True, timeout=60)
            assert (r.returncode, r.stderr) == (0, ''), r.stdout[-2000:]
            if command == 'analyze':  # nothing is old enough for a partition
                assert int(r.stdout.split('Total Series: ')[1].split()[0]) >= len(want) and 'counter_total' in r.stdout
    assert 'no damage' in lines_of(RELEASE, 'tsdb', 'verify', busy.data)[0]
    lines_of(RELEASE, 'tsdb', 'export', busy.data, tmp_path / 'blocks')
    (tmp_path / 'blocks/wal').mkdir()
    assert len(lines_of(need('promtool'), 'tsdb', 'dump', tmp_path / 'blocks')) >= sum(map(len, want.values()))
    assert busy.answers(f'{busy.url}/-/ready') and 'level=ERROR' not in busy.text()


def test_nothing_in_the_folder_of_a_killed_server_is_changed(busy, tmp_path):
    time.sleep(0.5)
    at, want = stored(busy)
    busy.proc.send_signal(signal.SIGKILL)
    busy.proc.wait()
    before = fingerprint(busy.data)
    assert busy.data / 'lock' in before
    for command in COMMANDS + ['export']:
        args = [str(busy.data)] + ([str(tmp_path / 'out')] if command == 'export' else [])
        r = subprocess.run([str(RELEASE), 'tsdb', command, *args], capture_output=True, text=True, timeout=60)
        assert (r.returncode, r.stderr) == (0, ''), command
    assert fingerprint(busy.data) == before
    got = dumped(busy.data, at)
    assert all(set(times) <= got[as_openmetrics(metric)] for metric, times in want.items())


def test_a_damaged_page_is_named_once_with_its_file_and_offset(tmp_path):
    start = int(time.time()) // 7200 * 7200 - 4 * 7200
    with open(tmp_path / 'h.om', 'w') as f:
        f.write(''.join(f'm{{i="{i}"}} {(k * 7 + i) % 50}\n'.replace('\n', f' {start + k * 30}\n') for i in range(20) for k in range(600)) + '# EOF\n')
    lines_of(RELEASE, 'tsdb', 'create-blocks-from', 'openmetrics', tmp_path / 'h.om', tmp_path / 'data')
    data = sorted((tmp_path / 'data/partitions').glob('*/data'))[0]
    damaged = bytearray(data.read_bytes())
    damaged[100] ^= 1
    data.write_bytes(damaged)
    r = subprocess.run([str(RELEASE), 'tsdb', 'verify', str(tmp_path / 'data')], capture_output=True, text=True, timeout=60)
    first, last = r.stdout.splitlines()
    assert (r.returncode, first) == (1, f'partition file {data}: page with a wrong checksum at offset 16'), r.stdout
    assert last.endswith(': 1 damaged places')
