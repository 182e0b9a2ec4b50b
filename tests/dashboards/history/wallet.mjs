// Flows in: the passing of time. Flows out: the BatchData families of a wallet that is spent by a daily curve, topped
// up by card when it runs low, and hit once by a spike, once by a declined card and once by a restated report.
// Always holds: counters never fall, periods are UTC days, the parts fall a little short of the total.

import { randomness } from './recorder.mjs';

const DAY = 86400;
const HOUR = 3600;
const PATHS = {
  '/api/v1/property/lookup/all-attributes': 0.34,
  '/api/v1/property/search': 0.29,
  '/api/v3/property/skip-trace': 0.19,
  '/api/v1/address/verify': 0.08,
  '/api/v1/phone/dnc': 0.05,
  '/api/v1/address/autocomplete': 0.04,
};
const ORIGINS = {
  api_request: 0.73,
  list_builder_ui: 0.19,
  address_verification_single_ui: 0.05,
  phone_verification_single_ui: 0.03,
};
const TOP_UP = 500;
const LOW = 420;
const WARNING = 400;
const CRITICAL = 100;

export const walletFamilies = {
  batchdata_wallet_balance_usd: 'gauge',
  batchdata_wallet_balance_as_of_timestamp_seconds: 'gauge',
  batchdata_wallet_balance_threshold_usd: 'gauge',
  batchdata_wallet_debit_usd_total: 'counter',
  batchdata_wallet_credit_usd_total: 'counter',
  batchdata_wallet_origin_debit_usd_total: 'counter',
  batchdata_wallet_origin_credit_usd_total: 'counter',
  batchdata_wallet_api_path_debit_usd_total: 'counter',
  batchdata_wallet_unattributed_usd: 'gauge',
  batchdata_wallet_revised_down_usd: 'gauge',
  batchdata_wallet_count_since_timestamp_seconds: 'gauge',
  batchdata_wallet_period_debit_usd: 'gauge',
  batchdata_wallet_period_credit_usd: 'gauge',
  batchdata_card_transactions_total: 'counter',
  batchdata_card_credits_usd_total: 'counter',
  batchdata_card_transactions_pending: 'gauge',
  batchdata_card_oldest_pending_timestamp_seconds: 'gauge',
  batchdata_card_sales_tax_usd_total: 'counter',
  batchdata_card_processing_fees_usd_total: 'counter',
  batchdata_card_last_transaction_timestamp_seconds: 'gauge',
};

export class Wallet {
  constructor(start, end) {
    this.random = randomness(20260519);
    this.start = start;
    this.end = end;
    this.balance = 760;
    this.debit = 0;
    this.credit = 0;
    this.paths = Object.fromEntries(Object.keys(PATHS).map((path) => [path, 0]));
    this.origins = Object.fromEntries(Object.keys(ORIGINS).map((origin) => [origin, 0]));
    this.debitByDay = new Map();
    this.creditByDay = new Map();
    this.cards = new Map();
    this.last = new Map();
    this.tax = { visa: 0, amex: 0 };
    this.fees = { visa: 0, amex: 0 };
    this.topUp = undefined;
    this.visible = undefined;
    for (const brand of ['visa', 'amex'])
      for (const kind of ['top_up', 'refund'])
        for (const status of ['paid', 'failed', 'unknown'])
          this.cards.set(`${kind} ${status} ${brand}`, { count: 0, amount: 0 });
    this.lookBack(start);
  }

  /** Two years of days before the history, for the period gauges. */
  lookBack(start) {
    for (let day = Math.floor(start / DAY) - 730; day < Math.floor(start / DAY); day += 1) {
      const weekend = [0, 6].includes(new Date(day * DAY * 1000).getUTCDay());
      this.debitByDay.set(day, (weekend ? 62 : 128) * (0.9 + this.random() * 0.2));
      this.creditByDay.set(day, day % 4 === 0 ? TOP_UP : 0);
    }
  }

  pace(at) {
    const hour = (at % DAY) / HOUR;
    const weekend = [0, 6].includes(new Date(at * 1000).getUTCDay());
    const curve = 0.3 + 1.5 * Math.exp(-((hour - 16) ** 2) / 18);
    // Some days are busier than others, the same ones each time.
    const mood = 0.8 + 0.45 * Math.abs(Math.sin(Math.floor(at / DAY) * 2.4));
    const bursts = 1 + 0.35 * Math.sin(at / 5400) * Math.sin(at / 3100);
    return 6.4 * curve * mood * bursts * (weekend ? 0.5 : 1);
  }

  advance(from, at) {
    const hours = (at - from) / HOUR;
    const spike = at > this.end - 2.3 * DAY && at < this.end - 2.15 * DAY ? 24 : 0;
    const usual = this.pace(at) * (0.85 + 0.3 * this.random()) * hours;
    const extra = spike * (0.8 + 0.4 * this.random()) * hours;
    const spent = usual + extra;
    this.debit += spent;
    this.balance -= spent;
    for (const [path, share] of Object.entries(PATHS)) this.paths[path] += usual * share;
    this.paths['/api/v3/property/skip-trace'] += extra;
    // The later half of the history moves from one path to another, so that there are movers to see.
    if (at > this.end - 7 * DAY) {
      this.paths['/api/v1/property/search'] += usual * 0.05;
      this.paths['/api/v1/property/lookup/all-attributes'] -= usual * 0.05;
    }
    for (const [origin, share] of Object.entries(ORIGINS)) this.origins[origin] += usual * share * 0.997;
    this.origins.api_request += extra;
    add(this.debitByDay, Math.floor(at / DAY), spent);
    this.topUps(at);
    const poll = Math.floor(at / 300);
    if (poll !== this.poll) {
      this.poll = poll;
      this.visible = this.see(at);
    }
  }

  topUps(at) {
    if (!this.topUp && this.balance < LOW) {
      const declined = at > this.end - 4.5 * DAY && !this.declined;
      if (declined) this.declined = true;
      this.topUp = { since: at, due: at + (declined ? 900 : 2400), declined };
    }
    if (!this.topUp || at < this.topUp.due) return;
    const status = this.topUp.declined ? 'failed' : 'paid';
    const brand = this.declined && !this.topUp.declined ? 'amex' : 'visa';
    const tally = this.cards.get(`top_up ${status} ${brand}`);
    tally.count += 1;
    tally.amount += TOP_UP;
    this.last.set(`top_up ${status}`, this.topUp.due);
    if (status === 'paid') {
      this.balance += TOP_UP;
      this.credit += TOP_UP;
      this.tax[brand] += TOP_UP * 0.0825;
      this.fees[brand] += TOP_UP * 0.03;
      add(this.creditByDay, Math.floor(at / DAY), TOP_UP);
    }
    // After a declined card it takes people some hours to notice.
    this.topUp = this.topUp.declined ? { since: at + 5 * HOUR, due: at + 5.5 * HOUR, declined: false } : undefined;
  }

  /** What a poll shows. Counters and periods stand still between polls. */
  see(at) {
    const day = Math.floor(at / DAY);
    const date = new Date(at * 1000);
    const month = Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1) / 1000 / DAY;
    const previous = Date.UTC(date.getUTCFullYear(), date.getUTCMonth() - 1, 1) / 1000 / DAY;
    const year = Date.UTC(date.getUTCFullYear(), 0, 1) / 1000 / DAY;
    const periods = {
      today: [day, day],
      yesterday: [day - 1, day - 1],
      last_7_days: [day - 7, day - 1],
      last_30_days: [day - 30, day - 1],
      month_to_date: [month, day],
      previous_month: [previous, month - 1],
      year_to_date: [year, day],
    };
    return {
      debit: this.debit,
      credit: this.credit,
      paths: { ...this.paths },
      origins: { ...this.origins },
      day,
      periods: Object.entries(periods).map(([name, [first, last]]) => [
        name,
        total(this.debitByDay, first, last),
        total(this.creditByDay, first, last),
      ]),
    };
  }

  record(recorder, labels, at) {
    const set = (name, extra, value) => recorder.set(name, { ...labels, ...extra }, value);
    set('batchdata_wallet_balance_usd', {}, round(this.balance));
    set('batchdata_wallet_balance_as_of_timestamp_seconds', {}, at - (at % 60));
    set('batchdata_wallet_balance_threshold_usd', { severity: 'warning' }, WARNING);
    set('batchdata_wallet_balance_threshold_usd', { severity: 'critical' }, CRITICAL);
    set('batchdata_wallet_count_since_timestamp_seconds', {}, this.start);
    const seen = this.visible;
    if (seen) {
      set('batchdata_wallet_debit_usd_total', {}, round(seen.debit));
      set('batchdata_wallet_credit_usd_total', {}, round(seen.credit));
      for (const [path, value] of Object.entries(seen.paths)) set('batchdata_wallet_api_path_debit_usd_total', { api_path: path }, round(value));
      for (const [origin, value] of Object.entries(seen.origins)) {
        set('batchdata_wallet_origin_debit_usd_total', { origin }, round(value));
        set('batchdata_wallet_origin_credit_usd_total', { origin }, 0);
      }
      set('batchdata_wallet_origin_debit_usd_total', { origin: 'wallet_card_top_up' }, 0);
      set('batchdata_wallet_origin_credit_usd_total', { origin: 'wallet_card_top_up' }, round(seen.credit));
      set('batchdata_wallet_unattributed_usd', { report: 'origin_debit' }, round(seen.debit - sum(seen.origins)));
      set('batchdata_wallet_unattributed_usd', { report: 'origin_credit' }, 0);
      set('batchdata_wallet_unattributed_usd', { report: 'api_path_debit' }, round(seen.debit - sum(seen.paths)));
      const held = at > this.end - 30 * HOUR && at < this.end - 22 * HOUR ? 3.84 : 0;
      for (const report of ['debit', 'credit', 'origin_debit', 'origin_credit', 'api_path_debit'])
        set('batchdata_wallet_revised_down_usd', { report }, report.endsWith('debit') ? held : 0);
      if (seen.day === Math.floor(at / DAY))
        for (const [period, debit, credit] of seen.periods) {
          set('batchdata_wallet_period_debit_usd', { period }, round(debit));
          set('batchdata_wallet_period_credit_usd', { period }, round(credit));
        }
    }
    this.recordCards(set, at);
  }

  recordCards(set, at) {
    for (const [key, { count, amount }] of this.cards) {
      const [kind, status, card_brand] = key.split(' ');
      set('batchdata_card_transactions_total', { kind, status, card_brand }, count);
      set('batchdata_card_credits_usd_total', { kind, status, card_brand }, amount);
    }
    const pending = this.topUp && this.topUp.since <= at;
    for (const card_brand of ['visa', 'amex'])
      for (const kind of ['top_up', 'refund'])
        set('batchdata_card_transactions_pending', { kind, card_brand }, pending && kind === 'top_up' && card_brand === 'visa' ? 1 : 0);
    if (pending) set('batchdata_card_oldest_pending_timestamp_seconds', {}, this.topUp.since);
    for (const [key, when] of this.last) {
      const [kind, status] = key.split(' ');
      set('batchdata_card_last_transaction_timestamp_seconds', { kind, status }, when);
    }
    for (const card_brand of ['visa', 'amex']) {
      set('batchdata_card_sales_tax_usd_total', { card_brand }, round(this.tax[card_brand]));
      set('batchdata_card_processing_fees_usd_total', { card_brand }, round(this.fees[card_brand]));
    }
  }
}

const round = (value) => Math.round(value * 10000) / 10000;
const sum = (parts) => Object.values(parts).reduce((left, right) => left + right, 0);
const add = (map, key, value) => map.set(key, (map.get(key) ?? 0) + value);

function total(map, first, last) {
  let result = 0;
  for (let day = first; day <= last; day += 1) result += map.get(day) ?? 0;
  return result;
}
