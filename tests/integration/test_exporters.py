"""Seven real exporters at once, each scraped by Brasa and by Debian's Prometheus: the same names and
label sets, and the same values where they do not change."""
import requests

import pytest

from conftest import free_port, need, wait_for
from differential import ask, bits, key_of

# some that each must have
KNOWN = {
    'node': ['node_memory_MemTotal_bytes', 'node_uname_info', 'node_boot_time_seconds', 'node_cpu_seconds_total'],
    'etcd': ['etcd_server_has_leader', 'etcd_server_version', 'etcd_disk_wal_fsync_duration_seconds_bucket', 'grpc_server_started_total'],
    'alertmanager': ['alertmanager_build_info', 'alertmanager_config_last_reload_successful', 'alertmanager_alerts'],
    'pushgateway': ['pushgateway_build_info', 'pushed_total', 'push_time_seconds', 'pushed_seconds_bucket'],
    'prometheus': ['prometheus_build_info', 'prometheus_tsdb_head_series', 'prometheus_engine_query_duration_seconds'],
    'victoria': ['vm_app_version', 'process_start_time_seconds', 'vm_rows'],
    'docker': ['engine_daemon_engine_info', 'engine_daemon_engine_cpus_cpus', 'engine_daemon_container_actions_seconds_bucket'],
}
# values that stay while the test runs
STABLE = ['node_memory_MemTotal_bytes', 'node_uname_info', 'node_boot_time_seconds', 'etcd_server_has_leader', 'etcd_server_version',
          'alertmanager_build_info', 'alertmanager_config_last_reload_successful', 'pushgateway_build_info', 'pushed_total', 'push_time_seconds',
          'pushed_seconds_bucket', 'prometheus_build_info', 'vm_app_version', 'engine_daemon_engine_info', 'engine_daemon_engine_cpus_cpus',
          'engine_daemon_container_actions_seconds_bucket']
PUSHED = b'''# TYPE pushed_total counter
pushed_total{what="\\"odd\\" \\\\ one"} 1.7976931348623157e+308
# TYPE pushed_seconds histogram
pushed_seconds_bucket{le="0.1"} 1
pushed_seconds_bucket{le="1e6"} 2
pushed_seconds_bucket{le="+Inf"} 3
pushed_seconds_sum 0.30000000000000004
pushed_seconds_count 3
'''


def etcd(run, folder):
    client, peer = free_port(), free_port()
    run([need('etcd'), f'--data-dir={folder}/etcd', f'--listen-client-urls=http://127.0.0.1:{client}', f'--advertise-client-urls=http://127.0.0.1:{client}',
         f'--listen-peer-urls=http://127.0.0.1:{peer}', f'--initial-advertise-peer-urls=http://127.0.0.1:{peer}',
         f'--initial-cluster=default=http://127.0.0.1:{peer}'], 'etcd')
    wait_for(lambda: requests.get(f'http://127.0.0.1:{client}/health', timeout=2).json()['health'] == 'true', what='etcd')
    return f'127.0.0.1:{client}'


def pushgateway(run):
    port = free_port()
    run([need('prometheus-pushgateway'), f'--web.listen-address=127.0.0.1:{port}'], 'pushgateway')
    wait_for(lambda: requests.put(f'http://127.0.0.1:{port}/metrics/job/pushed/instance/one', data=PUSHED, timeout=2).ok, what='pushgateway')
    return f'127.0.0.1:{port}'


def prometheus(run, folder, name, config):
    port, home = free_port(), folder / name
    home.mkdir()
    (home / 'p.yml').write_text(config)
    run([need('prometheus'), f'--config.file={home}/p.yml', f'--storage.tsdb.path={home}/data', f'--web.listen-address=127.0.0.1:{port}'], name)
    wait_for(lambda: requests.get(f'http://127.0.0.1:{port}/-/ready', timeout=2).ok, what=name)
    return f'127.0.0.1:{port}'


def victoria(run, folder):
    port = free_port()
    run([need('victoria-metrics'), f'-storageDataPath={folder}/vm', f'-httpListenAddr=127.0.0.1:{port}'], 'victoria')
    wait_for(lambda: requests.get(f'http://127.0.0.1:{port}/metrics', timeout=2).ok, 30, what='victoria-metrics')
    return f'127.0.0.1:{port}'


@pytest.fixture
def exporters(run, tmp_path, node_exporter, alertmanager, docker_metrics):
    return {'node': node_exporter, 'alertmanager': alertmanager, 'docker': docker_metrics, 'etcd': etcd(run, tmp_path), 'pushgateway': pushgateway(run),
            'prometheus': prometheus(run, tmp_path, 'scraped', 'global: {scrape_interval: 1h}\n'), 'victoria': victoria(run, tmp_path)}


def test_seven_real_exporters_give_the_same_series_as_in_prometheus(start, run, exporters, tmp_path):
    jobs = ''.join(f'''
- job_name: {name}
  honor_labels: {str(name == 'pushgateway').lower()}
  static_configs: [{{targets: ["{address}"], labels: {{exporter: {name}}}}}]''' for name, address in exporters.items())
    config = f'global: {{scrape_interval: 2s, scrape_timeout: 2s}}\nscrape_configs:{jobs}\n'
    peer = 'http://' + prometheus(run, tmp_path, 'peer', config)
    brasa = start(config)
    for url in (brasa.url, peer):  # the third page is read by lines that are known
        wait_for(lambda: len(ask(url, 'query', query='count_over_time(up[5m]) >= 3')['result']) == len(exporters), 60, 0.3, 'three scrapes')
    total = 0
    for name in exporters:
        by_exporter = {}
        for side, url in (('brasa', brasa.url), ('prometheus', peer)):
            found = ask(url, 'query', query=f'{{exporter="{name}",__name__!~"up|scrape_.*"}}')['result']
            by_exporter[side] = {key_of(s['metric']): s['value'][1] for s in found}
        ours, theirs = by_exporter['brasa'], by_exporter['prometheus']
        assert brasa.value(f'min_over_time(up{{job="{name}"}}[5m])') == 1, name
        # a series that one request made, as a new code or path, may be seen by one of the two only
        missing = {k for k in theirs.keys() ^ ours.keys() if not appears(k, brasa.url, peer)}
        assert missing == set(), (name, sorted(map(sorted, missing))[:5])
        total += len(ours)
        names = {dict(k)['__name__'] for k in ours}
        assert names == {dict(k)['__name__'] for k in theirs}, name
        assert [m for m in KNOWN[name] if m not in names] == [], name
        stable = {k: v for k, v in theirs.items() if dict(k)['__name__'] in STABLE}
        assert stable and {k: (v, ours[k]) for k, v in stable.items() if bits(v) != bits(ours[k])} == {}, name
        assert len(ours) == len(theirs) or len(ours.keys() ^ theirs.keys()) < 10, name
    assert total > 2000
    pushed = brasa.query('pushed_seconds_bucket{job="pushed",instance="one"}')
    assert {s['metric']['le']: s['value'][1] for s in pushed} == {'0.1': '1', '1e+06': '2', '+Inf': '3'}


def appears(key, *urls):
    """Do both servers have the series by now?"""
    pairs = [(k, v) for k, v in sorted(key) if k not in ('le', 'quantile')]
    matcher = ','.join(f'{k}={quoted(v)}' for k, v in pairs)

    def both():
        return all(any(key_of(s['metric']) == key for s in ask(u, 'query', query='{' + matcher + '}')['result']) for u in urls)
    try:
        return wait_for(both, 6, 0.5, 'both have it')
    except AssertionError:
        return False


def quoted(text):
    return '"' + text.replace('\\', '\\\\').replace('"', '\\"').replace('\n', '\\n') + '"'
