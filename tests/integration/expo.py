"""A slow, simple reader of the text format, for comparing with: {series: text of the value}."""
import re

LINE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})?\s+(\S+)(?:\s+(-?\d+))?$')
PAIR = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


def unescape(text):
    return re.sub(r'\\(.)', lambda m: {'n': '\n'}.get(m[1], m[1] if m[1] in '\\"' else '\\' + m[1]), text)


def openmetrics_float(text):
    v = float(text)
    if v != v or v in (float('inf'), float('-inf')):
        return {'nan': 'NaN', 'inf': '+Inf', '-inf': '-Inf'}[str(v)]
    if v == int(v) and abs(v) < 1e6:
        return f'{v:.1f}'
    shortest = repr(v)
    exponent = int(f'{v:e}'.split('e')[1])
    if -4 <= exponent < 6:
        return shortest
    mantissa = f'{v:.17e}'.split('e')[0]
    for digits in range(17):
        if float(f'{v:.{digits}e}') == v:
            mantissa = f'{v:.{digits}e}'.split('e')[0]
            break
    return f'{mantissa}e{"-" if exponent < 0 else "+"}{abs(exponent):02d}'


def read(page):
    """{frozenset(label pairs): value text}; le and quantile as Prometheus stores them."""
    types, out, kind = {}, {}, None
    for line in page.decode().split('\n'):
        if line.startswith('# TYPE '):
            kind = line.split(' ')[3]
        if not line or line[0] == '#':
            continue
        m = LINE.match(line)
        assert m, line
        labels = {k: unescape(v) for k, v in PAIR.findall(m[2] or '')}
        for name, of in (('le', 'histogram'), ('quantile', 'summary')):
            if name in labels and kind == of:
                labels[name] = openmetrics_float(labels[name])
        labels = {k: v for k, v in labels.items() if v}
        labels['__name__'] = m[1]
        out[frozenset(labels.items())] = m[3]
    return out
