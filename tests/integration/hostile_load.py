"""Hostile queries and the data they are asked of: for the end-to-end test and for the bench driver."""
import struct
import threading
import time

import requests

from wire import field, snappy, varint

# ---- data: one remote write request a thousand series ----

def label(name, value):
    return field(1, field(1, name.encode()) + field(2, value.encode()))


def push(url, series, samples):
    body = b''.join(field(1, b''.join(label(k, v) for k, v in sorted(s.items())) + samples) for s in series)
    r = requests.post(f'{url}/api/v1/write', data=snappy(body), timeout=60,
                      headers={'Content-Type': 'application/x-protobuf', 'Content-Encoding': 'snappy'})
    assert r.status_code == 204, r.text


def load(url, count, samples, heavy=0, step_ms=15000):
    """count series of so many samples up to now, and heavy ones with a label of a kilobyte each."""
    now_ms = int(time.time() * 1000)

    def run_of(n):
        return b''.join(
            field(2, b'\x09' + struct.pack('<d', i * 1.5) + b'\x10' + varint(now_ms - (n - 1 - i) * step_ms))
            for i in range(n))
    names = [{'__name__': 'load_total' if i % 2 else 'load_bucket', 'instance': f'host-{i % 50}', 'i': str(i),
              'le': str(i % 13), 'zone': 'a' * 40 + str(i % 7)} for i in range(count)]
    per_push = max(1, 240000 // samples)
    run = run_of(samples)
    for at in range(0, count, per_push):
        push(url, names[at:at + per_push], run)
    run = run_of(4)
    for at in range(0, heavy, 500):
        push(url, [{'__name__': 'heavy', 'instance': f'host-{i % 50}', 'i': str(i), 'text': f'{i}' + 'ab' * 500}
                   for i in range(at, min(at + 500, heavy))], run)
    return now_ms / 1000


# ---- queries ----

INSTANT = [
    'max_over_time(sum_over_time(load_total[30m])[1h:1s])',
    'max_over_time(max_over_time(max_over_time(load_total[10m])[30m:1s])[1h:1s])',
    'vector(1)[1y:1ms]',
    'count_over_time(vector(time())[1y:1s])',
    'quantile_over_time(0.9, load_total[1h])[1h:1s]',
    '{__name__=~".+"}[1h]',
    'sort_desc(quantile_over_time(0.5, rate(load_total[10m])[50m:1s]))',
    'label_replace(sum_over_time(load_total[50m]), "x", "$1", "zone", "(a*)*(a*)*(a*)*b?.*")',
    'count({zone=~"((a|aa){1,400}.{0,9}){1,2}b"}) or label_replace(load_total, "x", "$1", "zone", "(.*)((a|aa){1,400}.{0,9}){1,2}b")',
    'sum_over_time((load_total * on(i) load_total)[1h:1s])',
    'stddev_over_time(sum by (zone) (load_total)[1h:10ms])',
    'label_join(sum_over_time(load_total[1h]), "x", ",", "i", "zone", "instance")[10m:100ms]',
    'sum(sum_over_time({zone=~"(a|aa|aaa|aaaa)*.(a|aa)*.(a|aaa)*[0-9]"}[1h:1s]))',
]
RANGE = [
    'rate(load_total[1h])',
    'quantile_over_time(0.9, load_total[1h])',
    'sum by (i) (stddev_over_time(load_total[1h]))',
    'topk(1000, load_total)',
    'quantile by (zone) (0.5, load_total)',
    'count_values("v", load_total)',
    'histogram_quantile(0.9, load_bucket)',
    'histogram_quantile(0.9, sum by (le, zone) (rate(load_bucket[50m])))',
    'predict_linear(load_total[1h], 3600)',
    'double_exponential_smoothing(load_total[1h], 0.5, 0.5)',
    'load_total or load_bucket unless on(zone) load_total',
    'load_total * on(i) group_left(zone) load_total',
    'label_replace(load_total, "x", "$1", "zone", "(a|aa)+(.*)")',
    'absent_over_time(load_total[1h]) or sort_by_label(load_total, "zone", "i")',
    'mad_over_time(load_total[1h])',
    'sum without (zone) (deriv(load_total[1h]))',
    ' + '.join(['load_total'] * 120),
    '-' * 200 + 'load_total',
]
# Over series with labels of a kilobyte: for the driver, which loads some.
HEAVY = [
    ('label_replace(heavy, "x", "$1", "text", "((a|b|ab)+)c?.*")', True),
    ('count by (text) ({text=~"(ab|ba|a)*[0-9]*.*b"})', False),
    ('sort_by_label(heavy, "text")', True),
    ('label_join(heavy, "y", "-", "text", "text", "text", "text")', False),
    ('heavy * on(text) group_left(i) heavy', True),
    ('count({text=~".*(aba|bab){1,500}b.*"})', True),
    ('topk(10, count by (__name__, text) ({__name__=~".+"}))', True),
    ('heavy or heavy unless on(text) heavy', False),
]


def params_of(n, now, timeout_s, heavy=False):
    timeout = {'timeout': str(timeout_s)}
    over_range = {'start': now - 3600, 'end': now, 'step': '0.33', **timeout}
    if heavy and n % 4 == 3:
        text, instant = HEAVY[n // 4 % len(HEAVY)]
        return ('/api/v1/query', {'query': text, 'time': now, **timeout}) if instant else \
            ('/api/v1/query_range', {'query': text, **over_range})
    if n % 3 == 0:
        return '/api/v1/query', {'query': INSTANT[n // 3 % len(INSTANT)], 'time': now, **timeout}
    return '/api/v1/query_range', {'query': RANGE[n % len(RANGE)], **over_range}


def ask(url, n, now, timeout_s, results, heavy=False):
    path, params = params_of(n, now, timeout_s, heavy)
    began = time.monotonic()
    try:
        r = requests.post(f'{url}{path}', data=params, timeout=60, stream=True)
        size = sum(len(piece) for piece in r.iter_content(1 << 20))
        results[n] = (r.status_code, size, time.monotonic() - began, params['query'])
    except requests.RequestException as e:
        results[n] = (type(e).__name__, 0, time.monotonic() - began, params['query'])


def ask_all(url, now, count, timeout_s, to, heavy=False, first=0):
    """In a process of its own, so that these clients do not keep the one who measures waiting."""
    results = {}
    clients = [threading.Thread(target=ask, args=(url, first + n, now, timeout_s, results, heavy))
               for n in range(count)]
    for c in clients:
        c.start()
    for c in clients:
        c.join()
    to.put(results)


class Sampler:
    """Calls a function again and again in a thread of its own until it is left."""

    def __init__(self, pause, call):
        self.values, self.pause, self.call, self.error = [], pause, call, None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.over.is_set() and self.error is None:
            try:
                self.values.append(self.call())
            except Exception as e:
                self.error = e
            time.sleep(self.pause)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *why):
        self.over.set()
        self.thread.join()
        assert self.error is None, self.error
