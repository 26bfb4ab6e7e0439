import { render } from 'preact';
import 'uplot/dist/uPlot.min.css';
import { App } from './app';
import { StatusPage } from './status_page';
import './style.css';

const root = document.getElementById('app');
if (root) {
  render(location.pathname.endsWith('/status') ? <StatusPage /> : <App />, root);
}
