#!/usr/bin/env python3
"""Sixty hostile queries at once, again and again: does the server stay below its memory limit, answer
`up` at once and end each of them by its deadline?

  hostile_queries.py --server BINARY [--series 42000] [--samples 720] [--heavy 4000] [--rounds 10]
                     [--queries 60] [--timeout 5] [--limit-mib 1024] [--query-mib 0]

Data comes by remote write. Printed: the peak of the resident set, times of `up`, how long each kind of
query went on behind its deadline (as the server says, and as its client saw it). Exits 1 when the
resident set passed the limit, `up` took more than 250 ms or a query 100 ms more than it may: figures
for a machine that does nothing else."""
import argparse, collections, http.client, json, multiprocessing, pathlib, shutil, socket, subprocess, sys, tempfile
import time, urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'integration'))
from hostile_load import Sampler, ask_all, load  # noqa: E402

CONFIG = '''
global: {scrape_interval: 1s, scrape_timeout: 1s, query_log_file: queries.log}
scrape_configs:
- job_name: self
  static_configs: [{targets: ["127.0.0.1:%d"]}]
'''


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, args, folder):
        self.port = free_port()
        self.folder = folder
        self.url = f'http://127.0.0.1:{self.port}'
        (folder / 'config.yml').write_text(CONFIG % self.port)
        flags = ['--web.enable-remote-write-receiver', '--web.enable-admin-api',
                 f'--memory.limit={args.limit_mib}MiB', f'--query.timeout={args.timeout}s',
                 '--enable-feature=promql-experimental-functions']
        if args.query_mib:
            flags.append(f'--query.max-memory={args.query_mib}MiB')
        self.log = open(folder / 'log', 'wb')
        self.process = subprocess.Popen(
            [args.server, f'--config.file={folder}/config.yml', f'--storage.tsdb.path={folder}/data',
             f'--web.listen-address=127.0.0.1:{self.port}', *flags], cwd=folder, stderr=self.log)
        until = time.monotonic() + 10
        while self.time_up() is None:
            assert time.monotonic() < until, (folder / 'log').read_text()
            time.sleep(0.2)

    def time_up(self):
        began = time.monotonic()
        try:
            c = http.client.HTTPConnection('127.0.0.1', self.port, timeout=30)
            c.request('GET', '/api/v1/query?query=up')
            body = json.loads(c.getresponse().read())
            c.close()
        except (ConnectionError, OSError):
            return None
        return time.monotonic() - began if body['status'] == 'success' else None

    def rss(self):
        with open(f'/proc/{self.process.pid}/status') as f:
            return next(int(line.split()[1]) for line in f if line.startswith('VmRSS')) << 10

    def query_times(self):
        for line in (self.folder / 'queries.log').read_text().splitlines():
            d = json.loads(line)
            yield d['params']['query'], d['stats']['timings']['execTotalTime']

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()


def oversleep():
    """How late this process runs: what a busy machine adds to all times."""
    began = time.monotonic()
    time.sleep(0.001)
    return time.monotonic() - began - 0.001


def spread(values):
    return (f'p50 {at(values, .5) * 1000:.1f} ms, p90 {at(values, .9) * 1000:.1f} ms, '
            f'p99 {at(values, .99) * 1000:.1f} ms, at most {max(values) * 1000:.1f} ms')


def at(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--server', required=True)
    for name, value in (('series', 42000), ('samples', 720), ('heavy', 4000), ('rounds', 10), ('queries', 60),
                        ('timeout', 5), ('limit-mib', 1024), ('query-mib', 0)):
        p.add_argument(f'--{name}', type=int, default=value)
    args = p.parse_args()
    args.server = str(pathlib.Path(args.server).resolve())
    folder = pathlib.Path(tempfile.mkdtemp(prefix='hostile-'))
    server = Server(args, folder)
    try:
        # all younger than an hour: what is older is refused once scrapes have moved the head on
        now = load(server.url, args.series, args.samples, args.heavy, 3000 * 1000 // args.samples)
        print(f'loaded; resident {server.rss() >> 20} MiB of {args.limit_mib}')
        statuses, late_client = collections.Counter(), {}
        with Sampler(0.01, server.rss) as rss, Sampler(0.02, server.time_up) as up, \
                Sampler(0.005, oversleep) as sleeper:
            for n in range(args.rounds):
                answers = multiprocessing.Queue()
                clients = multiprocessing.Process(target=ask_all, args=(
                    server.url, now, args.queries, args.timeout, answers, True, n * 7))
                clients.start()
                for status, _, took, text in answers.get(timeout=120).values():
                    statuses[str(status)] += 1
                    late_client[text] = max(late_client.get(text, 0), took - args.timeout)
                clients.join()
        late = {}
        count = collections.Counter()
        up_inside = []
        for text, took in server.query_times():
            if text == 'up':
                up_inside.append(took)
                continue
            late[text] = max(late.get(text, -args.timeout), took - args.timeout)
            count[text] += 1
        print('kinds of queries by how long they went on behind their deadline, in ms '
              '(server, client until the whole answer was read), times asked:')
        for text in sorted(late, key=lambda t: -late[t]):
            if late[text] > -0.5:
                print(f'  {late[text] * 1000:8.1f} {late_client.get(text, 0) * 1000:9.1f} {count[text]:4}  {text[:90]}')
        print(f'{sum(count.values())} queries of {len(count)} kinds; statuses {dict(statuses)}')
        print(f'resident set at most {max(rss.values) >> 20} MiB of {args.limit_mib}')
        print(f'up, {len(up.values)} times: {spread(up.values)}')
        print(f'  of that in the query engine: {spread(up_inside)}')
        print(f'  a thread that only sleeps wakes up late by: {spread(sleeper.values)}')
        print(f'latest end {max(late.values()) * 1000:.1f} ms behind its deadline')
        good = max(rss.values) < args.limit_mib << 20 and max(up.values) < 0.25 and max(late.values()) < 0.1
    finally:
        server.stop()
        shutil.rmtree(folder)
    sys.exit(not good)


if __name__ == '__main__':
    main()
