"""What the server says about itself: the families of Prometheus' own /metrics, with their types."""
import pytest
import requests

from conftest import free_port, need, wait_for

# Of a Go program, of things that Brasa does not have, or gone in Prometheus 3.
NO_COUNTERPART = {
    'go_': 'the Go runtime',
    'net_conntrack_': 'a Go library; brasa_target_scrape_failures_total tells failed connections',
    'prometheus_api_remote_read_': 'remote read is not there',
    'prometheus_remote_storage_': 'remote write to others is not there',
    'prometheus_sd_azure_': 'this discovery is not there',
    'prometheus_sd_consul_': 'this discovery is not there',
    'prometheus_sd_dns_': 'this discovery is not there',
    'prometheus_sd_http_': 'this discovery is not there',
    'prometheus_sd_kubernetes_': 'this discovery is not there',
    'prometheus_sd_kuma_': 'this discovery is not there',
    'prometheus_sd_linode_': 'this discovery is not there',
    'prometheus_sd_nomad_': 'this discovery is not there',
    'prometheus_treecache_': 'ZooKeeper discovery is not there',
    'prometheus_notifications_dropped_total': 'by Alertmanager since 3.0: none is configured here',
    'prometheus_notifications_queue_length': 'by Alertmanager since 3.0: none is configured here',
    'prometheus_tsdb_checkpoint_': 'the log is cut by segment, there are no checkpoints',
    'prometheus_tsdb_isolation_': 'a row is visible at once, there are no watermarks',
    'prometheus_tsdb_mmap_': 'the head has no mapped chunks',
    'prometheus_tsdb_snapshot_': 'there are no head snapshots',
    'prometheus_tsdb_symbol_table_size_bytes': 'symbols are not kept in memory by block',
    'prometheus_tsdb_wal_completed_pages_total': 'the log has no pages',
    'prometheus_tsdb_wal_page_flushes_total': 'the log has no pages',
    'prometheus_web_federation_': 'federation is not there',
}

# Counted in the place where the work is done, once that place has a counter for it.
NOT_COUNTED = {
    'prometheus_http_response_size_bytes',
    'prometheus_template_text_expansion_failures_total',
    'prometheus_template_text_expansions_total',
}


def families(url):
    types = {}
    for line in requests.get(url + '/metrics').text.splitlines():
        if line.startswith('# TYPE '):
            _, _, name, kind = line.split(' ')
            types[name] = kind
    return types


def excused(name):
    return name in NOT_COUNTED or any(name.startswith(prefix) for prefix in NO_COUNTERPART)


@pytest.fixture
def both(start, run, tmp_path):
    """URLs of Brasa and of Prometheus, of which each scrapes and evaluates a little."""
    rules = tmp_path / 'rules.yml'
    rules.write_text('groups: [{name: g, interval: 1s, rules: [{record: "a:b", expr: up}]}]\n')
    config = f'''
global: {{scrape_interval: 1s}}
rule_files: ['{rules}']
scrape_configs:
- job_name: self
  static_configs: [{{targets: ['127.0.0.1:1']}}]
'''
    brasa = start(config, flags=['--enable-feature=exemplar-storage'])
    port = free_port()
    run([need('prometheus'), f'--config.file={brasa.config}', f'--storage.tsdb.path={tmp_path}/prometheus',
         f'--web.listen-address=127.0.0.1:{port}', '--enable-feature=exemplar-storage'], 'prometheus')
    urls = brasa.url, f'http://127.0.0.1:{port}'
    for url in urls:
        wait_for(lambda: requests.get(f'{url}/api/v1/query?query=a:b', timeout=2).json()['data']['result'], what='a rule')
    return urls


def test_every_family_of_prometheus_is_there_with_its_type(both):
    brasa, prometheus = (families(url) for url in both)
    assert len(prometheus) > 100
    missing = {n: t for n, t in prometheus.items() if not excused(n) and brasa.get(n) != t}
    assert missing == {}
    assert {n: (t, brasa[n]) for n, t in prometheus.items() if n in brasa and brasa[n] != t} == {}
    assert sorted(n for n in prometheus if n in brasa and n in NOT_COUNTED) == []


def test_summaries_have_quantiles(both):
    def intervals():
        return 'prometheus_target_interval_length_seconds{' in requests.get(both[0] + '/metrics').text
    wait_for(intervals, what='intervals')
    text = requests.get(both[0] + '/metrics').text
    for series in ('prometheus_target_interval_length_seconds{interval="1s",quantile="0.99"}',
                   'prometheus_target_sync_length_seconds{scrape_job="self",quantile="0.5"}',
                   'prometheus_engine_query_duration_seconds{slice="inner_eval",quantile="0.9"}',
                   'prometheus_rule_evaluation_duration_seconds{quantile="0.5"}',
                   'prometheus_rule_group_duration_seconds{quantile="0.01"}'):
        (line,) = [x for x in text.splitlines() if x.startswith(series + ' ')]
        value = float(line.rpartition(' ')[2])
        assert value != value or 0 <= value < 60
