//! The control interface over HTTP, below `/_simulator/`, for a driver in another process.
//!
//! Flows in: a command as a JSON object. Flows out: what it made, or a 400 that says what to write instead.
//! Invariant: each command does what the method of the same name does in Rust, and nothing else. Money goes in and out as
//! decimal strings. It has no password, so a simulator belongs on a loopback address; a page in a browser cannot command
//! it, and it posts webhooks to loopback addresses alone, unless its options name another host.

mod commands;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Simulator;
use super::wire::{Reply, Request};

/// A command's name, an example of its body, and what it does.
struct Command {
    name: &'static str,
    example: &'static str,
    run: fn(&Simulator, &Command, &[u8]) -> Result<Value, String>,
}

const COMMANDS: [Command; 18] = [
    Command {
        name: "spend",
        example: r#"{"amount": "0.45", "origin": "api_request", "path": "/api/v1/address/verify", "at": "2026-05-01T14:00:00Z"}"#,
        run: |simulator, command, body| Ok(commands::spend(simulator, command.read(body)?)),
    },
    Command {
        name: "credit",
        example: r#"{"amount": "25", "origin": "admin_adjustment"}"#,
        run: |simulator, command, body| Ok(commands::credit(simulator, command.read(body)?)),
    },
    Command {
        name: "balance",
        example: r#"{"balance": "42.50"}"#,
        run: |simulator, command, body| Ok(commands::balance(simulator, command.read(body)?)),
    },
    Command {
        name: "restate",
        example: r#"{"day": "2026-05-01", "part": "total", "debit": "-1.25"}"#,
        run: |simulator, command, body| commands::restate(simulator, command.read(body)?),
    },
    Command {
        name: "top_up",
        example: r#"{"credits": "100", "status": 1, "card_brand": "visa"}"#,
        run: |simulator, command, body| Ok(commands::card(simulator, command.read(body)?, false)),
    },
    Command {
        name: "refund",
        example: r#"{"credits": "25", "status": 1, "card_brand": "visa"}"#,
        run: |simulator, command, body| Ok(commands::card(simulator, command.read(body)?, true)),
    },
    Command {
        name: "card_status",
        example: r#"{"id": 12345, "status": 2}"#,
        run: |simulator, command, body| commands::card_status(simulator, command.read(body)?),
    },
    Command {
        name: "batch",
        example: r#"{"id": "8ac1f4a6-1234-4abc-9d3e-001122334455", "fill": 100, "complete": true}"#,
        run: |simulator, command, body| commands::batch(simulator, command.read(body)?),
    },
    Command {
        name: "rows",
        example: r#"{"id": "8ac1f4a6-1234-4abc-9d3e-001122334455", "rows": [{"status": "SUCCESS", "institution": "Chase", "balance": "12.34"}]}"#,
        run: |simulator, command, body| commands::rows(simulator, command.read(body)?),
    },
    Command {
        name: "complete",
        example: r#"{"id": "8ac1f4a6-1234-4abc-9d3e-001122334455"}"#,
        run: |simulator, command, body| commands::complete(simulator, command.read(body)?),
    },
    Command {
        name: "refuse_batch",
        example: r#"{"id": "8ac1f4a6-1234-4abc-9d3e-001122334455", "status": 403}"#,
        run: |simulator, command, body| Ok(commands::refuse_batch(simulator, command.read(body)?)),
    },
    Command {
        name: "fault",
        example: r#"{"operation": "balance", "fault": {"status": {"code": 429, "retry_after": "30"}}, "times": 2}"#,
        run: |simulator, command, body| Ok(commands::fault(simulator, command.read(body)?)),
    },
    Command {
        name: "clear",
        example: r#"{"operation": "balance"}"#,
        run: |simulator, command, body| Ok(commands::clear(simulator, command.read(body)?)),
    },
    Command {
        name: "clear_requests",
        example: "{}",
        run: |simulator, command, body| Ok(commands::clear_requests(simulator, command.read(body)?)),
    },
    Command {
        name: "permissions",
        example: r#"{"operation": "consumption_report", "granted": false}"#,
        run: |simulator, command, body| Ok(commands::permissions(simulator, command.read(body)?)),
    },
    Command {
        name: "token",
        example: r#"{"batchdata": "another-token"}"#,
        run: |simulator, command, body| Ok(commands::token(simulator, command.read(body)?)),
    },
    Command {
        name: "webhook",
        example: r#"{"url": "http://127.0.0.1:10701/webhooks/rightfoot/secret"}"#,
        run: |simulator, command, body| commands::webhook(simulator, command.read(body)?),
    },
    Command {
        name: "clock_offset",
        example: r#"{"seconds": -3600}"#,
        run: |simulator, command, body| commands::clock_offset(simulator, command.read(body)?),
    },
];

impl Command {
    fn read<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, String> {
        serde_json::from_slice(body).map_err(|error| {
            format!("{error}; POST a JSON object to /_simulator/{}, for example {}", self.name, self.example)
        })
    }
}

/// The answer to a request below `/_simulator/`.
pub(crate) fn answer(simulator: &Simulator, name: &str, request: &Request) -> Reply {
    let shown = match name {
        "expected" => serde_json::to_value(simulator.expected()).ok(),
        "batches" => serde_json::to_value(simulator.batch_ids()).ok(),
        "requests" => serde_json::to_value(simulator.requests()).ok(),
        "now" => serde_json::to_value(simulator.now()).ok(),
        _ => None,
    };
    if let Some(value) = shown {
        return match request.method.as_str() {
            "GET" | "HEAD" => reply(200, &value),
            _ => refused(405, &format!("GET /_simulator/{name}")),
        };
    }
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        let names: Vec<&str> = COMMANDS.iter().map(|command| command.name).collect();
        return refused(404, &format!("GET expected, batches, requests, now; POST {}", names.join(", ")));
    };
    if request.method != "POST" {
        return refused(405, &format!("POST /_simulator/{name} with a body like {}", command.example));
    }
    // A page of any site can make a browser send text here, and not JSON.
    if request.from_page || !request.json {
        return refused(
            415,
            "send Content-Type: application/json, and neither Origin nor Sec-Fetch-Site of another site",
        );
    }
    match (command.run)(simulator, command, &request.body) {
        Ok(value) => reply(200, &value),
        Err(error) => refused(400, &error),
    }
}

fn reply(status: u16, value: &Value) -> Reply {
    Reply::json(status, format!("{value}\n"))
}

fn refused(status: u16, what: &str) -> Reply {
    reply(status, &json!({"error": what}))
}
