"""Real parts for the end-to-end tests: Brasa, exporters, Prometheus, Alertmanager, Docker.

Every server is started by its test on loopback ports that were free a moment ago, and ended with
the test. BRASA names the binary (default: build/release/brasa), BRASA_ASAN the one with
sanitizers that the bad-input tests use (default: build/dev/brasa)."""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import pytest
import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
RELEASE = pathlib.Path(os.environ.get('BRASA', ROOT / 'build/release/brasa'))
ASAN = pathlib.Path(os.environ.get('BRASA_ASAN', ROOT / 'build/dev/brasa'))
SHARED = ROOT.parent / 'shared'


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def wait_for(check, timeout=20.0, pause=0.02, what='condition'):
    """Polls check until it returns something true; its exceptions count as not yet."""
    end = time.monotonic() + timeout
    last = None
    while time.monotonic() < end:
        try:
            value = check()
            if value:
                return value
            last = value
        except (requests.RequestException, OSError, KeyError, IndexError, ValueError) as e:
            last = e
        time.sleep(pause)
    raise AssertionError(f'{what}: not within {timeout} s, last: {last!r}')


class Process:
    def __init__(self, args, log, **kw):
        self.args, self.log = [str(a) for a in args], log
        self.out = open(log, 'ab')
        self.proc = subprocess.Popen(self.args, stdout=self.out, stderr=self.out, stdin=subprocess.DEVNULL, **kw)

    def text(self):
        return pathlib.Path(self.log).read_text(errors='replace')

    def stop(self, sig=signal.SIGTERM, timeout=20):
        if self.proc.poll() is None:
            self.proc.send_signal(sig)
            try:
                self.proc.wait(timeout)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
                raise AssertionError(f'{self.args[0]} did not end in {timeout} s:\n{self.text()[-3000:]}')
        self.out.close()
        return self.proc.returncode


class Brasa(Process):
    def __init__(self, config, folder, binary=RELEASE, flags=(), port=None, wait=True):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.url = f'http://127.0.0.1:{self.port}'
        self.config = self.folder / 'prometheus.yml'
        if config is not None:
            self.config.write_text(config)
        self.data = self.folder / 'data'
        args = [binary, f'--config.file={self.config}', f'--storage.tsdb.path={self.data}',
                f'--web.listen-address=127.0.0.1:{self.port}', *flags]
        super().__init__(args, self.folder / 'brasa.log')
        if wait:
            self.ready()

    def ready(self, timeout=20):
        def check():
            if self.proc.poll() is not None:
                raise AssertionError(f'brasa ended with {self.proc.returncode}:\n{self.text()[-3000:]}')
            return requests.get(f'{self.url}/-/ready', timeout=1).status_code == 200
        wait_for(check, timeout, 0.002, 'ready')
        return self

    def get(self, path, **params):
        r = requests.get(f'{self.url}{path}', params=params, timeout=30)
        return r.json()

    def query(self, expr, time=None):
        params = {'query': expr}
        if time is not None:
            params['time'] = time
        body = requests.post(f'{self.url}/api/v1/query', data=params, timeout=30).json()
        assert body['status'] == 'success', body
        return body['data']['result']

    def value(self, expr):
        result = self.query(expr)
        return float(result[0]['value'][1]) if result else None

    def rss(self):
        for line in open(f'/proc/{self.proc.pid}/status'):
            if line.startswith('VmRSS'):
                return int(line.split()[1]) * 1024
        return 0


@pytest.fixture
def start(tmp_path):
    """start(config, **kw) -> Brasa; all are stopped, and must have ended well, when the test ends."""
    running = []

    def make(config, name='brasa', check_exit=True, **kw):
        server = Brasa(config, tmp_path / name, **kw)
        running.append((server, check_exit))
        return server

    yield make
    for server, check_exit in running:
        alive = server.proc.poll() is None
        code = server.stop()
        if alive and check_exit:
            assert code == 0, f'exit code {code}:\n{server.text()[-4000:]}'
        assert 'AddressSanitizer' not in server.text() and 'runtime error:' not in server.text(), server.text()[-6000:]


@pytest.fixture
def run(tmp_path):
    """run(args) -> Process of a peer, stopped when the test ends."""
    running = []

    def make(args, name, **kw):
        p = Process(args, tmp_path / f'{name}.log', **kw)
        running.append(p)
        return p

    yield make
    for p in running:
        with contextlib.suppress(AssertionError):
            p.stop()


def need(program):
    path = shutil.which(program)
    if path is None:
        pytest.skip(f'{program} is not installed')
    return path


@pytest.fixture
def node_exporter(run):
    port = free_port()
    run([need('prometheus-node-exporter'), f'--web.listen-address=127.0.0.1:{port}'], 'node-exporter')
    wait_for(lambda: requests.get(f'http://127.0.0.1:{port}/metrics', timeout=2).ok, what='node-exporter')
    return f'127.0.0.1:{port}'


@pytest.fixture
def alertmanager(run, tmp_path):
    port = free_port()
    (tmp_path / 'alertmanager.yml').write_text('route: {receiver: none, group_wait: 0s}\nreceivers: [{name: none}]\n')
    run([need('prometheus-alertmanager'), f'--config.file={tmp_path}/alertmanager.yml', f'--web.listen-address=127.0.0.1:{port}',
         f'--storage.path={tmp_path}/am', '--cluster.listen-address='], 'alertmanager')
    wait_for(lambda: requests.get(f'http://127.0.0.1:{port}/-/ready', timeout=2).ok, what='alertmanager')
    return f'127.0.0.1:{port}'


DOCKER_METRICS = []


@pytest.fixture
def docker_metrics(docker):
    """Address of the Docker Engine's own metrics."""
    address = DOCKER_METRICS[-1]
    wait_for(lambda: requests.get(f'http://{address}/metrics', timeout=2).ok, what='metrics of dockerd')
    return address


@pytest.fixture(scope='session')
def docker(tmp_path_factory):
    """A Docker Engine on a socket of its own: returns (socket path, docker command)."""
    need('dockerd')
    if os.geteuid() != 0:
        pytest.skip('dockerd needs root')
    folder = tmp_path_factory.mktemp('docker')
    sock = folder / 'docker.sock'
    log = folder / 'dockerd.log'
    port = free_port()
    p = Process(['dockerd', f'--host=unix://{sock}', '--experimental', f'--metrics-addr=127.0.0.1:{port}', f'--data-root={folder}/data', f'--exec-root={folder}/exec',
                 f'--pidfile={folder}/pid'], log)
    command = ['docker', f'--host=unix://{sock}']
    try:
        wait_for(lambda: subprocess.run([*command, 'info'], capture_output=True).returncode == 0, 60, 0.3, 'dockerd')
    except AssertionError:
        p.stop()
        raise AssertionError(f'dockerd did not start:\n{p.text()[-3000:]}')
    DOCKER_METRICS.append(f'127.0.0.1:{port}')
    yield str(sock), command
    ids = subprocess.run([*command, 'ps', '-aq'], capture_output=True, text=True).stdout.split()
    if ids:
        subprocess.run([*command, 'rm', '-f', *ids], capture_output=True)
    p.stop(timeout=60)
