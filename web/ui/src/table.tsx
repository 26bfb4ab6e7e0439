import { useState } from 'preact/hooks';
import { seriesText, type Labels, type Result } from './api';
import { formatTime } from './time';

// More rows than this are drawn only on demand: the browser, not the data, is the bottleneck.
const ROWS_FIRST = 500;

function Series({ metric }: { metric: Labels }) {
  const name = metric.__name__ ?? '';
  const pairs = Object.entries(metric).filter(([label]) => label !== '__name__');
  return (
    <code class="series" title={seriesText(metric)}>
      <b>{name}</b>
      {(pairs.length > 0 || !name) && (
        <>
          {'{'}
          {pairs.map(([label, value], i) => (
            <span key={label}>
              {i > 0 && ', '}
              <span class="label">{label}</span>=<span class="value">{JSON.stringify(value)}</span>
            </span>
          ))}
          {'}'}
        </>
      )}
    </code>
  );
}

export function Table({ result }: { result: Result }) {
  const [limit, setLimit] = useState(ROWS_FIRST);
  if (result.resultType === 'scalar' || result.resultType === 'string') {
    return (
      <table class="result">
        <tbody>
          <tr>
            <td>{result.resultType}</td>
            <td class="number">{result.result[1]}</td>
          </tr>
        </tbody>
      </table>
    );
  }
  const rows = result.result;
  if (rows.length === 0) {
    return <p class="note">Empty result: no series matches at this time.</p>;
  }
  return (
    <>
      <table class="result">
        <thead>
          <tr>
            <th scope="col">Series</th>
            <th scope="col" class="number">Value</th>
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, limit).map((row) => (
            <tr key={seriesText(row.metric)}>
              <td><Series metric={row.metric} /></td>
              <td class="number">
                {'value' in row
                  ? row.value[1]
                  : row.values.map(([t, v]) => (
                      <div key={t}>{v} <span class="at">@{formatTime(t)}</span></div>
                    ))}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > limit && (
        <p class="note">
          {limit} of {rows.length} series shown. <button type="button" onClick={() => setLimit(rows.length)}>Show all</button>
        </p>
      )}
    </>
  );
}
