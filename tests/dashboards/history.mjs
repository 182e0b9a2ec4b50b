// Flows in: `--end` (seconds, default now) and an output path. Flows out: 14 days of every family of the exporter as
// OpenMetrics with timestamps, for `promtool tsdb create-blocks-from openmetrics`. Coarse at first, at a scrape's pace
// in the last hours; a second replica joins two days before the end; restarts leave gaps.
// Always holds: the same `--end` gives the same history.

import fs from 'node:fs';
import { Recorder } from './history/recorder.mjs';
import { Wallet, walletFamilies } from './history/wallet.mjs';
import { Checks, checkFamilies } from './history/checks.mjs';
import { Exporter, exporterFamilies } from './history/exporter.mjs';

const DAY = 86400;
const HOUR = 3600;
const ACCOUNT = 'default';
const JOB = 'wallet-exporter';
const FIRST = { instance: 'wallet-exporter-0:10700', job: JOB };
const SECOND = { instance: 'wallet-exporter-1:10700', job: JOB };

export function writeHistory(path, end) {
  const start = end - 14 * DAY;
  const instants = [];
  // Ten minutes keep the file small; the Prometheus that reads it looks back a little further than that.
  for (let at = start; at < end - 6.5 * HOUR; at += 600) instants.push(at);
  for (let at = end - 6.5 * HOUR; at <= end; at += 30) instants.push(at);

  const recorder = new Recorder(instants);
  for (const families of [walletFamilies, checkFamilies, exporterFamilies])
    for (const [name, type] of Object.entries(families)) recorder.family(name, type);

  const restarts = [start - DAY, end - 6 * DAY, end - 3.1 * HOUR];
  const wallet = new Wallet(start, end);
  const checks = new Checks(start, end);
  const exporters = [new Exporter(end, restarts), new Exporter(end, [end - 2 * DAY])];
  let before = start - 600;
  instants.forEach((at, position) => {
    const down = new Set();
    if ((at < end - 6 * DAY && at > end - 6 * DAY - 1500) || (at < end - 3.1 * HOUR && at > end - 3.1 * HOUR - 90)) down.add(FIRST.instance);
    if (at < end - 2 * DAY) down.add(SECOND.instance);
    wallet.advance(before, at);
    checks.advance(before, at);
    [FIRST, SECOND].forEach((scrape, index) => {
      const exporter = exporters[index];
      exporter.advance(before, at);
      recorder.at(position, down);
      wallet.record(recorder, { ...scrape, account: ACCOUNT }, at);
      checks.record(recorder, { ...scrape, account: ACCOUNT }, at);
      exporter.record(recorder, scrape, ACCOUNT, at);
      recorder.at(position, new Set());
      if (scrape === FIRST || at >= end - 2 * DAY) exporter.recordPrometheus(recorder, scrape, down.has(scrape.instance), at);
    });
    exporters[0].recordAlerts(recorder, ACCOUNT, at);
    before = at;
  });

  const file = fs.openSync(path, 'w');
  recorder.write((text) => fs.writeSync(file, text));
  fs.closeSync(file);
  return { job: JOB, instances: [FIRST.instance, SECOND.instance], account: ACCOUNT, samples: instants.length };
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const [path, end] = process.argv.slice(2);
  if (!path) {
    console.error('usage: node history.mjs OUTPUT [END_IN_SECONDS]');
    process.exit(64);
  }
  console.log(JSON.stringify(writeHistory(path, end ? Number(end) : Math.floor(Date.now() / 1000))));
}
