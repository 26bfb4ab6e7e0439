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
        targets = requests.get(f'{base}/api/v1/targets', timeout=10).json()['data']['activeTargets']
        own = [t['labels']['instance'] for t in targets if t['labels']['job'] == 'brasa']
        assert own == [f'localhost:{port}']
        groups = requests.get(f'{base}/api/v1/rules', timeout=10).json()['data']['groups']
        assert len({g['file'] for g in groups}) == len(list((ROOT / 'examples/rules').glob('*.yml')))
        up = lambda: requests.get(f'{base}/api/v1/query', params={'query': 'up{job="brasa"}'}, timeout=10).json()['data']['result']
        assert wait_for(up, timeout=60, what='own scrape')[0]['value'][1] == '1'
    finally:
        server.stop()


def test_example_for_what_is_no_port_is_refused(tmp_path):
    done = subprocess.run([SCRIPT, '90a', tmp_path / 'p.yml'], capture_output=True, text=True, timeout=20)
    assert done.returncode == 2
    assert '"90a" is no port' in done.stderr
    assert not (tmp_path / 'p.yml').exists()
