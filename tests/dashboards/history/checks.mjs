// Flows in: the passing of time. Flows out: the Rightfoot families of a team that submits a few batches a day, one of
// them with a bank in trouble, one id that is not theirs and one batch that never got rows.
// Always holds: a row is counted when its batch settles and is open until then.

import { Histogram, randomness } from './recorder.mjs';

const DAY = 86400;
const HOUR = 3600;
const STATUSES = {
  SUCCESS: 0.79,
  NO_MATCH: 0.08,
  ACCOUNT_CLOSED: 0.03,
  BANK_UNSUPPORTED: 0.04,
  RETRIEVAL_FAILED: 0.03,
  RETRY_LIMIT: 0.02,
  PROCESSING_ERROR: 0.01,
  unknown: 0,
};
const BANKS = {
  'Bank of America': 0.24,
  Chase: 0.27,
  'Wells Fargo': 0.19,
  'Capital One': 0.12,
  'U.S. Bank': 0.09,
  'Navy Federal Credit Union': 0.06,
  unknown: 0.03,
};
const BOUNDS = [0, 1, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000];

export const checkFamilies = {
  rightfoot_count_since_timestamp_seconds: 'gauge',
  rightfoot_balance_checks_total: 'counter',
  rightfoot_balance_checks_by_institution_total: 'counter',
  rightfoot_balance_check_balance_usd: 'histogram',
  rightfoot_balance_check_rows_rejected_total: 'counter',
  rightfoot_open_balance_checks: 'gauge',
  rightfoot_batches: 'gauge',
  rightfoot_batch_results: 'gauge',
  rightfoot_batch_last_result_timestamp_seconds: 'gauge',
  rightfoot_oldest_open_batch_timestamp_seconds: 'gauge',
  rightfoot_webhook_events_total: 'counter',
};

export class Checks {
  constructor(start, end) {
    this.random = randomness(7);
    this.start = start;
    this.end = end;
    this.batches = [];
    this.next = start + HOUR;
    this.totals = new Map();
    this.institutions = new Map();
    this.histogram = new Histogram(BOUNDS);
    this.rejected = { columns: 0, balance: 0, timestamp: 0, batch_id: 0 };
    this.webhooks = { accepted: 0, duplicate: 0, ignored: 0, malformed: 0 };
    for (const status of Object.keys(STATUSES))
      for (const via of ['api', 'dashboard']) this.totals.set(`${status} ${via}`, 0);
    for (const bank of Object.keys(BANKS))
      for (const status of Object.keys(STATUSES)) this.institutions.set(`${bank}|${status}`, 0);
  }

  advance(_, at) {
    while (this.next <= at) {
      this.submit(this.next);
      this.next += (5 + 6 * this.random()) * HOUR;
    }
    for (const batch of this.batches)
      if (!batch.settled && at >= batch.settles) this.settle(batch);
  }

  submit(at) {
    const hex = () => Math.floor(this.random() * 0x100000000).toString(16).padStart(8, '0');
    const tail = hex() + hex();
    const troubled = at > this.end - 1.9 * DAY && at < this.end - 1.3 * DAY;
    const rows = [];
    const size = 150 + Math.floor(this.random() * 600);
    for (let index = 0; index < size; index += 1) {
      const bank = this.pick(BANKS);
      let status = this.pick(STATUSES);
      if (troubled && bank === 'Wells Fargo' && this.random() < 0.7) status = 'RETRIEVAL_FAILED';
      const via = this.random() < 0.86 ? 'api' : 'dashboard';
      rows.push({ bank, status, via, done: at + this.random() * 2.5 * HOUR });
    }
    const id = `${hex()}-${tail.slice(0, 4)}-4${tail.slice(4, 7)}-a${tail.slice(7, 10)}-${hex()}${tail.slice(10, 14)}`;
    this.batches.push({ id, at, rows, settles: at + 9 * HOUR, settled: false });
    this.webhooks.accepted += 1;
    if (this.random() < 0.2) this.webhooks.duplicate += 1;
    if (this.random() < 0.15) this.webhooks.ignored += 1;
  }

  pick(shares) {
    let left = this.random() * 0.9999;
    for (const [name, share] of Object.entries(shares)) {
      left -= share;
      if (left < 0) return name;
    }
    return Object.keys(shares)[0];
  }

  settle(batch) {
    batch.settled = true;
    for (const { bank, status, via } of batch.rows) {
      bump(this.totals, `${status} ${via}`);
      bump(this.institutions, `${bank}|${status}`);
      if (status === 'SUCCESS') {
        // Log-normal, with a few overdrawn accounts.
        const spread = Math.sqrt(-2 * Math.log(this.random() + 1e-9)) * Math.cos(2 * Math.PI * this.random());
        this.histogram.observe(this.random() < 0.04 ? -35 : Math.exp(6.9 + 1.5 * spread));
      }
    }
    if (this.random() < 0.15) this.rejected.balance += 1;
    if (this.random() < 0.05) this.rejected.timestamp += 2;
  }

  record(recorder, labels, at) {
    const set = (name, extra, value) => recorder.set(name, { ...labels, ...extra }, value);
    set('rightfoot_count_since_timestamp_seconds', {}, this.start);
    for (const [key, value] of this.totals) {
      const [status, submitted_via] = key.split(' ');
      set('rightfoot_balance_checks_total', { status, submitted_via }, value);
    }
    for (const [key, value] of this.institutions) {
      const [institution, status] = key.split('|');
      set('rightfoot_balance_checks_by_institution_total', { institution, status }, value);
    }
    this.histogram.record(recorder, 'rightfoot_balance_check_balance_usd', labels);
    for (const [reason, value] of Object.entries(this.rejected)) set('rightfoot_balance_check_rows_rejected_total', { reason }, value);
    for (const [result, value] of Object.entries(this.webhooks)) set('rightfoot_webhook_events_total', { result }, value);
    this.recordBatches(set, at);
  }

  recordBatches(set, at) {
    const open = this.batches.filter((batch) => !batch.settled);
    const rows = new Map();
    for (const batch of open)
      for (const row of batch.rows) if (row.done <= at) bump(rows, `${row.status} ${row.via}`);
    for (const status of Object.keys(STATUSES))
      for (const submitted_via of ['api', 'dashboard'])
        set('rightfoot_open_balance_checks', { status, submitted_via }, rows.get(`${status} ${submitted_via}`) ?? 0);
    const failing = at > this.end - 3 * HOUR && at < this.end - HOUR ? 1 : 0;
    const states = { open: open.length, failing, unavailable: at > this.end - 6 * DAY ? 1 : 0, abandoned: at > this.end - 2 * DAY ? 1 : 0, settled: this.batches.length - open.length };
    for (const [state, value] of Object.entries(states)) set('rightfoot_batches', { state }, value);
    if (open.length > 0) set('rightfoot_oldest_open_batch_timestamp_seconds', {}, Math.min(...open.map((batch) => batch.at)));
    for (const batch of this.batches.filter((candidate) => candidate.rows.some((row) => row.done <= at)).slice(-20)) {
      const done = batch.rows.filter((row) => row.done <= at);
      const counts = new Map();
      for (const row of done) bump(counts, row.status);
      for (const status of Object.keys(STATUSES)) set('rightfoot_batch_results', { batch_id: batch.id, status }, counts.get(status) ?? 0);
      set('rightfoot_batch_last_result_timestamp_seconds', { batch_id: batch.id }, Math.floor(Math.max(...done.map((row) => row.done))));
    }
  }
}

const bump = (map, key) => map.set(key, (map.get(key) ?? 0) + 1);
