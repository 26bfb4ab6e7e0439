// What the server says of itself, asked for again while the page is open, and what every page has
// to say of it: that the disk fails.
import { useEffect, useState } from 'preact/hooks';
import { get } from './api';

export interface RuntimeInfo {
  startTime: string;
  CWD: string;
  hostname: string;
  serverTime: string;
  reloadConfigSuccess: boolean;
  lastConfigTime: string;
  corruptionCount: number;
  storageReadOnly: boolean;
  storageFailing: boolean;
  storageFaultCount: number;
  storageLastFault: string;
  storageLastFaultTime?: string;
  storageRetention: string;
}

const AGAIN_MS = 15000;

/** The newest answer; a failed request leaves the one before and says why. */
export function useRuntimeInfo(): { info: RuntimeInfo | null; error: string } {
  const [info, setInfo] = useState<RuntimeInfo | null>(null);
  const [error, setError] = useState('');
  useEffect(() => {
    let gone = false;
    const ask = () => {
      if (document.hidden) return;
      get<RuntimeInfo>('status/runtimeinfo')
        .then((answer) => {
          if (gone) return;
          setInfo(answer.data);
          setError('');
        })
        .catch((e: unknown) => {
          if (!gone) setError(e instanceof Error ? e.message : String(e));
        });
    };
    ask();
    const timer = setInterval(ask, AGAIN_MS);
    document.addEventListener('visibilitychange', ask);
    return () => {
      gone = true;
      clearInterval(timer);
      document.removeEventListener('visibilitychange', ask);
    };
  }, []);
  return { info, error };
}

export function DiskAlert({ info }: { info: RuntimeInfo | null }) {
  if (!info?.storageFailing) return null;
  return (
    <p class="error" role="alert">
      The disk fails: new samples are in memory only, and are lost if the server ends before it works
      again. Last fault: {info.storageLastFault}
    </p>
  );
}
