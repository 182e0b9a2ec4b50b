//! What people deploy: the image's recipe, compose, Kubernetes, Helm, systemd.
//!
//! Flows in: the files of `Dockerfile`, `deploy` and `grafana`. Flows out: a failure for each of them that names what the
//! program does not know, mounts what does not exist, differs from its original, or is refused by the tool that people
//! run it with. The tools come from `tests/deploy/tools.sh`; where one is absent its test says that it was skipped, and
//! fails when `CI` is `true`. The image itself is built and run by `tests/deploy/image.sh`.

mod compose;
mod files;
mod health;
mod helm;
mod image;
mod kubernetes;
mod readme;
mod systemd;
pub mod tools;
mod variables;
