"""The cases of the differential tests: hand-made lines, limits, staleness, and generated ones."""
import gzip
import random
import re
import time

from differential import OPENMETRICS, TEXT, Answer, Case

NOW_MS = int(time.time()) * 1000

# ---- single lines of the text format ----

LEGAL_TEXT = [
    b'a 1', b'a\t1', b'a \t 1', b'a{} 1', b'a{ } 1', b'a {b="c"} 1', b'a {b="c"}1', b'a{b="c"}\t1', b'a { b = "c" , } 1',
    b'a{b="c",} 1', b'a{b="c" d="e"} 1', b'a{b="c",d="e"} 1 ', b'a{b="c"} 1\t', b'a{b=""} 1', b'a{b="",c="d"} 1',
    b'a{b="\\"\\\\\\n"} 1', b'a{b="\\t\\x"} 1', b'a{b="raw\nline"} 1', b'a{b="\xc3\xa9\xf0\x9f\x8d\xb0"} 1', b'a{b="{}#,= "} 1',
    b'a{b="\x00"} 1', b'a{b="\r"} 1', b':a:b 1', b'_ 1', b'A9 1', b'HELP 1', b'TYPE 1', b'a{HELP="x"} 1', b'a{__x="y"} 1',
    b'a .5', b'a 5.', b'a -.5', b'a +5', b'a 1e3', b'a 1E+3', b'a 1e-3', b'a 00017', b'a -0', b'a +0.0', b'a 1e-400', b'a -1e-400',
    b'a 4.9e-324', b'a 2.2250738585072011e-308', b'a 1.7976931348623157e308', b'a 9007199254740993', b'a 0.1000000000000000055511151231257827',
    b'a 123456789012345678901234567890', b'a Inf', b'a +inf', b'a -INF', b'a infinity', b'a -Infinity', b'a NaN', b'a nan', b'a nAn',
    b'#', b'# ', b'#a', b'# comment', b'#\tx', b'# HELP', b'# TYPE', b'# HELP a', b'# HELP a ', b'# HELP a  two  ', b'# HELP a x\\ny\\\\z\\q',
    b'#  HELP a text', b'#\tHELP\ta\ttext', b'# TYPE a gauge', b'# TYPE a untyped', b'# TYPE a summary\na{quantile="0.5"} 1',
    b'# TYPE a histogram\na_bucket{le="0.5"} 1\na_bucket{le="+Inf"} 2\na_sum 3\na_count 2', b'# TYPE a counter\n# TYPE b gauge\na 1\nb 2',
    b'# EOF', b'# UNIT a seconds', b'# EOF\na 1', b'# HELP a \xc3\xa9', b'', b'   ', b'\t', b'\n\n', b'a 1\na 1', b'a 1\na 2', b'a{b="c"} 1\na{b="c",} 2',
    b'a{b="c",d="e"} 1\na{d="e",b="c"} 2', b'foo-1', b'foo+Inf', b'a{b="c"}-1', b'a{b="c"}.5', b'# HELP a text\n# HELP a other',
    b'a{b="c"} 1 %d' % (NOW_MS - 20000), b'a 1 %d\t' % (NOW_MS - 20000), b'a{b="c"} 1\t%d' % (NOW_MS - 20000), b'a 1 00%d' % (NOW_MS - 20000),
    b'a 1 %d' % (NOW_MS + 120000), b'a 1 %d' % (NOW_MS + 10**7), b'a 1 %d' % (NOW_MS - 10**8), b'a 1 0', b'a 1 9223372036854775807',
    b'a 1 %d\na 2 %d' % (NOW_MS - 20000, NOW_MS - 20000), b'a 1 %d\na 2 %d' % (NOW_MS - 20000, NOW_MS - 30000),
    b'a 1 %d\na 2 %d' % (NOW_MS - 30000, NOW_MS - 20000), b'a{instance="mine",job="own"} 1', b'a{exported_job="x",job="own"} 1',
    b'a{case="mine"} 1', b'a{exported_case="x",case="mine",exported_exported_case="y"} 1', b'# TYPE a histogram\na_bucket{le="1"} 1\nq{le="x"} 1',
    b'up{instance="other"} 0', b'a' * 2000 + b' 1', b'a{b="' + b'v' * 5000 + b'"} 1',
    b'a{' + b','.join(b'l%d="v"' % i for i in range(60)) + b'} 1',
]

BAD_TEXT = [
    b'a', b'a ', b'a{', b'a{b', b'a{b=', b'a{b="', b'a{b="c', b'a{b="c"', b'a{b="c",', b'a{b="c"}', b'a{b="c"} ', b'a{b=c} 1', b"a{b='c'} 1",
    b'a{b "c"} 1', b'a{b=="c"} 1', b'a{="c"} 1', b'a{b} 1', b'a{,} 1', b'a{,b="c"} 1', b'a{b="c",,} 1', b'a{b="c",,d="e"} 1', b'a{b="c";d="e"} 1',
    b'a{b="c"}} 1', b'a{{b="c"} 1', b'a}b="c"} 1', b'a{b="c"}{d="e"} 1', b'a{1b="c"} 1', b'a{b-c="d"} 1', b'a{b.c="d"} 1', b'a{b:c="d"} 1',
    b'a{\xc3\xa9="d"} 1', b'1a 1', b'-a 1', b'.a 1', b'a.b 1', b'a-b 1', b'\xc3\xa9 1', b'a\xc3\xa9 1', b'$a 1', b'@ 1', b'= 1', b'} 1', b'; 1',
    b'a 1 1 1', b'a 1 x', b'a 1 -5', b'a 1 +5', b'a 1 1.5', b'a 1 1e3', b'a 1 0x10', b'a 1 9223372036854775808', b'a 1 99999999999999999999999',
    b'a 1 # x', b'a 1 # {id="x"} 1', b'a 1#', b'a 1 {', b'a 1{', b'a 1,', b'a 1 ,', b'a one', b'a true', b'a 0x10', b'a 0x1p4', b'a 1p4', b'a 1P4',
    b'a 1_000', b'a 1e', b'a 1e+', b'a e5', b'a .', b'a -', b'a +', b'a +-1', b'a --1', b'a 1.2.3', b'a 1,5', b'a 1e400', b'a -1e400', b'a 1e5e5',
    b'a infi', b'a in', b'a infinit', b'a nanx', b'a -nan', b'a +nan', b'a 1\r', b'\ra 1', b'a\r 1', b'a 1 5\r', b'a\x0b1', b'a \x0c1', b'a\xc2\xa01',
    b'# TYPE a foo', b'# TYPE a', b'# TYPE a ', b'# TYPE a Gauge', b'# TYPE a gauge ', b'# TYPE a  gauge', b'# TYPE a gauge x', b'# TYPE a unknown',
    b'# TYPE a info', b'# TYPE a stateset', b'# TYPE a gaugehistogram', b'# TYPE 1a gauge', b'# HELP 1a x', b'# HELP {a} x', b'# HELP  ', b'# TYPE  ',
    b'# HELP a \xff', b'# TYPE a.b gauge', b'# HELP a.b text', b'a{b="\xff"} 1', b'a{b="\xc3"} 1', b'a{b="\xed\xa0\x80"} 1', b'a{b="\xc0\x80"} 1',
    b'a{b="c\\"} 1', b'a{b="c\\\n"} 1', b'a{b="c" "d"} 1', b'a{b="c"d="e"} 1', b'a\x00 1', b'a{b\x00="c"} 1', b'a 1\x00', b'a \x001', b'a{\x00} 1',
    b'a{b="c",b="d"} 1', b'a{b="c",b="c"} 1', b'a{__name__="b"} 1', b'{__name__="b"} 1', b'{b="c"} 1', b'{} 1', b'{', b'{a="b"', b'"', b'"a" 1',
    b'HELP a text', b'a b c', b'a 1 2 3 4', b'a{b="c"} {d="e"} 1', b'a{b="c"}  ', b'a{b="c"}\t', b'\\ 1', b'a\\n 1', b'a{b=\\"c\\"} 1', b'a{b="c"}"1"',
    b'<html>', b'<!DOCTYPE html>', b'{"a": 1}', b'a: 1', b'a = 1', b'a=1', b'[1]', b'a[1] 1', b'a() 1', b'a{b=~"c"} 1', b'a{b!="c"} 1', b'a # 1', b'/ 1',
    b'a 1 %d %d' % (NOW_MS, NOW_MS), b'a 1 %d.5' % NOW_MS, b'a NaN NaN', b'a 1 Inf', b'a{b="c"} x 1', b'\xef\xbb\xbfa 1', b'\xff\xfea 1',
]

# A NUL ends the input silently at some places (spec 5.1).
NUL_TEXT = [b'\x00', b'\x00garbage {{{', b'#\x00', b'#x\x00 y', b'# x\x00y', b'# HELP a x\x00y', b'# HELP\x00', b'# \x00', b'#\x00\n}{']

# ---- single lines of OpenMetrics ----

LEGAL_OM = [
    b'a 1', b'a{} 1', b'a{b="c"} 1', b'a{b="c",d="e"} 1', b'a{b=""} 1', b'a{b="\\"\\\\\\n\\t"} 1', b'a{b="\xc3\xa9"} 1', b'a{b=" {}#"} 1',
    b'a 1 1', b'a 1 %d' % (NOW_MS // 1000 - 20), b'a 1 %d.5' % (NOW_MS // 1000 - 20), b'a 1 %d.0009' % (NOW_MS // 1000 - 20), b'a 1 %d.1239999' % (NOW_MS // 1000 - 20),
    b'a 1 %se9' % str(NOW_MS / 1e12 - 2e-8).encode(), b'a 1 -5', b'a 1 +%d' % (NOW_MS // 1000 - 20), b'a 1 %d' % (NOW_MS // 1000 + 10**6), b'a .5', b'a 5.', b'a 1e3', b'a +Inf',
    b'a nan', b'a infinity', b'a 1e-400', b'a -0', b'a_total 1 # {} 1', b'a_total 1 # {id="x"} 1', b'a_total 1 # {id="x"} 1 1.5', b'a_total 1 5 # {id="x"} 1 1.5',
    b'a_total 1 # {id="x"} -1e3 -5', b'a_total 1 # {id="x",id="x"} 1', b'a_total 1 # {id="%s"} 1' % (b'x' * 300),
    b'# TYPE a counter\na_total 1\na_created 1.5', b'# TYPE a unknown\na 1', b'# TYPE a info\na_info{b="c"} 1', b'# TYPE a stateset\na{a="x"} 1\na{a="y"} 0',
    b'# TYPE a gaugehistogram\na_bucket{le="1.0"} 1\na_bucket{le="+Inf"} 2\na_gsum 1\na_gcount 2', b'# TYPE a summary\na{quantile="0.5"} 1\na_sum 1\na_count 1',
    b'# TYPE a histogram\na_bucket{le="1"} 1\na_bucket{le="+Inf"} 2\na_sum 1\na_count 2', b'# HELP a text', b'# HELP a ', b'# HELP a \\"q\\" \\\\ \\n', b'# HELP a  x  ',
    b'# UNIT a_seconds seconds', b'# UNIT a ', b'# TYPE a gauge\n# TYPE a counter', b'a 1\na 2', b'a{b="\t"} 1', b'a 1\na 1', b'a{b="\r"} 1', b'# HELP a \t', b'a{job="own"} 1',
]

BAD_OM = [
    b'', b' ', b'a', b'a ', b'a  1', b'a\t1', b'a 1 ', b' a 1', b'a {b="c"} 1', b'a{b="c"}1', b'a{b="c"}  1', b'a{ b="c"} 1', b'a{b ="c"} 1', b'a{b= "c"} 1', b'a{b="c" } 1',
    b'a{b="c", d="e"} 1', b'a{b="c" d="e"} 1', b'a{b="c"d="e"} 1', b'a{,} 1', b'a{b="c",,} 1', b'a{b} 1', b'a{b="c} 1', b'a{b="raw\nline"} 1', b'a{b="\xff"} 1', b'a{b=c} 1',
    b'#', b'# ', b'# comment', b'#HELP a x', b'# HELP', b'# HELP ', b'# HELP a', b'# HELP  a x', b'#  HELP a x', b'# help a x', b'# TYPE a', b'# TYPE a ', b'# TYPE a foo',
    b'# TYPE a untyped', b'# TYPE a Gauge', b'# TYPE a gauge ', b'# TYPE a  gauge', b'# UNIT a', b'# UNIT a seconds', b'# UNIT seconds seconds', b'# UNIT aseconds seconds',
    b'# HELP a \xff', b'# HELP 1a x', b'# EOF x', b'# EOF\n', b'# EOF\n# EOF', b'# EOF\na 1', b'a 1 NaN', b'a 1 Inf', b'a 1 -Inf', b'a 1 x', b'a 1 0x10', b'a 1 1_0', b'a 1 1 1',
    b'a 1\r', b'a 0x10', b'a 1_0', b'a 1e400', b'a true', b'a 1 #', b'a 1 # ', b'a 1 # {', b'a 1 # {}', b'a 1 # {} ', b'a 1 # {} x', b'a 1 # {}  1', b'a 1 # {} 1 ', b'a 1 # {} 1 x',
    b'a 1 # {} 1 NaN', b'a 1 # {} 1 +Inf', b'a 1 # {} 1 1 1', b'a 1 # {id=x} 1', b'a 1 # {id} 1', b'a 1 # id="x" 1', b'a 1  # {} 1', b'a 1 #{} 1', b'a 1# {} 1', b'a # {} 1',
    b'a 1 # {} 1 # {} 1', b'a 1 # {id="x" } 1', b'a 1 # {id="x"}1', b'1a 1', b'a.b 1', b'a-1', b'a\x00 1', b'\x00', b'a 1\x00', b'a{b="c",b="d"} 1', b'a{__name__="b"} 1', b'{b="c"} 1',
    b'a{b="c"}', b'a{b="c"} 1 5 ', b'a 1 5 #', b'a{1b="c"} 1', b'a{b.c="d"} 1', b'a{b:c="d"} 1', b'\xef\xbb\xbfa 1', b'a 1 99999999999999999999', b'a 1 1e300', b'# TYPE a gauge x',
]

# Quoted names: 2.42 has no UTF-8 names (spec 5.5). [(line, {labels} stored with value 1)]
UTF8_TEXT = [
    (b'{"a.b"} 1', 'a.b', {}), (b'{"a.b",c="d"} 1', 'a.b', {'c': 'd'}), (b'{c="d","a.b"} 1', 'a.b', {'c': 'd'}), (b'a{"b.c"="d"} 1', 'a', {'b.c': 'd'}),
    (b'{"\xc3\xa9","\xc3\xa9"="x"} 1', 'é', {'é': 'x'}), (b'{ "a" , } 1', 'a', {}), (b'{"a\\"b"} 1', 'a"b', {}), (b'{"a","b"="c" "d"="e"} 1', 'a', {'b': 'c', 'd': 'e'}),
    (b'{"a b\\\\c"}\t1', 'a b\\c', {}), (b'# TYPE "a.b" gauge\n{"a.b"} 1', 'a.b', {}),
]


def around(line, fmt):
    """A page with the line in the middle of good ones."""
    if fmt == OPENMETRICS:
        return b'before 1\n' + line + b'\nafter 2\n# EOF\n'
    return b'before 1\n' + line + b'\nafter 2\n'


def good(fmt, n=0):
    return Answer(b'before %d\nkept{a="b"} %d\nafter 2\n' % (n, n) + (b'# EOF\n' if fmt == OPENMETRICS else b''), fmt)


def name_of(prefix, line):
    text = repr(line)[2:-1]
    return f'{prefix}: {text if len(text) < 70 else text[:60] + "..."}'


def line_cases():
    """Each line amid good ones, twice, with a good page before and between."""
    out = []
    for prefix, fmt, lines in (('legal text', TEXT, LEGAL_TEXT), ('bad text', TEXT, BAD_TEXT), ('NUL in text', TEXT, NUL_TEXT),
                               ('legal OpenMetrics', OPENMETRICS, LEGAL_OM), ('bad OpenMetrics', OPENMETRICS, BAD_OM)):
        for line in lines:
            page = Answer(around(line, fmt), fmt)
            out.append(Case(name_of(prefix, line), [good(fmt), page, good(fmt, 3), page]))
    for prefix, fmt in (('text', TEXT), ('OpenMetrics', OPENMETRICS)):
        end = b'# EOF\n' if fmt == OPENMETRICS else b''
        for what, body in (('no last newline', b'a 1'), ('only a newline', b'\n'), ('an open last line', b'a 1\nb{c="'), ('half a number', b'a 1\nb 1e'),
                           ('ends in a name', b'a 1\nb'), ('crlf', b'a 1\r\nb 2\r\n'), ('ends in a backslash', b'a{b="\\'), ('end without newline', b'a 1\n# EOF'),
                           ('no end', b'a 1\n'), ('two ends', b'a 1\n# EOF\n# EOF\n'), ('blank behind the end', b'a 1\n# EOF\n\n'), ('whole', b'a 1\n' + end)):
            out.append(Case(f'{prefix}, {what}', [good(fmt), Answer(body, fmt), good(fmt, 3), Answer(body, fmt)]))
    return out


def named_differences():
    """What 3.14 does and 2.42 does not, and where Brasa differs from both on purpose."""
    past = NOW_MS - 60000
    one = [('before', {}, '1'), ('after', {}, '2')]
    out = [
        Case('blanks before a name', [Answer(around(b'\ta_tab 1', TEXT))], differs='5.1: they become part of it', up=[1], series=[*one, ('\ta_tab', {}, '1')]),
        Case('OpenMetrics: trailing comma', [Answer(around(b'a{b="c",} 1', OPENMETRICS), OPENMETRICS)], differs='5.2: one is allowed', up=[1], series=[*one, ('a', {'b': 'c'}, '1')]),
        Case('OpenMetrics: exemplar of a gauge', [Answer(around(b'a 1 # {id="x"} 1', OPENMETRICS), OPENMETRICS)], differs='5.2: on any sample line', up=[1], series=[*one, ('a', {}, '1')]),
        Case('OpenMetrics: empty page', [good(OPENMETRICS), Answer(b'', OPENMETRICS)], differs='4: an empty body is a good page', up=[1, 1], series=[]),
        Case('a dot matches a line break', [Answer(b'a{x="foo\\nbar"} 1\n')], {'metric_relabel_configs': [{'source_labels': ['x'], 'target_label': 'y'}]},
             differs='config: relabel regexes have the s flag', up=[1], series=[('a', {'x': 'foo\nbar', 'y': 'foo\nbar'}, '1')]),
        Case('with own time, then without', [Answer(b'a 1 %d\na 2\n' % (past + n * 1000)) for n in range(3)], differs='6.5: the second is a duplicate', up=[1], series=[('a', {}, '1')]),
        Case('a duplicate at the limit', [Answer(b'a 1\na 1\nb 1\n')] * 2, {'sample_limit': 2}, differs='6.5: a duplicate does not reach the limit', up=[1], series=[('a', {}, '1'), ('b', {}, '1')]),
        Case('a series of a report', [Answer(b'scrape_samples_scraped 17\nb 1\n')] * 2, differs='scrape/README.md: report series win', up=[1], series=[('b', {}, '1')]),
        Case('plain behind a future time', [Answer(lines(a=1)), Answer(b'a 2 %d\n' % (NOW_MS + 300000)), Answer(lines(a=3))],
             differs='scrape/README.md: plain samples and future own times', up=[1]),
    ]
    return out


def utf8_cases():
    out = []
    for line, name, labels in UTF8_TEXT:
        page = Answer(line + b'\n')
        out.append(Case(name_of('quoted name', line), [good(TEXT), page, good(TEXT), page], differs='5.5: names are UTF-8', up=[1, 1, 1, 1],
                        series=[(name, labels, '1')]))
        if b'# TYPE' not in line:
            out.append(Case(name_of('quoted name, legacy names', line), [good(TEXT), page, good(TEXT), page], differs='5.5: refused as a name, not as a page', up=[1, 0, 1, 0],
                            only_brasa={'metric_name_validation_scheme': 'legacy'}) if name != 'a' or '.' in ''.join(labels) else
                       Case(name_of('quoted name that is legacy', line), [good(TEXT), page], differs='5.1: braces may hold the name', up=[1, 1],
                            series=[(name, labels, '1')], only_brasa={'metric_name_validation_scheme': 'legacy'}))
    return out


# ---- life of a target ----

def lines(**values):
    return ''.join(f'{k} {v}\n' for k, v in values.items()).encode()


def life_cases():
    a, ab, none = Answer(lines(a=1)), Answer(lines(a=1, b=2)), Answer(b'')
    failing = {
        'status 500': Answer(b'no', status=500), 'status 404': Answer(b'x 1\n', status=404),
        'closed without answer': Answer(hang_up=True), 'body cut off': Answer(lines(a=1, b=2, c=3), cut=3), 'bad gzip': Answer(b'not gzip', headers={'Content-Encoding': 'gzip'}),
        'gzip cut off': Answer(gzip.compress(lines(a=1, b=2))[:-6], headers={'Content-Encoding': 'gzip'}), 'parse error at once': Answer(b'}\n'),
        'parse error behind a': Answer(lines(a=5) + b'}\n' + lines(b=5)), 'parse error behind all': Answer(lines(a=5, b=5) + b'}\n'),
        'parse error behind b': Answer(lines(b=5) + b'}\n'), 'parse error behind a new one': Answer(lines(n=5) + b'}\n'),
        'redirect without place': Answer(b'', status=302),
    }
    out = [Case(f'life: {what}', [ab, bad, ab, bad, bad, ab]) for what, bad in failing.items()]
    out += [Case(f'life: {what}, first', [bad, ab, bad]) for what, bad in failing.items()]
    out += [
        Case('life: status 204', [ab, Answer(b'', status=204)]),  # last, as Brasa asks again when an answer has no body
        Case('life: gzip', [Answer(gzip.compress(lines(a=1)), headers={'Content-Encoding': 'gzip'}), Answer(gzip.compress(lines(a=2)), headers={'Content-Encoding': 'gzip'})]),
        Case('life: encoding that is not known', [Answer(lines(a=1), headers={'Content-Encoding': 'GZIP'}), Answer(lines(a=2), headers={'Content-Encoding': 'identity'})]),
        Case('life: a series goes and returns', [ab, a, ab, a, a, ab]),
        Case('life: empty page', [ab, none, ab, none, none, a]),
        Case('life: order changes', [ab, Answer(lines(b=1, a=2)), Answer(lines(c=1, b=2, a=3)), Answer(lines(a=1, c=2, b=3))]),
        Case('life: all new each time', [Answer(lines(**{f'm{n}': n})) for n in range(6)]),
        Case('life: format changes', [ab, Answer(lines(a=3, b=4) + b'# EOF\n', OPENMETRICS), ab]),
        Case('life: labels in another order', [Answer(b'a{b="1",c="2"} 1\n'), Answer(b'a{c="2",b="1"} 2\n'), Answer(b'a{c="2", b="1"} 3\n')]),
        Case('life: name grows and shrinks', [Answer(lines(ab=1)), Answer(lines(abc=2)), Answer(lines(a=3)), Answer(lines(ab=4))]),
        Case('life: large page to small', [Answer(b''.join(b'm{i="%d"} %d\n' % (i, i) for i in range(300))), a, Answer(b''.join(b'm{i="%d"} %d\n' % (i, i) for i in range(0, 300, 2)))]),
        Case('life: duplicate appears', [a, Answer(b'a 1\na 1\n'), Answer(b'a 1\na 2\n'), Answer(b'a 2\na 1\n'), a]),
        Case('life: duplicate by spelling', [a, Answer(b'a 1\na{} 1\n'), Answer(b'a{} 2\na 3\n'), Answer(b'a 1\na{} 1\na{ } 1\n'), a]),
        Case('life: duplicate by empty label', [Answer(b'a{b=""} 1\na 2\n'), Answer(b'a 1\na{b=""} 2\n'), Answer(b'a{b=""} 3\n')]),
        Case('life: duplicates far apart', [Answer(b'a 1\nb 1\nc 1\na 2\n'), Answer(b'a 1\nb 1\nc 1\na 2\n'), Answer(b'b 1\nc 1\na 2\na 3\n')]),
    ]
    when = NOW_MS - 60000

    def at(value, ms, name=b'a'):
        return Answer(b'%s %d %d\n' % (name, value, ms))
    timed = [at(1, when), at(2, when + 1000), at(3, when + 2000), a]
    out += [
        Case('times: own ones, then none', timed),
        Case('times: none, then own ones of the past', [a, at(2, when), at(3, when), a]),
        Case('times: the same sample again', [at(1, when)] * 4),
        Case('times: the same time, another value', [at(1, when), at(2, when), at(3, when)]),
        Case('times: back', [at(1, when), at(2, when - 5000), at(3, when + 5000), at(4, when)]),
        Case('times: series with own time goes', [at(1, when), none, at(2, when + 1000), Answer(lines(b=1))]),
        Case('times: far future', [a, at(1, NOW_MS + 3600000), a]),
        Case('times: far past', [a, a, at(1, NOW_MS - 6 * 3600000, b'old'), a]),
        Case('times: not honoured', timed, {'honor_timestamps': False}),
        Case('times: not honoured, duplicates', [Answer(b'a 1 %d\na 2 %d\n' % (when, when + 1))] * 2, {'honor_timestamps': False}),
        Case('times: two of one series in a page', [Answer(b'a 1 %d\na 2 %d\n' % (when + n * 1000, when + n * 1000 + 500)) for n in range(4)]),
        Case('times: without and with in one page', [Answer(b'a 2\na 1 %d\n' % (when + n * 1000)) for n in range(3)] + [none]),
        Case('times: own time of zero', [at(1, 0), a, at(1, 0)]),
        Case('times: tracked', [at(1, when + n * 1000) for n in range(3)] + [none], only_brasa={'track_timestamps_staleness': True},
             differs='6: track_timestamps_staleness came with 2.48', up=[1, 1, 1, 1], series=[]),
        Case('times: tracked, series returns', [at(1, NOW_MS - 60000), none, Answer(lines(a=7))], only_brasa={'track_timestamps_staleness': True},
             differs='6: track_timestamps_staleness came with 2.48', up=[1, 1, 1], series=[('a', {}, '7')]),
    ]
    for what, settings in (('honor_labels', {'honor_labels': True}), ('labels of the target win', {})):
        pages = [Answer(b'a{instance="mine",job="own",x="1"} 1\nb{instance="",job=""} 2\nc{exported_instance="e",instance="i"} 3\nd{x="",exported_x="y",exported_exported_x="z"} 4\n'
                        b'e{x="1",exported_x="2"} 5\nf{env="p"} 6\ng 7\n')] * 2
        out.append(Case(f'labels: {what}', pages, settings, {'x': 'target', 'env': 'test'}))
        out.append(Case(f'labels: {what}, exported too', pages, settings, {'x': 'target', 'exported_x': 'both', 'exported_exported_x': 'all'}))
    return out


# ---- content types ----

def type_cases():
    page = lines(a=1)
    out = [Case(f'type: {t}', [Answer(page, t)] * 2) for t in (
        'text/plain', 'text/plain; version=0.0.4', 'text/plain;version="0.0.4"', 'TEXT/PLAIN; version=0.0.4', 'text/plain; version=9', 'text/plain; charset=latin1', ' text/plain ')]
    for t in ('application/openmetrics-text', 'application/openmetrics-text; version=0.0.1', 'Application/OpenMetrics-Text;version=1.0.0;x=y'):
        out.append(Case(f'type: {t}', [Answer(page + b'# EOF\n', t), Answer(page, t)] * 2))
    for t in ('', None, 'text/html', 'application/json', 'text', 'text/', 'a/b/c', 'text/plain;;', 'text/plain; version', 'image/png; x="'):
        differs = '4: no format is guessed'
        out.append(Case(f'type: {t!r}', [Answer(page, t)] * 2, differs=differs, up=[0, 0], series=[]))
        out.append(Case(f'type: {t!r} with fallback', [Answer(page, t)] * 2, only_brasa={'fallback_scrape_protocol': 'PrometheusText0.0.4'}))
    return out


# ---- limits ----

def limit_cases():
    abc = [Answer(lines(a=1, b=2, c=3))] * 3
    out = []
    for n in (1, 2, 3, 4):
        out.append(Case(f'limits: sample_limit {n}', [Answer(lines(a=1)), *abc, Answer(lines(c=1, b=1, a=1)), Answer(lines(a=1))], {'sample_limit': n}))
    out += [
        Case('limits: sample_limit, own times', [Answer(b'a 1 %d\nb 1\nc 1\n' % NOW_MS)] * 2, {'sample_limit': 2}),
        Case('limits: sample_limit behind relabelling', abc, {'sample_limit': 2, 'metric_relabel_configs': [{'source_labels': ['__name__'], 'regex': 'b', 'action': 'drop'}]}),
        Case('limits: sample_limit and a parse error', [Answer(lines(a=1)), Answer(lines(a=1, b=2, c=3) + b'}\n')] * 2, {'sample_limit': 2}),
        Case('limits: sample_limit counts the late', [Answer(lines(a=1)), Answer(b'a 1\nb 1 %d\nc 1\n' % (NOW_MS + 10**7))], {'sample_limit': 2}),
    ]
    for n in (3, 4, 5, 6):
        out.append(Case(f'limits: label_limit {n}', [Answer(lines(a=1)), Answer(b'a 1\nb{x="1"} 1\n'), Answer(b'a 1\nb{x="1"} 1\nc{x="1",y="2"} 1\n')], {'label_limit': n}))
    for n in (3, 7, 8, 9):
        out.append(Case(f'limits: label_name_length_limit {n}', [Answer(lines(a=1)), Answer(b'a 1\nb{' + b'n' * n + b'="1"} 1\n'), Answer(b'a 1\nb{' + b'n' * (n + 1) + b'="1"} 1\n')],
                        {'label_name_length_limit': n}))
    for n in (14, 15, 16, 17, 18):
        out.append(Case(f'limits: label_value_length_limit {n}', [Answer(lines(a=1)), Answer(b'a 1\nb{x="' + b'v' * n + b'"} 1\n'), Answer(b'a 1\n' + b'm' * (n + 1) + b' 1\n'),
                                                                  Answer(b'a{x="' + b'\xc3\xa9' * (n // 2 + 1) + b'"} 1\n')], {'label_value_length_limit': n}))
    size = len(lines(a=1, b=2))
    for n in (size - 1, size, size + 1):
        out.append(Case(f'limits: body_size_limit {n - size:+d}', [Answer(lines(a=1)), Answer(lines(a=1, b=2)), Answer(gzip.compress(lines(a=1, b=2)), headers={'Content-Encoding': 'gzip'})],
                        {'body_size_limit': f'{n}B'}))
    out.append(Case('limits: label_limit hit later by a new series', [Answer(b'a{x="1"} 1\n'), Answer(b'a{x="1"} 1\nb{x="1",y="2",z="3"} 1\n'), Answer(b'a{x="1"} 1\n')], {'label_limit': 5}))
    out.append(Case('limits: label_limit on a dropped series', [Answer(b'a 1\nb{x="1",y="2",z="3",w="4"} 1\n')] * 2,
                    {'label_limit': 5, 'metric_relabel_configs': [{'source_labels': ['__name__'], 'regex': 'b', 'action': 'drop'}]}))
    out.append(Case('limits: labels dropped below the limit', [Answer(b'a 1\nb{x="1",y="2",z="3",w="4"} 1\n')] * 2,
                    {'label_limit': 5, 'metric_relabel_configs': [{'regex': 'y|z|w', 'action': 'labeldrop'}]}))
    return out


# ---- relabelling ----

RULES = [
    {'source_labels': ['x'], 'target_label': 'y'}, {'source_labels': ['x', 'y'], 'separator': '', 'target_label': 'z'}, {'source_labels': ['x'], 'regex': '(.)(.*)', 'target_label': 'y', 'replacement': '$2-${1}_$3'},
    {'source_labels': ['x'], 'regex': 'b.*', 'target_label': 'y', 'replacement': ''}, {'target_label': 'new', 'replacement': 'constant'}, {'source_labels': ['x'], 'regex': '(?P<first>.).*', 'target_label': 'y', 'replacement': '${first}$$'},
    {'source_labels': ['x'], 'regex': '([a-z]+).*', 'target_label': 'to_$1', 'replacement': 'v'}, {'source_labels': ['x'], 'regex': '(.*)', 'target_label': '$1', 'replacement': 'v'},
    {'source_labels': ['x'], 'regex': 'foo|', 'action': 'drop'}, {'source_labels': ['x'], 'regex': '.+', 'action': 'keep'}, {'source_labels': ['x'], 'regex': 'ba', 'action': 'keep'},
    {'source_labels': ['x'], 'target_label': 'y', 'action': 'keepequal'}, {'source_labels': ['x'], 'target_label': 'y', 'action': 'dropequal'}, {'source_labels': ['x', 'y'], 'target_label': 'z', 'modulus': 7, 'action': 'hashmod'},
    {'source_labels': ['missing'], 'target_label': 'z', 'modulus': 18446744073709551615, 'action': 'hashmod'}, {'regex': '(x|y)', 'replacement': 'm_$1', 'action': 'labelmap'}, {'regex': 'x', 'replacement': 'y', 'action': 'labelmap'},
    {'regex': 'x|z', 'action': 'labeldrop'}, {'regex': '__name__|case|job|instance|__.*|x', 'action': 'labelkeep'}, {'source_labels': ['x'], 'target_label': 'y', 'action': 'lowercase'}, {'source_labels': ['x'], 'target_label': 'y', 'action': 'uppercase'},
    {'source_labels': ['x'], 'regex': '(?i:FOO)', 'target_label': 'y', 'replacement': 'any case'}, {'source_labels': ['x'], 'regex': 'f(o)?o(z)?', 'target_label': 'y', 'replacement': '<$1|$2>'}, {'source_labels': ['x'], 'regex': '', 'target_label': 'empty', 'replacement': 'yes'},
]
SAMPLE_RULES = [
    {'source_labels': ['__name__'], 'regex': '(.*)_total', 'target_label': '__name__', 'replacement': '$1'}, {'source_labels': ['__name__', 'x'], 'regex': 'a;foo', 'action': 'drop'}, {'source_labels': ['__name__'], 'regex': 'b', 'target_label': '__name__', 'replacement': 'a'},
    {'source_labels': ['job'], 'target_label': '__name__'}, {'regex': 'x', 'replacement': '__name__', 'action': 'labelmap'}, {'regex': 'instance|job', 'action': 'labeldrop'}, {'source_labels': ['le'], 'regex': '1', 'action': 'drop'},
]
TARGET_RULES = [
    {'source_labels': ['__address__'], 'regex': '(.*):.*', 'target_label': 'host'}, {'source_labels': ['__address__'], 'target_label': 'instance'}, {'target_label': 'instance', 'replacement': 'named'}, {'source_labels': ['__scheme__', '__metrics_path__'], 'regex': '(.*);/./(.*)', 'target_label': 'path'},
    {'target_label': '__param_q', 'replacement': 'v w&'}, {'target_label': 'job', 'replacement': 'other job'}, {'regex': '__meta_(.*)', 'action': 'labelmap'}, {'target_label': '__tmp', 'replacement': 'gone'}, {'target_label': 'exported_x', 'replacement': 'mine'},
]
VALUES = ['foo', 'bar', 'ba', 'Foo', '', 'FOO-é', '10.0.0.1:80', 'a b', 'ÀÉ', 'x' * 50]


def sample_page(rng, n):
    out, quoted = [], lambda v: '"' + v.replace('\\', '\\\\').replace('\n', '\\n').replace('"', '\\"') + '"'
    for name in ('a', 'b', 'c_total', 'd'):
        for i in range(rng.randint(1, 4)):
            out.append(f'{name}{{i="{i}",x={quoted(rng.choice(VALUES))},y={quoted(rng.choice(VALUES))}}} {n * 10 + i}')
    return ('\n'.join(out) + '\n').encode()


def relabel_cases(rng, count, fixed=True):
    out = fixed_relabel_cases() if fixed else []
    for i in range(count):
        page = sample_page(rng, 1)
        rules = [rng.choice(RULES + SAMPLE_RULES) for _ in range(rng.randint(1, 5))]
        own = [rng.choice(RULES + TARGET_RULES) for _ in range(rng.randint(0, 2))]
        out.append(Case(f'relabel, random {i}: {own} {rules}', [Answer(page), Answer(sample_page(rng, 2)), Answer(page)],
                        {'metric_relabel_configs': rules, 'relabel_configs': own, 'honor_labels': rng.random() < 0.3}, {'x': rng.choice(VALUES), 'y': rng.choice(VALUES)}))
    # 2.42 refuses names that are not legacy ones; 3.14 does it where it is told to
    for c in out:
        c.only_brasa = {'metric_name_validation_scheme': 'legacy'}
    return out


def fixed_relabel_cases():
    fixed = sample_page(random.Random(1), 0)
    out = [Case(f'metric_relabel: {rule}', [Answer(fixed)] * 2, {'metric_relabel_configs': [rule]}) for rule in RULES + SAMPLE_RULES]
    out += [Case(f'relabel: {rule} on x={x!r}', [Answer(fixed)] * 2, {'relabel_configs': [rule]}, {'x': x, 'y': 'foo'}) for rule in RULES + TARGET_RULES for x in ('foo', 'bar')]
    return out


# ---- generated pages ----

NUMBERS = [b'0', b'1', b'-1', b'+2', b'.5', b'5.', b'1e3', b'1E-7', b'NaN', b'+Inf', b'-Inf', b'inf', b'4.9e-324', b'1.7976931348623157e+308', b'0.1', b'123456789.123456789', b'1e23', b'9007199254740993', b'-0']
PARTS = ['a', 'B', '0', '.', ' ', '\\"', '\\\\', '\\n', '\\x', 'é', '{', '}', ',', '=', '#', '\t', '🍰']


def spaces(rng, least=0):
    return ''.join(rng.choice(' \t') for _ in range(least + (rng.randint(0, 3) if rng.random() < 0.2 else 0)))


def odd_text_line(rng, name, labels, value, stamp):
    """One sample in a random legal spelling."""
    sp = lambda least=0: spaces(rng, least)
    braces = ''
    if labels or rng.random() < 0.2:
        items = [f'{sp()}{k}{sp()}={sp()}"{v}"{sp()}' for k, v in labels]
        glue = [',' if rng.random() < 0.9 else ' ' for _ in items]
        braces = sp() + '{' + ''.join(i + (g if n + 1 < len(items) else ',' if rng.random() < 0.2 else '') for n, (i, g) in enumerate(zip(items, glue))) + sp() + '}'
    line = (name + braces + sp(1)).encode() + value
    if stamp is not None:
        line += (sp(1) + str(stamp)).encode()
    return line + sp().encode()


def life_of_series(rng, fmt, answers, repeats):
    """Pages over time of some series that come, go, repeat and change; odd spelling in text."""
    series, known = [], set()
    for i in range(rng.randint(2, 14)):
        labels = [(f'l{j}', ''.join(rng.choice(PARTS) for _ in range(rng.randint(0, 4)))) for j in range(rng.randint(0, 3))]
        if rng.random() < 0.15:
            labels.append((rng.choice(['le', 'quantile']), rng.choice(['0.5', '1.0', '+Inf', '1e-05'])))
        # one name has one kind of times: plain samples behind future ones are a difference of its own
        own = (f's{i % 7}', frozenset((k, v) for k, v in labels if v))
        if own in known:
            continue  # 2.42 tells series apart by the exposed labels, empty ones too (spec 6)
        known.add(own)
        series.append([f's{i % 7}', labels, [None, None, None, NOW_MS - 120000, NOW_MS + 240000][i % 7 * 3 % 5]])
    pages = []
    for n in range(answers):
        if rng.random() < 0.08:
            pages.append(rng.choice([Answer(b'', TEXT), Answer(b'no', status=503), Answer(hang_up=True), Answer(b'other 1\n}{\n', fmt)]))
            continue
        out = []
        for name, labels, stamp in series:
            if rng.random() < 0.2:
                continue
            for _ in range(2 if repeats and rng.random() < 0.05 else 1):
                at = None if stamp is None else stamp + rng.choice([n * 1000, 0, -n * 1000])
                value = rng.choice(NUMBERS)
                if fmt == OPENMETRICS:
                    braces = '{' + ','.join(f'{k}="{v}"' for k, v in labels) + '}' if labels else ''
                    line = f'{name}{braces} '.encode() + value + (f' {at / 1000}'.encode() if at is not None else b'')
                    line += b'' if rng.random() < 0.1 else b''
                else:
                    line = odd_text_line(rng, name, labels, value, at)
                out.append(line)
            if rng.random() < 0.1:
                out.append(rng.choice([b'# TYPE s1 gauge', b'# HELP s1 help \\n', b'# TYPE s2 counter'] + ([b'# x', b'', b'  '] if fmt == TEXT else [])))
        if rng.random() < 0.3:
            rng.shuffle(out)
        pages.append(Answer(b'\n'.join(out) + b'\n' + (b'# EOF\n' if fmt == OPENMETRICS else b''), fmt))
    return pages


def series_cases(rng, count, answers):
    out = []
    for i in range(count):
        fmt = rng.choice([TEXT, TEXT, OPENMETRICS])
        settings = {}
        if rng.random() < 0.15:
            settings['honor_timestamps'] = False
        if rng.random() < 0.15:
            settings['sample_limit'] = rng.randint(2, 12)
        if rng.random() < 0.1:
            settings['label_limit'] = rng.randint(4, 7)
        if rng.random() < 0.2:
            settings['metric_relabel_configs'] = [rng.choice([{'source_labels': ['__name__'], 'regex': 's[135]', 'action': 'drop'}, {'regex': 'l1', 'action': 'labeldrop'},
                                                              {'source_labels': ['l0'], 'regex': '(?s:(.*)a(.*))', 'target_label': 'l2', 'replacement': '$2$1'}])]
        out.append(Case(f'series {i} {"OpenMetrics" if fmt == OPENMETRICS else "text"} {settings}', life_of_series(rng, fmt, answers, 'sample_limit' not in settings), settings))
    return out


BASE_TEXT = [b'# HELP a some \\\\ text\\n', b'# TYPE a counter', b'a{b="c",d="e"} 1', b'a_x 2.5e3 %d' % (NOW_MS - 30000), b'# x', b'q{z="1"}\t+Inf', b'w {v="a\\"b\\\\"} -0.5']
BASE_OM = [b'# HELP a some \\\\ text\\n', b'# TYPE a counter', b'a_total{b="c",d="e"} 1 # {id="x"} 1 2', b'# UNIT x_seconds seconds', b'a_x 2.5e3 %d.5' % (NOW_MS // 1000 - 30), b'q{z="1"} +Inf']
BYTES = [bytes([b]) for b in b'{}",=# \t\n\\_:.-+0159aeEnifNTHx\r\x00\xc3\xff;\'()'] + [b'# ', b'""', b'="', b'",', b'"}', b' 1', b'\xc3\xa9', b'{}', b'# EOF\n', b'# TYPE ', b'# HELP ', b' # {']


def mutated(rng, fmt):
    page = bytearray(b'\n'.join(BASE_OM if fmt == OPENMETRICS else BASE_TEXT) + b'\n' + (b'# EOF\n' if fmt == OPENMETRICS else b''))
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        at = rng.randrange(len(page) + 1)
        kind = rng.random()
        if kind < 0.35:
            page[at:at] = rng.choice(BYTES)
        elif kind < 0.6:
            del page[at:at + rng.choice([1, 1, 2, 5])]
        elif kind < 0.9:
            page[at:at + 1] = rng.choice(BYTES)
        else:
            del page[at:]
    return bytes(page)


def comparable(rng, fmt):
    """Without what 3.14 allows and 2.42 does not: exemplars of anything and a trailing comma
    (5.2), an empty page (4), blanks before a name and quoted names of families (5.1)."""
    while True:
        page = mutated(rng, fmt)
        if fmt == TEXT and not re.search(rb'(?m)^[ \t]+[A-Za-z_:]|^#[ \t]+(HELP|TYPE)[ \t]+"', page) or fmt != TEXT and page and not re.search(rb'(?<!_total)(\{[^\n]*\})? \S+( \S+)? # \{|",\}', page.replace(b'a_total{b="c",d="e"} 1 # {', b'')):
            return page


def mutated_cases(rng, count, answers):
    """Mutated pages with whole ones between."""
    out = []
    for i in range(count):
        fmt = rng.choice([TEXT, OPENMETRICS])
        whole = Answer(b'\n'.join(BASE_OM if fmt == OPENMETRICS else BASE_TEXT) + b'\n' + (b'# EOF\n' if fmt == OPENMETRICS else b''), fmt)
        pages = [whole if n % 3 == 0 else Answer(comparable(rng, fmt), fmt) for n in range(answers)]
        out.append(Case(f'mutated {i} {"OpenMetrics" if fmt == OPENMETRICS else "text"}', pages))
    return out
