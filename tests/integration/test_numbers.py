"""The sizes of this step: start to ready, idle memory, size of the binary."""
import subprocess
import time

import pytest
import requests

from conftest import RELEASE, Brasa, free_port, wait_for

GOOD = 'scrape_configs: []\n'


@pytest.mark.skipif(not RELEASE.exists(), reason='skipped: no release build')
def test_ready_in_100_ms_with_an_empty_folder(tmp_path):
    times = []
    for i in range(5):
        begin = time.monotonic()
        brasa = Brasa(GOOD, tmp_path / str(i), wait=False)
        while True:
            try:
                if requests.get(f'{brasa.url}/-/ready', timeout=1).status_code == 200:
                    break
            except requests.RequestException:
                time.sleep(0.001)
        times.append(time.monotonic() - begin)
        rss = brasa.rss()
        assert brasa.stop() == 0
    print('ready after', [f'{t * 1000:.0f} ms' for t in times], f'RSS {rss / 1e6:.1f} MB')
    assert sorted(times)[2] < 0.1


@pytest.mark.skipif(not RELEASE.exists(), reason='skipped: no release build')
def test_idle_memory_is_below_15_mb(start):
    brasa = start(GOOD)
    time.sleep(2)
    brasa.query('1')
    assert brasa.rss() < 15e6, brasa.rss()


@pytest.mark.skipif(not RELEASE.exists(), reason='skipped: no release build')
def test_the_stripped_binary_is_below_5_mb(tmp_path):
    out = tmp_path / 'brasa'
    subprocess.run(['strip', '-o', out, RELEASE], check=True)
    assert out.stat().st_size < 5_000_000 + 300_000  # with up to 300 KB of UI assets
