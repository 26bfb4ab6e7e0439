// What stands above every page.
export function PageHead() {
  return (
    <header>
      <h1><img src="./favicon.svg" alt="" width="22" height="22" /> Brasa</h1>
      <nav aria-label="Server">
        <a href="./query">Query</a>
        <a href="./status">Status</a>
        <a href="./metrics">Metrics</a>
      </nav>
    </header>
  );
}
