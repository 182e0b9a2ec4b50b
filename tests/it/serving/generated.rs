//! The types of the protobuf messages are what the schema beside them gives.

use std::path::Path;

#[test]
fn the_message_types_are_what_prost_makes_of_the_schema() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/exposition/protobuf");
    let files = protox::compile(["metrics.proto"], [&folder]).unwrap();
    let made = tempfile::tempdir().unwrap();
    prost_build::Config::new().out_dir(made.path()).compile_fds(files).unwrap();
    let made = std::fs::read_to_string(made.path().join("io.prometheus.client.rs")).unwrap();
    let (_, made) = made.split_once('\n').unwrap();
    let kept = std::fs::read_to_string(folder.join("metrics.rs")).unwrap();
    let (opening, kept) = kept.split_once("\n\n").unwrap();
    if kept != made {
        std::fs::write("/tmp/metrics.rs", format!("{opening}\n\n{made}")).unwrap();
        panic!("src/exposition/protobuf/metrics.rs is not what prost makes of metrics.proto: see /tmp/metrics.rs");
    }
}
