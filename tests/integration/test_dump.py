"""brasa tsdb dump, dump-openmetrics, list and analyze on blocks that Brasa exported: the lines that
Debian's promtool prints for the same directory, and of a data folder of Brasa the same samples."""
import json
import random
import subprocess
import time

import pytest

from conftest import RELEASE, need
from test_import import lines_of


def history(path, start):
    r = random.Random(11)
    with open(path, 'w') as f:
        for name in ('a', 'b'):
            f.write(f'# TYPE {name} gauge\n')
            for i in range(4):
                for k in range(60):
                    if r.random() < .9:
                        f.write(f'{name}{{job="j{i % 2}",i="{i}",odd="<&>\\"\\\\"}} {r.choice(["NaN", "+Inf", repr(r.uniform(-9, 9)), "1e300", "-0"])} {start + k * 60}\n')
        f.write('# EOF\n')


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp('dump')
    start = int(time.time()) // 7200 * 7200 - 4 * 7200
    history(folder / 'h.om', start)
    lines_of(RELEASE, 'tsdb', 'create-blocks-from', 'openmetrics', folder / 'h.om', folder / 'data')
    lines_of(RELEASE, 'tsdb', 'export', folder / 'data', folder / 'blocks')
    (folder / 'blocks' / 'wal').mkdir(exist_ok=True)
    return folder / 'data', folder / 'blocks', start


@pytest.mark.parametrize('flags', [
    [], ['--match=a'], ['--match={job="j1"}', '--match=a{i="2"}'], ['--match={i=~"[01]"}', '--sandbox-dir-root={tmp}'],
    ['--min-time={early}', '--max-time={later}'], ['--match=nothing'], ['--match=a{'], ['--match=up', '--match={']])
@pytest.mark.parametrize('command', ['dump', 'dump-openmetrics'])
def test_dumps_are_what_promtool_prints(folders, tmp_path, command, flags):
    data, blocks, start = folders
    flags = [f.format(tmp=tmp_path, early=start * 1000 + 600000, later=start * 1000 + 1200000) if 'time=' in f or 'tmp' in f else f for f in flags]
    got = [subprocess.run([str(RELEASE), 'tsdb', command, str(d), *flags], capture_output=True, text=True, timeout=60) for d in (blocks, data)]
    matches = [f for f in flags if f.startswith('--match')]
    if len(matches) > 1 or any('sandbox' in f for f in flags) or command != 'dump':
        # promtool 2.42 takes one selector, no sandbox, and dumps no OpenMetrics
        assert got[0].stdout == got[1].stdout and got[0].returncode == got[1].returncode
        assert (got[0].returncode == 1) == any(m in ('--match=a{', '--match={') for m in matches), got[0].stderr
        return
    want = subprocess.run([need('promtool'), 'tsdb', 'dump', str(blocks), *flags], capture_output=True, text=True, timeout=60)
    for p in got:
        assert (sorted(p.stdout.splitlines()), p.returncode) == (sorted(want.stdout.splitlines()), want.returncode)
    assert (want.returncode == 1) == ('--match=a{' in flags)


def test_series_are_listed_as_json(folders):
    data, blocks, start = folders
    for folder in (data, blocks):
        lines = lines_of(RELEASE, 'tsdb', 'dump', '--format=seriesjson', folder)
        assert [json.loads(x) for x in lines] == [{'__name__': n, 'i': str(i), 'job': f'j{i % 2}', 'odd': '<&>"\\'} for n in 'ab' for i in range(4)]
        assert lines[0] == r'{"__name__":"a","i":"0","job":"j0","odd":"\u003c\u0026\u003e\"\\"}'
        assert len(lines_of(RELEASE, 'tsdb', 'dump', '--format=seriesjson', '--match=a', '--match={i="3"}', folder)) == 5
        assert lines_of(RELEASE, 'tsdb', 'dump', '--format=seriesjson', f'--max-time={start * 1000 - 1}', folder) == []
    r = subprocess.run([str(RELEASE), 'tsdb', 'dump', '--format=xml', str(data)], capture_output=True, text=True)
    assert r.returncode == 1 and "enum value must be one of prom,seriesjson, got 'xml'" in r.stderr


def test_a_dump_of_openmetrics_can_be_read_again(folders, tmp_path):
    data, blocks, _ = folders
    for k, folder in enumerate((data, blocks)):
        dumped = subprocess.run([str(RELEASE), 'tsdb', 'dump-openmetrics', str(folder)], capture_output=True, text=True, timeout=60).stdout
        assert dumped.endswith('# EOF\n')
        (tmp_path / 'again.om').write_text(dumped)
        lines_of(RELEASE, 'tsdb', 'create-blocks-from', 'openmetrics', tmp_path / 'again.om', tmp_path / f'again{k}')
        assert lines_of(RELEASE, 'tsdb', 'dump', tmp_path / f'again{k}') == lines_of(RELEASE, 'tsdb', 'dump', data)
        lines_of(need('promtool'), 'tsdb', 'create-blocks-from', 'openmetrics', tmp_path / 'again.om', tmp_path / f'theirs{k}')
        assert sorted(lines_of(RELEASE, 'tsdb', 'dump', tmp_path / f'theirs{k}')) == sorted(lines_of(RELEASE, 'tsdb', 'dump', data))


@pytest.mark.parametrize('flags', [[], ['-r'], ['--human-readable']])
def test_lists_are_what_promtool_prints(folders, flags):
    assert lines_of(RELEASE, 'tsdb', 'list', folders[1], *flags) == lines_of(need('promtool'), 'tsdb', 'list', folders[1], *flags)


def analyzed(folder, *flags):
    head, *sections = '\n'.join(lines_of(RELEASE, 'tsdb', 'analyze', *flags, folder)).split('\n\n')
    return dict(line.split(': ', 1) for line in head.splitlines()), sections


def test_analyze_tells_of_the_series_that_match(folders):
    for folder in folders[:2]:
        whole, _ = analyzed(folder)
        some, sections = analyzed(folder, '--match=a{i=~"[01]"}')
        assert (whole['Total Series'], some['Total Series'], some['Matched series'], some['Matcher']) == ('8', '8', '2', 'a{i=~"[01]"}')
        assert 'Matcher' not in whole and 'Matched series' not in whole
        assert some['Postings entries (total label pairs)'] == '8' and some['Postings (unique label pairs)'] == '6' and some['Label names'] == '4'
        assert 'Highest cardinality metric names:\n2 a' in sections
    r = subprocess.run([str(RELEASE), 'tsdb', 'analyze', '--match=a{', str(folders[1])], capture_output=True, text=True)
    assert r.returncode == 1 and 'parse error' in r.stderr


def test_analyze_shows_how_full_chunks_are(folders):
    data, blocks, _ = folders
    series = {}
    for line in lines_of(RELEASE, 'tsdb', 'dump', blocks):
        series.setdefault(line.rsplit(' ', 2)[0], []).append(line)
    counts = sorted(map(len, series.values()))
    assert 30 < counts[0] and counts[-1] < 70
    _, sections = analyzed(blocks, '--extended')
    text = '\n\n'.join(sections)
    assert 'Compaction analysis:' in sections
    (samples,) = [s for s in sections if s.startswith('samples per float chunk')]
    head, *steps = samples.splitlines()
    assert head == f'samples per float chunk (min/avg/max): {counts[0]}/{sum(counts) // 8}/{counts[-1]}'
    start = counts[0] - counts[0] % 10
    for i, step in enumerate(steps):
        low, high = start + 10 * i + 1, start + 10 * (i + 1)
        n = sum(1 for c in counts if start + 10 * i <= c < start + 10 * (i + 1))
        assert step == f'[{low}, {high}]: {n} ' + '#' * (100 * n // 8), steps
    assert sum(int(s.split(': ')[1].split()[0]) for s in steps) == 8
    assert 'bytes per float chunk (min/avg/max): ' in text
    for kind in ('samples', 'bytes', 'buckets'):
        assert f'{kind} per histogram chunk: N/A' in text
    r = subprocess.run([str(RELEASE), 'tsdb', 'analyze', '--extended', str(data)], capture_output=True, text=True)
    assert r.returncode == 1 and '--extended is for blocks of Prometheus' in r.stderr
