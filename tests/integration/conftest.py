"""Real parts for the end-to-end tests: Brasa, exporters, Prometheus, Alertmanager, Docker.

Every server is started by its test on loopback ports that nobody else gets (free_port), and ended with
the test. A test that fails shows what its servers logged. BRASA names the binary (default:
build/release/brasa), BRASA_ASAN the one with sanitizers that the bad-input tests use (default: build/dev/brasa)."""
import contextlib
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.parse

import pytest
import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
RELEASE = pathlib.Path(os.environ.get('BRASA', ROOT / 'build/release/brasa'))
ASAN = pathlib.Path(os.environ.get('BRASA_ASAN', ROOT / 'build/dev/brasa'))
SHARED = ROOT.parent / 'shared'
PORTS_AT_ONCE = 64
PORT_BLOCKS = []  # sockets whose names say which ports are this run's
PORT_LOCK = threading.Lock()
PROCESSES = []  # started and not yet stopped
CRASHES = {-n for n in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGSYS)}


def port_numbers():
    """Ports that the system gives to nobody by itself (as it does for port 0 and outgoing connections), each once.

    They come in blocks, and the name of an abstract socket makes a block ours among all runs at the same time."""
    low, high = map(int, pathlib.Path('/proc/sys/net/ipv4/ip_local_port_range').read_text().split())
    blocks = range(10000, 65536 - PORTS_AT_ONCE, PORTS_AT_ONCE)
    own = [b for b in blocks if b + PORTS_AT_ONCE <= low or b > high] or list(blocks)
    random.shuffle(own)
    for block in own:
        owner = socket.socket(socket.AF_UNIX)
        try:
            owner.bind(f'\0brasa-tests-ports-{block}')
        except OSError:
            owner.close()
            continue
        PORT_BLOCKS.append(owner)
        yield from range(block, block + PORTS_AT_ONCE)


PORTS = port_numbers()


def free_port():
    """A port where nobody listens, never given before in this run nor to another one."""
    with PORT_LOCK:
        for port in PORTS:
            with socket.socket() as s, contextlib.suppress(OSError):
                s.bind(('', port))
                return port
    raise AssertionError('no port is free')


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


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    report = (yield).get_result()
    if report.failed:
        for p in PROCESSES:
            code = p.proc.poll()
            report.sections.append((f'{p.log}, ' + ('running' if code is None else f'ended with {code}'), p.text()[-4000:]))


class Process:
    def __init__(self, args, log, **kw):
        self.args, self.log = [str(a) for a in args], log
        self.out = open(log, 'ab')
        self.proc = subprocess.Popen(self.args, stdout=self.out, stderr=self.out, stdin=subprocess.DEVNULL, **kw)
        if self not in PROCESSES:  # else it is started anew
            PROCESSES.append(self)

    def text(self):
        return pathlib.Path(self.log).read_text(errors='replace')

    def alive(self):
        assert self.proc.poll() is None, f'{self.args[0]} ended with {self.proc.returncode}:\n{self.text()[-3000:]}'
        return True

    def listens(self, port):
        """Is it this process that has the TCP port?"""
        sockets = set()
        for table in pathlib.Path('/proc/net').glob('tcp*'):
            for line in table.read_text().splitlines():
                if f':{port:04X} ' in line:
                    _, address, _, state, _, _, _, _, _, inode, *_ = line.split()
                    if state == '0A' and address.endswith(f':{port:04X}'):
                        sockets.add(f'socket:[{inode}]')
        for fd in pathlib.Path(f'/proc/{self.proc.pid}/fd').iterdir() if sockets else ():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                if os.readlink(fd) in sockets:
                    return True
        return False

    def answers(self, url):
        """Does this very process say 200 there? An answer alone proves nothing: another one may have the port."""
        return self.alive() and self.listens(urllib.parse.urlsplit(url).port) and requests.get(url, timeout=2).status_code == 200 and self.alive()

    def stop(self, sig=signal.SIGTERM, timeout=20):
        try:
            if self.proc.poll() is None:
                self.proc.send_signal(sig)
                self.proc.wait(timeout)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
            raise AssertionError(f'{self.args[0]} did not end in {timeout} s:\n{self.text()[-3000:]}')
        finally:
            self.out.close()
            if self in PROCESSES:
                PROCESSES.remove(self)
        return self.proc.returncode


class Brasa(Process):
    def __init__(self, config, folder, binary=RELEASE, flags=(), port=None, wait=True):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port() if port is None else port
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
        wait_for(lambda: self.answers(f'{self.url}/-/ready'), timeout, 0.002, 'ready')
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
    def end(server, check_exit):
        alive = server.proc.poll() is None
        code = server.stop()
        if alive and check_exit:
            assert code == 0, f'exit code {code}:\n{server.text()[-4000:]}'
        assert code not in CRASHES, f'crashed, {code}:\n{server.text()[-4000:]}'
        assert 'AddressSanitizer' not in server.text() and 'runtime error:' not in server.text(), server.text()[-6000:]

    with contextlib.ExitStack() as servers:
        def make(config, name='brasa', check_exit=True, wait=True, **kw):
            server = Brasa(config, tmp_path / name, wait=False, **kw)
            servers.callback(end, server, check_exit)
            return server.ready() if wait else server

        yield make


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
    p = run([need('prometheus-node-exporter'), f'--web.listen-address=127.0.0.1:{port}'], 'node-exporter')
    wait_for(lambda: p.answers(f'http://127.0.0.1:{port}/metrics'), what='node-exporter')
    return f'127.0.0.1:{port}'


@pytest.fixture
def alertmanager(run, tmp_path):
    port = free_port()
    (tmp_path / 'alertmanager.yml').write_text('route: {receiver: none, group_wait: 0s}\nreceivers: [{name: none}]\n')
    p = run([need('prometheus-alertmanager'), f'--config.file={tmp_path}/alertmanager.yml', f'--web.listen-address=127.0.0.1:{port}',
             f'--storage.path={tmp_path}/am', '--cluster.listen-address='], 'alertmanager')
    wait_for(lambda: p.answers(f'http://127.0.0.1:{port}/-/ready'), what='alertmanager')
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
