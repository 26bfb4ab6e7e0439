#!/usr/bin/env python3
"""Kills a server that holds many active series and measures how long it takes to be ready again.

  restart_load.py --fleet BUILD/tests/bench/page_fleet --pages DIR --server BINARY
                  [--copies 184] [--interval 30] [--rounds 3]
  restart_load.py --fleet ... --server BINARY --unlike SERIES

As in scrape_load.py, each page of DIR is served by --copies targets; with the pages of shared/data
184 copies are 1,000,000 series. With --unlike there are pages of 50,000 series instead of which no two have
a label set in common, and two of five labels have as many values as there are series. When all of them are there, the server gets SIGKILL, starts again on
the same folder, and is asked for /-/ready each millisecond; then for the number of series, which must
be what it was. Prints, a round: seconds until ready, until the first answer, and the memory.
"""
import argparse, hashlib, json, pathlib, shutil, signal, socket, subprocess, tempfile, time
import urllib.error, urllib.parse, urllib.request

from scrape_load import get, make_pages


NAMES = ['http_requests_total', 'queue_depth', 'latency_seconds_sum', 'latency_seconds_count', 'bytes_sent_total',
         'cpu_usage_seconds_total', 'pod_info', 'disk_io_total', 'cache_hits_total', 'errors_total']


def make_unlike_pages(to, series):
    """Pages of 50,000 series, all different; how many series."""
    each, pages = 50000, max(1, series // 50000)
    for page in range(pages):
        lines = []
        for n in range(each):
            name, h = NAMES[n * len(NAMES) // each], hashlib.md5(f'{page}/{n}'.encode()).hexdigest()
            lines.append(f'{name}{{pod="web-{h[:9]}-{h[9:14]}",uid="{h[14:22]}-{h[22:26]}",path="/api/v1/{h[26:28]}/items",'
                         f'code="{int(h[28:30], 16) % 5 + 1}00",zone="eu-{int(h[30:], 16) % 3}"}} {int(h[:8], 16)}\n')
        (to / f'unlike{page:03}').mkdir(parents=True)
        (to / f'unlike{page:03}/1.txt').write_text(''.join(lines))
    return each * pages


class Server:
    def __init__(self, binary, home, port):
        self.binary, self.home, self.port, self.proc = binary, home, port, None

    def start(self):
        """Seconds until it is ready."""
        began = time.monotonic()
        self.proc = subprocess.Popen(
            [self.binary, f'--config.file={self.home}/config.json', f'--storage.tsdb.path={self.home}/data',
             f'--web.listen-address=127.0.0.1:{self.port}'],
            stdout=(self.home / 'log').open('ab'), stderr=subprocess.STDOUT)
        while self.proc.poll() is None:
            try:
                get(f'http://127.0.0.1:{self.port}/-/ready')
                return time.monotonic() - began
            except (urllib.error.URLError, OSError):
                time.sleep(0.001)
        raise SystemExit(f'server ended: {(self.home / "log").read_text()[-2000:]}')

    def kill(self):
        self.proc.send_signal(signal.SIGKILL)
        self.proc.wait()

    def head_series(self):
        stats = json.loads(get(f'http://127.0.0.1:{self.port}/api/v1/status/tsdb'))
        return stats['data']['headStats']['numSeries']

    def memory_mb(self, key):
        for line in open(f'/proc/{self.proc.pid}/status'):
            if line.startswith(key + ':'):
                return int(line.split()[1]) / 1000


def wait_for(server, series, seconds):
    end = time.monotonic() + seconds
    while server.head_series() < series:
        if time.monotonic() > end:
            raise SystemExit(f'only {server.head_series()} of {series} series came in {seconds} s')
        time.sleep(1)


def config(home, targets, interval):
    (home / 'targets').mkdir(parents=True)
    (home / 'targets/all.json').write_text(json.dumps(targets))
    (home / 'config.json').write_text(json.dumps({
        'global': {'scrape_interval': f'{interval}s', 'scrape_timeout': f'{interval}s'},
        'scrape_configs': [{'job_name': 'fleet', 'file_sd_configs': [{'files': [f'{home}/targets/all.json']}]}]}))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--fleet', required=True)
    p.add_argument('--pages', type=pathlib.Path)
    p.add_argument('--server', required=True)
    p.add_argument('--copies', type=int, default=184)
    p.add_argument('--interval', type=int, default=30)
    p.add_argument('--rounds', type=int, default=3)
    p.add_argument('--unlike', type=int, metavar='SERIES')
    args = p.parse_args()
    if (args.pages is None) == (args.unlike is None):
        p.error('either --pages or --unlike')
    args.copies = 1 if args.unlike else args.copies
    tmp = pathlib.Path(tempfile.mkdtemp(prefix='restart-load-'))
    with socket.socket() as s, socket.socket() as t:
        s.bind(('127.0.0.1', 0)), t.bind(('127.0.0.1', 0))
        fleet_port, port = s.getsockname()[1], t.getsockname()[1]
    fleet = server = None
    try:
        total = (make_unlike_pages(tmp / 'pages', args.unlike) if args.unlike else
                 make_pages(args.pages, tmp / 'pages', -1, False) * args.copies)
        names = sorted(f.name for f in (tmp / 'pages').iterdir())
        targets = [{'targets': [f'127.{1 + n // 65536}.{n // 256 % 256}.{n % 256}:{fleet_port}'],
                    'labels': {'__metrics_path__': f'/{names[n % len(names)]}/{n // len(names)}',
                               'job': names[n % len(names)], 'instance': f'node-{n // len(names)}:9100'}}
                   for n in range(args.copies * len(names))]
        config(tmp, targets, args.interval)
        fleet = subprocess.Popen([args.fleet, str(fleet_port), str(args.interval), str(tmp / 'pages')])
        time.sleep(3)
        server = Server(args.server, tmp, port)
        server.start()
        wait_for(server, total * 98 // 100, 10 * args.interval)
        time.sleep(args.interval)
        print(f'{server.head_series()} series, {len(targets)} targets, {server.memory_mb("VmRSS"):.0f} MB, '
              f'{server.memory_mb("VmRSS") * 1e6 / server.head_series():.0f} B a series', flush=True)
        for _ in range(args.rounds):
            before = server.head_series()
            server.kill()
            ready = server.start()
            asked = time.monotonic()
            after = server.head_series()
            if after < before:
                raise SystemExit(f'{before} series before the kill, {after} after it')
            print(f'ready {ready:.3f} s, first answer {time.monotonic() - asked:.3f} s later, '
                  f'{server.memory_mb("VmRSS"):.0f} MB, peak {server.memory_mb("VmHWM"):.0f} MB', flush=True)
            time.sleep(args.interval)
    finally:
        if server is not None and server.proc.poll() is not None:
            print(f'server ended with {server.proc.returncode}:', (tmp / 'log').read_text()[-2000:])
        for proc in (fleet, server.proc if server is not None else None):
            if proc is not None:
                proc.kill()
                proc.wait()
        shutil.rmtree(tmp, ignore_errors=True)


if __name__ == '__main__':
    main()
