"""What the other end-to-end tests rely on: a port is given once, and who answers is who was started;
and a server that takes any free port says which."""
import http.server
import pathlib
import re
import socket
import subprocess
import sys
import threading

import pytest
import requests

from conftest import free_port, wait_for


@pytest.fixture
def stranger():
    """Somebody else's server: 200 to all questions."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header('Content-Length', '0')
            self.end_headers()

        def log_message(self, *args):
            pass

    class Server(http.server.ThreadingHTTPServer):
        def server_bind(self):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            super().server_bind()

    with Server(('127.0.0.1', free_port()), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_no_port_is_given_twice_nor_to_two_runs_at_once():
    code = 'from conftest import free_port\nprint(*(free_port() for _ in range(150)))\ninput()'
    runs = [subprocess.Popen([sys.executable, '-c', code], cwd=pathlib.Path(__file__).parent, text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(3)]
    given = [int(p) for run in runs for p in run.stdout.readline().split()] + [free_port() for _ in range(150)]
    for run in runs:
        run.communicate('\n', timeout=20)
    assert len(given) == len(set(given)) == 600
    low, high = map(int, pathlib.Path('/proc/sys/net/ipv4/ip_local_port_range').read_text().split())
    if (low, high) == (32768, 60999):
        assert not any(low <= p <= high for p in given)


def test_a_stranger_on_the_port_is_not_taken_for_our_server(stranger, start, run):
    assert requests.get(f'http://127.0.0.1:{stranger}/-/ready', timeout=5).status_code == 200
    with pytest.raises(AssertionError, match='(?i)address already in use'):
        start('', port=stranger)
    silent = run(['sleep', '60'], 'silent')
    assert not silent.listens(stranger) and not silent.answers(f'http://127.0.0.1:{stranger}/-/ready')


def test_a_server_that_takes_any_free_port_says_which(start):
    server = start('', port=0, wait=False)
    port = int(wait_for(lambda: re.search(r'Start listening for connections" address=127\.0\.0\.1:(\d+)', server.text()))[1])
    assert port != 0
    wait_for(lambda: server.answers(f'http://127.0.0.1:{port}/-/ready'))


def test_a_taken_port_is_known_before_the_data_folder_is_touched(stranger, start):
    server = start('', port=stranger, wait=False, check_exit=False)
    assert server.proc.wait(20) == 1
    assert re.search(rf'listen tcp 127\.0\.0\.1:{stranger}: bind: Address already in use', server.text())
    assert 'TSDB' not in server.text() and not server.data.exists()


def test_a_second_server_on_a_data_folder_is_told_who_has_it(start):
    first = start('')
    (first.folder.parent / 'second').mkdir()
    (first.folder.parent / 'second/data').symlink_to(first.data)
    second = start('', name='second', wait=False, check_exit=False)
    assert second.proc.wait(20) == 1
    assert f'held by process {first.proc.pid}' in second.text()
    assert first.answers(f'{first.url}/-/ready')
