"""brasa tsdb create-blocks-from rules: the same samples as promtool makes of the same rules and the
same server, as blocks of Prometheus and in a data folder of ours."""
import pathlib
import subprocess
import time

import pytest

from conftest import RELEASE, free_port, need
from test_import import backfill, lines_of

RULES = '''
groups:
- name: fast
  interval: 30s
  labels: {from: group, own: group}
  rules:
  - {record: 'job:old:sum', expr: 'sum by (job, instance) (old)'}
  - {record: 'old:max', expr: 'max(old)', labels: {job: rule, own: rule}}
- name: slow
  rules:
  - {record: 'old:rate', expr: 'rate(old[5m])'}
  - {record: 'old:again', expr: '{__name__=~"old",i="1"}'}
  - {record: 'nothing', expr: 'absent_series'}
  - {alert: Low, expr: 'old < -1000', labels: {severity: page}}
'''
HOURS = 5
BLOCK_S = 2 * 3600
BLOCK_MS = BLOCK_S * 1000


@pytest.fixture
def server(tmp_path, start):
    # Half an hour into a block, so that all times are in the same places of blocks whenever the test runs. Where
    # a range begins less than an interval before the end of a block, promtool makes nothing at all.
    end = (int(time.time()) - 5 * 3600) // BLOCK_S * BLOCK_S + 1800
    backfill(tmp_path / 'back.om', end)
    (tmp_path / 'brasa').mkdir()
    lines_of(RELEASE, 'tsdb', 'create-blocks-from', 'openmetrics', '-q', tmp_path / 'back.om', tmp_path / 'brasa/data')
    brasa = start('')
    brasa.end = end
    return brasa


def dump(data):
    (data / 'wal').mkdir(exist_ok=True)  # promtool wants one
    return sorted(set(lines_of(need('promtool'), 'tsdb', 'dump', data)))


def make_blocks(server, program, *args):
    """Blocks of rules; whoever made none shows what was asked, and what the server answers now."""
    r = subprocess.run([str(a) for a in (program, 'tsdb', 'create-blocks-from', 'rules', *args)], capture_output=True, text=True, timeout=120)
    folder = next(pathlib.Path(a.partition('=')[2]) for a in map(str, args) if a.startswith('--output-dir='))
    if r.returncode != 0 or not folder.is_dir():
        answer = server.get('/api/v1/query_range', query='count(old)', start=server.end - HOURS * 3600, end=server.end, step=300)
        pytest.fail(f'exit code {r.returncode}: {r.args}\n{r.stdout}{r.stderr}\ncount(old): {answer}')
    return r.stdout.splitlines()


def test_rules_of_the_past_are_what_promtool_makes_of_them(server, tmp_path):
    rules = tmp_path / 'rules.yml'
    rules.write_text(RULES.replace('  labels: {from: group, own: group}\n', ''))  # 2.42 has no labels of groups
    asked = [f'--url={server.url}', f'--start={server.end - HOURS * 3600}', f'--end={server.end}', '--eval-interval=45s']
    make_blocks(server, need('promtool'), *asked, f'--output-dir={tmp_path / "theirs"}', rules)
    want = dump(tmp_path / 'theirs')
    assert len(want) > 5000
    assert {line.split('"')[1] for line in want} == {'job:old:sum', 'old:max', 'old:rate', 'old:again', 'Low'}

    listed = make_blocks(server, RELEASE, *asked, '--prometheus-blocks', f'--output-dir={tmp_path / "blocks"}', rules)
    assert listed[0].startswith('BLOCK ULID') and len(listed) >= 1 + HOURS // 2
    got = dump(tmp_path / 'blocks')
    slots = lambda lines: {line.split('} ')[0] for line in lines}
    assert slots(got) == slots(want)
    # The slots of a group lie elsewhere in its interval than promtool's, another hash of its name:
    # the samples themselves are compared with the server's answers below.
    make_blocks(server, RELEASE, *asked, f'--output-dir={tmp_path / "ours"}', rules)
    assert sorted(set(lines_of(RELEASE, 'tsdb', 'dump', tmp_path / 'ours'))) == got


def test_every_sample_is_what_the_server_answers_at_its_time(server, tmp_path):
    rules = tmp_path / 'rules.yml'
    rules.write_text(RULES)
    make_blocks(server, RELEASE, f'--url={server.url}', f'--start={server.end - 3600}', f'--end={server.end}',
                '--eval-interval=60s', f'--output-dir={tmp_path / "ours"}', '-q', rules)
    lines = lines_of(RELEASE, 'tsdb', 'dump', tmp_path / 'ours')
    sums = [line for line in lines if '"job:old:sum"' in line and 'h1:1' in line]
    assert 118 <= len(sums) <= 121 and all('from="group"' in s and 'own="group"' in s for s in sums)
    assert all('job="rule"' in s and 'own="rule"' in s for s in lines if '"old:max"' in s)
    times = [int(s.split()[-1]) for s in sums]
    for a, b in zip(times, times[1:]):
        edge = b - b % BLOCK_MS  # the question before it ends a second earlier, as promtool's does
        assert b - a == 30000 or (b - a == 60000 and edge - 1000 < a + 30000 < edge)
    for s in sums[::7]:
        value, ms = float(s.split()[-2]), int(s.split()[-1])
        answer = server.query('sum by (job, instance) (old{instance="h1:1"})', time=ms / 1000)
        assert float(answer[0]['value'][1]) == value


def test_a_range_that_begins_in_the_last_seconds_of_a_block_is_made_all_the_same(server, tmp_path):
    """promtool ends at the first block in which a rule has no time."""
    rules = tmp_path / 'rules.yml'
    rules.write_text(RULES)
    edge = server.end // BLOCK_S * BLOCK_S
    times = {}
    for start in edge - 1, edge:
        make_blocks(server, RELEASE, f'--url={server.url}', f'--start={start}', f'--end={server.end}', '--eval-interval=45s',
                    f'--output-dir={tmp_path / str(start)}', '-q', rules)
        lines = lines_of(RELEASE, 'tsdb', 'dump', tmp_path / str(start))
        times[start] = sorted({int(line.split()[-1]) for line in lines if '"old:max"' in line})
    assert len(times[edge]) in (60, 61)
    assert [t for t in times[edge - 1] if t >= edge * 1000] == times[edge]


def test_what_cannot_be_asked_is_said(tmp_path):
    rules = tmp_path / 'rules.yml'
    rules.write_text(RULES)

    def fails(*args):
        r = subprocess.run([RELEASE, 'tsdb', 'create-blocks-from', 'rules', f'--output-dir={tmp_path / "out"}', *map(str, args)],
                           capture_output=True, text=True, timeout=60)
        assert r.returncode == 1
        return r.stderr

    assert 'start time is not before end time' in fails('--start=1000', '--end=1000', rules)
    assert "required flag --start not provided" in fails(rules)
    assert 'rule importer error: ' in fails('--start=1000', '--end=5000', f'--url=http://127.0.0.1:{free_port()}', rules)
    rules.write_text('groups: [{name: g, rules: [{record: x, expr: "sum("}]}]')
    assert 'rule importer parse error: ' in fails('--start=1000', '--end=5000', rules)
    assert not (tmp_path / 'out').exists()
