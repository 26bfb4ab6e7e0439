"""brasa check metrics beside Debian's promtool: the same advice and the same exit code."""
import subprocess

import pytest

from conftest import RELEASE, need
from differential_pages import client_registry, recorded_pages

# name: page
LINTED = {
    'no help': b'# TYPE a_seconds gauge\na_seconds 1\n',
    'a gauge of _total': b'# HELP a_total x\n# TYPE a_total gauge\na_total 1\n',
    'a counter without _total': b'# HELP a x\n# TYPE a counter\na 1\n',
    'milliseconds': b'# HELP a_milliseconds x\n# TYPE a_milliseconds gauge\na_milliseconds 1\n',
    'kilobytes': b'# HELP a_kilobytes x\n# TYPE a_kilobytes gauge\na_kilobytes 1\n',
    'an abbreviation': b'# HELP a_ms x\n# TYPE a_ms gauge\na_ms 1\n',
    'capital letters': b'# HELP aBc x\n# TYPE aBc gauge\naBc 1\n',
    'a colon': b'# HELP a:b x\n# TYPE a:b gauge\na:b 1\n',
    'the type in the name': b'# HELP a_gauge x\n# TYPE a_gauge gauge\na_gauge 1\n',
    'capital letters in a label': b'# HELP a x\n# TYPE a gauge\na{bC="d"} 1\n',
    '_count of no histogram': b'# HELP a_count x\n# TYPE a_count gauge\na_count 1\n',
    'le of no histogram': b'# HELP a x\n# TYPE a gauge\na{le="1"} 1\n',
    'quantile of no summary': b'# HELP a x\n# TYPE a gauge\na{quantile="1"} 1\n',
    'a histogram': b'# HELP a x\n# TYPE a histogram\na_bucket{le="1"} 1\na_bucket{le="+Inf"} 2\na_sum 1\na_count 2\n',
    'a summary': b'# HELP a x\n# TYPE a summary\na{quantile="0.5"} 1\na_sum 1\na_count 2\n',
    'no type': b'# HELP a x\na 1\n',
    'only a sample': b'a 1\n',
    'two of a kind': b'# HELP a x\n# TYPE a counter\na{b="1"} 1\na{b="2"} 1\n# HELP c_ms x\n# TYPE c_ms counter\nc_ms 1\n',
    'nothing': b'',
    'comments': b'# a comment\n\n',
}
BROKEN = {
    'no value': b'a\n', 'no number': b'a one\n', 'an open brace': b'a{b="c" 1\n', 'a bad name': b'1a 1\n', 'a bad type': b'# TYPE a foo\na 1\n', 'html': b'<html>\n',
}


def advice(program, page):
    p = subprocess.run([*program, 'check', 'metrics'], input=page, capture_output=True, timeout=60)
    return p.returncode, sorted((p.stdout + p.stderr).decode().splitlines())


def assert_same(page):
    ours, theirs = advice([RELEASE], page), advice([need('promtool')], page)
    assert ours[0] == theirs[0], (ours, theirs)
    if ours[0] != 1:  # what cannot be read has other words
        assert ours[1] == theirs[1]


@pytest.mark.parametrize('what', LINTED)
def test_a_page_gets_the_same_advice(what):
    assert_same(LINTED[what])


@pytest.mark.parametrize('what', BROKEN)
def test_a_page_that_cannot_be_read_is_an_error(what):
    assert_same(BROKEN[what])
    assert advice([RELEASE], BROKEN[what])[0] == 1


def test_real_pages_get_the_same_advice(tmp_path):
    from prometheus_client.exposition import generate_latest
    import random
    registry, tick = client_registry(random.Random(1))
    tick(1)
    pages = [generate_latest(registry)] + [exporter[0].read_bytes() for exporter in recorded_pages(tmp_path)]
    for page in pages:
        assert_same(page)
