"""PromQL against Debian's Prometheus; promql_differential.py by itself asks more."""
import os

from conftest import RELEASE
from promql_differential import EXPLAINED, Pair


def test_generated_queries_have_the_answers_of_prometheus(tmp_path):
    queries = int(os.environ.get('BRASA_QUERIES', '2000'))
    pair = Pair(tmp_path, RELEASE)
    try:
        counts, failures = pair.campaign(queries, 'ci')
    finally:
        code = pair.stop()
    assert code == 0
    assert not failures, failures[:3]
    assert counts['same, with values'] > queries / 2
    assert sum(n for what, n in counts.items() if what in EXPLAINED) < queries / 10, counts
