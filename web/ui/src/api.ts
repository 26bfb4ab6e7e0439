// The HTTP API, typed. Paths are relative, so the page works below any route prefix.

export type Labels = Record<string, string>;
export type Point = [number, string];
export interface VectorSample { metric: Labels; value: Point }
export interface MatrixSeries { metric: Labels; values: Point[] }
export type Result =
  | { resultType: 'vector'; result: VectorSample[] }
  | { resultType: 'matrix'; result: MatrixSeries[] }
  | { resultType: 'scalar'; result: Point }
  | { resultType: 'string'; result: Point };

export interface Answer<T> { data: T; warnings: string[]; infos: string[]; ms: number; bytes: number }

// An answer beyond this would freeze the page while it is parsed.
const MAX_BYTES = 50 * 1024 * 1024;

export async function call<T>(path: string, params: Record<string, string>, signal?: AbortSignal): Promise<Answer<T>> {
  const started = performance.now();
  const response = await fetch(`./api/v1/${path}`, {
    method: 'POST',
    body: new URLSearchParams(params),
    signal,
  });
  return answer<T>(response, started);
}

/** What has no parameters and is cheap, as the status of the server. */
export async function get<T>(path: string): Promise<Answer<T>> {
  const started = performance.now();
  return answer<T>(await fetch(`./api/v1/${path}`), started);
}

async function answer<T>(response: Response, started: number): Promise<Answer<T>> {
  const text = await response.text();
  if (text.length > MAX_BYTES) {
    throw new Error(`The answer has ${(text.length / 1048576).toFixed(0)} MiB: narrow the query or its range.`);
  }
  let body: { status?: string; error?: string; data?: T; warnings?: string[]; infos?: string[] };
  try {
    body = JSON.parse(text);
  } catch {
    throw new Error(response.ok ? 'The answer is not JSON.' : `${response.status}: ${text.slice(0, 200)}`);
  }
  if (body.status !== 'success') {
    throw new Error(body.error ?? `${response.status} ${response.statusText}`);
  }
  return {
    data: body.data as T,
    warnings: body.warnings ?? [],
    infos: body.infos ?? [],
    ms: performance.now() - started,
    bytes: text.length,
  };
}

/** foo{a="b"}: the name first, labels in their order. */
export function seriesText(metric: Labels): string {
  const pairs = Object.entries(metric)
    .filter(([name]) => name !== '__name__')
    .map(([name, value]) => `${/^[a-zA-Z_]\w*$/.test(name) ? name : JSON.stringify(name)}=${JSON.stringify(value)}`);
  const name = metric.__name__ ?? '';
  return pairs.length > 0 || name === '' ? `${name}{${pairs.join(', ')}}` : name;
}
