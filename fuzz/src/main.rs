//! Feeds the parsers with hostile inputs and checks what must hold for any.
//!
//! Flows in: `[TARGET|all] [INPUTS of each] [SEED]`, and the corpora. Flows out: a line for each target, or the first
//! input that breaks a property, and exit 1. An input that was found belongs into `corpus/<target>`, under a name that says
//! what it broke: the test below reads it ever after.

mod engine;
mod mutate;
mod targets;

use std::process::ExitCode;

use engine::Target;
use targets::TARGETS;

const USAGE: &str = "usage: wallet-exporter-fuzz [all|TARGET] [INPUTS] [SEED]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, usual: u64| arguments.get(index).map_or(Some(usual), |text| text.parse().ok());
    let name = arguments.first().map_or("all", String::as_str);
    let chosen: Vec<&Target> = TARGETS.iter().filter(|target| name == "all" || name == target.name).collect();
    let (Some(inputs), Some(seed), false) = (number(1, 100_000), number(2, 1), chosen.is_empty()) else {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("{USAGE}\ntargets: {}", names.join(" "));
        return ExitCode::from(64);
    };
    // A panic is a finding, and reported as one.
    std::panic::set_hook(Box::new(|_| {}));
    for target in chosen {
        match engine::run(target, inputs, seed) {
            Ok(report) => println!("{}: {report}", target.name),
            Err(failure) => {
                println!("{failure}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FUZZ_INPUTS: how many for each target.
    #[test]
    fn the_properties_hold() {
        let inputs = std::env::var_os("FUZZ_INPUTS").map_or(2_000, |text| text.to_str().unwrap().parse().unwrap());
        for target in TARGETS {
            engine::run(target, inputs, 1).unwrap_or_else(|failure| panic!("{failure}"));
        }
    }
}
