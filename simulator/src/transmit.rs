//! Sends an answer, rightly or in one of the wrong ways.
//!
//! Flows in: an answer and perhaps a fault of the transport. Flows out: bytes on the connection, and their number.
//! Invariant: a stream is sent as it is made; only a cut, which must know the end, collects it first.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::Answer;
use super::fault::{Break, Cut, Fault, Sending};
use super::wire::{Body, Reply, Request, reason};

/// A connection that can be reset.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Unpin + Send {
    /// Makes the close that follows a reset.
    fn reset_on_close(&self);
}

impl Connection for TcpStream {
    fn reset_on_close(&self) {
        // A connection that is gone already needs no reset.
        let _ = self.set_zero_linger();
    }
}

impl Connection for TlsStream<TcpStream> {
    fn reset_on_close(&self) {
        self.get_ref().0.reset_on_close();
    }
}

/// Sends it. The first result says whether the connection can go on; the second how many bytes of the body went out.
pub(crate) async fn send<S: Connection>(stream: &mut S, answer: Answer, request: &Request) -> (io::Result<bool>, u64) {
    let mut out = Sender { stream, date: answer.date, bytes: 0 };
    let result = out.answer(answer.reply, answer.fault.as_ref(), request).await;
    (result, out.bytes)
}

/// How the end of a body is told.
enum Framing {
    Length(usize),
    Chunked,
    Close,
}

struct Sender<'a, S> {
    stream: &'a mut S,
    date: String,
    bytes: u64,
}

impl<S: Connection> Sender<'_, S> {
    async fn answer(&mut self, reply: Reply, fault: Option<&Fault>, request: &Request) -> io::Result<bool> {
        match fault.map_or(Sending::Whole, Fault::sending) {
            Sending::Whole => self.whole(reply, request).await,
            Sending::Never => {
                self.until_closed().await?;
                Ok(false)
            }
            Sending::Closed => Ok(false),
            Sending::Reset => {
                self.stream.reset_on_close();
                Ok(false)
            }
            Sending::Drip(every_ms) => {
                let body = reply.body.whole();
                self.head(reply.status, &reply.headers, &Framing::Length(body.len()), false).await?;
                for byte in body.chunks(1) {
                    self.body(byte).await?;
                    self.stream.flush().await?;
                    tokio::time::sleep(Duration::from_millis(every_ms)).await;
                }
                Ok(false)
            }
            Sending::Half(end) => self.broken(reply, end).await,
            Sending::Unframed(cut) => {
                let body = reply.body.whole();
                self.head(reply.status, &reply.headers, &Framing::Close, false).await?;
                self.body(up_to(&body, cut)).await?;
                self.close().await
            }
        }
    }

    /// Half of the body.
    async fn broken(&mut self, reply: Reply, end: Break) -> io::Result<bool> {
        let body = reply.body.whole();
        let framing = match end {
            Break::Chunk => Framing::Chunked,
            Break::Length | Break::Reset => Framing::Length(body.len()),
        };
        self.head(reply.status, &reply.headers, &framing, false).await?;
        match end {
            Break::Chunk => self.chunk(half(&body)).await?,
            Break::Length => self.body(half(&body)).await?,
            Break::Reset => {
                self.body(half(&body)).await?;
                self.stream.flush().await?;
                self.stream.reset_on_close();
                return Ok(false);
            }
        }
        self.close().await
    }

    /// The answer as it should be.
    async fn whole(&mut self, reply: Reply, request: &Request) -> io::Result<bool> {
        let keep = request.keep_alive;
        match reply.body {
            Body::Whole(body) => {
                self.head(reply.status, &reply.headers, &Framing::Length(body.len()), keep).await?;
                if request.method != "HEAD" {
                    self.body(&body).await?;
                }
            }
            Body::Stream(chunks) => {
                self.head(reply.status, &reply.headers, &Framing::Chunked, keep).await?;
                for chunk in chunks {
                    self.chunk(&chunk).await?;
                }
                self.stream.write_all(b"0\r\n\r\n").await?;
            }
        }
        self.stream.flush().await?;
        if keep { Ok(true) } else { self.close().await }
    }

    async fn head(
        &mut self,
        status: u16,
        headers: &[(&'static str, String)],
        framing: &Framing,
        keep: bool,
    ) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {status} {}\r\nDate: {}\r\n", reason(status), self.date);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match framing {
            Framing::Length(length) => head.push_str(&format!("Content-Length: {length}\r\n")),
            Framing::Chunked => head.push_str("Transfer-Encoding: chunked\r\n"),
            Framing::Close => {}
        }
        if !keep {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        self.stream.write_all(head.as_bytes()).await
    }

    async fn body(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.bytes += u64::try_from(bytes.len()).unwrap_or(0);
        Ok(())
    }

    async fn chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        // An empty chunk would be the last one.
        if bytes.is_empty() {
            return Ok(());
        }
        self.stream.write_all(format!("{:x}\r\n", bytes.len()).as_bytes()).await?;
        self.body(bytes).await?;
        self.stream.write_all(b"\r\n").await
    }

    async fn close(&mut self) -> io::Result<bool> {
        self.stream.shutdown().await?;
        Ok(false)
    }

    /// Reads and forgets until the client gives up.
    async fn until_closed(&mut self) -> io::Result<()> {
        let mut nothing = [0_u8; 1024];
        while self.stream.read(&mut nothing).await? > 0 {}
        Ok(())
    }
}

pub(crate) fn half(body: &[u8]) -> &[u8] {
    body.get(..body.len() / 2).unwrap_or_default()
}

/// What goes out of a body that is cut there.
pub(crate) fn up_to(body: &[u8], cut: Cut) -> &[u8] {
    let start = last_line(body);
    // Behind the first half of the last line, a number may be cut in two and look like another.
    let in_record = start + (body.len() - start) / 2;
    let end = match cut {
        Cut::Nowhere => body.len(),
        Cut::InRecord => in_record,
        // Inside the only line, if there is no other.
        Cut::AtLineEnd if start == 0 => in_record,
        Cut::AtLineEnd => start,
    };
    body.get(..end).unwrap_or_default()
}

/// Where the last line begins.
fn last_line(body: &[u8]) -> usize {
    let text = body.strip_suffix(b"\n").unwrap_or(body);
    text.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1)
}
