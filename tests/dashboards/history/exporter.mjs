// Flows in: the passing of time. Flows out: what the exporter and its process say about themselves, the scrape's own
// series and the alerts that a Prometheus would hold. One outage, one refused permission, throttling now and then.
// Always holds: last_success never moves on a failure; every reason of a source exists from the start.

import { Histogram, randomness } from './recorder.mjs';

const DAY = 86400;
const HOUR = 3600;
const REASONS = ['unauthorized', 'forbidden', 'rate_limited', 'server_error', 'client_error', 'redirect', 'timeout', 'connect', 'refused', 'decode', 'truncated', 'too_large', 'implausible'];
const CODES = { unauthorized: '401', forbidden: '403', rate_limited: '429', server_error: '503', connect: 'error', timeout: 'error' };
const SOURCES = [
  { vendor: 'batchdata', source: 'balance', operation: 'balance', interval: 60, typical: 0.18 },
  { vendor: 'batchdata', source: 'consumption', operation: 'consumption_report', interval: 300, typical: 0.9 },
  { vendor: 'batchdata', source: 'card_transactions', operation: 'credit_card_transactions', interval: 300, typical: 0.35 },
  { vendor: 'rightfoot', source: 'batches', operation: 'balances_csv', interval: 60, typical: 1.4 },
];
const BOUNDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export const exporterFamilies = {
  wallet_exporter_webhook_unmatched_total: 'counter',
  wallet_exporter_source_up: 'gauge',
  wallet_exporter_source_failing: 'gauge',
  wallet_exporter_source_last_success_timestamp_seconds: 'gauge',
  wallet_exporter_source_last_attempt_timestamp_seconds: 'gauge',
  wallet_exporter_source_next_attempt_timestamp_seconds: 'gauge',
  wallet_exporter_source_interval_seconds: 'gauge',
  wallet_exporter_source_max_age_seconds: 'gauge',
  wallet_exporter_source_consecutive_failures: 'gauge',
  wallet_exporter_source_last_poll_duration_seconds: 'gauge',
  wallet_exporter_source_polls_total: 'counter',
  wallet_exporter_source_failures_total: 'counter',
  wallet_exporter_vendor_requests_total: 'counter',
  wallet_exporter_vendor_request_duration_seconds: 'histogram',
  wallet_exporter_series_overflow_total: 'counter',
  wallet_exporter_storage_up: 'gauge',
  wallet_exporter_storage_failures_total: 'counter',
  wallet_exporter_config_last_reload_successful: 'gauge',
  wallet_exporter_config_last_reload_success_timestamp_seconds: 'gauge',
  wallet_exporter_build_info: 'gauge',
  wallet_exporter_http_requests_total: 'counter',
  wallet_exporter_http_requests_in_flight: 'gauge',
  wallet_exporter_http_connections: 'gauge',
  wallet_exporter_http_connections_closed_total: 'counter',
  wallet_exporter_http_panics_total: 'counter',
  process_cpu_seconds_total: 'counter',
  process_open_fds: 'gauge',
  process_max_fds: 'gauge',
  process_virtual_memory_bytes: 'gauge',
  process_resident_memory_bytes: 'gauge',
  process_start_time_seconds: 'gauge',
  process_threads: 'gauge',
  up: 'gauge',
  scrape_duration_seconds: 'gauge',
  scrape_samples_scraped: 'gauge',
  ALERTS: 'gauge',
};

export class Exporter {
  constructor(end, restarts) {
    this.random = randomness(99);
    this.end = end;
    this.restarts = restarts;
    this.cpu = 0;
    this.folded = 0;
    this.unmatched = 0;
    this.scrapes = 0;
    this.visits = 0;
    this.sources = SOURCES.map((source) => ({
      ...source,
      polls: 0,
      failures: Object.fromEntries(REASONS.map((reason) => [reason, 0])),
      codes: { 200: 0 },
      streak: 0,
      duration: source.typical,
      histogram: new Histogram(BOUNDS),
    }));
  }

  reasonAt(source, at) {
    const ago = this.end - at;
    if (source.vendor === 'batchdata' && ago < 4.2 * DAY && ago > 4.2 * DAY - 2400) return 'connect';
    if (source.source === 'card_transactions' && ago < 2.4 * HOUR && ago > 1.8 * HOUR) return 'forbidden';
    if (source.source === 'card_transactions' && ago < 0.75 * HOUR) return 'server_error';
    const chance = this.random();
    if (source.source === 'batches') return chance < 0.004 ? 'timeout' : chance < 0.01 ? 'server_error' : undefined;
    return chance < 0.006 ? 'rate_limited' : undefined;
  }

  advance(from, at) {
    this.cpu += (at - from) * (0.004 + 0.003 * this.random());
    this.scrapes += (at - from) / 30;
    if (this.random() < 0.03) this.visits += 1;
    if (this.random() < 0.002) this.unmatched += 1;
    if (!this.folded && at > this.end - 2.5 * HOUR) this.folded = 2;
    for (const source of this.sources) {
      const due = Math.floor(at / source.interval);
      if (due !== source.due) this.poll(source, at, Math.max(1, Math.min(20, Math.round((at - from) / source.interval))));
      source.due = due;
    }
  }

  poll(source, at, times) {
    source.polls += times;
    source.lastAttempt = at;
    source.duration = source.typical * (0.7 + 0.9 * this.random());
    const reason = this.reasonAt(source, at);
    const code = reason ? CODES[reason] : '200';
    source.codes[code] = (source.codes[code] ?? 0) + times;
    source.histogram.observe(reason === 'timeout' ? 30 : source.duration, times);
    source.reason = reason;
    if (reason) {
      source.failures[reason] += times;
      source.streak += times;
    } else {
      source.streak = 0;
      source.lastSuccess = at;
    }
    source.next = at + Math.min(900, source.interval * (reason ? 2 ** Math.min(10, source.streak) : 1));
  }

  record(recorder, labels, account, at) {
    const set = (name, extra, value) => recorder.set(name, { ...labels, ...extra }, value);
    for (const source of this.sources) this.recordSource(recorder, { ...labels, account }, source, at);
    for (const metric of ['batchdata_wallet_api_path_debit_usd_total', 'rightfoot_balance_checks_by_institution_total'])
      set('wallet_exporter_series_overflow_total', { account, metric }, metric.startsWith('batchdata') ? this.folded : 0);
    set('wallet_exporter_webhook_unmatched_total', {}, this.unmatched);
    set('wallet_exporter_storage_up', {}, 1);
    set('wallet_exporter_storage_failures_total', {}, at > this.end - 4.2 * HOUR ? 1 : 0);
    const started = this.restarts.filter((moment) => moment <= at).at(-1);
    set('wallet_exporter_config_last_reload_successful', {}, 1);
    set('wallet_exporter_config_last_reload_success_timestamp_seconds', {}, started);
    set('wallet_exporter_build_info', { version: '0.1.0', revision: '23e8849c01ab', rustc: '1.95.0' }, 1);
    set('wallet_exporter_http_requests_total', { handler: 'metrics', code: '200' }, this.scrapes);
    set('wallet_exporter_http_requests_total', { handler: 'page', code: '200' }, this.visits);
    set('wallet_exporter_http_requests_in_flight', {}, 1);
    set('wallet_exporter_http_connections', {}, 1 + Math.floor(this.random() * 3));
    set('wallet_exporter_http_connections_closed_total', { reason: 'idle' }, Math.floor(this.visits / 3));
    set('wallet_exporter_http_panics_total', {}, 0);
    set('process_cpu_seconds_total', {}, this.cpu);
    set('process_open_fds', {}, 19 + Math.floor(this.random() * 5));
    set('process_max_fds', {}, 524288);
    set('process_resident_memory_bytes', {}, 21e6 + Math.min(4e6, (at - started) * 30) + this.random() * 4e5);
    set('process_virtual_memory_bytes', {}, 212e6);
    set('process_start_time_seconds', {}, started);
    set('process_threads', {}, 7);
  }

  recordSource(recorder, labels, source, at) {
    const own = { ...labels, vendor: source.vendor, source: source.source };
    const set = (name, extra, value) => recorder.set(`wallet_exporter_source_${name}`, { ...own, ...extra }, value);
    set('up', {}, source.reason ? 0 : 1);
    for (const reason of REASONS) {
      set('failing', { reason }, source.reason === reason ? 1 : 0);
      set('failures_total', { reason }, source.failures[reason]);
    }
    set('last_success_timestamp_seconds', {}, source.lastSuccess);
    set('last_attempt_timestamp_seconds', {}, source.lastAttempt);
    set('next_attempt_timestamp_seconds', {}, Math.max(source.next, at + 1));
    set('interval_seconds', {}, source.interval);
    set('max_age_seconds', {}, HOUR);
    set('consecutive_failures', {}, source.streak);
    set('last_poll_duration_seconds', {}, source.duration);
    set('polls_total', {}, source.polls);
    const called = { ...labels, vendor: source.vendor, operation: source.operation };
    for (const [code, value] of Object.entries(source.codes)) recorder.set('wallet_exporter_vendor_requests_total', { ...called, code }, value);
    source.histogram.record(recorder, 'wallet_exporter_vendor_request_duration_seconds', called);
  }

  /** What Prometheus itself adds: the scrape and the alerts. */
  recordPrometheus(recorder, scrape, isDown, at) {
    recorder.set('up', scrape, isDown ? 0 : 1);
    recorder.set('scrape_duration_seconds', scrape, isDown ? 0.0004 : 0.003 + 0.002 * this.random());
    recorder.set('scrape_samples_scraped', scrape, isDown ? 0 : 412);
  }

  recordAlerts(recorder, account, at) {
    const ago = this.end - at;
    const alert = (alertname, severity, alertstate, extra = {}) => recorder.set('ALERTS', { alertname, alertstate, severity, account, ...extra }, 1);
    const card = { vendor: 'batchdata', source: 'card_transactions' };
    if (ago < 0.5 * HOUR) alert('WalletSourceFailing', 'warning', 'firing', card);
    if (ago < 2.3 * HOUR && ago > 1.8 * HOUR) alert('WalletPermissionMissing', 'warning', 'firing', card);
    if (ago < 20 * HOUR) alert('BalanceCheckBatchUnavailable', 'info', 'firing');
    if (ago < 0.2 * HOUR) alert('WalletRunwayShort', 'warning', 'pending');
  }
}
