import { useEffect, useRef, useState } from 'preact/hooks';
import type { Editor } from './editor';
import { expr, history_ } from './state';

/** Text area at once, editor as soon as it has loaded. */
export function QueryBox({ onRun }: { onRun: () => void }) {
  const host = useRef<HTMLDivElement>(null);
  const editor = useRef<Editor | null>(null);
  const [rich, setRich] = useState(false);
  const run = useRef(onRun);
  run.current = onRun;

  useEffect(() => {
    let gone = false;
    void import('./editor').then(({ makeEditor }) => {
      if (gone || !host.current) return;
      const focused = host.current.contains(document.activeElement);
      setRich(true);
      editor.current = makeEditor(host.current, expr.value, (text) => (expr.value = text), () => run.current());
      if (focused) editor.current.focus();
    });
    return () => {
      gone = true;
      editor.current?.destroy();
    };
  }, []);
  useEffect(() => editor.current?.set(expr.value), [expr.value]);

  const list = history_();
  return (
    <div class="query-box">
      <div ref={host} class="editor">
        {!rich && (
          <textarea
            aria-label="PromQL expression"
            rows={1}
            spellcheck={false}
            placeholder="Expression"
            value={expr.value}
            onInput={(e) => (expr.value = e.currentTarget.value)}
            onKeyDown={(e) => {
              if (e.key === 'Enter' && !e.shiftKey) {
                e.preventDefault();
                onRun();
              }
            }}
          />
        )}
      </div>
      {list.length > 0 && (
        <select aria-label="Earlier queries" value="" onChange={(e) => {
          const chosen = e.currentTarget.value;
          if (chosen) expr.value = chosen;
          e.currentTarget.value = '';
        }}>
          <option value="">History</option>
          {list.map((q) => <option key={q} value={q}>{q.length > 100 ? `${q.slice(0, 97)}…` : q}</option>)}
        </select>
      )}
      <button type="button" class="run" onClick={onRun}>Execute</button>
    </div>
  );
}
