// The state of the server: what runs since when, and how its storage is.
import { useEffect, useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';
import { get } from './api';
import { PageHead } from './page_head';
import { DiskAlert, useRuntimeInfo, type RuntimeInfo } from './runtime_info';

interface BuildInfo { version: string; revision: string; goVersion: string }
interface HeadStats { numSeries: number; numLabelPairs: number; chunkCount: number; minTime: number; maxTime: number }
interface Fixed { build: BuildInfo; head: HeadStats }

type Fact = [name: string, value: ComponentChildren];

function Facts({ caption, facts }: { caption: string; facts: Fact[] }) {
  return (
    <table class="facts">
      <caption>{caption}</caption>
      <tbody>
        {facts.map(([name, value]) => <tr key={name}><th scope="row">{name}</th><td>{value}</td></tr>)}
      </tbody>
    </table>
  );
}

function stateOfDisk(info: RuntimeInfo): string {
  if (info.storageFailing) return 'Fails';
  if (info.storageReadOnly) return 'Read-only: nothing is written';
  return info.storageFaultCount > 0 ? 'Works again' : 'Works';
}

function storageFacts(info: RuntimeInfo): Fact[] {
  const facts: Fact[] = [['Disk', stateOfDisk(info)]];
  if (info.storageFaultCount > 0) {
    facts.push(
      ['Faults of the disk', info.storageFaultCount],
      ['Last fault', `${info.storageLastFault}\n${info.storageLastFaultTime ?? ''}`],
    );
  }
  facts.push(['Damaged places', info.corruptionCount], ['Retention', info.storageRetention]);
  return facts;
}

function headFacts(head: HeadStats): Fact[] {
  const facts: Fact[] = [
    ['Series', head.numSeries],
    ['Label pairs', head.numLabelPairs],
    ['Chunks', head.chunkCount],
  ];
  // an empty head has the ends of all time the wrong way round
  if (head.minTime <= head.maxTime) {
    facts.push(
      ['From', new Date(head.minTime).toISOString()],
      ['To', new Date(head.maxTime).toISOString()],
    );
  }
  return facts;
}

export function StatusPage() {
  const { info, error } = useRuntimeInfo();
  const [fixed, setFixed] = useState<Fixed | null>(null);
  const [failure, setFailure] = useState('');
  useEffect(() => {
    Promise.all([get<BuildInfo>('status/buildinfo'), get<{ headStats: HeadStats }>('status/tsdb')])
      .then(([build, tsdb]) => setFixed({ build: build.data, head: tsdb.data.headStats }))
      .catch((e: unknown) => setFailure(e instanceof Error ? e.message : String(e)));
  }, []);
  return (
    <>
      <PageHead />
      <main>
        <DiskAlert info={info} />
        {(error || failure) && <p class="error" role="alert">{error || failure}</p>}
        {info && <Facts caption="Storage" facts={storageFacts(info)} />}
        {fixed && <Facts caption="Head" facts={headFacts(fixed.head)} />}
        {info && (
          <Facts
            caption="Server"
            facts={[
              ['Started', info.startTime],
              ['Configuration', `${info.reloadConfigSuccess ? 'Loaded' : 'The last reload failed; runs with that of'} ${info.lastConfigTime}`],
              ['Host', info.hostname],
              ['Working folder', info.CWD],
            ]}
          />
        )}
        {fixed && (
          <Facts
            caption="Build"
            facts={[
              ['Revision', fixed.build.revision],
              ['Answers like Prometheus', fixed.build.version],
              ['Compiler', fixed.build.goVersion],
            ]}
          />
        )}
      </main>
    </>
  );
}
