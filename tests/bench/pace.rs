//! How long answers take at a given rate, path beside path, taking turns.
//!
//! Each connection is kept alive and has a thread, which asks when its time has come, or at once if that has passed. A
//! time is from the first byte of the question to the last of the answer.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Calls a second over all connections.
const RATE: u32 = 10_000;
const CONNECTIONS: u32 = 8;
/// Each path has so many turns of so long.
const TURNS: usize = 7;
const TURN: Duration = Duration::from_secs(2);

/// Prints median, 99th percentile and rate of each path, and returns the 99th percentiles. They are the least of the
/// turns: what other work on the machine adds is never negative.
pub fn compare<const N: usize>(address: SocketAddr, paths: [&str; N]) -> [Duration; N] {
    let mut least = [[Duration::MAX; 2]; N];
    let mut rates = [0.0_f64; N];
    for _ in 0..TURNS {
        for ((path, least), rate) in paths.iter().zip(&mut least).zip(&mut rates) {
            let begin = Instant::now();
            let mut times = turn(address, path);
            *rate = rate.max(times.len() as f64 / begin.elapsed().as_secs_f64());
            times.sort_unstable();
            for (least, percent) in least.iter_mut().zip([50, 99]) {
                *least = (*least).min(times[times.len() * percent / 100]);
            }
        }
    }
    println!("{:<60} {:>8} {:>8} {:>10}", "path", "p50 us", "p99 us", "calls/s");
    for ((path, [median, high]), rate) in paths.iter().zip(least).zip(rates) {
        println!("{path:<60} {:>8} {:>8} {rate:>10.0}", median.as_micros(), high.as_micros());
        assert!(rate > f64::from(RATE) * 0.98, "{path} does not answer {RATE} calls a second");
    }
    least.map(|[_, high]| high)
}

fn turn(address: SocketAddr, path: &str) -> Vec<Duration> {
    let question = format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n");
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let question = question.clone();
            std::thread::spawn(move || connection(address, question.as_bytes(), number))
        })
        .collect();
    threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
}

fn connection(address: SocketAddr, question: &[u8], number: u32) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let every = Duration::from_secs(1) * CONNECTIONS / RATE;
    let begin = Instant::now() + every * number / CONNECTIONS;
    let mut buffer = vec![0; 256 * 1024];
    let mut times = Vec::new();
    for call in 0.. {
        let due = every * call;
        if due > TURN {
            break;
        }
        std::thread::sleep((begin + due).saturating_duration_since(Instant::now()));
        let asked = Instant::now();
        stream.write_all(question).unwrap();
        answer(&mut stream, &mut buffer);
        times.push(asked.elapsed());
    }
    times
}

/// Reads one answer, which has to be 200 and of a known length.
fn answer(stream: &mut TcpStream, buffer: &mut [u8]) {
    let (mut read, mut whole) = (0, None);
    while whole.is_none_or(|whole| read < whole) {
        let more = stream.read(&mut buffer[read..]).unwrap();
        assert!(more > 0, "the server has closed");
        read += more;
        if whole.is_none()
            && let Some(head) = buffer[..read].windows(4).position(|window| window == b"\r\n\r\n")
        {
            let text = std::str::from_utf8(&buffer[..head]).unwrap();
            assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            whole = Some(head + 4 + length.parse::<usize>().unwrap());
        }
    }
}
