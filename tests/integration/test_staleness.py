"""How series end, beside Prometheus: both servers go through the same events of targets, files,
reloads and restarts, and must then show the same series."""
import concurrent.futures
import json
import signal
import time

import requests

from conftest import free_port, need, wait_for
from differential import ask, key_of
from exporter import Exporter

INTERVAL = '1s'


class Peer:
    """Debian's Prometheus, which can be restarted."""

    def __init__(self, run, folder, config):
        self.run, self.folder, self.port, self.starts = run, folder, free_port(), 0
        self.folder.mkdir()
        self.config = self.folder / 'p.yml'
        self.config.write_text(config)
        self.url = f'http://127.0.0.1:{self.port}'
        self.begin()

    def begin(self):
        self.starts += 1
        self.process = self.run([need('prometheus'), f'--config.file={self.config}', f'--storage.tsdb.path={self.folder}/data',
                                 f'--web.listen-address=127.0.0.1:{self.port}'], f'{self.folder.parent.name}-{self.starts}')
        wait_for(lambda: requests.get(f'{self.url}/-/ready', timeout=2).ok, what='prometheus')

    def end(self, sig):
        self.process.stop(sig)

    def reload(self):
        self.process.proc.send_signal(signal.SIGHUP)


class Ours:
    def __init__(self, start, folder, config):
        self.start, self.folder = start, folder
        self.server = start(config, name=folder, check_exit=False, flags=['--no-scrape.failure-reason-series'])
        self.url, self.config = self.server.url, self.server.config

    def end(self, sig):
        self.server.stop(sig)

    def begin(self):
        self.server = self.start(None, name=self.folder, port=self.server.port, check_exit=False, flags=['--no-scrape.failure-reason-series'])

    def reload(self):
        self.server.proc.send_signal(signal.SIGHUP)


class Both:
    def __init__(self, start, run, folder, config):
        self.servers = [Ours(start, folder / 'brasa', config), Peer(run, folder / 'peer', config)]

    def configure(self, text):
        for s in self.servers:
            s.config.write_text(text)
            s.reload()

    def restart(self, sig):
        for s in self.servers:
            s.end(sig)
        for s in self.servers:
            s.begin()

    def shown(self, query='{job!="",__name__!~"scrape_.*"}'):
        return [{key_of(s['metric']): s['value'][1] for s in ask(s.url, 'query', query=query)['result']} for s in self.servers]

    def expect(self, *want, timeout=15):
        """Both show exactly these series: 'name{job}=value'."""
        def short(shown):
            return sorted(f"{dict(k)['__name__']}{{{dict(k)['job']}}}={v}" for k, v in shown.items())
        seen = None

        def same():
            nonlocal seen
            seen = [short(s) for s in self.shown()]
            return all(s == sorted(want) for s in seen)
        try:
            wait_for(same, timeout, 0.2)
        except AssertionError:
            raise AssertionError(f'expected {sorted(want)}\nbrasa      {seen[0]}\nprometheus {seen[1]}') from None


def config(*jobs):
    """jobs: (name, settings)"""
    return json.dumps({'global': {'scrape_interval': INTERVAL, 'scrape_timeout': INTERVAL},
                       'scrape_configs': [{'job_name': name, **settings} for name, settings in jobs]})


def static(address, path='/metrics', **more):
    return {'metrics_path': path, 'static_configs': [{'targets': [address]}], **more}


def vanished_series_failed_scrapes_and_their_return(start, run, tmp_path):
    with Exporter({'/metrics': b'a 1\nb 2\n'}) as exporter:
        both = Both(start, run, tmp_path, config(('j', static(exporter.address))))
        both.expect('up{j}=1', 'a{j}=1', 'b{j}=2')
        exporter.pages['/metrics'] = b'a 1\n'
        both.expect('up{j}=1', 'a{j}=1')
        exporter.pages['/metrics'] = (500, {}, b'')
        both.expect('up{j}=0')
        exporter.pages['/metrics'] = b'a 3\nb 4\n'
        both.expect('up{j}=1', 'a{j}=3', 'b{j}=4')
        exporter.pages['/metrics'] = b'a 5\n}\nb 6\n'  # a was reached: no marker for it
        both.expect('up{j}=0', 'a{j}=3')
        exporter.pages['/metrics'] = b''
        both.expect('up{j}=1')


def targets_that_leave_return_and_move_between_jobs(start, run, tmp_path):
    with Exporter({'/metrics': b'a 1\n', '/other': b'o 1\n'}) as exporter:
        files = {n: tmp_path / f'{n}.json' for n in 'xy'}

        def targets(**where):
            for n, path in files.items():
                new = tmp_path / 'new'
                new.write_text(json.dumps([{'targets': [exporter.address]}] if n in where else []))
                new.rename(path)
        targets(x=1)
        both = Both(start, run, tmp_path, config(*((n, {'file_sd_configs': [{'files': [str(p)], 'refresh_interval': '1s'}]}) for n, p in files.items())))
        both.expect('up{x}=1', 'a{x}=1')
        targets(y=1)
        both.expect('up{y}=1', 'a{y}=1', timeout=30)
        targets()
        both.expect(timeout=30)
        targets(x=1, y=1)
        both.expect('up{x}=1', 'a{x}=1', 'up{y}=1', 'a{y}=1', timeout=30)


def reloads_end_what_the_new_configuration_does_not_have(start, run, tmp_path):
    with Exporter({'/metrics': b'a 1\nb 2\n', '/other': b'o 1\n'}) as exporter:
        keep = ('k', static(exporter.address))
        both = Both(start, run, tmp_path, config(keep, ('j', static(exporter.address))))
        both.expect('up{k}=1', 'a{k}=1', 'b{k}=2', 'up{j}=1', 'a{j}=1', 'b{j}=2')
        # another path is another target: the old one ends
        both.configure(config(keep, ('j', static(exporter.address, '/other'))))
        both.expect('up{k}=1', 'a{k}=1', 'b{k}=2', 'up{j}=1', 'o{j}=1', timeout=20)
        # new relabelling: what it drops ends
        both.configure(config(keep, ('j', static(exporter.address, metric_relabel_configs=[{'source_labels': ['__name__'], 'regex': 'b', 'action': 'drop'}]))))
        both.expect('up{k}=1', 'a{k}=1', 'b{k}=2', 'up{j}=1', 'a{j}=1', timeout=20)
        # a limit that the page passes: up is 0, and the series before the limit stay until lookback
        both.configure(config(keep, ('j', static(exporter.address, sample_limit=1))))
        both.expect('up{k}=1', 'a{k}=1', 'b{k}=2', 'up{j}=0', 'a{j}=1', timeout=20)
        # too many targets: nothing is asked, everything ends
        two = static(exporter.address, target_limit=1)
        two['static_configs'][0]['targets'].append(exporter.address.replace('127.0.0.1', 'localhost'))
        both.configure(config(keep, ('j', two)))
        both.expect('up{k}=1', 'a{k}=1', 'b{k}=2', 'up{j}=0', 'up{j}=0', timeout=20)
        # a job that leaves the configuration gets no markers: its series stay until lookback
        both.configure(config(keep))
        time.sleep(3)
        both.expect('up{k}=1', 'a{k}=1', 'b{k}=2', 'up{j}=0', 'up{j}=0')


def restarts_leave_no_marker_and_series_that_left_meanwhile_fade(start, run, tmp_path):
    with Exporter({'/metrics': b'a 1\nb 2\n'}) as exporter:
        both = Both(start, run, tmp_path, config(('j', static(exporter.address))))
        both.expect('up{j}=1', 'a{j}=1', 'b{j}=2')
        for sig, value in ((signal.SIGTERM, 3), (signal.SIGKILL, 5)):
            both.restart(sig)
            both.expect('up{j}=1', 'a{j}=%d' % (value - 2), 'b{j}=2')  # at once, from storage, then scraped
            exporter.pages['/metrics'] = b'a %d\nb 2\n' % value
            both.expect('up{j}=1', 'a{j}=%d' % value, 'b{j}=2')
        time.sleep(1.5)  # what was seen before is in the log by now
        for s in both.servers:
            s.end(signal.SIGKILL)
        exporter.pages['/metrics'] = b'a 7\n'
        for s in both.servers:
            s.begin()
        # b left while nobody looked: no marker, as nothing remembers it
        both.expect('up{j}=1', 'a{j}=7', 'b{j}=2')
        exporter.pages['/metrics'] = b'c 1\n'
        both.expect('up{j}=1', 'b{j}=2', 'c{j}=1')


def test_both_servers_show_the_same_after_each_event(start, run, tmp_path):
    stories = (vanished_series_failed_scrapes_and_their_return, targets_that_leave_return_and_move_between_jobs,
               reloads_end_what_the_new_configuration_does_not_have, restarts_leave_no_marker_and_series_that_left_meanwhile_fade)
    with concurrent.futures.ThreadPoolExecutor(len(stories)) as pool:  # at once: they mostly wait
        running = []
        for story in stories:
            folder = tmp_path / story.__name__
            folder.mkdir()
            running.append(pool.submit(story, start, run, folder))
        for r in running:
            r.result()
