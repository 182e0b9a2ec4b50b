//! The deployment files as text and as data.
//!
//! Flows in: paths from the top of the repository. Flows out: their text, their YAML as JSON values. A file that cannot
//! be read or parsed fails the test that asked, by name.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The top of the repository.
pub fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file.
pub fn text(path: &str) -> String {
    std::fs::read_to_string(top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The one YAML document of a file.
pub fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The YAML documents of a text, as `kubectl kustomize` prints them.
pub fn documents(stream: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(stream).unwrap_or_else(|error| panic!("rendered manifests: {error}"))
}

/// All files under a directory whose name ends so, sorted, as paths from the top.
pub fn under(directory: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![top().join(directory)];
    while let Some(next) = open.pop() {
        let entries = std::fs::read_dir(&next).unwrap_or_else(|error| panic!("{}: {error}", next.display()));
        for entry in entries.map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                open.push(entry);
            } else if entry.to_string_lossy().ends_with(ending) {
                found.push(entry.strip_prefix(top()).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

/// The last part of a path without the ending.
pub fn stem(path: &str, ending: &str) -> String {
    let name = Path::new(path).file_name().unwrap().to_string_lossy();
    name.strip_suffix(ending).unwrap().to_owned()
}

/// The strings of a list; a value that is absent is an empty list.
pub fn strings(value: &Value) -> Vec<&str> {
    value.as_array().map(|list| list.iter().map(|entry| entry.as_str().unwrap()).collect()).unwrap_or_default()
}
