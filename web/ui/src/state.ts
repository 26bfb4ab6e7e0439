// What the page shows is in its address, in the parameters that Prometheus' page uses, so that
// links can be shared both ways: g0.expr, g0.tab, g0.range_input, g0.end_input, g0.step_input.
import { signal } from '@preact/signals';

export type Tab = 'table' | 'graph';

function fromAddress() {
  const params = new URLSearchParams(location.search);
  const tab = params.get('g0.tab');
  return {
    expr: params.get('g0.expr') ?? '',
    tab: (tab === '0' || tab === 'graph' ? 'graph' : 'table') as Tab,
    range: params.get('g0.range_input') ?? '1h',
    end: params.get('g0.end_input') ?? params.get('g0.moment_input') ?? '',
    step: params.get('g0.step_input') ?? '',
  };
}

const start = fromAddress();
export const expr = signal(start.expr);
export const tab = signal<Tab>(start.tab);
export const range = signal(start.range);
export const end = signal(start.end);
export const step = signal(start.step);

export function toAddress() {
  const params = new URLSearchParams({ 'g0.expr': expr.value, 'g0.tab': tab.value });
  if (range.value !== '1h') params.set('g0.range_input', range.value);
  if (end.value) params.set('g0.end_input', end.value);
  if (step.value) params.set('g0.step_input', step.value);
  const address = `?${params.toString()}`;
  if (address !== location.search) {
    history.pushState(null, '', address);
  }
}

window.addEventListener('popstate', () => {
  const s = fromAddress();
  expr.value = s.expr;
  tab.value = s.tab;
  range.value = s.range;
  end.value = s.end;
  step.value = s.step;
});

// One versioned key; history is data, shown as text only.
const HISTORY_KEY = 'brasa.v1.history';
const HISTORY_MAX = 50;

export function history_(): string[] {
  try {
    const list: unknown = JSON.parse(localStorage.getItem(HISTORY_KEY) ?? '[]');
    return Array.isArray(list) ? list.filter((x): x is string => typeof x === 'string') : [];
  } catch {
    return [];
  }
}

export function remember(query: string) {
  const list = [query, ...history_().filter((q) => q !== query)].slice(0, HISTORY_MAX);
  try {
    localStorage.setItem(HISTORY_KEY, JSON.stringify(list));
  } catch {
    // private windows may have no storage
  }
}
