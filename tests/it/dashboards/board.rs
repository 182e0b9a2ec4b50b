//! Flows in: `grafana/dashboards/*.json`. Flows out: each as JSON with its panels, nested ones included.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::text;

/// One dashboard file.
pub struct Dashboard {
    pub name: String,
    pub json: Value,
}

impl Dashboard {
    pub fn list(&self, pointer: &str) -> Vec<Value> {
        self.json.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default()
    }

    pub fn panels(&self) -> Vec<Value> {
        self.list("/panels")
            .into_iter()
            .flat_map(|panel| {
                let nested = panel["panels"].as_array().cloned().unwrap_or_default();
                std::iter::once(panel).chain(nested)
            })
            .collect()
    }

    /// Where a panel is, for a message.
    pub fn place(&self, panel: &Value) -> String {
        format!("{} panel {} {}", self.name, panel["id"], panel["title"])
    }
}

/// All dashboards, by file name.
pub fn all() -> Vec<Dashboard> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("grafana/dashboards");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| Dashboard {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            json: serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap(),
        })
        .collect()
}

/// The text of one query.
pub fn expression(board: &str, panel: &str, query: &str) -> String {
    let boards = all();
    let board = boards.iter().find(|one| one.name == board).unwrap();
    let panels = board.panels();
    let found = panels.iter().find(|one| one["title"] == panel).unwrap_or_else(|| panic!("no panel {panel}"));
    let target = found["targets"].as_array().unwrap().iter().find(|one| one["refId"] == query);
    text(&target.unwrap_or_else(|| panic!("{panel} has no query {query}"))["expr"]).to_owned()
}
