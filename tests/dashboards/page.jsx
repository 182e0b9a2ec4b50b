// Flows in: window.board, a dashboard with the answers to its queries. Flows out: the panels on the page, drawn by
// Grafana's own components, and window.findings with what each panel showed.
// Always holds: window.finished becomes true, also after an error; nothing is fetched from here but icons.

import { Component } from 'react';
import { createRoot } from 'react-dom/client';
import { lastValueFrom } from 'rxjs';
import 'uplot/dist/uPlot.min.css';
import {
  ThemeContext,
  applyFieldOverrides,
  cacheFieldDisplayNames,
  createTheme,
  dateTime,
  FieldConfigOptionsRegistry,
  FieldType,
  getDisplayValueAlignmentFactors,
  getFieldDisplayValues,
  getValueFormats,
  identityOverrideProcessor,
  renderMarkdown,
  standardTransformers,
  standardTransformersRegistry,
  transformDataFrame,
} from '@grafana/data';
import { BarGauge, BigValue, GlobalStyles, PanelChrome, TimeSeries, VizRepeater } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import { framesOf } from './frames.mjs';

const WIDTH = 1600;
const CELL = WIDTH / 24;
const ROW = 38;
const GAP = 8;
const theme = createTheme({ colors: { mode: 'dark' } });
const { dashboard, end, panels, annotations } = window.board;
const findings = (window.findings = { problems: [], shown: {}, text: {} });
const to = dateTime(end * 1000);

/** The time that a panel shows: its own, where it has one. */
function timeRangeOf({ answers }) {
  const from = dateTime((end - answers[0].range) * 1000);
  return { from, to, raw: { from, to } };
}

const knownUnits = new Set(getValueFormats().flatMap(({ submenu }) => submenu.map(({ value }) => value)));
const CUSTOM_UNIT = /^(currency|suffix|prefix|time|si|count|bool):/;

const problem = (panel, text) => findings.problems.push(`${panel.id} "${panel.title}": ${text}`);

standardTransformersRegistry.setInit(() =>
  [...new Map(Object.values(standardTransformers).map((each) => [each.id, each])).values()].map((each) => ({
    id: each.id,
    name: each.name,
    transformation: () => Promise.resolve(each),
    editor: () => null,
    imageDark: '',
    imageLight: '',
  })),
);

const STANDARD = 'unit min max decimals displayName noValue color thresholds mappings links description filterable actions fieldMinMax'.split(' ');

/** The options that a panel's defaults and overrides may set, as the registry that applies them. */
function optionsOf({ fieldConfig }) {
  const overrides = (fieldConfig?.overrides ?? []).flatMap(({ properties }) => properties.map(({ id }) => id));
  const named = overrides.filter((id) => id.startsWith('custom.')).map((id) => id.slice('custom.'.length));
  const custom = new Set([...Object.keys(fieldConfig?.defaults?.custom ?? {}), ...named]);
  const option = (path, isCustom) => ({
    id: isCustom ? `custom.${path}` : path,
    path,
    name: path,
    isCustom,
    editor: () => null,
    override: () => null,
    process: identityOverrideProcessor,
    // Grafana's panels never apply their own options to the time axis.
    shouldApply: ({ type }) => !isCustom || type !== FieldType.time,
  });
  return new FieldConfigOptionsRegistry(() => [...STANDARD.map((path) => option(path, false)), ...[...custom].map((path) => option(path, true))]);
}

function checkUnits(panel) {
  const overrides = (panel.fieldConfig?.overrides ?? []).flatMap(({ properties }) => properties);
  const units = [panel.fieldConfig?.defaults?.unit, ...overrides.filter(({ id }) => id === 'unit').map(({ value }) => value)];
  for (const unit of units) if (unit && !knownUnits.has(unit) && !CUSTOM_UNIT.test(unit)) problem(panel, `unknown unit ${unit}`);
}

/** JSON has no infinity: the lowest step of thresholds is written as null, and Grafana's panels read it as this. */
function restoreLowestSteps({ fieldConfig }) {
  const overridden = (fieldConfig?.overrides ?? []).flatMap(({ properties }) => properties.filter(({ id }) => id === 'thresholds').map(({ value }) => value));
  for (const thresholds of [fieldConfig?.defaults?.thresholds, ...overridden]) if (thresholds) thresholds.steps[0].value = -Infinity;
}

async function prepare({ panel, answers }) {
  checkUnits(panel);
  restoreLowestSteps(panel);
  for (const { id } of panel.transformations ?? []) if (!standardTransformersRegistry.getIfExists(id)) problem(panel, `unknown transformation ${id}`);
  let data = framesOf(answers);
  if (panel.transformations?.length) data = await lastValueFrom(transformDataFrame(panel.transformations, data, { interpolate: (text) => text }));
  data = applyFieldOverrides({
    data,
    fieldConfig: panel.fieldConfig ?? { defaults: {}, overrides: [] },
    fieldConfigRegistry: optionsOf(panel),
    replaceVariables: (text) => text,
    theme,
    timeZone: 'utc',
  });
  cacheFieldDisplayNames(data);
  return data;
}

/** Vertical marks where an annotation's events lie, as Grafana's own layer would draw them. */
function Marks({ config }) {
  // The label of a tick near the end would be cut off.
  config.setPadding([null, 40, null, null]);
  config.addHook('draw', (plot) => {
    const { ctx } = plot;
    ctx.save();
    ctx.setLineDash([6, 4]);
    for (const { annotation, times } of annotations) {
      ctx.strokeStyle = theme.visualization.getColorByName(annotation.iconColor);
      for (const time of times) {
        const x = Math.round(plot.valToPos(time, 'x', true));
        ctx.beginPath();
        ctx.moveTo(x, plot.bbox.top);
        ctx.lineTo(x, plot.bbox.top + plot.bbox.height);
        ctx.stroke();
      }
    }
    ctx.restore();
  });
  return null;
}

function Empty({ panel }) {
  return <div style={{ display: 'grid', placeItems: 'center', height: '100%', color: theme.colors.text.secondary }}>{panel.fieldConfig?.defaults?.noValue}</div>;
}

function Values({ panel, data, width, height }) {
  const { options, fieldConfig } = panel;
  const values = getFieldDisplayValues({
    fieldConfig,
    reduceOptions: options.reduceOptions,
    replaceVariables: (text) => text,
    theme,
    data,
    sparkline: options.graphMode === 'area',
    timeZone: 'utc',
  });
  findings.shown[panel.id] = values.map(({ display }) => `${display.title ?? ''} ${display.prefix ?? ''}${display.text}${display.suffix ?? ''} ${display.color}`.trim());
  const alignmentFactors = getDisplayValueAlignmentFactors(values);
  const one = ({ value, width: innerWidth, height: innerHeight, count, orientation }) =>
    panel.type === 'stat' ? (
      <BigValue
        value={value.display}
        sparkline={value.sparkline}
        count={count}
        width={innerWidth}
        height={innerHeight}
        colorMode={options.colorMode}
        graphMode={options.graphMode}
        justifyMode={options.justifyMode}
        textMode={options.textMode === 'auto' && values.length === 1 ? 'value' : options.textMode}
        alignmentFactors={alignmentFactors}
        parentOrientation={orientation}
        wideLayout={options.wideLayout}
        theme={theme}
      />
    ) : (
      <BarGauge
        value={value.display}
        field={value.field}
        display={value.view?.getFieldDisplayProcessor?.(value.colIndex)}
        width={innerWidth}
        height={innerHeight}
        orientation={options.orientation}
        displayMode={options.displayMode}
        showUnfilled={options.showUnfilled}
        valueDisplayMode={options.valueMode}
        namePlacement={options.namePlacement}
        alignmentFactors={alignmentFactors}
        itemSpacing={10}
        lcdCellWidth={12}
        text={{}}
        theme={theme}
      />
    );
  return (
    <VizRepeater
      source={data}
      getValues={() => values}
      width={width}
      height={height}
      minVizHeight={options.minVizHeight}
      maxVizHeight={options.maxVizHeight}
      minVizWidth={options.minVizWidth}
      orientation={options.orientation}
      renderCounter={0}
      autoGrid={panel.type === 'stat'}
      itemSpacing={panel.type === 'stat' ? 3 : 10}
      renderValue={one}
    />
  );
}

function Body({ panel, data, timeRange, width, height }) {
  if (panel.type === 'text') return <div className="markdown-html" dangerouslySetInnerHTML={{ __html: renderMarkdown(panel.options.content) }} />;
  if (panel.type === 'stat' || panel.type === 'bargauge') return <Values panel={panel} data={data} width={width} height={height} />;
  if (!data.some((frame) => frame.length > 0)) return <Empty panel={panel} />;
  if (panel.type === 'timeseries')
    return (
      <TimeSeries frames={data} width={width} height={height} timeRange={timeRange} timeZone="utc" legend={panel.options.legend} options={panel.options}>
        {(config) => <Marks config={config} />}
      </TimeSeries>
    );
  findings.shown[panel.id] = [`${data[0].length} rows: ${data[0].fields.map(({ name }) => name).join(', ')}`];
  return (
    <TableNG
      data={data[0]}
      width={width}
      height={height}
      fieldConfig={panel.fieldConfig}
      cellHeight={panel.options.cellHeight}
      timeRange={timeRange}
    />
  );
}

class Guard extends Component {
  state = {};
  static getDerivedStateFromError(error) {
    return { error };
  }
  componentDidCatch(error) {
    problem(this.props.panel, `cannot be drawn: ${error.message}`);
  }
  render() {
    return this.state.error ? <pre>{String(this.state.error)}</pre> : this.props.children;
  }
}

function place({ x, y, w, h }) {
  return { position: 'absolute', left: x * CELL + GAP / 2, top: y * ROW + GAP / 2, width: w * CELL - GAP, height: h * ROW - GAP };
}

function Panel({ panel, data, timeRange }) {
  const box = place(panel.gridPos);
  if (panel.type === 'row') return <h4 style={{ ...box, lineHeight: '30px' }}>⌄ {panel.title}</h4>;
  return (
    <div style={box} data-panel={panel.id}>
      <Guard panel={panel}>
        <PanelChrome title={panel.title} description={panel.description} width={box.width} height={box.height}>
          {(width, height) => <Body panel={panel} data={data} timeRange={timeRange} width={width} height={height} />}
        </PanelChrome>
      </Guard>
    </div>
  );
}

/** What only the finished page shows: text that runs out of its panel, and numbers that are none. */
function inspect() {
  for (const element of document.querySelectorAll('[data-panel]')) {
    const { panel } = panels.find((each) => String(each.panel.id) === element.dataset.panel);
    const text = element.innerText;
    findings.text[panel.id] = text;
    if (/\b(NaN|Infinity|undefined|\[object)/.test(text)) problem(panel, `shows ${text.slice(0, 80)}`);
    const content = element.querySelector('.markdown-html');
    if (content && content.scrollHeight > content.parentElement.clientHeight + 2)
      problem(panel, `text of ${content.scrollHeight} px in ${content.parentElement.clientHeight} px`);
  }
}

const PATIENCE = 180_000;
const QUIET_FRAMES = 3;
const nextFrame = () => new Promise((resolve) => requestAnimationFrame(resolve));

function painted(canvas) {
  if (!canvas.width || !canvas.height) return false;
  return canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((byte) => byte !== 0);
}

/** Whether a chart has been painted, a table has its rows, anything else has more than its title. */
function shown({ panel, data }) {
  const element = document.querySelector(`[data-panel="${panel.id}"]`);
  const canvas = element.querySelector('canvas');
  if (data.some((frame) => frame.length > 0)) {
    if (panel.type === 'table') return element.querySelectorAll('[role="row"]').length > 1;
    if (panel.type === 'timeseries') return canvas !== null && painted(canvas);
  }
  return canvas !== null || element.innerText.trim() !== panel.title;
}

/** Panels lay themselves out over a few frames: waits until all of them show something and nothing moves. */
async function settled(drawn) {
  let changes = 0;
  new MutationObserver((seen) => (changes += seen.length)).observe(document.body, { attributes: true, characterData: true, childList: true, subtree: true });
  const waiting = new Set(drawn.filter(({ panel }) => panel.type !== 'row'));
  const deadline = performance.now() + PATIENCE;
  for (let quiet = 0, before = -1; quiet < QUIET_FRAMES || waiting.size > 0; before = changes) {
    if (performance.now() > deadline) {
      for (const { panel } of waiting) problem(panel, 'never showed its data');
      if (waiting.size === 0) findings.problems.push('the page never came to rest');
      return;
    }
    await nextFrame();
    for (const each of waiting) if (shown(each)) waiting.delete(each);
    quiet = changes === before ? quiet + 1 : 0;
  }
}

async function main() {
  const drawn = [];
  for (const each of panels) drawn.push({ panel: each.panel, data: await prepare(each), timeRange: each.answers.length > 0 ? timeRangeOf(each) : undefined });
  const height = Math.max(...panels.map(({ panel }) => panel.gridPos.y + panel.gridPos.h)) * ROW;
  createRoot(document.getElementById('root')).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <h3 style={{ padding: '12px 8px 4px' }}>{dashboard.title}</h3>
      <div style={{ position: 'relative', width: WIDTH, height }}>
        {drawn.map(({ panel, data, timeRange }) => (
          <Panel key={panel.id} panel={panel} data={data} timeRange={timeRange} />
        ))}
      </div>
    </ThemeContext.Provider>,
  );
  await document.fonts.ready;
  await settled(drawn);
  inspect();
}

main()
  .catch((error) => findings.problems.push(`the page broke: ${error.stack}`))
  .finally(() => {
    window.finished = true;
  });
