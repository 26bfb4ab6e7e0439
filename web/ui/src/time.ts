// Durations and times as the page shows and reads them.

const UNITS: [string, number][] = [['y', 31536000], ['w', 604800], ['d', 86400], ['h', 3600], ['m', 60], ['s', 1]];

/** "1h30m" to seconds; NaN when it is no duration. */
export function parseDuration(text: string): number {
  const trimmed = text.trim();
  if (/^\d+(\.\d+)?$/.test(trimmed)) {
    return Number(trimmed);
  }
  if (!/^(\d+(ms|[ywdhms]))+$/.test(trimmed)) {
    return NaN;
  }
  let seconds = 0;
  for (const [, n, unit] of trimmed.matchAll(/(\d+)(ms|[ywdhms])/g)) {
    seconds += unit === 'ms' ? Number(n) / 1000 : Number(n) * (UNITS.find(([u]) => u === unit)?.[1] ?? NaN);
  }
  return seconds;
}

export function formatDuration(seconds: number): string {
  if (seconds < 1) {
    return `${Math.round(seconds * 1000)}ms`;
  }
  let rest = Math.round(seconds);
  let text = '';
  for (const [unit, size] of UNITS) {
    const n = Math.floor(rest / size);
    if (n > 0 && (size <= 86400 || rest % size === 0)) {
      text += `${n}${unit}`;
      rest -= n * size;
    }
  }
  return text || '0s';
}

/** Local time with its offset: 2026-06-03 17:03:39 +02:00 */
export function formatTime(unixSeconds: number): string {
  const date = new Date(unixSeconds * 1000);
  const minutes = -date.getTimezoneOffset();
  const pad = (n: number) => String(Math.abs(n)).padStart(2, '0');
  const offset = `${minutes < 0 ? '-' : '+'}${pad(Math.trunc(minutes / 60))}:${pad(minutes % 60)}`;
  const ms = date.getMilliseconds();
  const local = new Date(date.getTime() + minutes * 60000).toISOString();
  return `${local.slice(0, 10)} ${local.slice(11, 19)}${ms > 0 ? `.${String(ms).padStart(3, '0')}` : ''} ${offset}`;
}

/** A step that gives about 250 points over the range, at least a second. */
export function autoStep(rangeSeconds: number): number {
  return Math.max(1, Math.floor(rangeSeconds / 250));
}
