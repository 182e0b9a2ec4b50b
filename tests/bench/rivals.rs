//! Servers to measure, each a process of its own: this bench started again, the built program, or a Debian package.
//!
//! Processor time is read from `/proc/<pid>/task/*/schedstat`, in nanoseconds. The client is `wrk`, which costs the
//! machine little and reads as a scraper does; `curl` sees the size of an answer.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server process, ended on drop.
pub struct Rival {
    pub name: String,
    child: Child,
    pub address: SocketAddr,
}

impl Drop for Rival {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address that nobody listens on.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Ends the bench with what to install, if `program` is absent.
pub fn need(program: &str) {
    if Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        eprintln!("missing: {program}; on Debian: apt-get install {program}");
        std::process::exit(1);
    }
}

impl Rival {
    /// A process that prints its address in its first line.
    pub fn announced(name: &str, command: &mut Command) -> Rival {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Rival { name: name.to_owned(), child, address: line.trim().parse().unwrap() }
    }

    /// A process that will listen on `address`; none if it is not installed. Waits until it does.
    pub fn listening(name: &str, command: &mut Command, address: SocketAddr) -> Option<Rival> {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        let rival = Rival { name: name.to_owned(), child, address };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "{name} does not listen");
            std::thread::sleep(Duration::from_micros(200));
        }
        Some(rival)
    }

    /// A Debian package's server; none if it is not installed.
    pub fn package(program: &str) -> Option<Rival> {
        let address = free_address();
        Rival::listening(program, Command::new(program).arg(format!("--web.listen-address={address}")), address)
    }

    pub fn cpu(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let spent = tasks.filter_map(|task| {
            let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(spent.sum())
    }

    /// Resident memory, in MiB.
    pub fn resident(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Bytes of one answer's body as it travels.
    pub fn size(&self, gzip: bool) -> u64 {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--fail", "--output", "/dev/null", "--write-out", "%{size_download}"]);
        if gzip {
            curl.args(["--header", "Accept-Encoding: gzip"]);
        }
        let output = curl.arg(self.url("/metrics")).output().unwrap();
        assert!(output.status.success(), "{}: curl failed", self.name);
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
    }

    /// Sends a body, as pushgateway takes it.
    pub fn push(&self, body: &str) {
        let mut curl = Command::new("curl")
            .args(["--silent", "--fail", "--data-binary", "@-", &self.url("/metrics/job/x")])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        curl.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
        assert!(curl.wait().unwrap().success(), "{}: the push failed", self.name);
    }

    /// Asks over one connection for `seconds`; processor time of one answer.
    pub fn measure(&self, gzip: bool, seconds: u32) -> Duration {
        let mut wrk = Command::new("wrk");
        wrk.args(["--threads", "1", "--connections", "1", "--duration", &format!("{seconds}s")]);
        if gzip {
            wrk.args(["--header", "Accept-Encoding: gzip"]);
        }
        let before = self.cpu();
        let output = wrk.arg(self.url("/metrics")).output().unwrap();
        let spent = self.cpu() - before;
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(!said.contains("Non-2xx") && !said.contains("Socket errors"), "{}: {said}", self.name);
        let count = said.lines().find_map(|line| line.split_once(" requests in ")).expect("wrk counts its requests").0;
        spent / count.trim().parse().unwrap()
    }
}
