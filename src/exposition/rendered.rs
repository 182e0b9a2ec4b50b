//! A rendered exposition and the answers made of it.
//!
//! Flows in: what changes seldom, in one format; a short end for each answer. Flows out: an answer's body in two parts.
//! Invariants: the first part is compressed once, when it is first wanted; a gzip answer is one member, because there
//! are clients (curl for one) that stop after the first.

use std::cell::RefCell;
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress};

/// What is kept between answers.
#[derive(Debug)]
pub struct Rendered {
    plain: Bytes,
    deflated: OnceLock<Deflated>,
}

#[derive(Debug)]
struct Deflated {
    /// A gzip header and a deflate stream that ends on a byte and is not finished.
    bytes: Bytes,
    crc: Crc,
}

/// Magic, deflate, no flags, no time, no extra flags, unknown system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

fn crc(plain: &[u8]) -> Crc {
    let mut crc = Crc::new();
    crc.update(plain);
    crc
}

thread_local! {
    /// For the ends of answers. To make one costs more than to use it.
    static STORED: RefCell<Compress> = RefCell::new(Compress::new(Compression::none(), false));
}

fn deflate(state: &mut Compress, plain: &[u8], flush: FlushCompress, mut out: Vec<u8>) -> Vec<u8> {
    loop {
        out.reserve(plain.len() / 8 + 128);
        let done = usize::try_from(state.total_in()).unwrap_or(usize::MAX);
        // Compressing into memory that grows cannot fail. Room left in the output means that the flush is complete.
        let _ = state.compress_vec(plain.get(done..).unwrap_or_default(), &mut out, flush);
        if out.len() < out.capacity() {
            return out;
        }
    }
}

impl Rendered {
    /// Keeps an exposition without its end.
    #[must_use]
    pub fn new(plain: Vec<u8>) -> Rendered {
        Rendered { plain: plain.into(), deflated: OnceLock::new() }
    }

    /// What is kept, as it is.
    #[must_use]
    pub fn plain(&self) -> &[u8] {
        &self.plain
    }

    /// An answer's body: the kept part and `end`, plain or as one gzip member.
    #[must_use]
    pub fn body(&self, gzip: bool, end: Vec<u8>) -> [Bytes; 2] {
        if !gzip {
            return [self.plain.clone(), end.into()];
        }
        let kept = self.deflated.get_or_init(|| {
            // Level 1: the text repeats itself so much that higher levels cost several times as much for a few per cent.
            let mut state = Compress::new(Compression::fast(), false);
            let bytes = deflate(&mut state, &self.plain, FlushCompress::Sync, GZIP_HEADER.to_vec());
            Deflated { bytes: bytes.into(), crc: crc(&self.plain) }
        });
        let mut whole = Crc::new();
        whole.combine(&kept.crc);
        whole.combine(&crc(&end));
        let mut last = STORED.with_borrow_mut(|state| {
            state.reset();
            deflate(state, &end, FlushCompress::Finish, Vec::new())
        });
        last.extend_from_slice(&whole.sum().to_le_bytes());
        last.extend_from_slice(&whole.amount().to_le_bytes());
        [kept.bytes.clone(), last.into()]
    }
}
