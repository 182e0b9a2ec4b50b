// Flows in: dashboards with the answers to their queries. Flows out: one PNG each, and what the page found.
// Always holds: an error on the page is a problem, a page that does not finish in time too.

import { createRequire } from 'node:module';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';

const HERE = import.meta.dirname;
// Longer than the page's own patience, which knows what it waits for.
const PATIENCE = 240_000;
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };

export async function openStudio(modules, output) {
  const require = createRequire(path.join(modules, 'package.json'));
  const bundle = path.join(output, 'page');
  await require('esbuild').build({
    entryPoints: [path.join(HERE, 'page.jsx')],
    bundle: true,
    minify: true,
    format: 'iife',
    jsx: 'automatic',
    logLevel: 'error',
    outfile: path.join(bundle, 'page.js'),
    nodePaths: [path.join(modules, 'node_modules')],
    define: { 'process.env.NODE_ENV': '"production"' },
    loader: { '.svg': 'dataurl', '.woff': 'dataurl', '.woff2': 'dataurl', '.ttf': 'dataurl', '.png': 'dataurl' },
  });
  const icons = path.join(modules, 'node_modules/@grafana/ui/dist/public');
  let board = {};
  const server = http.createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    response.setHeader('content-type', TYPES[path.extname(pathname)] ?? TYPES['.html']);
    if (pathname === '/') {
      const data = JSON.stringify(board).replaceAll('<', '\\u003c');
      return response.end(
        `<!doctype html><meta charset="utf-8"><title>board</title><link rel="stylesheet" href="/page.css"><style>strong{font-weight:600}</style><div id="root"></div><script>window.board=${data}</script><script src="/page.js"></script>`,
      );
    }
    const icon = pathname.indexOf('/img/icons/');
    const file = icon >= 0 ? path.join(icons, pathname.slice(icon)) : path.join(bundle, path.basename(pathname));
    if (fs.existsSync(file)) return response.end(fs.readFileSync(file));
    response.statusCode = 404;
    return response.end();
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const browser = await require('puppeteer-core').launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking', '--force-color-profile=srgb'],
    headless: true,
    timeout: PATIENCE,
    protocolTimeout: PATIENCE,
  });

  return {
    async draw(result, picture) {
      board = result;
      const page = await browser.newPage();
      page.setDefaultTimeout(PATIENCE);
      const noise = [];
      page.on('pageerror', (error) => noise.push(`page error: ${error.message}`));
      page.on('console', (message) => message.type() === 'error' && !message.text().includes('404') && noise.push(`console: ${message.text().slice(0, 200)}`));
      // Tables draw only the rows inside the window, and draw them anew when it is resized, so it has the dashboard's size.
      const height = Math.max(...result.panels.map(({ panel }) => panel.gridPos.y + panel.gridPos.h)) * 38 + 88;
      await page.setViewport({ width: 1616, height });
      await page.goto(`http://127.0.0.1:${server.address().port}/`);
      await page.waitForFunction('window.finished === true');
      // Icons arrive one by one.
      await page.waitForNetworkIdle({ idleTime: 100 });
      const findings = await page.evaluate('window.findings');
      await page.screenshot({ path: picture, captureBeyondViewport: false });
      await page.close();
      return { ...findings, problems: [...findings.problems, ...noise] };
    },
    async close() {
      await browser.close();
      server.close();
    },
  };
}
