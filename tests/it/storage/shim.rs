//! A process whose calls on the files of one directory fail: `shim.c`, loaded into it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The library, compiled once.
pub fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/storage/shim.c");
        // Another run of the tests may use its own at the same time.
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("shim-{}.so", std::process::id()));
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&library).arg(source);
        assert!(compiler.status().unwrap().success(), "cc cannot compile the shim");
        library
    })
}

/// Makes every call fail, for a test that runs in a process of its own.
pub struct Switch {
    file: PathBuf,
    /// The directory whose files it is about.
    pub directory: PathBuf,
}

impl Switch {
    /// Runs the test of this name again, under the shim, and gives nothing; in there, gives the switch.
    pub fn of(test: &str) -> Option<Switch> {
        let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
        if let Some(file) = variable("STORAGE_FAULT_SWITCH") {
            return Some(Switch { file, directory: variable("STORAGE_FAULT_DIRECTORY").unwrap() });
        }
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        let directory = root.join("storage");
        std::fs::create_dir(&directory).unwrap();
        let output = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env("LD_PRELOAD", library())
            .env("STORAGE_FAULT_SWITCH", root.join("switch"))
            .env("STORAGE_FAULT_DIRECTORY", directory)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let passed = output.status.success() && text.contains("1 passed");
        assert!(passed, "{test}: {text}\n{}", String::from_utf8_lossy(&output.stderr));
        None
    }

    /// `EROFS`, `EACCES` or `ENOSPC`, until it is turned off; `ENOSPC -wal` for the files with that end.
    pub fn on(&self, error: &str) {
        std::fs::write(&self.file, error).unwrap();
    }

    pub fn off(&self) {
        let _ = std::fs::remove_file(&self.file);
    }

    /// A new directory in which calls fail.
    pub fn place(&self) -> tempfile::TempDir {
        self.off();
        tempfile::tempdir_in(&self.directory).unwrap()
    }
}
