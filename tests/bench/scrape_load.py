#!/usr/bin/env python3
"""Lets servers scrape a fleet of recorded exporters: CPU a sample, memory a series, lateness.

  scrape_load.py --fleet BUILD/tests/bench/page_fleet --pages DIR --server NAME=BINARY ...
                 [--copies 20] [--samples N] [--gzip] [--interval 5] [--warm 20] [--seconds 60]

DIR/<exporter>/<n>.txt are the pages; each of them is served by --copies targets, every one with an
address of its own. --samples cuts the pages to so many samples. Servers take Prometheus's flags, or
are called victoria...; they run one after the other. CPU is that of all threads while --seconds
pass; lateness is how far sample times of `up` are from where an exact interval would put them.
"""
import argparse, gzip, json, os, pathlib, shutil, socket, subprocess, tempfile, time
import urllib.error, urllib.parse, urllib.request


def get(url):
    with urllib.request.urlopen(url, timeout=120) as r:
        return r.read()


def make_pages(source, to, samples, compress):
    """The pages as the fleet serves them; how many samples the last one of each exporter has."""
    total = 0
    for folder in sorted(p for p in source.iterdir() if p.is_dir()):
        (to / folder.name).mkdir(parents=True)
        for page in sorted(folder.glob('*.txt')):
            lines, count = [], 0
            for line in page.open():
                count += line[0] not in '#\n'
                lines.append(line)
                if count == samples:
                    break
            out = to / folder.name / page.name
            out.write_text(''.join(lines))
            if compress:
                pathlib.Path(f'{out}.gz').write_bytes(gzip.compress(out.read_bytes(), 6))
        total += count
    return total


class Run:
    def __init__(self, name, binary, tmp, port, targets, interval):
        self.name, self.base = name, f'http://127.0.0.1:{port}'
        home = tmp / name
        home.mkdir()
        (home / 'targets').mkdir()
        (home / 'targets/all.json').write_text(json.dumps(targets))
        config = home / 'config.json'
        config.write_text(json.dumps({
            'global': {'scrape_interval': f'{interval}s', 'scrape_timeout': f'{interval}s'},
            'scrape_configs': [{'job_name': 'fleet', 'file_sd_configs': [{'files': [str(home / 'targets/all.json')]}]}]}))
        if name.startswith('victoria'):
            command = [binary, f'-storageDataPath={home}/data', f'-httpListenAddr=127.0.0.1:{port}',
                       f'-promscrape.config={config}', '-search.latencyOffset=0', '-search.maxSeries=10000000']
        else:
            command = [binary, f'--config.file={config}', f'--storage.tsdb.path={home}/data',
                       f'--web.listen-address=127.0.0.1:{port}']
        self.data = home / 'data'
        self.proc = subprocess.Popen(command, stdout=(home / 'log').open('wb'), stderr=subprocess.STDOUT)
        while True:
            if self.proc.poll() is not None:
                raise SystemExit(f'{name} ended: {(home / "log").read_text()[-2000:]}')
            try:
                get(self.base + ('/health' if name.startswith('victoria') else '/-/ready'))
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)

    def cpu_s(self):
        f = open(f'/proc/{self.proc.pid}/stat').read().rsplit(')', 1)[1].split()
        return (int(f[11]) + int(f[12])) / os.sysconf('SC_CLK_TCK')

    def mem(self, key):
        for line in open(f'/proc/{self.proc.pid}/status'):
            if line.startswith(key + ':'):
                return int(line.split()[1]) * 1024

    def query(self, expr):
        return json.loads(get(f'{self.base}/api/v1/query?' + urllib.parse.urlencode({'query': expr})))['data']['result']

    def stop(self):
        self.proc.terminate()
        self.proc.wait()
        shutil.rmtree(self.data, ignore_errors=True)


def p99_late_ms(result, interval):
    late = []
    for series in result:
        times = [float(t) for t, _ in series['values']]
        late += [abs((t - times[0] + interval / 2) % interval - interval / 2) for t in times[1:]]
    late.sort()
    return late[len(late) * 99 // 100] * 1000 if late else float('nan')


def measure(run, series, count, args):
    time.sleep(args.warm)
    cpu, start = run.cpu_s(), time.monotonic()
    time.sleep(args.seconds)
    seconds = time.monotonic() - start
    samples = series * seconds / args.interval
    up = run.query('sum(up)')
    out = {'cpu_us_per_sample': (run.cpu_s() - cpu) * 1e6 / samples,
           'rss_mb': run.mem('VmRSS') / 1e6, 'anon_mb': run.mem('RssAnon') / 1e6, 'peak_mb': run.mem('VmHWM') / 1e6,
           'rss_bytes_per_series': run.mem('VmRSS') / series,
           'up': float(up[0]['value'][1]) if up else 0, 'targets': count,
           'p99_late_ms': p99_late_ms(run.query(f'up[{int(max(args.seconds, args.interval * 3))}s]'), args.interval)}
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--fleet', required=True)
    p.add_argument('--pages', required=True, type=pathlib.Path)
    p.add_argument('--server', action='append', required=True)
    p.add_argument('--copies', type=int, default=20)
    p.add_argument('--samples', type=int, default=-1)
    p.add_argument('--gzip', action='store_true')
    p.add_argument('--interval', type=int, default=5)
    p.add_argument('--warm', type=int, default=20)
    p.add_argument('--seconds', type=int, default=60)
    args = p.parse_args()
    tmp = pathlib.Path(tempfile.mkdtemp(prefix='scrape-load-'))
    with socket.socket() as s, socket.socket() as t:
        s.bind(('127.0.0.1', 0)), t.bind(('127.0.0.1', 0))
        fleet_port, port = s.getsockname()[1], t.getsockname()[1]
    fleet = None
    try:
        series = make_pages(args.pages, tmp / 'pages', args.samples, args.gzip) * args.copies
        names = sorted(f.name for f in (tmp / 'pages').iterdir())
        targets = []
        for i in range(args.copies):
            for k, name in enumerate(names):
                n = i * len(names) + k
                targets.append({'targets': [f'127.{1 + n // 65536}.{n // 256 % 256}.{n % 256}:{fleet_port}'],
                                'labels': {'__metrics_path__': f'/{name}/{i}', 'job': name, 'instance': f'node-{i}:9100'}})
        fleet = subprocess.Popen([args.fleet, str(fleet_port), str(args.interval), str(tmp / 'pages')])
        time.sleep(3)
        for spec in args.server:
            name, _, binary = spec.partition('=')
            run = Run(name, shutil.which(binary or name) or binary, tmp, port, targets, args.interval)
            try:
                out = measure(run, series, len(targets), args)
            finally:
                run.stop()
            print(f'{name:20} series {series} ' + ' '.join(f'{k} {v:.4g}' for k, v in out.items()), flush=True)
    finally:
        if fleet is not None:
            fleet.kill()
        shutil.rmtree(tmp, ignore_errors=True)


if __name__ == '__main__':
    main()
