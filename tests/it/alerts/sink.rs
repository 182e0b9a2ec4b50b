//! A small receiver of notifications: HTTP for the pager and the chat, SMTP for mail.
//!
//! Flows in: what Alertmanager sends. Flows out: all of it, in order, to whoever asks. Invariant: every message is
//! accepted, so that nothing arrives twice for having been refused.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// One notification.
#[derive(Clone, Debug)]
pub struct Message {
    /// The path of the request, or `mail`.
    pub to: String,
    pub body: String,
}

/// A handle: clones are the same sink. The threads end with the process.
#[derive(Clone)]
pub struct Sink {
    pub http: u16,
    pub smtp: u16,
    messages: Arc<Mutex<Vec<Message>>>,
}

impl Sink {
    pub fn start() -> Sink {
        let (http, smtp) = (bind(), bind());
        let sink = Sink {
            http: http.local_addr().expect("an address").port(),
            smtp: smtp.local_addr().expect("an address").port(),
            messages: Arc::default(),
        };
        listen(http, sink.clone(), Sink::take_request);
        listen(smtp, sink.clone(), Sink::take_mail);
        sink
    }

    pub fn messages(&self) -> Vec<Message> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, to: &str, body: &[u8]) {
        let message = Message { to: to.to_owned(), body: String::from_utf8_lossy(body).into_owned() };
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).push(message);
    }

    fn take_request(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut length = 0;
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 || line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        self.keep(&path, &body);
        // Slack's own answer, which Alertmanager looks at.
        (&stream).write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        )
    }

    fn take_mail(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut writer = &stream;
        writer.write_all(b"220 sink\r\n")?;
        let mut line = String::new();
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            match line.get(..4).unwrap_or_default().to_ascii_uppercase().as_str() {
                "DATA" => {
                    writer.write_all(b"354 go on\r\n")?;
                    let mut mail = String::new();
                    while !mail.ends_with("\r\n.\r\n") && reader.read_line(&mut mail)? != 0 {}
                    self.keep("mail", mail.as_bytes());
                    writer.write_all(b"250 kept\r\n")?;
                }
                "QUIT" => return writer.write_all(b"221 bye\r\n"),
                _ => writer.write_all(b"250 fine\r\n")?,
            }
        }
    }
}

fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a loopback port")
}

fn listen(listener: TcpListener, sink: Sink, take: fn(&Sink, TcpStream) -> std::io::Result<()>) {
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let sink = sink.clone();
            // A peer that goes away in the middle has sent no notification.
            std::thread::spawn(move || take(&sink, stream).unwrap_or_default());
        }
    });
}
