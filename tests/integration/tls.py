"""Certificates, and small servers that the tests of the HTTP client talk to: HTTP with or without
TLS, a proxy, a token server. All on loopback, all counting what they saw."""
import http.server
import pathlib
import select
import socket
import ssl
import subprocess
import threading


def run(*args):
    subprocess.run([str(a) for a in args], check=True, capture_output=True)


class Authority:
    """A certificate authority in a folder of its own."""

    def __init__(self, folder, name):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.cert, self.key = self.folder / 'ca.pem', self.folder / 'ca.key'
        run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
            '-subj', f'/CN={name}', '-keyout', self.key, '-out', self.cert)

    def issue(self, name, alt='DNS:localhost,IP:127.0.0.1,DNS:foo.example'):
        """Returns paths of a certificate and its key."""
        key, request, cert, ext = (self.folder / f'{name}.{end}' for end in ('key', 'csr', 'pem', 'ext'))
        ext.write_text(f'subjectAltName={alt}\n')
        run('openssl', 'req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', f'/CN={name}',
            '-keyout', key, '-out', request)
        run('openssl', 'x509', '-req', '-in', request, '-CA', self.cert, '-CAkey', self.key, '-CAcreateserial', '-days', '2',
            '-extfile', ext, '-out', cert)
        return cert, key


class Server:
    """answer(handler) -> (status, headers, body). heard: every request as (path, headers)."""

    def __init__(self, answer=None, context=None, unix=None):
        self.heard, self.lock = [], threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def serve(self):
                length = int(self.headers.get('Content-Length') or 0)
                self.posted = self.rfile.read(length)
                with outer.lock:
                    outer.heard.append((self.path, dict(self.headers.items())))
                status, headers, body = (answer or page)(self)
                self.send_response(status)
                for name, value in {'Content-Type': 'text/plain', **headers}.items():
                    self.send_header(name, value)
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = serve

            def address_string(self):
                return 'peer'

            def log_message(self, *args):
                pass

        class Tcp(http.server.ThreadingHTTPServer):
            daemon_threads = True
            address_family = socket.AF_UNIX if unix else socket.AF_INET

            def server_bind(self):
                if unix:
                    self.socket.bind(str(unix))
                else:
                    super().server_bind()

            def finish_request(self, request, client_address):
                if context:  # in the connection's thread: a bad handshake stops nobody else
                    request.settimeout(5)
                    request = context.wrap_socket(request, server_side=True)
                    request.settimeout(None)
                super().finish_request(request, client_address)

            def handle_error(self, request, client_address):
                pass

        self.server = Tcp(str(unix) if unix else ('127.0.0.1', 0), Handler)
        self.port = None if unix else self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def paths(self):
        with self.lock:
            return [path for path, _ in self.heard]

    def headers(self):
        with self.lock:
            return self.heard[-1][1]

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.server.shutdown()
        self.server.server_close()


def page(handler):
    return 200, {}, b'answer 42\n'


def tls_context(cert, key, client_ca=None, maximum=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    if maximum:
        context.maximum_version = maximum
    return context


class Proxy:
    """A forward proxy: CONNECT to wherever map says, and GETs answered by itself. heard: heads."""

    def __init__(self, to=None):
        self.heard, self.to = [], to or {}
        self.socket = socket.create_server(('127.0.0.1', 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                c, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        head = b''
        try:
            while b'\r\n\r\n' not in head:
                got = c.recv(4096)
                if not got:
                    return
                head += got
            text = head.decode()
            self.heard.append(text)
            if not text.startswith('CONNECT '):
                c.sendall(b'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\nConnection: close\r\n\r\nproxied 1\n')
                return
            where = text.split()[1]
            up = socket.create_connection(('127.0.0.1', self.to[where]))
            c.sendall(b'HTTP/1.1 200 Connection established\r\n\r\n')
            while True:
                for s in select.select([c, up], [], [])[0]:
                    data = s.recv(65536)
                    if not data:
                        up.close()
                        return
                    (up if s is c else c).sendall(data)
        except (OSError, KeyError):
            pass
        finally:
            c.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.socket.close()
