// Flows in: one call of `set` for each series at each instant. Flows out: the OpenMetrics text of all families.
// Always holds: samples of a series are in time order, a series not set at an instant is absent there (never 0),
// and every series carries the labels that a scrape attaches.

export class Recorder {
  constructor(instants) {
    this.instants = instants;
    this.families = new Map();
    this.position = 0;
    this.down = new Set();
  }

  family(name, type) {
    this.families.set(name, { type, series: new Map() });
  }

  /** Instants at which the instance is not scraped: nothing it says is recorded. */
  at(position, downInstances) {
    this.position = position;
    this.down = downInstances;
  }

  set(name, labels, value, suffix = '') {
    if (value === undefined || this.down.has(labels.instance)) return;
    const family = this.families.get(name);
    if (!family) throw new Error(`family ${name} was not declared`);
    const text = Object.entries(labels)
      .map(([key, content]) => `${key}="${String(content).replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`)
      .join(',');
    const key = `${sampleName(name, family.type, suffix)}{${text}}`;
    let values = family.series.get(key);
    if (!values) {
      values = new Float64Array(this.instants.length).fill(NaN);
      family.series.set(key, values);
    }
    values[this.position] = value;
  }

  write(out) {
    for (const [name, { type, series }] of this.families) {
      if (series.size === 0) throw new Error(`family ${name} got no sample`);
      out(`# TYPE ${type === 'counter' ? name.replace(/_total$/, '') : name} ${type}\n`);
      for (const [key, values] of series) {
        const lines = [];
        values.forEach((value, index) => {
          if (!Number.isNaN(value)) lines.push(`${key} ${value} ${this.instants[index]}\n`);
        });
        out(lines.join(''));
      }
    }
    out('# EOF\n');
  }
}

function sampleName(name, type, suffix) {
  if (type === 'histogram') return `${name}_${suffix}`;
  return name;
}

/** A small seeded generator: the same history every time. */
export function randomness(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Cumulative bucket counts, sum and count of a histogram that only grows. */
export class Histogram {
  constructor(bounds) {
    this.bounds = bounds;
    this.counts = new Array(bounds.length + 1).fill(0);
    this.sum = 0;
    this.count = 0;
  }

  observe(value, times = 1) {
    const found = this.bounds.findIndex((bound) => value <= bound);
    this.counts[found < 0 ? this.bounds.length : found] += times;
    this.sum += Math.max(0, value) * times;
    this.count += times;
  }

  record(recorder, name, labels) {
    let running = 0;
    this.counts.forEach((count, index) => {
      running += count;
      const bound = this.bounds[index];
      const le = bound === undefined ? '+Inf' : Number.isInteger(bound) ? `${bound}.0` : String(bound);
      recorder.set(name, { ...labels, le }, running, 'bucket');
    });
    recorder.set(name, labels, this.sum, 'sum');
    recorder.set(name, labels, this.count, 'count');
  }
}
