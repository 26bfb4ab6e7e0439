"""The example configuration at another port than the default one, as scripts/run --port starts it."""
import subprocess

import requests

from conftest import RELEASE, ROOT, Process, free_port, wait_for

SCRIPT = ROOT / 'scripts/example-config'


def test_example_at_another_port_scrapes_itself_and_has_its_rules(tmp_path):
    port = free_port()
    config = tmp_path / 'a folder' / 'prometheus.yml'
    subprocess.run([SCRIPT, str(port), config], check=True, timeout=20)
    base = f'http://127.0.0.1:{port}'
    server = Process([RELEASE, f'--config.file={config}', f'--storage.tsdb.path={tmp_path / "data"}',
                      f'--web.listen-address=127.0.0.1:{port}'], tmp_path / 'log')
    try:
        wait_for(lambda: server.answers(f'{base}/-/ready'), what='ready')
        data = lambda path, **params: requests.get(f'{base}/api/v1/{path}', params=params, timeout=10).json()['data']
        own = lambda: [t['labels']['instance'] for t in data('targets')['activeTargets'] if t['labels']['job'] == 'brasa']
        assert wait_for(own, timeout=60, what='own target') == [f'localhost:{port}']
        files = len(list((ROOT / 'examples/rules').glob('*.yml')))
        wait_for(lambda: len({g['file'] for g in data('rules')['groups']}) == files, timeout=60, what='groups of every rule file')
        up = lambda: data('query', query='up{job="brasa"} == 1')['result']
        wait_for(up, timeout=60, what='own scrape')
    finally:
        server.stop()


def test_example_for_what_is_no_port_is_refused(tmp_path):
    done = subprocess.run([SCRIPT, '90a', tmp_path / 'p.yml'], capture_output=True, text=True, timeout=20)
    assert done.returncode == 2
    assert '"90a" is no port' in done.stderr
    assert not (tmp_path / 'p.yml').exists()
