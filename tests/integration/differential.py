"""Runs the same scrape targets past Brasa and Debian's Prometheus, and compares what they stored.

A case is one target with a configuration of its own and a sequence of answers. Each server walks
the sequence by itself, one answer a scrape, and stays at the last; the n-th sample of `up` tells
which sample came from which answer, so that timestamps compare although the servers scrape at
different times. Stale markers, which queries hide, are compared by what an instant query sees
after each scrape."""
import asyncio
import dataclasses
import json
import re
import struct
import threading
import time

import requests

from conftest import free_port, need, wait_for

TEXT = 'text/plain; version=0.0.4; charset=utf-8'
OPENMETRICS = 'application/openmetrics-text; version=1.0.0; charset=utf-8'
# spec 1.2: labels of a target that 2.42 does not know
NEW_TARGET_LABELS = {'__convert_classic_histograms_to_nhcb__', '__always_scrape_classic_histograms__', '__scrape_native_histograms__'}


@dataclasses.dataclass
class Answer:
    body: bytes = b''
    content_type: str = TEXT
    status: int = 200
    headers: dict = dataclasses.field(default_factory=dict)
    cut: int = 0  # bytes of the body that are not sent before the connection is closed
    hang_up: bool = False

    def wire(self):
        if self.hang_up:
            return b''
        headers = {'Content-Type': self.content_type, 'Content-Length': len(self.body), **self.headers}
        head = f'HTTP/1.1 {self.status} Status\r\n' + ''.join(f'{k}: {v}\r\n' for k, v in headers.items() if v is not None) + '\r\n'
        return head.encode() + self.body[:len(self.body) - self.cut]


@dataclasses.dataclass
class Case:
    """differs: the spec's section and the reason why 3.14 is not 2.42 here; then `up` says what Brasa
    must report for each answer, and `series` (if given) what it must hold after the last."""
    name: str
    answers: list
    settings: dict = dataclasses.field(default_factory=dict)
    labels: dict = dataclasses.field(default_factory=dict)
    only_brasa: dict = dataclasses.field(default_factory=dict)
    differs: str = ''
    up: list = None
    series: dict = None
    id: str = ''
    may_fail: bool = False  # set while comparing: a scrape failed


class Targets:
    """Serves the cases to both servers from one thread: /b/ID to Brasa, /p/ID to Prometheus."""

    def __init__(self, cases):
        self.wires = {c.id: [(a.wire(), a.cut > 0 or a.hang_up) for a in c.answers] for c in cases}
        self.served, self.loop, started = {}, asyncio.new_event_loop(), threading.Event()
        outer = self

        class Connection(asyncio.Protocol):
            def connection_made(self, transport):
                self.transport, self.data = transport, b''

            def data_received(self, data):
                self.data += data
                while b'\r\n\r\n' in self.data:
                    request, self.data = self.data.split(b'\r\n\r\n', 1)
                    path = request.split(b' ', 2)[1].decode().split('?')[0]
                    wires = outer.wires.get(path[3:])
                    if wires is None:
                        wires = [(Answer(status=404).wire(), False)]
                    n = outer.served.get(path, 0)
                    outer.served[path] = n + 1
                    wire, close = wires[min(n, len(wires) - 1)]
                    self.transport.write(wire)
                    if close:
                        self.transport.close()
                        return

        async def run():
            self.server = await self.loop.create_server(Connection, '127.0.0.1', 0, backlog=4096)
            self.address = '127.0.0.1:%d' % self.server.sockets[0].getsockname()[1]
            started.set()

        def main():
            asyncio.set_event_loop(self.loop)
            self.loop.create_task(run())
            self.loop.run_forever()
        self.thread = threading.Thread(target=main, daemon=True)
        self.thread.start()
        started.wait()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()


def config_of(cases, address, side, interval):
    jobs = []
    for c in cases:
        job = {'job_name': c.id, 'metrics_path': f'/{side}/{c.id}', **c.settings}
        job['static_configs'] = [{'targets': [address], 'labels': {'case': c.id, **c.labels}}]
        if side == 'b':
            job.update(c.only_brasa)
        jobs.append(job)
    return json.dumps({'global': {'scrape_interval': interval, 'scrape_timeout': interval}, 'scrape_configs': jobs})


def ask(url, path, **params):
    body = requests.post(f'{url}/api/v1/{path}', data=params, timeout=120).json() if path.startswith('query') else \
        requests.get(f'{url}/api/v1/{path}', params=params, timeout=120).json()
    assert body['status'] == 'success', body
    return body['data']


def bits(text):
    return struct.pack('<d', float(text.replace('Inf', 'inf').replace('NaN', 'nan')))


def canonical(text):
    """3.x writes le and quantile as OpenMetrics floats, 2.42 as exposed (spec 5.1)."""
    try:
        return str(float(text))
    except ValueError:
        return text


def key_of(metric):
    return frozenset((k, canonical(v) if k in ('le', 'quantile') else v) for k, v in metric.items())


class Stored:
    """What one server stored: rows[case] = {series: {scrape or timestamp: value}},
    seen[case][n] = {series: value} right before scrape n + 1, up[case] = [value of each scrape]."""

    def __init__(self, url, scrapes, step_seconds):
        self.rows, self.seen, self.up = {}, {}, {}
        now = time.time()
        raw = ask(url, 'query', query='{case!=""}[30m]', time=now + 900)['result']
        times = {}
        for s in raw:
            if s['metric']['__name__'] == 'up':
                times[s['metric']['case']] = [t for t, _ in s['values']]
                self.up[s['metric']['case']] = [v for _, v in s['values']][:scrapes]
        index = {case: {t: n for n, t in enumerate(ts)} for case, ts in times.items()}
        for s in raw:
            case = s['metric']['case']
            kept = {}
            for t, v in s['values']:
                n = index.get(case, {}).get(t)
                if n is None or n < scrapes:
                    kept[t if n is None else n] = v
            if kept:
                self.rows.setdefault(case, {})[key_of(s['metric'])] = kept
        start = min(ts[0] for ts in times.values())
        grid = ask(url, 'query_range', query='{case!=""}', start=start, end=now, step=step_seconds)['result']
        points = {}
        for case, ts in times.items():
            for n in range(min(scrapes, len(ts) - 1)):
                i = int((ts[n + 1] - start - 0.001) / step_seconds)  # the last point before the next scrape
                if start + i * step_seconds > ts[n] + 0.001:
                    points.setdefault(case, {})[round((start + i * step_seconds) * 1000)] = n
                    self.seen.setdefault(case, {}).setdefault(n, {})
        for s in grid:
            case = s['metric']['case']
            for t, v in s['values']:
                n = points.get(case, {}).get(round(t * 1000))
                if n is not None:
                    self.seen[case][n][key_of(s['metric'])] = v
        self.targets, self.state = {}, {}
        data = ask(url, 'targets')
        for t in data['activeTargets']:
            d = t['discoveredLabels']
            self.targets[t['labels']['case']] = (t['labels'], self.discovered(d))
            self.state[t['labels']['case']] = (t['health'], t['lastError'])
        self.dropped = len(data['droppedTargets'])

    @staticmethod
    def discovered(labels):
        return {k: v[2:] if k == '__metrics_path__' else v for k, v in labels.items() if k not in NEW_TARGET_LABELS}


def show(series):
    return '{' + ','.join(f'{k}={v!r}' for k, v in sorted(series)) + '}'


OWN_TIME = re.compile(rb'[ \t}]\S+[ \t]+[-+\d][\d.e+]*[ \t]*(# \{.*)?$', re.M)


def not_compared(case, series, n):
    """Series whose values differ for a reason; that they are there is compared all the same.

    scrape_series_added: 2.42 does not count failed scrapes as iterations, so that what they had is
    not new at their next (spec 6: both count); and a sample with an own timestamp that the storage
    refuses counts in Brasa (scrape/README.md, Differences)."""
    name = dict(series).get('__name__')
    if name == 'scrape_series_added':
        return case.may_fail or any(OWN_TIME.search(a.body) for a in case.answers)
    return name == 'scrape_duration_seconds'


def values_equal(a, b):
    return a is not None and b is not None and bits(a) == bits(b)


def diff_rows(case, ours, theirs):
    out = []
    for series in sorted(ours.keys() | theirs.keys(), key=show):
        a, b = ours.get(series, {}), theirs.get(series, {})
        for n in sorted(a.keys() | b.keys()):
            if not (n in a and n in b if not_compared(case, series, n) else values_equal(a.get(n), b.get(n))):
                out.append(f'  sample {show(series)} @{n}: brasa {a.get(n)}, prometheus {b.get(n)}')
    return out


def diff_seen(case, ours, theirs):
    out = []
    for n in sorted(ours.keys() & theirs.keys()):
        a, b = ours[n], theirs[n]
        for series in sorted(a.keys() | b.keys(), key=show):
            # 2.42 tracks new series that the limit refused, 3.14 only what was accepted (spec 6)
            if case.may_fail and 'sample_limit' in case.settings and series not in a and series in b:
                continue
            if not (series in a and series in b if not_compared(case, series, n) else values_equal(a.get(series), b.get(series))):
                out.append(f'  after scrape {n} {show(series)}: brasa {a.get(series, "stale")}, prometheus {b.get(series, "stale")}')
    return out


# 2.42's parsers say less, and some of it in other words; the texts of 3.14 are tested by the unit tests
PARSER = re.compile(r'expected (?!at least)|"INVALID" |invalid UTF-8 label value|help text |metric name |unit |invalid metric type|strconv\.|unsupported character|invalid (?:exemplar )?timestamp')


def kind_of(error):
    """What an error of the last scrape says, without the path, which names the server."""
    if PARSER.match(error):
        return 'the parser refuses the page'
    error = re.sub(r'/[bp]/c\d+', '/TARGET', error)
    error = re.sub(r'(127\.0\.0\.1:)\d+(->127)', r'\1PORT\2', error)
    error = re.sub(r'^protobufparse:', 'clientpb:', error)
    error = error.replace('gzip: corrupt or truncated data', 'unexpected EOF')
    error = re.sub(r'^proto: wrong wire.*', 'proto: wrong wire type', error)
    return error


def diff_state(ours, theirs):
    """Health and last error, as /targets shows them."""
    if ours is None or theirs is None or (ours[0] == theirs[0] and kind_of(ours[1]) == kind_of(theirs[1])):
        return []
    return [f'  state: brasa {ours}\n     prometheus {theirs}']


def compare(case, ours, theirs):
    """The differences of one case as lines."""
    case.may_fail = '0' in ours.up.get(case.id, []) + theirs.up.get(case.id, [])
    if case.differs:
        out = []
        up = ours.up.get(case.id, [])
        want = [str(v) for v in case.up] + [str(case.up[-1])] * (len(up) - len(case.up))
        if up != want:
            out.append(f'  up: {up}, expected {want} ({case.differs})')
        if case.series is not None:
            last = ours.seen.get(case.id, {}).get(len(case.answers) - 1, {})
            got = {show((k, v) for k, v in s if k not in ('case', 'job', 'instance')): v
                   for s, v in last.items() if not re.match('up$|scrape_', dict(s)['__name__'])}
            want = {show({'__name__': n, **l}.items()): v for (n, l, v) in case.series}
            if got != want:
                out.append(f'  holds {got}, expected {want} ({case.differs})')
        if ours.rows.get(case.id) == theirs.rows.get(case.id) and not diff_seen(case, ours.seen.get(case.id, {}), theirs.seen.get(case.id, {})):
            out.append(f'  no difference any more, expected one: {case.differs}')
        return out
    out = diff_rows(case, ours.rows.get(case.id, {}), theirs.rows.get(case.id, {}))
    out += diff_seen(case, ours.seen.get(case.id, {}), theirs.seen.get(case.id, {}))
    a, b = ours.targets.get(case.id), theirs.targets.get(case.id)
    if 'relabel_configs' in case.settings and a and b:
        a, b = a[0], b[0]  # 2.42 shows some discovered labels as they are after relabelling
    if a != b:
        out.append(f'  target: brasa {a}\n     prometheus {b}')
    return out + diff_state(ours.state.get(case.id), theirs.state.get(case.id))


def report(all_cases, ours, theirs):
    """The cases that differ, each as text with its first lines and pages."""
    out = []
    for c in all_cases:
        lines = compare(c, ours, theirs)
        if lines:
            pages = ''.join(f'\n    {a.status} {a.body[:300]!r}' for a in c.answers)
            out.append('\n'.join([f'{c.id} {c.name}', *lines[:6]]) + pages)
    return out


def run_cases(cases, start, run, folder, scrapes, interval=2):
    """Both servers over the cases: (stored by Brasa, stored by Prometheus)."""
    for i, c in enumerate(cases):
        c.id = f'c{i}'
        assert len(c.answers) <= scrapes, c.name
    with Targets(cases) as targets:
        port, peer = free_port(), folder / f'peer{len(cases)}-{time.monotonic_ns()}'
        peer.mkdir()
        (peer / 'p.yml').write_text(config_of(cases, targets.address, 'p', f'{interval}s'))
        run([need('prometheus'), f'--config.file={peer}/p.yml', f'--storage.tsdb.path={peer}/data',
             f'--web.listen-address=127.0.0.1:{port}', '--query.lookback-delta=20m'], f'prometheus{port}')
        url = f'http://127.0.0.1:{port}'
        brasa = start(config_of(cases, targets.address, 'b', f'{interval}s'), name=f'brasa{port}', flags=['--query.lookback-delta=20m', '--no-scrape.failure-reason-series'])
        wait_for(lambda: requests.get(f'{url}/-/ready', timeout=2).ok, what='prometheus')

        def scraped():
            per = [targets.served.get(f'/{side}/{c.id}', 0) for c in cases for side in 'bp']
            return all(n == 0 or n >= scrapes + 2 for n in per) and any(per)
        wait_for(scraped, interval * (scrapes + 2) * 3 + 30, 0.5, 'all scrapes')
        return Stored(brasa.url, scrapes, interval / 8), Stored(url, scrapes, interval / 8)
