"""brasa tsdb create-blocks-from rules: the same samples as promtool makes of the same rules and the
same server, as blocks of Prometheus and in a data folder of ours."""
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
BLOCK_MS = 2 * 3600 * 1000


@pytest.fixture
def server(tmp_path, start):
    end = int(time.time()) - 4 * 3600
    backfill(tmp_path / 'back.om', end)
    (tmp_path / 'brasa').mkdir()
    lines_of(RELEASE, 'tsdb', 'create-blocks-from', 'openmetrics', '-q', tmp_path / 'back.om', tmp_path / 'brasa/data')
    brasa = start('')
    brasa.end = end
    return brasa


def dump(data):
    (data / 'wal').mkdir(exist_ok=True)  # promtool wants one
    return sorted(set(lines_of(need('promtool'), 'tsdb', 'dump', data)))


def test_rules_of_the_past_are_what_promtool_makes_of_them(server, tmp_path):
    rules = tmp_path / 'rules.yml'
    rules.write_text(RULES.replace('  labels: {from: group, own: group}\n', ''))  # 2.42 has no labels of groups
    asked = [f'--url={server.url}', f'--start={server.end - HOURS * 3600}', f'--end={server.end}', '--eval-interval=45s']
    lines_of(need('promtool'), 'tsdb', 'create-blocks-from', 'rules', *asked, f'--output-dir={tmp_path / "theirs"}', rules)
    want = dump(tmp_path / 'theirs')
    assert len(want) > 5000
    assert {line.split('"')[1] for line in want} == {'job:old:sum', 'old:max', 'old:rate', 'old:again', 'Low'}

    listed = lines_of(RELEASE, 'tsdb', 'create-blocks-from', 'rules', *asked, '--prometheus-blocks',
                      f'--output-dir={tmp_path / "blocks"}', rules)
    assert listed[0].startswith('BLOCK ULID') and len(listed) >= 1 + HOURS // 2
    got = dump(tmp_path / 'blocks')
    slots = lambda lines: {line.split('} ')[0] for line in lines}
    assert slots(got) == slots(want)
    # The slots of a group lie elsewhere in its interval than promtool's, another hash of its name:
    # the samples themselves are compared with the server's answers below.
    lines_of(RELEASE, 'tsdb', 'create-blocks-from', 'rules', *asked, f'--output-dir={tmp_path / "ours"}', rules)
    assert sorted(set(lines_of(RELEASE, 'tsdb', 'dump', tmp_path / 'ours'))) == got


def test_every_sample_is_what_the_server_answers_at_its_time(server, tmp_path):
    rules = tmp_path / 'rules.yml'
    rules.write_text(RULES)
    lines_of(RELEASE, 'tsdb', 'create-blocks-from', 'rules', f'--url={server.url}', f'--start={server.end - 3600}',
             f'--end={server.end}', '--eval-interval=60s', f'--output-dir={tmp_path / "ours"}', '-q', rules)
    lines = lines_of(RELEASE, 'tsdb', 'dump', tmp_path / 'ours')
    sums = [line for line in lines if '"job:old:sum"' in line and 'h1:1' in line]
    assert 118 <= len(sums) <= 120 and all('from="group"' in s and 'own="group"' in s for s in sums)
    assert all('job="rule"' in s and 'own="rule"' in s for s in lines if '"old:max"' in s)
    times = [int(s.split()[-1]) for s in sums]
    for a, b in zip(times, times[1:]):
        edge = b - b % BLOCK_MS  # the question before it ends a second earlier, as promtool's does
        assert b - a == 30000 or (b - a == 60000 and edge - 1000 < a + 30000 < edge)
    for s in sums[::7]:
        value, ms = float(s.split()[-2]), int(s.split()[-1])
        answer = server.query('sum by (job, instance) (old{instance="h1:1"})', time=ms / 1000)
        assert float(answer[0]['value'][1]) == value


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
