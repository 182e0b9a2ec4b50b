// Flows in: an OpenMetrics file of a history. Flows out: blocks of it, and a running Prometheus that holds them and evaluates
// the shipped rules over them, on a free loopback port.
// Always holds: the rules' conditions are as shipped, only `for` is a second; the server is stopped by `stop`, by its own
// process id, also when a check threw.

import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';

/** A port below those that the system hands out, so that nothing takes it before its server starts. */
async function freePort() {
  for (let port = 30_000 + (process.pid % 2_000); ; port += 1) {
    const free = await new Promise((resolve) => {
      const server = net.createServer();
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (free) return port;
  }
}

const RULES = path.join(import.meta.dirname, '../../deploy/prometheus');
const PATIENCE = 180_000;
// The history's coarse part has a sample each ten minutes.
const LOOKBACK = '11m';

async function until(what, condition) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`${what}: not within ${PATIENCE / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Makes blocks of the history, for any number of servers. */
export function fill(history, blocks) {
  fs.rmSync(blocks, { recursive: true, force: true });
  fs.mkdirSync(blocks, { recursive: true });
  execFileSync('promtool', ['tsdb', 'create-blocks-from', 'openmetrics', history, blocks, '--max-block-duration=336h', '--quiet'], { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** The rules for the configuration: alerts have no history, so they are made now, and nobody waits for them. */
function writeRules(directory) {
  return fs.readdirSync(RULES).filter((name) => name.endsWith('.rules.yml')).map((name) => {
    const text = fs.readFileSync(path.join(RULES, name), 'utf8').replace(/^( *for): .*$/gm, '$1: 1s');
    const file = path.join(directory, name);
    fs.writeFileSync(file, text);
    return file;
  });
}

/** Runs `program` on a copy of the blocks and waits until its alerts have fired. */
export async function startPrometheus(program, blocks, directory) {
  fs.rmSync(directory, { recursive: true, force: true });
  fs.mkdirSync(directory, { recursive: true });
  const data = path.join(directory, 'data');
  fs.cpSync(blocks, data, { recursive: true });
  const configuration = path.join(directory, 'prometheus.yml');
  fs.writeFileSync(configuration, JSON.stringify({ global: { evaluation_interval: '1s' }, rule_files: writeRules(directory), scrape_configs: [] }));
  const port = await freePort();
  const log = fs.openSync(path.join(directory, 'prometheus.log'), 'w');
  const child = spawn(
    program,
    [
      `--config.file=${configuration}`,
      `--storage.tsdb.path=${data}`,
      '--storage.tsdb.retention.time=400d',
      `--query.lookback-delta=${LOOKBACK}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { stdio: ['ignore', log, log] },
  );
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const url = `http://127.0.0.1:${port}`;
  const stop = async () => {
    child.kill('SIGTERM');
    await exited;
    fs.rmSync(directory, { recursive: true, force: true });
  };
  const said = () => `${fs.readFileSync(path.join(directory, 'prometheus.log'), 'utf8').slice(-2000)}`;
  try {
    await until('Prometheus is ready', async () => {
      if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}\n${said()}`);
      return fetch(`${url}/-/ready`).then((response) => response.ok, () => false);
    });
    const answer = async (target) => (await (await fetch(`${url}/api/v1/${target}`)).json()).data;
    await until('the alerts have fired', async () => {
      const { groups } = await answer('rules?type=alert');
      const rules = groups.flatMap((group) => group.rules);
      // Each has been looked at, and none waits for its `for` any longer.
      if (!rules.every((rule) => new Date(rule.lastEvaluation) > 0 && rule.state !== 'pending')) return false;
      const firing = rules.filter((rule) => rule.state === 'firing').length;
      const { result } = await answer(`query?query=${encodeURIComponent('count(count by (alertname) (ALERTS{alertstate="firing"}))')}`);
      return firing > 0 && Number(result[0]?.value[1]) === firing;
    });
    const version = (await answer('status/buildinfo')).version;
    // Alerts are of now, all else is of the history's end: how long anything takes changes no answer.
    const firedAt = Math.ceil(Date.now() / 1000);
    const { result } = await answer(`query?query=max(timestamp(up))&time=${firedAt}`);
    if (result.length === 0) throw new Error(`the history ended more than ${LOOKBACK} ago`);
    return { url, version, end: Math.ceil(Number(result[0].value[1])), firedAt, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
