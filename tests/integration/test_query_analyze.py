"""brasa query analyze against a running server, Brasa and Debian's prometheus: the same lines, the
classic ones as counted here."""
import re
import time

import pytest

from conftest import ASAN, RELEASE, free_port, need, wait_for
from exporter import Exporter
from test_tools import CONFIG, tool

BINARY = ASAN if ASAN.exists() else RELEASE

# 1, 0, 3, 2 between the bounds: three of four are populated; of the other one of two
PAGE = b'''# TYPE lat histogram
lat_bucket{path="/",le="0.1"} 1
lat_bucket{path="/",le="0.5"} 1
lat_bucket{path="/",le="1"} 4
lat_bucket{path="/",le="+Inf"} 6
lat_sum{path="/"} 4
lat_count{path="/"} 6
lat_bucket{path="/b",le="1"} 0
lat_bucket{path="/b",le="+Inf"} 7
lat_sum{path="/b"} 9
lat_count{path="/b"} 7
'''


def histogram_lines(text):
    return sorted(re.findall(r'^- .* \((?:classic|native)\): .*$', text, re.M))


@pytest.mark.parametrize('peer', ['brasa', 'prometheus'])
def test_populated_buckets_of_a_running_server(peer, start, run, tmp_path):
    with Exporter({'/metrics': PAGE}) as exporter:
        config = CONFIG.format(address=exporter.address)
        if peer == 'brasa':
            url = start(config).url
        else:
            (tmp_path / 'p.yml').write_text(config)
            url = f'http://127.0.0.1:{free_port()}'
            run([need('prometheus'), f'--config.file={tmp_path}/p.yml', f'--storage.tsdb.path={tmp_path}/prometheus',
                 f'--web.listen-address={url.removeprefix("http://")}'], 'prometheus')
        flags = ['query', 'analyze', f'--server={url}', '--type=histogram', '--duration=5m']

        def lines():
            out, _, code = tool(BINARY, *flags, '--match=lat_bucket')
            return histogram_lines(out) if code == 0 else []
        wait_for(lines, 30, 0.3, 'two scrapes')
        instance = f'instance="{exporter.address}", job="test", path='
        want = [f'- lat_bucket{{{instance}"/"}} (classic): 3/3.000/3/4', f'- lat_bucket{{{instance}"/b"}} (classic): 1/1.000/1/2']
        out, err, code = tool(BINARY, *flags, '--match={__name__=~"lat_.*"}')
        assert (histogram_lines(out), err, code) == (want, '', 0)
        head, _, totals = out.partition('\n\n' + want[0] + '\n' + want[1] + '\n')
        assert head.startswith('Bucket stats for each histogram series over time\n-----')
        assert totals.startswith('\nAggregated bucket stats\n-----------------------\n')
        assert totals.endswith('\n\nClassic histogram series (2 in total):\n- min populated: 1/2.000/3\n- avg populated: 1/2.000/3\n'
                               '- max populated: 1/2.000/3\n- total: 2/3.000/4\n')
        # several selectors, one after the other; none that is a histogram
        out, _, code = tool(BINARY, *flags, '--match=lat_bucket{path="/b"}', '--match=lat_bucket{path="/"}')
        assert code == 0 and re.findall(r'^- .*classic.*$', out, re.M) == want[::-1]
        out, _, code = tool(BINARY, *flags, '--match=up')
        assert code == 0 and 'in total' not in out and histogram_lines(out) == []
        # before the data began
        out, _, code = tool(BINARY, *flags, '--match=lat_bucket', f'--time={time.time() - 86400:.0f}')
        assert code == 0 and histogram_lines(out) == []


def test_wrong_questions_are_refused(start):
    url = start('global: {}').url
    base = ['query', 'analyze', f'--server={url}']
    assert tool(BINARY, *base, '--type=summary', '--match=up') == ('', "analyze type is summary, must be 'histogram'\n", 1)
    out, err, code = tool(BINARY, *base, '--type=histogram', '--match=up{')
    assert code == 1 and 'bad_data' in err, err
    for missing in (['--type=histogram'], ['--match=up']):
        out, err, code = tool(BINARY, *base, *missing)
        assert code == 1 and 'required flag' in err, err
    out, err, code = tool(BINARY, *base, '--type=histogram', '--match=up', '--duration=1x')
    assert code == 1 and 'unknown unit' in err, err
