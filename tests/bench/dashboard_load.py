#!/usr/bin/env python3
"""Dashboards that refresh while a server scrapes a fleet: does either disturb the other?

  dashboard_load.py --fleet BUILD/tests/bench/page_fleet --pages DIR --server NAME=BINARY
                    [--copies 32] [--interval 5] [--warm 60] [--seconds 60]
                    [--dashboards 10] [--panels 20] [--refresh 5]

The fleet is that of scrape_load.py. Each dashboard is a client of its own that asks for all its
panels, one connection a panel as a browser would (six at a time), every --refresh seconds; panels are
range queries of the last minutes at 5 s, each dashboard over another node. Printed: times of panels,
scrapes that were missed (fewer samples of `up` than intervals, up 0, or gaps), lateness, CPU. Exits 1
when a scrape was missed or the 99th percentile passes 50 ms."""
import argparse, concurrent.futures, http.client, json, pathlib, shutil, socket, subprocess, sys, tempfile
import threading, time, urllib.parse

from scrape_load import Run, make_pages, p99_late_ms

PANELS = [
    'sum by (mode) (rate(node_cpu_seconds_total{%s}[1m]))', '1 - avg(rate(node_cpu_seconds_total{mode="idle",%s}[1m]))',
    'node_load1{%s}', 'node_memory_MemAvailable_bytes{%s} / node_memory_MemTotal_bytes{%s}',
    'rate(node_network_receive_bytes_total{%s}[1m])', 'rate(node_network_transmit_bytes_total{%s}[1m])',
    'rate(node_disk_read_bytes_total{%s}[1m])', 'rate(node_disk_written_bytes_total{%s}[1m])',
    'topk(5, rate(node_disk_io_time_seconds_total{%s}[1m]))', 'node_filesystem_avail_bytes{%s}',
    'sum(rate(prometheus_http_requests_total{%s}[1m])) by (handler)', 'prometheus_tsdb_head_series{%s}',
    'histogram_quantile(0.99, sum by (le) (rate(prometheus_http_request_duration_seconds_bucket{%s}[1m])))',
    'histogram_quantile(0.9, sum by (le) (rate(etcd_disk_wal_fsync_duration_seconds_bucket{%s}[1m])))',
    'rate(process_cpu_seconds_total{%s}[1m])', 'process_resident_memory_bytes{%s}', 'go_goroutines{%s}',
    'rate(go_gc_duration_seconds_sum{%s}[1m])', 'max_over_time(scrape_duration_seconds{%s}[1m])',
    'sum by (job) (up)',
]


class Dashboard(threading.Thread):
    def __init__(self, base, number, panels, refresh, until):
        super().__init__(daemon=True)
        self.host = urllib.parse.urlsplit(base).netloc
        self.refresh, self.until = refresh, until
        self.phase = number * refresh / 10
        node = f'instance="node-{number}:9100"'
        self.texts = [PANELS[i % len(PANELS)].replace('%s', node) for i in range(panels)]
        self.times, self.failed, self.empty = [], 0, 0
        self.local = threading.local()

    def panel(self, text):
        now = time.time()
        params = urllib.parse.urlencode({'query': text, 'start': now - 300, 'end': now, 'step': 5})
        if not hasattr(self.local, 'connection'):
            self.local.connection = http.client.HTTPConnection(self.host, timeout=30)
        began = time.monotonic()
        self.local.connection.request('GET', '/api/v1/query_range?' + params)
        reply = self.local.connection.getresponse()
        body = reply.read()
        took = time.monotonic() - began
        return took, reply.status == 200, body.find(b'"result":[]') < 0

    def run(self):
        pool = concurrent.futures.ThreadPoolExecutor(6)
        next_at = time.monotonic() + self.phase
        while time.monotonic() < self.until:
            time.sleep(max(0, next_at - time.monotonic()))
            next_at += self.refresh
            for took, ok, some in pool.map(self.panel, self.texts):
                self.times.append(took)
                self.failed += not ok
                self.empty += not some


def missed(run, interval, seconds):
    """Scrapes that did not happen, by targets: gaps in up, and its zeros."""
    count = 0
    for series in run.query(f'up[{int(seconds)}s]'):
        times = [float(t) for t, _ in series['values']]
        count += sum(round((b - a) / interval) - 1 for a, b in zip(times, times[1:]))
        count += sum(v == '0' for _, v in series['values'])
        count += max(0, int(seconds / interval) - 1 - len(times))
    return count


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--fleet', required=True)
    p.add_argument('--pages', required=True, type=pathlib.Path)
    p.add_argument('--server', required=True)
    for name, value in (('copies', 32), ('interval', 5), ('warm', 60), ('seconds', 60), ('dashboards', 10), ('panels', 20), ('refresh', 5)):
        p.add_argument('--' + name, type=int, default=value)
    args = p.parse_args()
    tmp = pathlib.Path(tempfile.mkdtemp(prefix='dashboard-load-'))
    with socket.socket() as s, socket.socket() as t:
        s.bind(('127.0.0.1', 0)), t.bind(('127.0.0.1', 0))
        fleet_port, port = s.getsockname()[1], t.getsockname()[1]
    fleet = run = None
    try:
        series = make_pages(args.pages, tmp / 'pages', -1, False) * args.copies
        names = sorted(f.name for f in (tmp / 'pages').iterdir())
        targets = []
        for i in range(args.copies):
            for k, name in enumerate(names):
                n = i * len(names) + k
                targets.append({'targets': [f'127.{1 + n // 65536}.{n // 256 % 256}.{n % 256}:{fleet_port}'],
                                'labels': {'__metrics_path__': f'/{name}/{i}', 'job': name, 'instance': f'node-{i}:9100'}})
        fleet = subprocess.Popen([args.fleet, str(fleet_port), str(args.interval), str(tmp / 'pages')])
        time.sleep(3)
        name, _, binary = args.server.partition('=')
        run = Run(name, shutil.which(binary or name) or binary, tmp, port, targets, args.interval)
        time.sleep(args.warm)
        cpu, began = run.cpu_s(), time.monotonic()
        boards = [Dashboard(run.base, i, args.panels, args.refresh, began + args.seconds) for i in range(args.dashboards)]
        for board in boards:
            board.start()
        for board in boards:
            board.join()
        seconds = time.monotonic() - began
        cpu = run.cpu_s() - cpu
        times = sorted(took for board in boards for took in board.times)
        at = [times[min(len(times) - 1, int(len(times) * q))] * 1000 for q in (0.5, 0.9, 0.99, 1)]
        lost = missed(run, args.interval, seconds)
        late = p99_late_ms(run.query(f'up[{int(seconds)}s]'), args.interval)
        print(f'{name}: {series} series by {len(targets)} targets every {args.interval} s; {args.dashboards} dashboards of '
              f'{args.panels} panels every {args.refresh} s for {seconds:.0f} s')
        print(f'panels {len(times)}: p50 {at[0]:.1f} ms, p90 {at[1]:.1f} ms, p99 {at[2]:.1f} ms, most {at[3]:.1f} ms; '
              f'failed {sum(b.failed for b in boards)}, without data {sum(b.empty for b in boards)}')
        print(f'scrapes missed {lost}, p99 late {late:.1f} ms; cpu {cpu / seconds * 100:.0f} % of a core, rss {run.mem("VmRSS") / 1e6:.0f} MB')
        return 1 if lost or at[2] >= 50 or any(b.failed for b in boards) else 0
    finally:
        if run is not None:
            run.stop()
        if fleet is not None:
            fleet.kill()
            fleet.wait()
        shutil.rmtree(tmp, ignore_errors=True)


if __name__ == '__main__':
    sys.exit(main())
