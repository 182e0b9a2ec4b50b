// Flows in: an OpenMetrics file of a history. Flows out: a running Prometheus that holds it, on a free loopback port.
// Always holds: the server is stopped by `stop`, by its own process id, also when a check threw.

import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';

function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

export async function startPrometheus(history, directory) {
  fs.rmSync(directory, { recursive: true, force: true });
  fs.mkdirSync(directory, { recursive: true });
  const data = path.join(directory, 'data');
  execFileSync('promtool', ['tsdb', 'create-blocks-from', 'openmetrics', history, data, '--max-block-duration=336h', '--quiet'], { stdio: ['ignore', 'ignore', 'inherit'] });
  const configuration = path.join(directory, 'prometheus.yml');
  fs.writeFileSync(configuration, 'scrape_configs: []\n');
  const port = await freePort();
  const log = fs.openSync(path.join(directory, 'prometheus.log'), 'w');
  const child = spawn(
    'prometheus',
    [
      `--config.file=${configuration}`,
      `--storage.tsdb.path=${data}`,
      '--storage.tsdb.retention.time=400d',
      // The history's coarse part has a sample each ten minutes.
      '--query.lookback-delta=11m',
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { stdio: ['ignore', log, log] },
  );
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const url = `http://127.0.0.1:${port}`;
  const deadline = Date.now() + 30_000;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`Prometheus ended with ${child.exitCode}, see ${directory}/prometheus.log`);
    const ready = await fetch(`${url}/-/ready`).then((response) => response.ok, () => false);
    if (ready) break;
    if (Date.now() > deadline) throw new Error('Prometheus was not ready within 30 s');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    url,
    stop: async () => {
      child.kill('SIGTERM');
      await exited;
      fs.rmSync(directory, { recursive: true, force: true });
    },
  };
}
