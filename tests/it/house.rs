//! The rules of the house: data goes one way, and each crate has one home.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use wallet_exporter::app::INTEGRATIONS;

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file with the module that it belongs to, and its text without comments.
fn files() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    paths
        .into_iter()
        .map(|path| {
            let relative = path.strip_prefix(&root).unwrap().to_owned();
            let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
            (first.trim_end_matches(".rs").to_owned(), relative, code.join("\n"))
        })
        .collect()
}

fn order() -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let (public, private) = text.split_once("} else {").unwrap();
    let modules = |list: &str| -> Vec<String> {
        let lines = list.lines().map(|line| line.trim().trim_start_matches("pub "));
        lines.filter_map(|line| Some(line.strip_prefix("mod ")?.strip_suffix(';')?.to_owned())).collect()
    };
    assert_eq!(modules(public), modules(private), "the two lists of lib.rs");
    modules(public)
}

/// The vendors' folders are called like the vendors.
fn vendors() -> [&'static str; INTEGRATIONS.len()] {
    INTEGRATIONS.map(|integration| integration.vendor.name)
}

#[test]
fn a_module_uses_only_modules_above_it_and_no_vendor_but_its_own() {
    let order = order();
    let place = |module: &str| order.iter().position(|found| found == module);
    let mut uses = 0;
    for (module, path, code) in files() {
        let Some(own) = place(&module) else {
            assert!(module == "lib" || module == "main", "{} is in no module of lib.rs", path.display());
            continue;
        };
        for rest in code.split("crate::").skip(1) {
            let used: String =
                rest.chars().take_while(|letter| letter.is_ascii_lowercase() || *letter == '_').collect();
            assert!(!rest.starts_with('{') || module == "app", "{}: write one use for each module", path.display());
            if used == module || used.is_empty() {
                continue;
            }
            let Some(other) = place(&used) else { panic!("{}: crate::{used} is no module of lib.rs", path.display()) };
            assert!(other < own, "{}: {module} uses {used}, which stands below it in lib.rs", path.display());
            let of_vendor = vendors().contains(&used.as_str());
            assert!(!of_vendor || module == "app", "{}: only app names {used}", path.display());
            uses += 1;
        }
    }
    assert!(uses > 50, "the test no longer sees how modules are used");
}

/// What a tree of `use` names: `a::{b, c::D}` is `a::b` and `a::c::D`.
fn names(tree: &str) -> Vec<String> {
    let Some((start, rest)) = tree.split_once('{') else { return vec![tree.trim().to_owned()] };
    let mut depth = 0;
    let branches = rest.trim_end().strip_suffix('}').unwrap().split(|letter| {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        letter == ',' && depth == 0
    });
    let names = branches.filter(|branch| !branch.trim().is_empty()).flat_map(names);
    names.map(|name| format!("{}{name}", start.trim())).collect()
}

/// The file that a name in another file is from. What a parent re-exports is the parent's.
fn file_of(files: &BTreeMap<String, String>, module: &str, name: &str) -> String {
    let mut path: Vec<&str> = if name.starts_with("crate::") { Vec::new() } else { module.split("::").collect() };
    let mut rest = name.trim_start_matches("crate::");
    while let Some(further) = rest.strip_prefix("super::") {
        path.pop();
        rest = further;
    }
    for part in rest.split("::") {
        path.push(part);
        if !files.contains_key(&path.join("::")) {
            path.pop();
            break;
        }
    }
    path.join("::")
}

#[test]
fn files_do_not_use_each_other_in_circles() {
    let without_tests = |code: &str| code.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
    let files: BTreeMap<String, String> = files()
        .into_iter()
        .filter(|(module, ..)| module != "lib" && module != "main")
        .map(|(_, path, code)| (path.with_extension("").to_str().unwrap().replace('/', "::"), without_tests(&code)))
        .collect();
    let is_below = |one: &str, other: &str| one == other || one.starts_with(&format!("{other}::"));
    let used = |module: &str, code: &str| -> BTreeSet<String> {
        let trees = code.split(';').filter_map(|statement| {
            let (before, tree) = statement.rsplit_once("use ")?;
            let visibility = before.rsplit('\n').next()?.trim();
            let is_ours = tree.starts_with("crate::") || tree.starts_with("super::");
            (is_ours && (visibility.is_empty() || visibility.starts_with("pub"))).then(|| names(tree))
        });
        let used = trees.flatten().map(|name| file_of(&files, module, &name));
        used.filter(|used| files.contains_key(used) && !is_below(module, used) && !is_below(used, module)).collect()
    };
    let mut left: BTreeMap<&str, BTreeSet<String>> =
        files.iter().map(|(module, code)| (module.as_str(), used(module, code))).collect();
    assert!(left.values().map(BTreeSet::len).sum::<usize>() > 300, "the test no longer sees how files use each other");
    // Files that use no file that is left, or are used by none, are in no circle.
    loop {
        let before = left.len();
        let known: BTreeSet<&str> = left.keys().copied().collect();
        left.retain(|_, used| {
            used.retain(|used| known.contains(used.as_str()));
            !used.is_empty()
        });
        let used: BTreeSet<String> = left.values().flatten().cloned().collect();
        left.retain(|module, _| used.contains(*module));
        if left.len() == before {
            break;
        }
    }
    assert!(left.is_empty(), "each of these is in a circle, or between two: {left:#?}");
}

#[test]
fn shared_modules_name_no_vendor() {
    for (module, path, code) in files() {
        if vendors().contains(&module.as_str()) || module == "app" || module == "lib" {
            continue;
        }
        // The program's own description and the files of the product may.
        let code = code.to_lowercase();
        for vendor in vendors() {
            assert!(!code.contains(vendor), "{} names {vendor}", path.display());
        }
    }
}

#[test]
fn the_simulator_knows_nothing_of_the_exporter() {
    let manifest = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("simulator/Cargo.toml")).unwrap();
    assert!(!manifest.contains("wallet-exporter") && !manifest.contains("path ="), "{manifest}");
}

#[test]
fn each_crate_has_one_home() {
    let homes: &[(&str, &[&str])] = &[
        ("reqwest::", &["upstream"]),
        ("csv_core::", &["upstream"]),
        ("rusqlite::", &["store"]),
        ("moka::", &["http", "rightfoot"]),
        ("envy::", &["config"]),
        ("procfs::", &["exposition"]),
        ("prometheus::", &["instruments", "exposition"]),
        ("axum::", &["http"]),
        ("tower_http::", &["http"]),
        ("bcrypt::", &["http"]),
        ("vendor_simulator::", &["app"]),
        ("clap::", &["config", "app", "main"]),
        ("hyper::", &["http", "upstream"]),
        ("hyper_util::", &["http"]),
        ("tracing_subscriber::", &["telemetry"]),
    ];
    for (module, path, code) in files() {
        for (krate, allowed) in homes {
            let used = code.match_indices(krate).any(|(at, _)| {
                let before = code[..at].chars().next_back();
                !before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_' || letter == ':')
            });
            assert!(
                !used || allowed.contains(&module.as_str()),
                "{} uses {krate}, at home in {allowed:?}",
                path.display()
            );
        }
    }
}

#[test]
fn every_file_opens_by_saying_what_it_is_about() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    for directory in ["src", "simulator/src", "fuzz/src", "tests"] {
        sources(&root.join(directory), &mut paths);
    }
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//! "), "{} has no opening", path.display());
    }
}
