import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { call, type Answer, type MatrixSeries, type Result } from './api';
import { Chart } from './chart';
import { PageHead } from './page_head';
import { QueryBox } from './query_box';
import { DiskAlert, useRuntimeInfo } from './runtime_info';
import { end, expr, range, remember, step, tab, toAddress, type Tab } from './state';
import { Table } from './table';
import { autoStep, formatDuration, formatTime, parseDuration } from './time';

interface Shown { tab: Tab; answer: Answer<Result>; start: number; end: number; step: number }

const RANGES = ['5m', '15m', '1h', '3h', '6h', '12h', '1d', '2d', '1w', '2w', '4w'];

function endSeconds(): number {
  const t = end.value ? Date.parse(end.value) / 1000 : NaN;
  return Number.isFinite(t) ? t : Date.now() / 1000;
}

async function fetchResult(signal: AbortSignal): Promise<Shown> {
  const at = endSeconds();
  if (tab.value === 'table') {
    const answer = await call<Result>('query', { query: expr.value, time: at.toFixed(3) }, signal);
    return { tab: 'table', answer, start: at, end: at, step: 0 };
  }
  const width = parseDuration(range.value);
  if (!(width > 0)) throw new Error(`"${range.value}" is no range: write it like 30m, 6h or 2d.`);
  const written = step.value ? parseDuration(step.value) : autoStep(width);
  if (!(written > 0)) throw new Error(`"${step.value}" is no step: write it like 15s or 5m.`);
  // whole steps, so that a reload draws the same points
  const last = Math.floor(at / written) * written;
  const first = last - Math.floor(width / written) * written;
  const answer = await call<Result>('query_range', {
    query: expr.value, start: first.toFixed(3), end: last.toFixed(3), step: String(written),
  }, signal);
  return { tab: 'graph', answer, start: first, end: last, step: written };
}

export function App() {
  const [shown, setShown] = useState<Shown | null>(null);
  const [error, setError] = useState('');
  const [busy, setBusy] = useState(false);
  const running = useRef<AbortController | null>(null);

  const run = useCallback(() => {
    running.current?.abort();
    if (!expr.value.trim()) {
      setShown(null);
      setError('');
      return;
    }
    toAddress();
    const controller = new AbortController();
    running.current = controller;
    setBusy(true);
    setError('');
    fetchResult(controller.signal)
      .then((result) => {
        setShown(result);
        remember(expr.value);
      })
      .catch((e: unknown) => {
        if (!controller.signal.aborted) {
          setShown(null);
          setError(e instanceof Error ? e.message : String(e));
        }
      })
      .finally(() => {
        if (running.current === controller) setBusy(false);
      });
  }, []);

  useEffect(() => {
    run();
    const onPop = () => run();
    window.addEventListener('popstate', onPop);
    return () => window.removeEventListener('popstate', onPop);
  }, []);

  const choose = (next: Tab) => {
    tab.value = next;
    run();
  };
  const shift = (factor: number) => {
    const width = parseDuration(range.value);
    end.value = new Date((endSeconds() + factor * width) * 1000).toISOString();
    run();
  };
  const zoom = (from: number, to: number) => {
    range.value = formatDuration(Math.max(1, to - from));
    end.value = new Date(to * 1000).toISOString();
    run();
  };

  return (
    <>
      <a class="skip" href="#result">Skip to the result</a>
      <PageHead />
      <main>
        <DiskAlert info={useRuntimeInfo().info} />
        <QueryBox onRun={run} />
        <div class="controls">
          <div role="tablist" aria-label="View">
            {(['table', 'graph'] as const).map((t) => (
              <button key={t} type="button" role="tab" id={`tab-${t}`} aria-selected={tab.value === t} aria-controls="result" onClick={() => choose(t)}>
                {t === 'table' ? 'Table' : 'Graph'}
              </button>
            ))}
          </div>
          {tab.value === 'graph' && (
            <>
              <button type="button" aria-label="Earlier" onClick={() => shift(-0.5)}>◀</button>
              <label>Range
                <input list="ranges" size={5} value={range.value} onChange={(e) => { range.value = e.currentTarget.value; run(); }} />
              </label>
              <datalist id="ranges">{RANGES.map((r) => <option key={r} value={r} />)}</datalist>
              <button type="button" aria-label="Later" onClick={() => shift(0.5)}>▶</button>
              <label>Step
                <input size={5} placeholder="auto" value={step.value} onChange={(e) => { step.value = e.currentTarget.value; run(); }} />
              </label>
            </>
          )}
          <label>{tab.value === 'graph' ? 'End' : 'Time'}
            <input size={24} placeholder="now" value={end.value} onChange={(e) => { end.value = e.currentTarget.value; run(); }} />
          </label>
          {end.value && <button type="button" onClick={() => { end.value = ''; run(); }}>Now</button>}
          <span class="stats" role="status" aria-live="polite">
            {busy ? 'Running…' : shown ? summary(shown) : ''}
          </span>
        </div>
        {error && <p class="error" role="alert">{error}</p>}
        {shown?.answer.warnings.map((w) => <p class="warning" key={w}>{w}</p>)}
        {shown?.answer.infos.map((w) => <p class="info" key={w}>{w}</p>)}
        <section id="result" role="tabpanel" aria-labelledby={`tab-${tab.value}`} aria-busy={busy}>
          {shown?.tab === 'table' && <Table result={shown.answer.data} />}
          {shown?.tab === 'graph' && shown.answer.data.resultType === 'matrix' && (
            <Chart series={shown.answer.data.result as MatrixSeries[]} start={shown.start} end={shown.end} step={shown.step} onZoom={zoom} />
          )}
          {!shown && !error && !busy && <p class="note">Write an expression and press Enter. Try <button type="button" onClick={() => { expr.value = 'up'; run(); }}><code>up</code></button></p>}
        </section>
      </main>
    </>
  );
}

function summary(shown: Shown): string {
  const data = shown.answer.data;
  const count = data.resultType === 'vector' || data.resultType === 'matrix' ? data.result.length : 1;
  const what = count === 1 ? '1 series' : `${count} series`;
  const when = shown.tab === 'graph' ? `, step ${formatDuration(shown.step)}` : `, at ${formatTime(shown.end)}`;
  return `${what} in ${shown.answer.ms.toFixed(0)} ms${when}`;
}
