// Flows in: Prometheus' answers. Flows out: data frames in the shape that Grafana's Prometheus data source makes.
// Always holds: a table query is one frame with a column for each label; any other series is a frame of its own.

import { FieldType, toDataFrame } from '@grafana/data';

function legend(format, labels) {
  if (!format || format === '__auto') return undefined;
  return format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name) => labels[name] ?? '');
}

const pointsOf = (series) => series.values ?? [series.value];

function table({ target, result }, alone) {
  const labels = [...new Set(result.flatMap(({ metric }) => Object.keys(metric)))].sort();
  const column = (name) => ({ name, type: FieldType.string, config: { filterable: true }, values: result.map(({ metric }) => metric[name] ?? '') });
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: result.map(({ value }) => value[0] * 1000) },
      ...labels.map(column),
      { name: alone ? 'Value' : `Value #${target.refId}`, type: FieldType.number, values: result.map(({ value }) => Number(value[1])) },
    ],
  });
}

function series({ target, step, result }) {
  return result.map((one) => {
    const name = legend(target.legendFormat, one.metric)?.trim();
    return toDataFrame({
      refId: target.refId,
      name,
      fields: [
        { name: 'Time', type: FieldType.time, config: { interval: step * 1000 }, values: pointsOf(one).map(([at]) => at * 1000) },
        { name: 'Value', type: FieldType.number, labels: one.metric, config: { displayNameFromDS: name }, values: pointsOf(one).map(([, value]) => Number(value)) },
      ],
    });
  });
}

export function framesOf(answers) {
  const tables = answers.filter(({ target }) => target.format === 'table');
  return answers.flatMap((answer) => (answer.target.format === 'table' ? [table(answer, tables.length === 1)] : series(answer)));
}
