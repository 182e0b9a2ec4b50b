// Flows in: the shipped dashboards and a history. Flows out: `OUTPUT/<name>.png`, `OUTPUT/<name>.txt` (what each panel
// showed) and the problems, one a line; the exit code is 1 if there are any.
// Always holds: every query of every panel was run on a real Prometheus, and on a second one where PROMETHEUS_NEWEST names
// it; every panel was drawn by Grafana's components.
//
// usage: node check.mjs MODULES OUTPUT HISTORY.om   (MODULES holds node_modules; the history's end is about now)

import fs from 'node:fs';
import path from 'node:path';
import { openStudio } from './draw.mjs';
import { fill, startPrometheus } from './prometheus.mjs';
import { runDashboard } from './queries.mjs';
import { openSchema } from './schema.mjs';

const HERE = import.meta.dirname;
const BOARDS = path.join(HERE, '../../grafana/dashboards');
const TOLERANCE = 0.02;
/** Grafana's own colour of text, on dark. */
const NEUTRAL = ['#ccccdc', 'rgb(204, 204, 220)'];

const [modules, output, history] = process.argv.slice(2).map((argument) => path.resolve(argument));
if (!history) {
  console.error('usage: node check.mjs MODULES OUTPUT HISTORY.om');
  process.exit(64);
}

const started = Date.now();
const note = (text) => console.log(`${((Date.now() - started) / 1000).toFixed(1)} s  ${text}`);
const problems = [];
const allowedEmpty = JSON.parse(fs.readFileSync(path.join(HERE, 'expected-empty.json'), 'utf8'));

/** Just after midnight UTC nothing was spent yet on the same day of last week, so there is nothing to compare with. */
function tooEarly({ expression }, end) {
  return end % 86_400 < 15 * 60 && expression.includes('period="today"');
}

function checkAnswers({ dashboard, end, panels, annotations, variables }, unusedAllowance) {
  for (const { panel, answers } of panels)
    for (const answer of answers) {
      const { target, expression, result, error } = answer;
      const key = `${dashboard.uid}/${panel.title}/${target.refId}`;
      if (error) problems.push(`${key}: ${error}\n    ${expression}`);
      else if (result.length === 0 && !tooEarly(answer, end) && !(key in allowedEmpty.sometimes) && !unusedAllowance.delete(key)) problems.push(`${key}: no data\n    ${expression}`);
      const numbers = result.flatMap((series) => (series.values ?? [series.value]).map(([, value]) => Number(value)));
      if (numbers.some((number) => !Number.isFinite(number))) problems.push(`${key}: NaN or Inf\n    ${expression}`);
    }
  for (const { annotation, answer, times } of annotations)
    if (answer.error || times.length === 0) problems.push(`${dashboard.uid}: annotation ${annotation.name} marks nothing ${answer.error ?? ''}`);
  for (const { name, found } of variables) if (found.length === 0) problems.push(`${dashboard.uid}: variable ${name} finds nothing`);
}

/** Money of two replicas is the money of one of them: of the one that has polled last, or counted longest. */
function checkReplicas(both, each) {
  const sorted = (answer) => answer.result.map(({ value }) => Number(value[1])).sort((left, right) => left - right);
  both.panels.forEach(({ panel, answers }, at) => {
    if (!panel.fieldConfig?.defaults?.unit?.startsWith('currency')) return;
    answers.forEach((answer, index) => {
      if (!answer.target.instant) return;
      const alone = each.map((one) => sorted(one.panels[at].answers[index]));
      sorted(answer).forEach((value, position) => {
        const same = alone.some((values) => Math.abs(value - values[position]) <= Math.abs(value) * TOLERANCE);
        if (!same) problems.push(`${both.dashboard.uid}/${panel.title}/${answer.target.refId}: ${value} with two replicas, ${alone.map((values) => values[position]).join(' and ')} with one`);
      });
    });
  });
}

/** Charts that a short range may leave empty, each because what it shows happens now and then. */
const RARE = ['Failed polls by reason', 'Success share over time', 'Typical balance'];

/** An incident's half hour fills every chart; three months make no query fail. */
async function checkRanges(prometheus, dashboard) {
  const uid = dashboard.uid;
  for (const { panel, answers } of (await runDashboard(prometheus, dashboard, {}, 1800)).panels) {
    if (panel.type !== 'timeseries' || RARE.includes(panel.title)) continue;
    if (!answers.some(({ result }) => result.some(({ values }) => values.length > 1))) problems.push(`${uid}/${panel.title}: no line in half an hour`);
  }
  for (const { panel, answers } of (await runDashboard(prometheus, dashboard, {}, 90 * 86_400)).panels)
    for (const { error } of answers) if (error) problems.push(`${uid}/${panel.title} over 90 days: ${error}`);
}

/** Where nothing is known nothing is green, red or orange, and each figure says it in its own words. */
function checkUnknown({ dashboard, panels }, { shown, text }) {
  for (const { panel, answers } of panels) {
    if (panel.type === 'table' && answers.every(({ result }) => result.length === 0) && !text[panel.id].includes(panel.fieldConfig.defaults.noValue))
      problems.push(`${dashboard.uid}/${panel.title} of an account that nobody knows: ${text[panel.id]}`);
    if (panel.type !== 'stat' && panel.type !== 'bargauge') continue;
    const { noValue } = panel.fieldConfig.defaults;
    for (const text of shown[panel.id])
      if (!NEUTRAL.some((color) => text === `${noValue} ${color}`)) problems.push(`${dashboard.uid}/${panel.title} of an account that nobody knows: ${text}`);
  }
}

/** The figures that can be negative, which no counter can, as if they all were. Where a second query is for them, they are not. */
function negative(result) {
  const canBe = ({ panel }) => {
    const units = JSON.stringify(panel.fieldConfig ?? {});
    const isMoney = units.includes('"currency:financial:$"') && !units.includes('"currency:financial:-$"');
    return isMoney && panel.type !== 'timeseries' && panel.targets.some(({ expr }) => !/_(total|sum|count|bucket)\b/.test(expr));
  };
  const panels = structuredClone(result.panels.filter(canBe));
  for (const { answers } of panels) for (const answer of answers) for (const series of answer.result) series.value[1] = String(-1 - Math.abs(Number(series.value[1])));
  return { ...result, panels };
}

function checkNegative({ dashboard, panels }, { text }) {
  for (const { panel } of panels)
    if (!/-\$\d/.test(text[panel.id]) || /\$[^\d.]/.test(text[panel.id])) problems.push(`${dashboard.uid}/${panel.title} with negative amounts: ${text[panel.id]}`);
}

fs.mkdirSync(output, { recursive: true });
const files = fs.readdirSync(BOARDS).filter((name) => name.endsWith('.json')).sort();
const dashboards = files.map((name) => ({ name: path.basename(name, '.json'), dashboard: JSON.parse(fs.readFileSync(path.join(BOARDS, name), 'utf8')) }));

/** Runs everything on one Prometheus. Returns what each dashboard showed. */
async function ask(prometheus) {
  const unusedAllowance = new Set(Object.keys(allowedEmpty.always));
  const results = [];
  for (const { name, dashboard } of dashboards) {
    const result = await runDashboard(prometheus, dashboard);
    checkAnswers(result, unusedAllowance);
    const instances = result.variables.find((variable) => variable.name === 'instance').found.sort();
    if (instances.length < 2) problems.push(`${dashboard.uid}: one replica is no test of two`);
    await checkRanges(prometheus, dashboard);
    const unknown = await runDashboard(prometheus, dashboard, { job: 'nobody', instance: 'nobody', account: 'nobody' });
    checkReplicas(result, await Promise.all(instances.map((instance) => runDashboard(prometheus, dashboard, { instance }))));
    const queries = result.panels.reduce((total, { answers }) => total + answers.length, 0);
    note(`${name}: ${result.panels.length} panels, ${queries} queries`);
    results.push({ name, result, unknown });
  }
  for (const key of unusedAllowance) problems.push(`${key} is on the list of empty queries but has data or does not exist`);
  return results;
}

const blocks = path.join(output, 'blocks');
fill(history, blocks);
note('blocks made');
const programs = ['prometheus', process.env.PROMETHEUS_NEWEST].filter(Boolean);
const servers = [];
const answers = [];
try {
  // Alerts fire only while the history is young: in every server before the first question.
  for (const program of programs) {
    const server = await startPrometheus(program, blocks, path.join(output, `prometheus-${servers.length}`));
    servers.push(server);
    note(`Prometheus ${server.version} filled and running, alerts fire`);
  }
  for (const server of servers) answers.push(await ask(server));
} finally {
  for (const server of servers) await server.stop();
}
fs.rmSync(blocks, { recursive: true });
const results = answers[0];

const checkTypes = openSchema(modules);
for (const { dashboard } of dashboards) problems.push(...checkTypes(dashboard));
note(`${dashboards.length} dashboards checked against Grafana's types`);

const studio = await openStudio(modules, output);
try {
  note('page bundled');
  for (const { name, result, unknown } of results) {
    const findings = await studio.draw(result, path.join(output, `${name}.png`));
    problems.push(...findings.problems.map((text) => `${result.dashboard.uid} panel ${text}`));
    const shown = result.panels.map(({ panel }) => `${panel.id} ${panel.title}: ${(findings.shown[panel.id] ?? []).join(' | ')}`);
    fs.writeFileSync(path.join(output, `${name}.txt`), `${shown.join('\n')}\n`);
    checkUnknown(unknown, await studio.draw(unknown, path.join(output, `${name}-unknown.png`)));
    const below = negative(result);
    if (below.panels.length > 0) checkNegative(below, await studio.draw(below, path.join(output, `${name}-negative.png`)));
    note(`${name} drawn, with data and without, and ${below.panels.length} panels with negative amounts`);
  }
} finally {
  await studio.close();
}
for (const text of problems) console.log(`PROBLEM ${text}`);
note(`${problems.length} problems`);
process.exitCode = problems.length > 0 ? 1 : 0;
