// Grafana's published types under the names that schema.mjs asks for.
import type { Dashboard as GrafanaDashboard, Panel as GrafanaPanel, RowPanel as GrafanaRow } from '@grafana/schema/dist/esm/raw/dashboard/x/Dashboard_types.gen';
import type * as bar from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as text from '@grafana/schema/dist/esm/raw/composable/text/panelcfg/x/TextPanelCfg_types.gen';
import type * as series from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

export type Board = GrafanaDashboard;
export type AnyPanel = GrafanaPanel;
export type Row = GrafanaRow;
export type BarGaugeOptions = Partial<bar.Options>;
export type StatOptions = Partial<stat.Options>;
export type TableOptions = Partial<table.Options>;
export type TableField = Partial<table.FieldConfig>;
export type TextOptions = Partial<text.Options>;
export type TimeSeriesOptions = Partial<series.Options>;
export type TimeSeriesField = Partial<series.FieldConfig>;
