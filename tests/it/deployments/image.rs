//! The image's recipe, as far as it can be checked without building it. `tests/deploy/image.sh` builds and runs it.

use std::process::Command;

use super::files::{text, top};
use super::tools;

#[test]
fn hadolint_finds_nothing() {
    let Some(hadolint) = tools::find("hadolint") else { return };
    tools::succeeds(Command::new(hadolint).arg("--failure-threshold=style").arg(top().join("Dockerfile")));
}

#[test]
fn the_image_carries_the_version_of_the_crate() {
    let wanted = format!("ARG VERSION={}", env!("CARGO_PKG_VERSION"));
    assert!(text("Dockerfile").lines().any(|line| line == wanted), "{wanted}");
}

#[test]
fn the_image_runs_as_a_number_and_without_a_shell() {
    let recipe = text("Dockerfile");
    let (_, image) = recipe.split_once("\nFROM scratch\n").expect("the last stage starts from nothing");
    assert!(image.contains("\nUSER 65532:65532\n"));
    assert!(image.contains("\nENTRYPOINT [\"/usr/local/bin/wallet-exporter\"]\n"));
    assert!(!image.contains("\nRUN "), "nothing could run there");
}

#[test]
fn the_build_is_given_all_that_the_recipe_copies() {
    let given = text(".dockerignore");
    for line in text("Dockerfile").lines().filter(|line| line.starts_with("COPY ") && !line.contains("--from=")) {
        let parts: Vec<&str> = line.split_whitespace().skip(1).collect();
        let (_, sources) = parts.split_last().unwrap();
        for source in sources {
            let listed = |path: &std::path::Path| given.lines().any(|line| line == format!("!{}", path.display()));
            assert!(std::path::Path::new(source).ancestors().any(listed), "{source} is ignored");
            assert!(top().join(source).exists(), "{source} does not exist");
        }
    }
}
