"""A container of a real Docker Engine is discovered, relabelled and scraped."""
import io
import subprocess
import tarfile

from conftest import need, wait_for

PAGE = b'# TYPE container_answer gauge\ncontainer_answer 42\n'


def image(folder):
    """busybox's httpd with one page, as a tar for docker import."""
    busybox = need('busybox')
    path = folder / 'image.tar'
    with tarfile.open(path, 'w') as t:
        def add(name, data, mode=0o644):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), mode
            t.addfile(info, io.BytesIO(data))
        add('bin/busybox', open(busybox, 'rb').read(), 0o755)
        add('www/metrics', PAGE)
        add('etc/httpd.conf', b'.:text/plain\nA:*\n')
        add('etc/mime.types', b'')
    return path


def test_a_container_is_discovered_and_scraped(start, docker, tmp_path):
    sock, command = docker
    tag = 'brasa-e2e:1'
    with open(image(tmp_path), 'rb') as f:
        subprocess.run([*command, 'import', '-', tag], stdin=f, check=True, capture_output=True)
    for name, labels in (('answer', ['--label', 'prometheus.scrape=true', '--label', 'team=deep']), ('silent', [])):
        subprocess.run([*command, 'run', '-d', '--name', name, *labels, '--expose', '8000', tag,
                        '/bin/busybox', 'httpd', '-f', '-p', '8000', '-h', '/www'], check=True, capture_output=True)
    brasa = start(f'''
global: {{scrape_interval: 500ms, scrape_timeout: 500ms}}
scrape_configs:
- job_name: docker
  fallback_scrape_protocol: PrometheusText0.0.4
  docker_sd_configs: [{{host: "unix://{sock}", refresh_interval: 1s}}]
  relabel_configs:
  - {{source_labels: [__meta_docker_container_label_prometheus_scrape], regex: "true", action: keep}}
  - {{source_labels: [__meta_docker_container_name], regex: "/(.*)", target_label: container}}
  - {{source_labels: [__meta_docker_container_label_team], target_label: team}}
''')
    wait_for(lambda: brasa.value('container_answer{container="answer",team="deep",job="docker"}') == 42, 30, 0.1, 'container scraped')
    out = subprocess.run([need('promtool'), 'query', 'instant', brasa.url, 'container_answer'], capture_output=True, text=True)
    assert out.returncode == 0 and 'container="answer"' in out.stdout and '=> 42 @[' in out.stdout, out.stdout + out.stderr
    data = brasa.get('/api/v1/targets')['data']
    assert len(data['activeTargets']) == 1
    assert data['droppedTargetCounts'] == {'docker': 1}
    found = data['activeTargets'][0]['discoveredLabels']
    assert found['__meta_docker_container_name'] == '/answer' and found['__meta_docker_network_name'] == 'bridge'

    subprocess.run([*command, 'rm', '-f', 'answer'], check=True, capture_output=True)
    wait_for(lambda: brasa.get('/api/v1/targets')['data']['activeTargets'] == [], 30, 0.2, 'target gone')
    wait_for(lambda: brasa.query('container_answer') == [], 30, 0.2, 'series stale')
