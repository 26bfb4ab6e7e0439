"""kill -9 at random moments under scrape load: what a query has returned once, it returns again."""
import os
import random
import signal
import time

import requests

from conftest import wait_for
from exporter import Exporter

ROUNDS = int(os.environ.get('KILL_ROUNDS', 20))
SEED = int(os.environ.get('KILL_SEED', time.time_ns() % 1_000_000))


def page(handler, n):
    r = random.Random(f'{handler.path} {n}')
    lines = [f'counter_total{{i="{i}"}} {n * 7 + i}' for i in range(40)]
    lines += [f'gauge{{i="{i}"}} {r.uniform(-1e6, 1e6)!r}' for i in range(40)]
    lines += [f'fixed{{i="{i}"}} {i / 8}' for i in range(40)]
    lines += [f'short{{i="{i}"}} {r.randrange(1000)}' for i in range(40) if r.random() < .7]
    return ('\n'.join(lines) + '\n').encode()


def everything(brasa, at):
    """Every stored sample up to a time, values as text (the shortest that reads back bit for bit)."""
    out = {}
    for s in brasa.query('{job="load"}[30m]', at):
        key = tuple(sorted(s['metric'].items()))
        for t, v in s['values']:
            out[key, t] = v
    return out


def test_kill_9_loses_nothing_that_a_query_has_returned(start):
    print(f'KILL_SEED={SEED}')
    rnd = random.Random(SEED)
    with Exporter({f'/t{i}': page for i in range(6)}) as exporter:
        jobs = ''.join(f'''
  - targets: ["{exporter.address}"]
    labels: {{__metrics_path__: /t{i}, target: t{i}}}''' for i in range(6))
        config = f'''
global: {{scrape_interval: 100ms, scrape_timeout: 100ms}}
scrape_configs:
- job_name: load
  static_configs:{jobs}
'''
        known = {}
        brasa = start(config, check_exit=False)
        for round_ in range(ROUNDS):
            time.sleep(rnd.uniform(0.2, 1.2))
            at = time.time()
            known.update(everything(brasa, at))
            time.sleep(rnd.uniform(0, 0.15))
            brasa.proc.send_signal(signal.SIGKILL)
            brasa.proc.wait()
            brasa.out.close()
            brasa.__init__(None, brasa.folder, port=brasa.port)
            got = everything(brasa, at)
            lost = {k: v for k, v in known.items() if k not in got}
            wrong = {k: (v, got[k]) for k, v in known.items() if k in got and got[k] != v}
            assert not lost, f'round {round_}, seed {SEED}: {len(lost)} of {len(known)} samples lost, e.g. {next(iter(lost.items()))}'
            assert not wrong, f'round {round_}, seed {SEED}: {len(wrong)} samples differ, e.g. {next(iter(wrong.items()))}'
        assert len(known) > 5000
