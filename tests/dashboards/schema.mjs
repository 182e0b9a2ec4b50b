// Flows in: dashboards. Flows out: where they leave Grafana's own published types, as lines of text.
// Always holds: the types come from @grafana/schema as installed; an unknown panel type is a finding, not a skip.

import { createRequire } from 'node:module';
import fs from 'node:fs';
import path from 'node:path';
import { allPanels } from './queries.mjs';

const PANELS = {
  bargauge: ['BarGaugeOptions', undefined],
  stat: ['StatOptions', undefined],
  table: ['TableOptions', 'TableField'],
  text: ['TextOptions', undefined],
  timeseries: ['TimeSeriesOptions', 'TimeSeriesField'],
};

// What the Prometheus data source keeps in an annotation: read by it, and unknown to the published type.
const OF_PROMETHEUS = ['expr', 'step', 'textFormat', 'titleFormat', 'useValueForTime'];

function withoutDataSourceKeys({ annotations, ...rest }) {
  const list = annotations.list.map((each) => Object.fromEntries(Object.entries(each).filter(([key]) => !OF_PROMETHEUS.includes(key))));
  return { ...rest, annotations: { list } };
}

export function openSchema(modules) {
  const require = createRequire(path.join(modules, 'package.json'));
  // The compiler resolves imports from the file's own place, so the file has to stand beside node_modules.
  const source = path.join(modules, 'schema.ts');
  fs.copyFileSync(path.join(import.meta.dirname, 'schema.ts'), source);
  const tsconfig = path.join(modules, 'tsconfig.json');
  fs.writeFileSync(tsconfig, JSON.stringify({ compilerOptions: { target: 'ES2022', module: 'ESNext', moduleResolution: 'Bundler', strict: true, skipLibCheck: true, noEmit: true, types: [] }, files: ['schema.ts'] }));
  const generated = require('ts-json-schema-generator').createGenerator({ path: source, tsconfig, type: '*', skipTypeCheck: true, expose: 'export' }).createSchema('*');
  const Ajv = require('ajv').default;
  const ajv = new Ajv({ allErrors: true, strict: false });
  ajv.addSchema(generated, 'grafana');

  const check = (type, value, where) => {
    const validate = ajv.getSchema(`grafana#/definitions/${type}`);
    if (!validate) return [`no schema for ${type}`];
    if (validate(value)) return [];
    return validate.errors.map(({ instancePath, message, params }) => `${where}${instancePath} ${message} ${JSON.stringify(params).slice(0, 120)}`);
  };

  return (dashboard) => {
    const { panels, ...rest } = dashboard;
    const found = check('Board', withoutDataSourceKeys(rest), dashboard.uid);
    for (const panel of allPanels({ panels })) {
      const where = `${dashboard.uid} panel ${panel.id}`;
      if (panel.type === 'row') {
        found.push(...check('Row', panel, where));
        continue;
      }
      const types = PANELS[panel.type];
      if (!types) {
        found.push(`${where} has type ${panel.type}, which is not one of ${Object.keys(PANELS)}`);
        continue;
      }
      found.push(...check('AnyPanel', panel, where), ...check(types[0], panel.options, `${where} options`));
      if (types[1]) found.push(...check(types[1], panel.fieldConfig.defaults.custom, `${where} custom`));
    }
    return found;
  };
}
