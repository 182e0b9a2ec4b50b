// Flows in: a dashboard and a Prometheus. Flows out: for each query its text as Grafana would send it and the answer.
// Always holds: intervals are chosen as Grafana chooses them (panel width or points, panel minimum, scrape interval), a
// panel's own relative time goes before the dashboard's, `All` becomes the variable's own allValue, and a range starts on
// a multiple of its step.

const SCRAPE = 30;
const CELL = 1600 / 24;
const NICE = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400];
const UNITS = { s: 1, m: 60, h: 3600, d: 86400, w: 604800 };

export function seconds(text) {
  const match = /^(\d+)([smhdw])$/.exec(text);
  if (!match) throw new Error(`not a duration: ${text}`);
  return Number(match[1]) * UNITS[match[2]];
}

/** `now-7d` and the like. */
export function rangeOf(dashboard) {
  const match = /^now-(\d+[smhdw])$/.exec(dashboard.time.from);
  if (!match || dashboard.time.to !== 'now') throw new Error(`unusual time range in ${dashboard.uid}`);
  return seconds(match[1]);
}

export function allPanels(dashboard) {
  return dashboard.panels.flatMap((panel) => [panel, ...(panel.panels ?? [])]);
}

function stepFor(range, panel) {
  const points = panel.maxDataPoints ?? Math.floor((panel.gridPos?.w ?? 24) * CELL);
  const wanted = range / points;
  const nice = NICE.find((candidate) => candidate >= wanted) ?? NICE.at(-1);
  return Math.max(nice, panel.interval ? seconds(panel.interval) : SCRAPE);
}

export function interpolate(text, values, range, step) {
  const named = {
    ...values,
    __range: `${range}s`,
    __range_s: String(range),
    __interval: `${step}s`,
    __rate_interval: `${Math.max(step + SCRAPE, 4 * SCRAPE)}s`,
  };
  return text.replace(/\$(?:\{(\w+)(?::\w+)?\}|(\w+))/g, (_, braced, bare) => {
    const value = named[braced ?? bare];
    if (value === undefined) throw new Error(`unknown variable ${braced ?? bare} in ${text}`);
    return value;
  });
}

async function ask(prometheus, path, parameters) {
  const response = await fetch(`${prometheus}/api/v1/${path}`, { method: 'POST', body: new URLSearchParams(parameters) });
  const body = await response.json();
  if (body.status !== 'success') throw new Error(body.error);
  return body.data.result ?? body.data;
}

export async function instant(prometheus, expression, at) {
  return ask(prometheus, 'query', { query: expression, time: at });
}

async function runTarget(prometheus, target, panel, context) {
  const { values } = context;
  const range = panel.timeFrom ? seconds(panel.timeFrom) : context.range;
  // What rules make has no history. Grafana asks everything at one time, by which rows of tables are joined.
  const end = /ALERTS|:known/.test(target.expr) ? context.firedAt : context.end;
  const step = target.instant ? SCRAPE : stepFor(range, panel);
  const expression = interpolate(target.expr, values, range, step);
  try {
    const result = target.instant
      ? (await instant(prometheus, expression, end)).map(({ metric, value }) => ({ metric, value: [context.end, value[1]] }))
      : await ask(prometheus, 'query_range', { query: expression, start: Math.floor((end - range) / step) * step, end: Math.floor(end / step) * step, step });
    return { target, expression, step, range, result };
  } catch (error) {
    return { target, expression, step, range, result: [], error: String(error.message ?? error) };
  }
}

/** Runs everything of a dashboard: panels, annotations, and the variables' own look-ups. */
export async function runDashboard({ url: prometheus, end, firedAt }, dashboard, chosen = {}, range = rangeOf(dashboard)) {
  const values = { datasource: 'prometheus' };
  const variables = [];
  for (const { name, query } of dashboard.templating.list.filter(({ type }) => type === 'textbox')) values[name] = query;
  for (const variable of dashboard.templating.list.filter(({ type }) => type === 'query')) {
    values[variable.name] = chosen[variable.name] ?? variable.allValue;
    const found = /^label_values\((.+), (\w+)\)$/.exec(variable.query.query);
    if (!found) throw new Error(`unusual variable query ${variable.query.query}`);
    const series = await instant(prometheus, `group by (${found[2]}) (${interpolate(found[1], values, range, SCRAPE)})`, end);
    variables.push({ name: variable.name, found: series.map(({ metric }) => metric[found[2]]) });
  }
  const context = { range, end, firedAt, values };
  const panels = [];
  for (const panel of allPanels(dashboard)) {
    const answers = [];
    for (const target of panel.targets ?? []) answers.push(await runTarget(prometheus, target, panel, context));
    panels.push({ panel, answers });
  }
  const annotations = [];
  for (const annotation of dashboard.annotations.list) {
    const answer = await runTarget(prometheus, { expr: annotation.expr }, { gridPos: { w: 24 }, interval: annotation.step }, context);
    // The value is the event's own time: a series that repeats it for days is one event.
    const times = new Set(answer.result.flatMap(({ values: points }) => points.map(([, value]) => Math.floor(Number(value)))));
    const inside = [...times].filter((time) => time >= (end - range) * 1000 && time <= end * 1000);
    annotations.push({ annotation, answer, times: inside.sort() });
  }
  return { dashboard, range, end, variables, panels, annotations };
}
