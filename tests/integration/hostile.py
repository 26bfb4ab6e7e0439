"""Targets that mean harm: each takes a connection and does one kind of wrong, for ever if it can.
Raw sockets, so that nothing between the test and Brasa mends what is sent."""
import gzip
import os
import socket
import struct
import subprocess
import threading
import time

HEAD = b'HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n'


class Hostile:
    """A server a kind: kinds is {name: function(connection, count)}; addresses are by name."""

    def __init__(self, kinds):
        self.stopping = False
        self.sockets, self.address, self.seen = [], {}, dict.fromkeys(kinds, 0)
        for name, serve in kinds.items():
            s = socket.create_server(('127.0.0.1', 0), backlog=64)
            self.sockets.append(s)
            self.address[name] = '127.0.0.1:%d' % s.getsockname()[1]
            threading.Thread(target=self.accept, args=(name, s, serve), daemon=True).start()

    def accept(self, name, s, serve):
        while True:
            try:
                c, _ = s.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(name, c, serve), daemon=True).start()

    def one(self, name, c, serve):
        try:
            c.settimeout(30)
            while not self.stopping:
                head = b''
                while b'\r\n\r\n' not in head and name not in RUDE:
                    got = c.recv(65536)
                    if not got:
                        return
                    head += got
                self.seen[name] += 1
                if not serve(c, self.seen[name]):
                    return
        except OSError:
            pass
        finally:
            c.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stopping = True
        for s in self.sockets:
            s.close()


def send_for_ever(c, block):
    while True:
        c.sendall(block)


def endless_stream(c, n):
    c.sendall(HEAD + b'\r\n')
    send_for_ever(c, b''.join(b'endless{i="%d"} 1\n' % i for i in range(2000)))


def endless_chunks(c, n):
    c.sendall(HEAD + b'Transfer-Encoding: chunked\r\n\r\n')
    send_for_ever(c, b'1\r\na\r\n' * 5000)


def no_newline(c, n):
    """One line of a GB."""
    c.sendall(HEAD + b'Content-Length: %d\r\n\r\n' % (1 << 30))
    for _ in range(1 << 14):
        c.sendall(b'x' * (1 << 16))


def interim_flood(c, n):
    send_for_ever(c, b'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n' * 200)


def endless_line_of_head(c, n):
    c.sendall(HEAD + b'X-Filler: ')
    send_for_ever(c, b'x' * 65536)


def endless_trailer(c, n):
    c.sendall(HEAD + b'Transfer-Encoding: chunked\r\n\r\n4\r\na 1\n\r\n0\r\n')
    send_for_ever(c, b'X-Filler: y\r\n' * 1000)


def endless_extension(c, n):
    c.sendall(HEAD + b'Transfer-Encoding: chunked\r\n\r\n4;x=')
    send_for_ever(c, b'y' * 65536)


def slow_drip(c, n):
    c.sendall(HEAD + b'Content-Length: 1000000\r\n\r\n')
    for _ in range(30):
        c.sendall(b'x')
        time.sleep(1)


def slow_head(c, n):
    for byte in HEAD:
        c.sendall(bytes([byte]))
        time.sleep(1)


def endless_head(c, n):
    c.sendall(HEAD)
    send_for_ever(c, b'X-Filler: ' + b'x' * 1000 + b'\r\n')


def bomb(encoding, bytes_):
    def serve(c, n):
        c.sendall(HEAD + b'Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n' % (encoding, len(bytes_)) + bytes_)
        return True
    return serve


def gzip_bomb():
    """4 GB of one letter, as gzip members of 64 MB each."""
    return gzip.compress(b'x' * (64 << 20), 9) * 64


def zstd_bomb():
    return subprocess.run(['zstd', '-19', '-c'], input=b'x' * (256 << 20), capture_output=True, check=True).stdout * 16


def churn(c, n):
    """All series are new ones at every scrape."""
    body = b''.join(b'churn{scrape="%d",i="%d"} 1\n' % (n, i) for i in range(CHURN))
    c.sendall(HEAD + b'Content-Length: %d\r\n\r\n' % len(body) + body)
    return True


def labels(c, n):
    """Series with 5,000 labels each."""
    line = b'many{' + b','.join(b'l%d="v"' % i for i in range(5000)) + b'} 1\n'
    c.sendall(HEAD + b'Content-Length: %d\r\n\r\n' % (len(line) * 20) + line * 20)
    return True


def long_values(c, n):
    line = b'long{v="' + b'v' * 900_000 + b'"} 1\n'
    c.sendall(HEAD + b'Content-Length: %d\r\n\r\n' % (len(line) * 15) + line * 15)
    return True


def families(c, n):
    """Metadata of ever new families."""
    body = b''.join(b'# HELP f%d_%d some text\n# TYPE f%d_%d gauge\n' % (n, i, n, i) for i in range(10_000)) + b'a 1\n'
    c.sendall(HEAD + b'Content-Length: %d\r\n\r\n' % len(body) + body)
    return True


def page(body, content_type=b'text/plain; version=0.0.4'):
    wire = b'HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n' % (content_type, len(body)) + body

    def serve(c, n):
        c.sendall(wire)
        return True
    return serve


def answers(*heads):
    def serve(c, n):
        c.sendall(heads[n % len(heads)])
        return False
    return serve


def no_content(c, n):
    c.sendall(b'HTTP/1.1 204 No Content\r\n\r\n')
    return True


def redirect(*where):
    def serve(c, n):
        c.sendall(b'HTTP/1.1 302 Found\r\nLocation: ' + where[n % len(where)] + b'\r\nContent-Length: 0\r\n\r\n')
        return True
    return serve


def reset(c, n):
    c.sendall(HEAD + b'Content-Length: 100\r\n\r\nx ')
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    return False


def reset_at_once(c, n):
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    return False


def half_open(c, n):
    """Takes the request, and never says anything; then it closes its sending side only."""
    if n % 2 == 0:
        c.shutdown(socket.SHUT_WR)
    time.sleep(20)
    return False


def noise(c, n):
    c.sendall(os.urandom(100_000))
    return False


CHURN = 20_000
# those that do not wait for a request
RUDE = {'reset-at-once', 'close-at-once', 'tls-noise'}
CHUNKED = HEAD + b'Transfer-Encoding: chunked\r\n\r\n'
PROTOBUF = b'application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited'

# name: (what it does, what lastError must hold: one of). QUIET ones may be read in a harmless way.
KINDS = {
    'endless-stream': (endless_stream, ['body size limit exceeded']),
    'endless-chunks': (endless_chunks, ['body size limit exceeded']),
    'endless-trailer': (endless_trailer, ['suspiciously long trailer after chunked body']),
    'endless-extension': (endless_extension, ['']),
    'no-newline': (no_newline, ['body size limit exceeded']),
    'slow-drip': (slow_drip, []),
    'slow-head': (slow_head, []),
    'endless-head': (endless_head, ['response headers are larger than']),
    'endless-line-of-head': (endless_line_of_head, ['']),
    'interim-flood': (interim_flood, ['response headers are larger than']),
    'switching': (answers(b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\nPRI * HTTP/2.0\r\n\r\n'), ['']),
    'no-content': (no_content, ['server returned HTTP status 204 No Content']),
    'labels': (labels, ['series has more than 1024 labels']),
    'long-values': (long_values, ['sum of lengths', 'limit', 'long']),
    'open-braces': (page(b'a{' * 4_000_000), ['expected']),
    'open-quote': (page(b'a{b="' + b'x' * 9_000_000), ['expected', 'limit']),
    'blanks': (page(b' ' * 9_000_000 + b'a 1\n'), ['limit']),
    'families': (families, ['']),
    'protobuf-length': (page(b'\xff\xff\xff\xff\x0f', PROTOBUF), ['clientpb: insufficient length of buffer']),
    'protobuf-varint': (page(b'\xff' * 1000, PROTOBUF), ['clientpb: invalid varint encountered']),
    'two-lengths': (answers(HEAD + b'Content-Length: 4\r\nContent-Length: 8\r\n\r\na 1\nb 2\n'), ['multiple Content-Length headers']),
    'length-and-chunks': (answers(HEAD + b'Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na 1\n\r\n0\r\n\r\n'), ['']),
    'length-negative': (answers(HEAD + b'Content-Length: -1\r\n\r\na 1\n'), ['transport connection broken']),
    'length-overflow': (answers(HEAD + b'Content-Length: 9223372036854775808\r\n\r\na 1\n', HEAD + b'Content-Length: 99999999999999999999999\r\n\r\na 1\n'),
                        ['bad Content-Length "9']),
    'length-too-large': (answers(HEAD + b'Content-Length: 1000\r\n\r\na 1\n'), ['unexpected EOF']),
    'encodings': (answers(HEAD + b'Transfer-Encoding: gzip\r\n\r\na 1\n', HEAD + b'Transfer-Encoding: gzip, chunked\r\n\r\n4\r\na 1\n\r\n0\r\n\r\n',
                          HEAD + b'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na 1\n\r\n0\r\n\r\n'),
                  ['unsupported transfer encoding', 'too many transfer encodings']),
    'no-status': (answers(b'\r\n\r\n', b'HTTP/9.9 200 OK\r\n\r\n', b'HTTP/1.1 abc\r\n\r\n', b'HTTP/1.1 99999999999 OK\r\n\r\n'), ['']),
    'head-tricks': (answers(HEAD + b' folded: x\r\nno colon\r\n: no name\r\nX: \0\r\n\r\nx 1', HEAD + b'A' * 70000 + b'\r\n\r\n'), ['']),
    'chunk-size': (answers(CHUNKED + b'ffffffffffffffff1\r\nx', CHUNKED + b'10000000000000004\r\na 1\n\r\n0\r\n\r\n', CHUNKED + b'-1\r\nx', CHUNKED + b'0x4\r\na 1\n\r\n0\r\n\r\n',
                           CHUNKED + b'5\r\nab', CHUNKED + b'7fffffffffffffff\r\nab'), ['']),
    'redirect-loop': (redirect(b'/metrics'), ['stopped after 10 redirects']),
    'redirect-file': (redirect(b'file:///etc/passwd'), ['unsupported protocol scheme "file"']),
    'redirect-odd': (redirect(b'http://\x01\x02/', b'gopher://127.0.0.1/', b'http://[::1', b'//', b'http://user@/', b'data:,a 1'), ['']),
    'reset': (reset, ['connection reset by peer', 'EOF']),
    'reset-at-once': (reset_at_once, ['']),
    'close-at-once': (answers(b''), ['EOF', 'connection reset by peer']),
    'close-in-head': (answers(HEAD, b'HTTP/1.1 2', b'HTTP/1.1 200 OK\r\nContent-Le'), ['']),
    'half-open': (half_open, ['EOF']),
    'noise': (noise, ['']),
    'tls-noise': (noise, ['']),
}
QUIET = {'length-and-chunks', 'head-tricks', 'no-status', 'endless-trailer', 'families', 'close-in-head'}
