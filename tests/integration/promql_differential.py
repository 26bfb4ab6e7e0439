"""Asks Brasa and Debian's Prometheus (2.42) the same generated queries over the same data.

  promql_differential.py [--queries 2000] [--seed 1] [--pages DIR] [--verbose]

Both servers get the same samples by remote write: odd series (resets, gaps, stale markers, NaN, Inf,
sparse, classic histograms) and, with --pages, recorded pages of an exporter (DIR/<unix ms>.txt). Half
of the queries are instant, half are ranges. Results are compared as printed: label sets, values, the
order where the language fixes it, and the kind of error.

A difference counts as explained only by a class of EXPLAINED, each with the section of the language's
specification that says so, and is checked against that class: digits within its bound, or the
same answer once 2.42 is asked in words that mean what 3.x means. Everything else fails."""
import argparse
import collections
import json
import math
import pathlib
import random
import re
import struct
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from conftest import Brasa, Process, RELEASE, free_port, need, wait_for  # noqa: E402
from wire import field, snappy, varint  # noqa: E402

MARK = '\x01'  # behind what keeps the name in 2.42: there it is asked times 1
FILTER = re.compile(r' (==|!=|>=|<=|>|<)(?! bool)(?= )')
STALE = struct.unpack('<d', struct.pack('<Q', 0x7ff0000000000002))[0]
STEP_MS = 15000
PHASE_MS = 4321  # of samples within the second: steps of subqueries, at whole seconds, never meet them
SAMPLES = 120

EXPLAINED = {
    'last digits of sums': '6, 19: sums and means are compensated, also across a group; 2.42 adds plainly',
    'last digits of functions': '7: exp, log, pow and trigonometry are the C library\'s; Go has its own',
    'edge of rate': '16: the cut at the zero crossing comes after the one at 1.1 intervals; only values differ',
    'matches of filters': '5: many matches are an error also where the comparison is false; 2.42 says so with bool',
    'extreme sums': '6, 19: of 1e308, Inf and NaN: sums are compensated, and lose that when they turn infinite; stddev starts with NaN',
    'deviation of NaN': '6: NaN when the first value is NaN or infinite; 2.42 says 0',
    'changing numbers with @': '3, 7: predict_linear and quantile_over_time of the same samples at each step; 2.42 loses some after the first',
    'subqueries of no steps': '3: take what lies within the range; 2.42 shows a step-invariant value behind its end',
    'timestamp with @': '3: the sample\'s own time; 2.42 leaves the offset out',
    'ties': '6: which of equal elements topk and bottomk keep is not specified',
}


# ---- remote write ----

def write(url, series):
    """series: [(labels, [(ms, value)])], sorted by labels."""
    raw = b''
    for labels, samples in series:
        body = b''.join(field(1, field(1, k.encode()) + field(2, v.encode())) for k, v in sorted(labels.items()))
        for ms, value in samples:
            bits = 0x7ff0000000000002 if value is STALE else struct.unpack('<Q', struct.pack('<d', value))[0]
            body += field(2, b'\x09' + struct.pack('<Q', bits) + b'\x10' + varint(ms))
        raw += field(1, body)
    headers = {'Content-Encoding': 'snappy', 'Content-Type': 'application/x-protobuf', 'X-Prometheus-Remote-Write-Version': '0.1.0'}
    request = urllib.request.Request(url + '/api/v1/write', snappy(raw), headers)
    try:
        urllib.request.urlopen(request, timeout=30).read()
    except urllib.error.HTTPError as e:
        raise AssertionError(f'{url}: {e.read()!r}')


# ---- data ----

def odd_data(rnd, start_ms):
    series = []

    def put(name, labels, value, keep=lambda i: True):
        samples = [(start_ms + PHASE_MS + i * STEP_MS, value(i)) for i in range(SAMPLES) if keep(i)]
        series.append(({'__name__': name, **labels}, samples))

    for job in ('api', 'db', 'web'):
        for n in range(3):
            at = {'job': job, 'instance': f'i{n}'}
            total = [0.0]

            def counter(i, total=total):
                total[0] = 0.0 if rnd.random() < 0.04 else total[0] + rnd.choice([0, 1, 2.5, 17, 0.1])
                return total[0]
            put('c_total', {**at, 'code': '200'}, counter)
            put('c_total', {**at, 'code': '500'}, lambda i: float(i // 7), lambda i: rnd.random() < 0.7)
            put('g', at, lambda i: round(rnd.uniform(-50, 50), 3))
            put('g2', {**at, 'zone': f'z{n % 2}'}, lambda i: float(rnd.randrange(-5, 6)))
            put('limit', {'job': job, 'instance': f'i{n}'}, lambda i: float(n + 1), lambda i: i < 60 or i > 90)
            put('odd', at, lambda i: rnd.choice([math.nan, math.inf, -math.inf, 0.0, -0.0, 1e308, -1e308, 1e-300, 3.0]))
            put('stales', at, lambda i: STALE if rnd.random() < 0.15 else float(i), lambda i: rnd.random() < 0.8)
            put('sparse', at, lambda i: i / 3, lambda i: i % 29 == n)
            put('big', at, lambda i: 1e6 + i * 0.5 + n)
            count = [0] * 5
            for_le = []
            for i in range(SAMPLES):
                if rnd.random() < 0.03:
                    count = [0] * 5
                for _ in range(rnd.randrange(6)):
                    count[rnd.randrange(5)] += 1
                for_le.append([float(sum(count[:k + 1])) for k in range(5)])
            for k, le in enumerate(('0.1', '0.5', '1', '2.5', '+Inf')):
                put('h_bucket', {**at, 'le': le}, lambda i, k=k: for_le[i][k])
            put('h_sum', at, lambda i: for_le[i][4] * 0.7)
            put('h_count', at, lambda i: for_le[i][4])
        put('per_job', {'job': job, 'team': f't-{job}'}, lambda i: 1.0)
    put('alone', {}, lambda i: float(i % 11))
    put('short', {'job': 'api'}, lambda i: 7.0, lambda i: i < 20)
    return series


LINE = re.compile(r'^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def recorded_data(folder, start_ms, most=150):
    """The first pages of a recording, one each 15 s."""
    series = {}
    pages = sorted(folder.glob('*.txt'))[:SAMPLES]
    for i, page in enumerate(pages):
        for line in page.read_text().splitlines():
            found = LINE.match(line)
            if not found or not line.startswith(('node_cpu', 'node_disk_r', 'node_load', 'node_netw', 'go_', 'process_')):
                continue
            key = (('__name__', found[1]), *LABEL.findall(found[2] or ''))
            if key in series or len(series) < most:
                series.setdefault(key, []).append((start_ms + PHASE_MS + i * STEP_MS, float(found[3])))
    return [({**dict(key), 'job': 'node'}, samples) for key, samples in series.items()]


def sorted_by_labels(series):
    return sorted(series, key=lambda s: [part.encode() for pair in sorted(s[0].items()) for part in pair])


# ---- queries ----

METRICS = ['c_total', 'g', 'g2', 'limit', 'odd', 'stales', 'sparse', 'big', 'h_bucket', 'h_sum', 'h_count', 'per_job',
           'alone', 'short', 'nothing']
RANGE_FUNCTIONS = ['rate', 'increase', 'delta', 'irate', 'idelta', 'deriv', 'changes', 'resets', 'avg_over_time',
                   'sum_over_time', 'min_over_time', 'max_over_time', 'count_over_time', 'stddev_over_time',
                   'stdvar_over_time', 'last_over_time', 'present_over_time', 'absent_over_time']
MATH = ['abs', 'ceil', 'floor', 'sqrt', 'exp', 'ln', 'log2', 'log10', 'sgn', 'sin', 'cos', 'tan', 'atan', 'asinh', 'tanh', 'deg', 'rad',
        'asin', 'acos', 'sinh', 'cosh', 'acosh', 'atanh']
# numbers that change from step to step and always are some
NUMBERS = ['scalar(count(g))', 'scalar(count(limit)) % 4', '(time() / 15) % 5', 'scalar(vector(2)) + 1']
DATES = ['minute', 'hour', 'day_of_week', 'day_of_month', 'day_of_year', 'days_in_month', 'month', 'year']


class Maker:
    """Random expressions by type. exact: evaluated on the samples' own times, where ranges since 3.0
    leave their left edge out; then only functions that do not look at the length of the range."""

    def __init__(self, rnd, at_ms, exact, names):
        self.rnd, self.at_ms, self.exact, self.names = rnd, at_ms, exact, names
        self.inside = 0  # subqueries
        self.deep = True

    def pick(self, *items):
        return self.rnd.choice(items)

    def time(self):
        rnd = self.rnd
        text = ''
        if rnd.random() < 0.12:
            text += ' @ ' + rnd.choice([f'{(self.at_ms - 60000 * rnd.randrange(1, 9)) / 1000:.3f}', 'start()', 'end()'])
        if rnd.random() < 0.15:
            text += ' offset ' + rnd.choice(['1m', '90s', '-30s', '7m'])
        return text

    def selector(self):
        rnd = self.rnd
        name = rnd.choice(METRICS) if not self.names or rnd.random() < 0.75 else rnd.choice(self.names)
        matchers = []
        if rnd.random() < 0.35:
            matchers.append(rnd.choice(['job="api"', 'job!="db"', 'job=~"a.*|web"', 'instance!~"i[01]"', 'instance="i1"', 'zone=""',
                                        'le=~"0.5|1|[+]Inf"', 'missing=~".*"']))
        if rnd.random() < 0.04:
            return '{__name__=~"g2?|limit"' + ''.join(',' + m for m in matchers) + '}'
        return name + ('{' + ','.join(matchers) + '}' if matchers else '')

    def absence(self):
        name = self.pick('nothing', 'short', 'limit', '')
        matchers = self.rnd.sample(['job="api"', 'job!="db"', 'job=~"a.*"', 'instance="i1"', 'zone=""', 'code="7"', 'job="x"'], 2)
        return name + '{' + ','.join(matchers) + '}'

    def duration(self):
        return self.pick('30s', '1m', '2m', '5m', '10m', '17s')

    def matrix(self, depth):
        if depth > 0 and self.rnd.random() < 0.25 and (self.exact or not self.inside):
            self.inside += 1
            inner = self.vector(depth - 1)
            self.inside -= 1
            if not re.fullmatch(r'[\w.]+(\(.*\))?', inner):
                inner = f'({inner})'
            return f'{inner}[{self.duration()}:{self.pick("15s", "30s", "1m", "20s")}]{self.time()}'
        return f'{self.selector()}[{self.duration()}]{self.time()}'

    def scalar(self, depth):
        rnd = self.rnd
        kind = rnd.randrange(8 if depth > 0 else 4)
        if kind < 3:
            return rnd.choice(['0', '1', '2', '-1', '0.5', '100', '1e3', 'NaN', 'Inf', '-Inf', '0.99', '3.7'])
        if kind == 3:
            return rnd.choice(['time()', 'pi()'])
        if kind < 6:
            return f'scalar({self.vector(depth - 1)})'
        op = self.pick('+', '-', '*', '/', '%', '^', 'atan2', '> bool', '== bool')
        return f'({self.scalar(depth - 1)} {op} {self.scalar(depth - 1)})'

    def grouping(self):
        labels = self.rnd.sample(['job', 'instance', 'code', 'zone', 'le', 'missing', '__name__'], self.rnd.randrange(0, 3))
        return self.pick('', f' by ({", ".join(labels)})', f' without ({", ".join(labels)})')

    def matching(self, set_op=False):
        rnd = self.rnd
        text = rnd.choice(['', '', ' on (job, instance)', ' on (job)', ' ignoring (code)', ' ignoring (zone, code)', ' on (instance)', ' ignoring (le)'])
        if text and not set_op and rnd.random() < 0.4:
            text += rnd.choice([' group_left', ' group_right', ' group_left (team)', ' group_left (zone, team)', ' group_right (team)'])
            text += '' if text.endswith(')') else ' ()'
        return text

    def operand(self, depth):
        return '(' + self.vector(depth) + ')'

    def aggregation(self, depth):
        rnd = self.rnd
        op = rnd.choice(['sum', 'avg', 'count', 'min', 'max', 'group', 'stddev', 'stdvar', 'topk', 'bottomk', 'quantile', 'count_values'])
        param = ''
        if op in ('topk', 'bottomk'):
            param = rnd.choice(['1, ', '2, ', '3, ', '0, ', '100, ', rnd.choice(NUMBERS) + ', '])
        elif op == 'quantile':
            param = rnd.choice(['0.5, ', '0.9, ', '0, ', '1, ', '-1, ', '2, ', 'NaN, ', rnd.choice(NUMBERS) + ' / 5, '])
        elif op == 'count_values':
            param = rnd.choice(['"v", ', '"job", '])
        of = self.vector(depth - 1)
        if op == 'count_values':  # digits would be labels
            of = self.selector()
        elif op in ('topk', 'bottomk') and (self.deep or rnd.random() < 0.5):  # without ties
            of = rnd.choice(['g', 'h_sum * 1.1 + on (job, instance) g', 'g offset 1m', '-g'])
        return f'{op}{self.grouping()} ({param}{of})'

    def call(self, depth):
        rnd = self.rnd
        v = self.vector
        kind = rnd.randrange(14)
        if kind < 3:
            name = rnd.choice(MATH)  # what differs in a last digit has any sine at all when it is large
            return f'{name}({self.selector() if name in ("sin", "cos", "tan") else v(depth - 1)})'
        if kind == 3:
            return rnd.choice([f'clamp({v(depth - 1)}, {self.scalar(0)}, {self.scalar(0)})', f'clamp_min({v(depth - 1)}, {self.scalar(0)})',
                               f'clamp_max({v(depth - 1)}, {self.scalar(0)})'])
        if kind == 4:
            return f'round({v(depth - 1)}{self.pick("", ", 5", ", 0.1", ", 0")})'
        if kind == 5:
            return f'{rnd.choice(DATES)}({self.pick("", v(depth - 1), "timestamp(" + self.selector() + ")")})'
        if kind == 6:
            return f'{self.pick("timestamp", "absent")}({v(depth - 1)})' if rnd.random() < 0.6 else f'absent({self.absence()})'
        if kind == 7:
            return f'vector({self.scalar(depth - 1)})'
        if kind == 8:
            return f'label_replace({v(depth - 1)}, "{self.pick("zone", "new", "job")}", "{self.pick("$1-x", "", "$0", "c")}", "{self.pick("job", "instance", "missing")}", "{self.pick("(.*)", "i(.)", "(a)(.+)", "nope")}")'
        if kind == 9:
            sources = rnd.choice(['"job", "instance"', '"missing", "job", "missing"', '"zone"', '"__name__", "le"'])
            return f'label_join({v(depth - 1)}, "{self.pick("new", "job", "zone")}", "{self.pick("-", "", ", ")}", {sources})'
        if kind < 12:
            of = ['h_bucket', 'sum by (job, le) (h_bucket)', "h_bucket{le!='+Inf'}", 'rate(h_bucket[5m])', 'increase(h_bucket[2m])']
            phi = self.pick('0.5', '0.9', '0', '1', '-1', '1.5', 'NaN', self.pick(*NUMBERS) + ' / 10')
            return f'histogram_quantile({phi}, {rnd.choice(of[:3] if self.exact else of)})'
        return f'{self.pick("sort", "sort_desc")}({v(depth - 1)})'

    def over_range(self, depth):
        rnd = self.rnd
        names = [f for f in RANGE_FUNCTIONS if not self.exact or f not in ('rate', 'increase', 'delta')]
        kind = rnd.randrange(len(names) + 4)
        if kind < len(names):
            return f'{names[kind]}({self.matrix(depth)})'
        if kind == len(names):
            return f'quantile_over_time({self.pick("0.5", "0.25", "1", "-0.5", "NaN", self.pick(*NUMBERS) + " / 4")}, {self.matrix(depth)})'
        if kind == len(names) + 1:
            return f'absent_over_time({self.absence()}[{self.duration()}]{self.time()})'
        if kind == len(names) + 2:
            return f'{SMOOTHING}({self.matrix(depth)}, {self.pick("0.5", "0.1", "0.99")}, {self.pick("0.5", "0.3")})'
        return f'predict_linear({self.matrix(depth)}, {self.pick("60", "3600", "-10")})'

    def join(self, left, op, matching, right):
        if op == 'atan2':
            return f'(({left}) atan2{matching} ({right}){MARK})'
        return f'{left} {op}{matching} {right}'

    def binary(self, depth):
        rnd = self.rnd
        kind = rnd.randrange(10)
        op = self.pick('+', '-', '*', '/', '%', '^', 'atan2', '==', '!=', '>', '<', '>=', '<=', '== bool', '> bool', '< bool', '>= bool', '<= bool', '!= bool')
        if kind < 2:
            return f'{self.operand(depth - 1)} {self.pick("and", "or", "unless")}{self.matching(True)} {self.operand(depth - 1)}'
        if kind < 5:
            return self.join(self.operand(depth - 1), op, self.matching(), self.operand(depth - 1))
        if kind < 7:  # sides that are likely to match
            return self.join(self.selector(), op, self.matching(), self.selector())
        sides = [self.operand(depth - 1), self.scalar(depth - 1)]
        rnd.shuffle(sides)
        return self.join(sides[0], op, '', sides[1])

    def vector(self, depth):
        rnd = self.rnd
        if depth <= 0:
            return self.selector() + self.time()
        kind = rnd.randrange(20)
        if kind < 2:
            return self.selector() + self.time()
        if kind < 7:
            return self.over_range(depth)
        if kind < 11:
            return self.call(depth)
        if kind < 15:
            return self.aggregation(depth)
        if kind < 16:
            return '-' + self.operand(depth - 1)
        return self.binary(depth)

    def any(self, instant):
        kind = self.rnd.randrange(20)
        if kind == 0:
            return self.scalar(2)
        if kind == 1 and instant:
            return self.matrix(1)
        depth = self.rnd.choice([1, 1, 2, 2, 3])
        self.deep = depth > 1
        return self.vector(depth)


SMOOTHING = 'double_exponential_smoothing'  # 2.42 has it by another name
UNIT_MS = {'ms': 1, 's': 1000, 'm': 60000, 'h': 3600000}


def closed(text):
    """For 2.42, whose ranges hold their left edge: a millisecond less of it."""
    def less(found):
        return f'[{int(found[1]) * UNIT_MS[found[2]] - 1}ms{found[3]}]'
    return re.sub(r'\[(\d+)(ms|s|m|h)((?::\w*)?)\]', less, text)


# ---- asking and comparing ----

def ask(url, path, params):
    request = urllib.request.Request(url + path, urllib.parse.urlencode(params).encode())
    try:
        with urllib.request.urlopen(request, timeout=60) as r:
            return json.load(r)
    except urllib.error.HTTPError as e:
        body = e.read()
        try:
            return json.loads(body)
        except ValueError:
            return {'status': 'error', 'errorType': f'http {e.code}', 'error': body.decode(errors='replace')}


def key(series):
    return json.dumps(series['metric'], sort_keys=True)


def points(series):
    return [series['value']] if 'value' in series else series['values']


def close(a, b, relative):
    x, y = float(a), float(b)
    if a == b or (math.isnan(x) and math.isnan(y)):
        return True
    if math.isnan(relative):
        return math.isnan(y)
    if relative == math.inf:
        return True
    return abs(x - y) <= relative * max(abs(x), abs(y), 1)


SUMS = re.compile(r'\b(sum|avg|stddev|stdvar|avg_over_time|sum_over_time|stddev_over_time|stdvar_over_time|deriv|predict_linear|histogram_quantile|quantile|quantile_over_time)\b')
CALLS = re.compile(r'\b(exp|ln|log2|log10|a?sin|a?cos|a?tan|a?sinh|a?cosh|a?tanh|atan2|deg|rad)\b|\^')
RATES = re.compile(r'\b(rate|increase)\b')


def same_values(want, got, relative):
    if len(want) != len(got):
        return False
    return all(w[0] == g[0] and (w[1] == g[1] if relative is None else close(w[1], g[1], relative)) for w, g in zip(want, got))


def same_data(want, got, ordered, relative=None):
    if want['resultType'] != got['resultType']:
        return False
    if want['resultType'] in ('scalar', 'string'):
        return same_values([want['result']], [got['result']], relative)
    a, b = want['result'], got['result']
    if not ordered:
        a, b = sorted(a, key=key), sorted(b, key=key)
    return len(a) == len(b) and all(x['metric'] == y['metric'] and same_values(points(x), points(y), relative) for x, y in zip(a, b))


def plain(value):
    """To sort by: zeros are equal, and so are those that are no numbers."""
    return 'NaN' if value == 'NaN' else str(float(value) + 0.0)


def values_of(vector):
    return sorted(plain(p['value'][1]) for p in vector['result'])


def without_nan(data):
    if data['resultType'] not in ('vector', 'matrix'):
        return data
    kept = [{'metric': s['metric'], 'values': [p for p in points(s) if p[1] != 'NaN']} for s in data['result']]
    return {'resultType': 'matrix', 'result': [s for s in kept if s['values']]}


def same_by_step(want, got):
    """The same values at each step, whichever series have them."""
    sides = []
    for data in (want, got):
        by = collections.defaultdict(list)
        for series in data['result']:
            for at, value in series['values']:
                by[at].append(plain(value))
        sides.append({at: sorted(values) for at, values in by.items()})
    return sides[0] == sides[1]


def judge(text, instant, want, got):
    """None: the same; a class of EXPLAINED; or '' for what nothing explains."""
    if want['status'] != got['status']:
        return ''
    if want['status'] == 'error':
        return None if want['errorType'] == got['errorType'] else ''
    if want.get('warnings') and not got.get('warnings'):
        return ''
    # matrices are sorted; of vectors only sort() promises an order
    ordered = not instant or want['data']['resultType'] == 'matrix' or re.match(r'sort(_desc)?\(', text) is not None
    want, got = want['data'], got['data']
    if same_data(want, got, ordered):
        return None
    if ordered and instant and same_data(want, got, False):
        return 'ties' if want['resultType'] == 'vector' and [p['value'][1] for p in want['result']] == [p['value'][1] for p in got['result']] else ''
    if SUMS.search(text) and same_data(want, got, False, 1e-9):
        return 'last digits of sums'
    if instant and re.match(r'(topk|bottomk)\b', text) and values_of(want) == values_of(got):
        return 'ties'
    if not instant and re.match(r'(topk|bottomk)\b', text) and same_by_step(want, got):
        return 'ties'
    if '@' in text and re.search(r'predict_linear|quantile_over_time\([^,]*(time|scalar)\(', text):
        return 'changing numbers with @'
    if re.search(r'timestamp\([^()]*@[^()]*(\(\))? offset', text):
        return 'timestamp with @'
    if re.fullmatch(r'\(.*@.*\)\[.*:.*\].*', text.split('   ')[0]) and not got['result']:
        return 'subqueries of no steps'
    if SUMS.search(text) and 'odd' in text and same_data(want, got, False, math.inf):
        return 'extreme sums'
    if re.search(r'\b(stddev|stdvar)\b', text) and (same_data(want, got, False, math.nan) or same_data(without_nan(want), without_nan(got), False)):
        return 'deviation of NaN'
    if RATES.search(text) and same_data(want, got, False, math.inf):
        return 'edge of rate'
    if CALLS.search(text) and same_data(want, got, False, 1e-11):
        return 'last digits of functions'
    return ''


class Pair:
    def __init__(self, folder, binary=RELEASE, pages=None, seed=1):
        folder = pathlib.Path(folder)
        self.start_ms = (int(time.time()) // 60 - 40) * 60000
        rnd = random.Random(seed)
        config = 'global: {scrape_interval: 1h}\n'
        # 2.42 holds the left edge of the lookback too
        lookback = '--query.lookback-delta='
        self.brasa = Brasa(config, folder / 'brasa', binary, ['--web.enable-remote-write-receiver', '--enable-feature=promql-experimental-functions', lookback + '300000ms'])
        port = free_port()
        (folder / 'peer.yml').write_text(config)
        self.peer = Process([need('prometheus'), f'--config.file={folder}/peer.yml', f'--storage.tsdb.path={folder}/peer',
                             f'--web.listen-address=127.0.0.1:{port}', '--web.enable-remote-write-receiver', lookback + '299999ms'],
                            folder / 'peer.log')
        self.peer_url = f'http://127.0.0.1:{port}'
        wait_for(lambda: urllib.request.urlopen(self.peer_url + '/-/ready', timeout=2).status == 200, what='prometheus')
        series = odd_data(rnd, self.start_ms)
        recorded = recorded_data(pathlib.Path(pages), self.start_ms) if pages else []
        self.names = sorted({labels['__name__'] for labels, _ in recorded})
        self.series = sorted_by_labels(series + recorded)
        self.samples = sum(len(s) for _, s in self.series)
        for url in (self.brasa.url, self.peer_url):
            write(url, self.series)

    def stop(self):
        self.peer.stop()
        return self.brasa.stop()

    def one(self, rnd):
        """text, judgement, (want, got)"""
        exact = rnd.random() < 0.2
        shift_ms = rnd.choice([PHASE_MS, 0, 5000] if exact else [7123, 1, 14999, 3501])
        at_ms = self.start_ms + rnd.randrange(3, SAMPLES) * STEP_MS + shift_ms
        instant = rnd.random() < 0.5
        made = Maker(rnd, at_ms, exact, self.names).any(instant)
        text = made.replace(MARK, '')
        old = (closed(made) if exact else made).replace(MARK, ' * 1').replace(SMOOTHING, 'holt_winters')
        if instant:
            path, params = '/api/v1/query', {'time': f'{at_ms / 1000:.3f}'}
        else:
            step = rnd.choice([15, 30, 60, 7, 45])
            path = '/api/v1/query_range'
            params = {'start': f'{at_ms / 1000 - step * rnd.randrange(0, 12):.3f}', 'end': f'{at_ms / 1000:.3f}', 'step': step}
        want = ask(self.peer_url, path, {**params, 'query': old})
        got = ask(self.brasa.url, path, {**params, 'query': text})
        found = judge(text, instant, want, got)
        if found == '' and 'multiple matches for labels' in got.get('error', ''):
            again = ask(self.peer_url, path, {**params, 'query': FILTER.sub(r' \1 bool', old)})
            found = 'matches of filters' if 'multiple matches for labels' in again.get('error', '') else ''
        return f'{text}   {path} {params}', found, (want, got)

    def campaign(self, count, seed, verbose=False):
        counts, failures = collections.Counter(), []
        for i in range(count):
            text, found, answers = self.one(random.Random(f'{seed}/{i}'))
            if found is None:
                counts['same'] += 1
                data = answers[0].get('data')
                counts['same, an error' if data is None else 'same, empty' if data['result'] == [] else 'same, with values'] += 1
            elif found:
                counts[found] += 1
            else:
                counts['unexplained'] += 1
                failures.append((i, text, answers))
                if verbose:
                    print(f'--- {seed}/{i}: {text}\n  2.42: {json.dumps(answers[0])[:700]}\n brasa: {json.dumps(answers[1])[:700]}', flush=True)
        return counts, failures


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--queries', type=int, default=2000)
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--pages')
    p.add_argument('--brasa', default=RELEASE)
    p.add_argument('--verbose', action='store_true')
    args = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pair = Pair(folder, args.brasa, args.pages, args.seed)
        began = time.monotonic()
        counts, failures = pair.campaign(args.queries, args.seed, args.verbose)
        print(f'{args.queries} queries over {len(pair.series)} series, {pair.samples} samples, {time.monotonic() - began:.0f} s')
        for what, n in counts.most_common():
            print(f'{n:6} {what}' + (f'  (section {EXPLAINED[what]})' if what in EXPLAINED else ''))
        pair.stop()
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
