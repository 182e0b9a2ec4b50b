//! The copy of the checkout with all mutants in it.
//!
//! Flows in: the checkout, compiler errors. Flows out: the programs of its tests. A mutant that does not compile is taken
//! out, and the build begins again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::mutate::{Mutant, mutate};

/// Asked wherever a mutant differs.
const SWITCH: &str = r#"//! Which mutant is on.
static ON: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
pub(crate) fn on(number: u32) -> bool {
    *ON.get_or_init(|| std::env::var("MUTANT").ok().and_then(|text| text.parse().ok()).unwrap_or(0)) == number
}
"#;

/// A copy of the checkout.
pub struct Tree {
    root: PathBuf,
    files: BTreeMap<String, String>,
    mutants: Vec<Mutant>,
    unviable: BTreeSet<u32>,
}

/// The compiled tests.
pub struct Programs {
    /// Where they run.
    pub root: PathBuf,
    pub unit: PathBuf,
    pub integration: PathBuf,
    pub simulation: PathBuf,
}

impl Tree {
    /// Copies what git knows of `from`. What is in `rules` is to be mutated.
    pub fn copy(from: &Path, rules: &[String]) -> Tree {
        let root = target(from).join("tree");
        let listed = Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard"])
            .current_dir(from)
            .output()
            .expect("git")
            .stdout;
        let mut files = BTreeMap::new();
        for name in String::from_utf8(listed).expect("names are UTF-8").lines() {
            let is_source = name.starts_with("src/") && name.ends_with(".rs") && !name.contains("tests");
            if is_source && rules.iter().any(|rule| name.starts_with(rule)) {
                files.insert(name.to_owned(), fs::read_to_string(from.join(name)).expect("a source"));
            } else {
                copy(&from.join(name), &root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
            }
        }
        assert!(!files.is_empty(), "no file is named {rules:?}");
        write(&root.join("src/mutants.rs"), SWITCH.as_bytes()).expect("written");
        Tree { root, files, mutants: Vec::new(), unviable: BTreeSet::new() }
    }

    pub fn mutants(&self) -> &[Mutant] {
        &self.mutants
    }

    /// Builds until all mutants that are left compile.
    pub fn compile(&mut self) -> Programs {
        loop {
            self.mutants.clear();
            for (name, text) in &self.files {
                let mutated = mutate(name, text, &mut self.mutants, &self.unviable);
                write(&self.root.join(name), mutated.as_bytes()).expect("written");
            }
            let messages = self.cargo(&["check", "--lib"]);
            let found = self.to_blame(&messages);
            if found.is_empty() {
                return self.programs();
            }
            let before = self.unviable.len();
            self.unviable.extend(found.difference(&self.unviable.clone()));
            assert!(self.unviable.len() > before, "the mutants that do not compile cannot be told");
            eprintln!("{} of {} mutants do not compile", self.unviable.len(), self.mutants.len());
        }
    }

    fn cargo(&self, arguments: &[&str]) -> Vec<Value> {
        let output = Command::new("cargo")
            .args(arguments)
            .args(["--locked", "--message-format=json", "--quiet"])
            .env("CARGO_TARGET_DIR", self.root.with_file_name("target"))
            .env("RUSTFLAGS", "--cap-lints=warn")
            .env_remove("CARGO_MANIFEST_DIR")
            .current_dir(&self.root)
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo");
        let lines = output.stdout.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).expect("cargo prints JSON")).collect()
    }

    /// The mutants that these errors are about.
    fn to_blame(&self, messages: &[Value]) -> BTreeSet<u32> {
        let errors = messages.iter().map(|message| &message["message"]).filter(|message| message["level"] == "error");
        let spans = errors.flat_map(|error| error["spans"].as_array().cloned().unwrap_or_default());
        spans.flat_map(|span| self.beside(&span)).collect()
    }

    /// The mutants on the lines of a span, or the last one before it.
    fn beside(&self, span: &Value) -> Vec<u32> {
        let name = span["file_name"].as_str().unwrap_or_default();
        let Ok(text) = fs::read_to_string(self.root.join(name)) else { return Vec::new() };
        let line = |name: &str| usize::try_from(span[name].as_u64().unwrap_or(1)).expect("a line");
        let numbers = |text: &str| -> Vec<u32> {
            let parts = text.split("crate::mutants::on(").skip(1);
            parts.filter_map(|part| part.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()).collect()
        };
        let lines: Vec<&str> = text.lines().collect();
        let own = numbers(&lines[line("line_start") - 1..line("line_end").min(lines.len())].join("\n"));
        if own.is_empty() { numbers(&lines[..line("line_start")].join("\n")).pop().into_iter().collect() } else { own }
    }

    fn programs(&self) -> Programs {
        let messages = self.cargo(&["test", "--no-run", "--lib", "--test", "it", "--test", "simulation"]);
        let find = |name: &str| {
            let built =
                messages.iter().find(|message| message["target"]["name"] == name && message["profile"]["test"] == true);
            let path = built.and_then(|message| message["executable"].as_str());
            PathBuf::from(path.unwrap_or_else(|| panic!("{name} was not built")))
        };
        Programs {
            root: self.root.clone(),
            unit: find("wallet_exporter"),
            integration: find("it"),
            simulation: find("simulation"),
        }
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if from.is_symlink() {
        let _ = fs::remove_file(to);
        fs::create_dir_all(to.parent().expect("a folder"))?;
        return std::os::unix::fs::symlink(fs::read_link(from)?, to);
    }
    let mut content = fs::read(from)?;
    if to.parent().is_some_and(|folder| folder.ends_with("tree/src")) && to.ends_with("lib.rs") {
        content.extend_from_slice(b"\npub(crate) mod mutants;\n");
    }
    write(to, &content)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())
}

/// A file that stays as it is is compiled once.
fn write(to: &Path, content: &[u8]) -> io::Result<()> {
    if fs::read(to).is_ok_and(|known| known == content) {
        return Ok(());
    }
    fs::create_dir_all(to.parent().expect("a folder"))?;
    fs::write(to, content)
}

fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}
