"""A scrape target that a test scripts: pages, delays, errors, garbage; counts what it served."""
import http.server
import threading


class Exporter:
    """pages: {path: bytes, or a function of the number of requests so far that returns bytes,
    (status, headers, bytes), or a function of the handler that answers by itself}."""

    def __init__(self, pages):
        self.pages, self.served = dict(pages), {}
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_GET(self):
                path = self.path.split('?')[0]
                with outer.lock:
                    n = outer.served.get(path, 0)
                    outer.served[path] = n + 1
                page = outer.pages.get(path)
                if callable(page):
                    page = page(self, n)
                    if page is None:
                        return
                if page is None:
                    page = (404, {}, b'')
                if isinstance(page, bytes):
                    page = (200, {'Content-Type': 'text/plain; version=0.0.4'}, page)
                status, headers, body = page
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass

        self.lock = threading.Lock()
        self.server = Server(('127.0.0.1', 0), Handler)
        self.address = f'127.0.0.1:{self.server.server_port}'
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def count(self, path='/metrics'):
        with self.lock:
            return self.served.get(path, 0)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.server.shutdown()
        self.server.server_close()
