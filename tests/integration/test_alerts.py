"""A rule fires, a real Alertmanager shows it, and shows it resolved after the cause ends."""
import requests

from conftest import wait_for
from exporter import Exporter

RULES = '''
groups:
- name: e2e
  interval: 300ms
  rules:
  - record: job:hot:sum
    expr: sum by (job) (hot)
    labels: {kind: recorded}
  - alert: Hot
    expr: hot > 10
    for: 600ms
    labels: {severity: page, where: "{{ $labels.place }}"}
    annotations: {summary: "{{ $labels.place }} is at {{ $value }} degrees"}
'''


def test_an_alert_fires_reaches_alertmanager_and_resolves(start, alertmanager, tmp_path):
    heat = {'value': 5}
    (tmp_path / 'rules.yml').write_text(RULES)
    with Exporter({'/metrics': lambda h, n: f'hot{{place="oven"}} {heat["value"]}\n'.encode()}) as exporter:
        brasa = start(f'''
global: {{scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 300ms, external_labels: {{site: lab}}}}
rule_files: ["{tmp_path}/rules.yml"]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["{alertmanager}"]}}]}}]}}
scrape_configs:
- job_name: test
  static_configs: [{{targets: ["{exporter.address}"]}}]
''', flags=['--rules.alert.resend-delay=300ms'])
        alerts = lambda: requests.get(f'http://{alertmanager}/api/v2/alerts', params={'active': 'true'}, timeout=5).json()
        wait_for(lambda: brasa.value('job:hot:sum{kind="recorded",job="test"}') == 5, what='recording rule')
        rule = brasa.get('/api/v1/rules')['data']['groups'][0]['rules'][1]
        assert rule['state'] == 'inactive' and rule['query'] == 'hot > 10' and rule['duration'] == 0.6
        assert alerts() == []

        heat['value'] = 11.5
        seen = wait_for(lambda: {s['metric']['alertstate'] for s in brasa.query('ALERTS{alertname="Hot"}')}, what='ALERTS')
        assert seen <= {'pending', 'firing'}
        wait_for(lambda: brasa.query('ALERTS{alertname="Hot",alertstate="firing"}'), what='firing')
        assert brasa.query('ALERTS{alertname="Hot",alertstate="pending"}') == []
        (alert,) = wait_for(alerts, 20, 0.1, 'alertmanager has it')
        assert alert['labels'] == {'alertname': 'Hot', 'severity': 'page', 'where': 'oven', 'place': 'oven', 'site': 'lab',
                                   'job': 'test', 'instance': exporter.address}
        assert alert['annotations'] == {'summary': 'oven is at 11.5 degrees'}
        assert '/graph?g0.expr=hot+%3E+10&g0.tab=1' in alert['generatorURL']
        (shown,) = brasa.get('/api/v1/alerts')['data']['alerts']
        assert shown['state'] == 'firing' and shown['value'] == '1.15e+01'

        heat['value'] = 3
        wait_for(lambda: brasa.query('ALERTS') == [], what='ALERTS gone')
        wait_for(lambda: alerts() == [], 20, 0.1, 'resolved in alertmanager')
        assert brasa.get('/api/v1/alertmanagers')['data']['activeAlertmanagers'] == [{'url': f'http://{alertmanager}/api/v2/alerts'}]
