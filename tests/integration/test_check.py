"""brasa check rules and check config: what Debian's promtool prints and returns for the same files,
and what only later versions of it know."""
import os
import subprocess

import pytest

from conftest import ASAN, RELEASE, need

BINARY = ASAN if ASAN.exists() else RELEASE
FILES = {
    'ok.yml': 'groups: [{name: a, rules: [{record: "x:y", expr: up}]}]\n',
    'empty.yml': '',
    'dup.yml': '''groups:
- name: a
  rules:
  - {record: "x:y", expr: up, labels: {b: c, a: d}}
  - {record: "x:y", expr: up, labels: {a: d, b: c}}
  - {record: "x:y", expr: up, labels: {a: d, b: c}}
  - {record: "x:y", expr: up, labels: {a: d}}
  - {alert: A, expr: up == 0}
- name: b
  rules:
  - {alert: A, expr: up == 1}
  - {alert: B, expr: up == 1}
''',
    'bad.yml': '''groups:
- name: a
  rules:
  - {record: "x:y", expr: "up("}
- {name: b, rules: [{record: z, expr: ")"}]}
''',
    'field.yml': 'groups: [{name: a, foo: 1, rules: [{record: "x:y", expr: up, bar: 3}]}]\n',
    'c.yml': 'global: {scrape_interval: 10m}\nrule_files: [ok.yml, empty.yml]\nscrape_configs: [{job_name: a}]\n',
    'd.yml': 'rule_files: [dup.yml]\nscrape_configs: [{job_name: a}]\n',
    'f.yml': 'rule_files: [field.yml]\n',
    'agent.yml': 'scrape_configs: [{job_name: a}]\n',
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def tool(binary, line, stdin=None):
    p = subprocess.run([str(binary), *line.split()], input=FILES[stdin] if stdin else '', capture_output=True, text=True, timeout=60)
    return p.stdout, p.stderr.replace('brasa: error:', 'promtool: error:'), p.returncode


@pytest.mark.parametrize('line', [
    'check rules ok.yml', 'check rules ok.yml empty.yml ok.yml', 'check rules dup.yml', 'check rules --lint=none dup.yml',
    'check rules --lint-fatal dup.yml', 'check rules --lint=all --lint-fatal dup.yml ok.yml', 'check rules --lint duplicate-rules dup.yml',
    'check rules --lint=none --lint-fatal dup.yml', 'check rules nofile', 'check rules --foo ok.yml', 'check config',
    'check config c.yml', 'check config --lint-fatal --lint=all c.yml', 'check config --syntax-only d.yml', 'check config --lint=none d.yml',
    'check config --agent c.yml', 'check config --agent agent.yml', 'check config ok.yml', 'check config nofile'])
def test_checks_print_what_promtool_prints(folder, line):
    want = tool(need('promtool'), line)
    got = tool(BINARY, line)
    if '--lint=all c.yml' in line:  # promtool 2.42 does not look at intervals
        assert got == (want[0], '  FAILED: too long scrape interval found, data point will be marked as stale - job: a, interval: 10m\n', 3)
    else:
        assert got == want


def test_errors_of_a_file_are_told_and_the_next_one_is_checked(folder):
    promtool = tool(need('promtool'), 'check rules bad.yml ok.yml')
    out, err, code = tool(BINARY, 'check rules bad.yml ok.yml')
    assert (err, code) == promtool[1:] and out.split() == promtool[0].split(), err
    assert tool(BINARY, 'check rules --lint-fatal dup.yml bad.yml')[2] == 1
    out, err, code = tool(BINARY, 'check config --lint-fatal d.yml')
    assert code == 3 and 'lint error 2 duplicate rule(s) found.\nMetric: A\nLabel(s):\nMetric: x:y\nLabel(s):\n\ta: d\n\tb: c\n' in err


def test_rules_come_from_standard_input_without_a_file(folder):
    assert tool(BINARY, 'check rules', 'ok.yml') == ('Checking standard input\n  SUCCESS: 1 rules found\n\n', '', 0)
    out, err, code = tool(BINARY, 'check rules', 'bad.yml')
    assert code == 1 and '4:27: group "a", rule 1, "x:y": could not parse' in err, err
    assert 'bad.yml' not in err
    assert tool(BINARY, 'check rules --lint-fatal', 'dup.yml')[2] == 3


def test_unknown_fields_are_passed_over_on_demand(folder):
    assert tool(BINARY, 'check rules field.yml')[2] == 1
    assert tool(BINARY, 'check rules --ignore-unknown-fields field.yml') == ('Checking field.yml\n  SUCCESS: 1 rules found\n\n', '', 0)
    assert tool(BINARY, 'check config f.yml')[2] == 1
    assert tool(BINARY, 'check config --ignore-unknown-fields f.yml')[2] == 0


def test_unknown_lint_options_and_features_are_warned_of(folder):
    out, err, code = tool(BINARY, 'check rules --lint=bla,none --enable-feature=foo,promql-binop-fill-modifiers dup.yml')
    assert (err, code) == ('', 0)
    assert out == 'WARNING: unknown lint option: "bla"\n  WARNING: Unknown feature passed to --enable-feature: foo\nChecking dup.yml\n  SUCCESS: 7 rules found\n\n'


def test_features_make_the_language_of_rules(folder):
    text = 'groups: [{name: a, rules: [{record: "x:y", expr: "sort_by_label(up, \\"a\\")"}]}]\n'
    (folder / 'sort.yml').write_text(text)
    assert tool(BINARY, 'check rules sort.yml')[2] == 1
    assert tool(BINARY, 'check rules --enable-feature=promql-experimental-functions sort.yml')[2] == 0


def test_a_stream_that_cannot_be_read_is_an_error(folder):
    p = subprocess.run([str(BINARY), 'check', 'rules'], stdin=os.open(folder, os.O_RDONLY), capture_output=True, text=True, timeout=60)
    assert p.returncode == 1 and 'standard input cannot be read' in p.stderr
