import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { seriesText, type MatrixSeries } from './api';

// Told apart by colour-blind eyes, 4.5:1 against both backgrounds where possible; dashes tell
// further series apart, so colour is never alone.
const COLOURS = ['#2f73c9', '#c2570c', '#2b8a3e', '#9c36b5', '#b8860b', '#c92a2a', '#0b8794', '#6741d9'];
const DASHES: (number[] | undefined)[] = [undefined, [8, 4], [2, 3], [10, 3, 2, 3]];
const SERIES_MAX = 200;

const number = (text: string) => (text === '+Inf' || text === '-Inf' ? NaN : Number(text));

/** One x column for all series; null where a series has no point. */
function columns(series: MatrixSeries[], start: number, end: number, step: number): uPlot.AlignedData {
  const count = Math.floor((end - start) / step + 1e-6) + 1;
  const xs = Array.from({ length: count }, (_, i) => start + i * step);
  const ys = series.map((s) => {
    const column: (number | null)[] = new Array<number | null>(count).fill(null);
    for (const [t, v] of s.values) {
      const i = Math.round((t - start) / step);
      const y = number(v);
      if (i >= 0 && i < count && Number.isFinite(y)) {
        column[i] = y;
      }
    }
    return column;
  });
  return [xs, ...ys] as uPlot.AlignedData;
}

function short(value: number): string {
  const size = Math.abs(value);
  for (const [unit, scale] of [['T', 1e12], ['G', 1e9], ['M', 1e6], ['k', 1e3]] as const) {
    if (size >= scale) return `${+(value / scale).toPrecision(4)}${unit}`;
  }
  return size !== 0 && size < 1e-3 ? value.toExponential(2) : String(+value.toPrecision(4));
}

interface Props { series: MatrixSeries[]; start: number; end: number; step: number; onZoom: (start: number, end: number) => void }

export function Chart({ series: all, start, end, step, onZoom }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [hidden, setHidden] = useState<ReadonlySet<number>>(new Set());
  const [at, setAt] = useState<number | null>(null);
  const series = all.slice(0, SERIES_MAX);

  useEffect(() => {
    setHidden(new Set());
    const element = box.current;
    if (!element) return undefined;
    const style = getComputedStyle(document.documentElement);
    const ink = style.getPropertyValue('--ink-soft');
    const grid = { stroke: style.getPropertyValue('--line'), width: 1 };
    const chart = new uPlot(
      {
        width: element.clientWidth,
        height: 380,
        legend: { show: false },
        cursor: { drag: { x: true, y: false, setScale: false }, focus: { prox: 24 } },
        scales: { x: { time: true } },
        axes: [
          { stroke: ink, grid, ticks: grid },
          { stroke: ink, grid, ticks: grid, size: 64, values: (_u, ticks) => ticks.map(short) },
        ],
        series: [
          {},
          ...series.map((s, i) => ({
            label: seriesText(s.metric),
            stroke: COLOURS[i % COLOURS.length],
            dash: DASHES[Math.floor(i / COLOURS.length) % DASHES.length],
            width: 1.5,
            points: { show: s.values.length === 1 },
          })),
        ],
        hooks: {
          setSelect: [
            (u) => {
              if (u.select.width > 4) {
                onZoom(u.posToVal(u.select.left, 'x'), u.posToVal(u.select.left + u.select.width, 'x'));
              }
              u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            },
          ],
          setCursor: [(u) => setAt(u.cursor.idx ?? null)],
        },
      },
      columns(series, start, end, step),
      element,
    );
    plot.current = chart;
    const resize = new ResizeObserver(() => chart.setSize({ width: element.clientWidth, height: 380 }));
    resize.observe(element);
    return () => {
      resize.disconnect();
      chart.destroy();
      plot.current = null;
    };
  }, [all, start, end, step]);

  const toggle = (i: number, only: boolean) => {
    const next = new Set(hidden);
    if (only) {
      const alone = hidden.size === series.length - 1 && !hidden.has(i);
      next.clear();
      if (!alone) series.forEach((_, k) => k !== i && next.add(k));
    } else if (!next.delete(i)) {
      next.add(i);
    }
    series.forEach((_, k) => plot.current?.setSeries(k + 1, { show: !next.has(k) }));
    setHidden(next);
  };

  const valueAt = (i: number) => {
    const y = at === null ? null : (plot.current?.data[i + 1]?.[at] ?? null);
    return y === null ? '' : short(y as number);
  };

  if (series.length === 0) {
    return <p class="note">Empty result: no series matches in this range.</p>;
  }
  return (
    <figure>
      <div ref={box} role="img" aria-label={`Graph of ${series.length} series; the table tab has the values`} />
      {all.length > SERIES_MAX && <p class="note">{SERIES_MAX} of {all.length} series drawn. Aggregate or narrow the query to see the rest.</p>}
      <ul class="legend" aria-label="Series">
        {series.map((s, i) => (
          <li key={seriesText(s.metric)}>
            <button
              type="button"
              aria-pressed={!hidden.has(i)}
              title="Click: hide or show. Ctrl-click: only this one."
              onClick={(e) => toggle(i, e.ctrlKey || e.metaKey)}
            >
              <svg width="22" height="8" aria-hidden="true">
                <line x1="0" y1="4" x2="22" y2="4" stroke={COLOURS[i % COLOURS.length]} stroke-width="3"
                  stroke-dasharray={DASHES[Math.floor(i / COLOURS.length) % DASHES.length]?.join(' ')} />
              </svg>
              <code>{seriesText(s.metric)}</code>
              <span class="at">{valueAt(i)}</span>
            </button>
          </li>
        ))}
      </ul>
    </figure>
  );
}
