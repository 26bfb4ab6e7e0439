"""Pages of real programs for the differential tests: recorded exporters, Python's client library in
the formats it writes, and the same families in protobuf by an encoder of our own."""
import random
import struct
import subprocess

from conftest import SHARED
from differential import OPENMETRICS, TEXT, Answer, Case
from differential_cases import NOW_MS
from wire import varint

CORPUS = SHARED / 'data/corpus.tar.zst'
PROTOBUF = 'application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited'


# ---- recorded pages ----

def recorded_pages(folder):
    """The pages of each exporter in their order; none where there are no recordings."""
    if not CORPUS.exists():
        return []
    subprocess.run(['tar', '-C', folder, '--use-compress-program=zstd -T1', '-xf', CORPUS], check=True)
    return [sorted(p.glob('*.txt')) for p in sorted(folder.rglob('*')) if p.is_dir() and any(p.glob('*.txt'))]


def recorded_cases(folder, targets, answers):
    """Consecutive pages of each recorded exporter; the targets of one begin at different times, and
    some miss a page or get one cut off."""
    out, rng = [], random.Random(7)
    for pages in recorded_pages(folder):
        for n in range(targets):
            first = rng.randrange(len(pages) - 4 * answers)
            chosen = [Answer(p.read_bytes(), TEXT) for p in pages[first:first + 4 * answers:4]]
            if n % 3 == 1:
                chosen[answers // 2] = Answer(b'gone', status=503)
            elif n % 3 == 2:
                chosen[answers // 2].cut = len(chosen[answers // 2].body) // 2
            out.append(Case(f'recorded: {pages[first].parent.name} from {pages[first].name}', chosen))
    return out


# ---- pages of a client library ----

def client_registry(rng):
    """A registry with every type, and a function that lets time pass in it."""
    import prometheus_client as client
    r = client.CollectorRegistry()
    requests = client.Counter('app_requests', 'Requests \\ by\n"path".', ['path', 'code'], registry=r)
    queue = client.Gauge('app_queue_length', 'Jobs that wait.', ['queue'], registry=r)
    seconds = client.Histogram('app_request_seconds', 'How long.', ['path'], buckets=(.001, .1, 1, 1e6), registry=r)
    sizes = client.Summary('app_size_bytes', 'How much.', registry=r)
    state = client.Enum('app_state', 'What it does.', states=['starting', 'running', 'stopped'], registry=r)
    client.Info('app_build', 'What it is.', registry=r).info({'version': '1.2', 'odd': 'a"b\\c\nd é'})
    client.Gauge('app_odd', 'Odd values.', ['is'], registry=r)

    def tick(n):
        for path in ('/', '/a"b', '/é\n', '/c\\d'):
            for code in ('200', '500')[:1 + n % 2]:
                requests.labels(path, code).inc(rng.randint(0, 1000), exemplar={'trace_id': f't{n}'})
            seconds.labels(path).observe(rng.random() * 10 ** rng.randint(-4, 7), exemplar={'trace_id': f's{n}'})
        queue.labels('q').set(rng.choice([0, -1.5, 1e300, float('inf'), float('nan'), 12345678901234567890]))
        if n % 2:
            queue.labels('now and then').set(n)
        else:
            queue.remove('now and then') if n else None
        sizes.observe(rng.random() * 1e9)
        state.state(['starting', 'running', 'stopped'][n % 3])
    return r, tick


def client_cases(count, answers):
    from prometheus_client.exposition import generate_latest
    from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
    out = []
    for i in range(count):
        rng = random.Random(100 + i)
        registry, tick = client_registry(rng)
        pages = {'text': [], 'OpenMetrics': [], 'protobuf': []}
        for n in range(answers):
            tick(n)
            pages['text'].append(Answer(generate_latest(registry), TEXT))
            pages['OpenMetrics'].append(Answer(generate_openmetrics(registry), OPENMETRICS))
            pages['protobuf'].append(Answer(protobuf_page(registry.collect()), PROTOBUF))
        mixed = [pages[rng.choice(list(pages))][n] for n in range(answers)]
        out += [Case(f'client {i}: {fmt}', chosen) for fmt, chosen in pages.items()] + [Case(f'client {i}: formats change', mixed)]
    return out


# ---- protobuf ----

def field(number, payload):
    """bytes and str: length-delimited; float: fixed64; int: varint."""
    if isinstance(payload, float):
        return varint(number << 3 | 1) + struct.pack('<d', payload)
    if isinstance(payload, int):
        return varint(number << 3) + varint(payload)
    raw = payload.encode() if isinstance(payload, str) else payload
    return varint(number << 3 | 2) + varint(len(raw)) + raw


KINDS = {'counter': (0, 3), 'gauge': (1, 2), 'summary': (2, 4), 'untyped': (3, 5), 'histogram': (4, 7)}


def value_of(family, samples):
    """The message of one metric's value."""
    by_suffix = {s.name[len(family.name):]: s.value for s in samples}
    if family.type == 'histogram':
        buckets = b''.join(field(3, field(1, int(s.value)) + field(2, float(s.labels['le']))) for s in samples if s.name.endswith('_bucket'))
        return field(1, int(by_suffix['_count'])) + field(2, float(by_suffix['_sum'])) + buckets
    if family.type == 'summary':
        return field(1, int(by_suffix['_count'])) + field(2, float(by_suffix['_sum']))
    return field(1, float(samples[0].value))


def protobuf_family(family):
    """Names as the Go client has them: counters with their suffix, info and enum as gauges."""
    kind, number = KINDS.get(family.type, KINDS['gauge'])
    name = family.name + {'counter': '_total', 'info': '_info'}.get(family.type, '')
    metrics = {}
    for s in family.samples:
        if not s.name.endswith('_created'):
            key = tuple(sorted((k, v) for k, v in s.labels.items() if k != 'le'))
            metrics.setdefault(key, []).append(s)
    out = field(1, name) + field(2, family.documentation) + field(3, kind)
    for labels, samples in metrics.items():
        pairs = b''.join(field(1, field(1, k) + field(2, v)) for k, v in labels)
        out += field(4, pairs + field(number, value_of(family, samples)))
    return varint(len(out)) + out


def protobuf_page(families):
    return b''.join(protobuf_family(f) for f in families if f.samples)


def hostile_protobuf_cases():
    """Whole pages with broken ones between."""
    def family(kind=1, name='m', labels=field(1, field(1, 'a') + field(2, 'x')), value=field(2, field(1, 1.5)), tail=b''):
        out = field(1, name) + field(2, 'help') + field(3, kind) + field(4, labels + value) + tail
        return varint(len(out)) + out
    good = family()
    broken = {
        'cut off': good[:-3], 'a length beyond the page': b'\xff\x01' + good[1:], 'a varint without end': b'\xff' * 20, 'a label without a name': family(labels=field(1, field(2, 'x'))),
        'a name that is no UTF-8': family(name=b'\xff'), 'a label value that is no UTF-8': family(labels=field(1, field(1, 'a') + field(2, b'\xff'))),
        'a wrong wire type': family(value=field(2, field(1, 7))), 'a type that is not known': family(kind=17), 'behind a good one': good + b'\x05\x01', 'text': b'a 1\n',
        'a label twice': family(labels=2 * field(1, field(1, 'a') + field(2, 'x'))),
    }
    legal = {
        'a family without metrics': varint(len(field(1, 'n'))) + field(1, 'n') + good, 'fields that are not known': family(tail=field(99, 'x') + field(100, 3) + field(101, 1.0)),
        'an own time': family(labels=field(6, NOW_MS - 20000)), 'an untyped one': family(3, value=field(5, field(1, -0.0))), 'the same family twice': good + good, 'nothing': b'',
        'a histogram without +Inf': family(4, value=field(7, field(1, 3) + field(2, 1.0) + field(3, field(1, 1) + field(2, 0.5)))),
        'a summary': family(2, value=field(4, field(1, 3) + field(2, 1.0) + field(3, field(1, 0.5) + field(2, 7.0)))),
    }
    page = Answer(good + family(0, 'n_total', value=field(3, field(1, 2.0))), PROTOBUF)
    return ([Case(f'protobuf, broken: {what}', [page, Answer(body, PROTOBUF), page, Answer(body, PROTOBUF)]) for what, body in broken.items()] +
            [Case(f'protobuf: {what}', [page, Answer(body, PROTOBUF), page, Answer(body, PROTOBUF)]) for what, body in legal.items()])
