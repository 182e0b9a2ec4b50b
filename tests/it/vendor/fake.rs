//! A scripted vendor on raw TCP: what no well-behaved server library would send.
//!
//! Flows in: a script, asked at each request. Flows out: exactly those bytes, stalls and resets, and a record of what
//! was asked. Every connection carries one request.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// One thing that the server does.
#[derive(Clone, Debug)]
pub enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Waits.
    Pause(Duration),
    /// Sends one byte of these at a time, with this pause before each.
    Drip(Duration, Vec<u8>),
    /// Sends these bytes again and again until the client goes.
    Forever(Vec<u8>),
    /// Does nothing until the client goes.
    Hang,
    /// Ends the connection with a reset.
    Reset,
}

/// All that the server does for one request; the connection is closed at the end.
#[derive(Clone, Debug)]
pub struct Reply(pub Vec<Step>);

impl Reply {
    /// These bytes and then the end of the connection.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Reply {
        Reply(vec![Step::Send(bytes.into())])
    }

    /// A whole answer with `Content-Length`. `headers` are lines without their ends.
    pub fn whole(status: &str, headers: &[&str], body: impl AsRef<[u8]>) -> Reply {
        let body = body.as_ref();
        let length = format!("Content-Length: {}", body.len());
        let headers: Vec<&str> = headers.iter().copied().chain([length.as_str()]).collect();
        Reply::raw([head(status, &headers).as_slice(), body].concat())
    }

    /// 200 with a body of this type.
    pub fn ok(content_type: &str, body: impl AsRef<[u8]>) -> Reply {
        Reply::whole("200 OK", &[&format!("Content-Type: {content_type}")], body)
    }

    /// 200 with JSON.
    pub fn json(body: impl AsRef<[u8]>) -> Reply {
        Reply::ok("application/json", body)
    }

    /// 200 with CSV.
    pub fn csv(body: impl AsRef<[u8]>) -> Reply {
        Reply::ok("text/csv; charset=utf-8", body)
    }

    /// And then this.
    pub fn then(mut self, step: Step) -> Reply {
        self.0.push(step);
        self
    }
}

/// The head of an answer.
pub fn head(status: &str, headers: &[&str]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    for line in headers {
        head.push_str(line);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// One chunk of a chunked body.
pub fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Method, target and headers, as they came.
    pub head: String,
}

impl Seen {
    /// The path with its query.
    pub fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or("")
    }

    /// The value of a header, if it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The value of a parameter of the query, if it is there.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let query = self.target().split_once('?')?.1;
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value)
    }
}

type Script = Arc<dyn Fn(&Seen) -> Reply + Send + Sync>;

/// The server; gone when dropped.
pub struct Fake {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
    secure: bool,
}

impl Fake {
    /// Gives the same reply to all.
    pub async fn always(reply: Reply) -> Fake {
        Fake::script(move |_| reply.clone()).await
    }

    /// Gives the replies in order, and the last one for ever.
    pub async fn replies(replies: Vec<Reply>) -> Fake {
        let next = Mutex::new(0);
        Fake::script(move |_| {
            let mut next = next.lock().unwrap();
            let reply = replies[(*next).min(replies.len() - 1)].clone();
            *next += 1;
            reply
        })
        .await
    }

    /// Asks the script at each request.
    pub async fn script(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Fake {
        Fake::start(Arc::new(script), None).await
    }

    /// The same over TLS.
    pub async fn tls(acceptor: TlsAcceptor, reply: Reply) -> Fake {
        Fake::start(Arc::new(move |_: &Seen| reply.clone()), Some(acceptor)).await
    }

    async fn start(script: Script, tls: Option<TlsAcceptor>) -> Fake {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&seen);
        let secure = tls.is_some();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (script, record, tls) = (Arc::clone(&script), Arc::clone(&record), tls.clone());
                connections.spawn(async move {
                    let _ = match tls {
                        None => serve(stream, &script, &record).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, &script, &record).await,
                            Err(error) => Err(error),
                        },
                    };
                });
            }
        });
        Fake { address, seen, task, secure }
    }

    /// What was asked so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How many requests came.
    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Where it is.
    pub fn url(&self) -> url::Url {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port()).parse().unwrap()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A connection that can be ended with a reset.
trait Connection: AsyncRead + AsyncWrite + Unpin {
    fn tcp(&self) -> &TcpStream;
}

impl Connection for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Connection for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

async fn serve(mut stream: impl Connection, script: &Script, record: &Mutex<Vec<Seen>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let seen = Seen { head: String::from_utf8(head).unwrap() };
    let reply = script(&seen);
    record.lock().unwrap().push(seen);
    for step in reply.0 {
        match step {
            Step::Send(bytes) => stream.write_all(&bytes).await?,
            Step::Pause(pause) => tokio::time::sleep(pause).await,
            Step::Drip(pause, bytes) => {
                for byte in bytes {
                    tokio::time::sleep(pause).await;
                    stream.write_all(&[byte]).await?;
                    stream.flush().await?;
                }
            }
            Step::Forever(bytes) => loop {
                stream.write_all(&bytes).await?;
            },
            Step::Hang => {
                let mut rest = Vec::new();
                stream.read_to_end(&mut rest).await?;
            }
            Step::Reset => {
                stream.flush().await?;
                stream.tcp().set_zero_linger()?;
                return Ok(());
            }
        }
        stream.flush().await?;
    }
    stream.shutdown().await
}
