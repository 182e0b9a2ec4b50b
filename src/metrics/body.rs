//! A rendered exposition and the answers made of it.
//!
//! Flows in: the encoder's segments, once for each change of a snapshot; a short tail, once for each answer. Flows out:
//! the pieces of an answer, plain or gzip. Invariants: nothing large is copied or compressed for an answer; a gzip
//! answer is one gzip member, because not every reader goes on after the first.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use crc32fast::Hasher;
use flate2::{Compress, Compression, FlushCompress};

/// An exposition format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text, version 0.0.4.
    Text,
    /// OpenMetrics text, version 1.0.0.
    OpenMetrics,
}

/// A stretch of the exposition: the text, and the same as a raw deflate stream that ends on a byte and refers to
/// nothing before it, so that segments can be put behind each other in any order.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    plain: Bytes,
    deflated: Bytes,
    crc: u32,
}

/// Makes segments. Its state is large, so it is made when it is first needed.
#[derive(Debug, Default)]
pub(super) struct Deflater(Option<Compress>);

impl Deflater {
    pub(super) fn segment(&mut self, plain: Bytes) -> Segment {
        Segment { deflated: self.deflate(&plain), crc: crc32fast::hash(&plain), plain }
    }

    pub(super) fn deflate(&mut self, plain: &[u8]) -> Bytes {
        if plain.len() <= NOT_WORTH_DEFLATING {
            let mut out = BytesMut::with_capacity(plain.len() + STORED_HEADER);
            put_stored(&mut out, plain, false);
            return out.freeze();
        }
        let state = match &mut self.0 {
            Some(state) => {
                // Forgets what was before. A full flush would do the same after the last segment, too, in vain.
                state.reset();
                state
            }
            // Level 1: the text repeats itself so much that higher levels cost several times as much for a few per cent.
            None => self.0.insert(Compress::new(Compression::fast(), false)),
        };
        let mut out = Vec::with_capacity(plain.len() / 8 + 128);
        loop {
            let done = usize::try_from(state.total_in()).unwrap_or(usize::MAX);
            let rest = plain.get(done..).unwrap_or_default();
            // A flush ends on a byte. Room left in the output means that it has ended. Compressing into memory that
            // grows cannot fail.
            let _ = state.compress_vec(rest, &mut out, FlushCompress::Sync);
            if out.len() < out.capacity() {
                out.shrink_to_fit();
                return Bytes::from(out);
            }
            out.reserve(out.len() / 2 + 128);
        }
    }
}

/// Up to this size a segment, mostly the HELP and TYPE of a large family, is stored as it is: getting the compressor
/// ready costs more than the bytes.
const NOT_WORTH_DEFLATING: usize = 256;
/// Bytes in front of a stored block.
const STORED_HEADER: usize = 5;
/// The longest stored block.
const LONGEST_STORED: usize = 65_535;

/// Puts text into a deflate stream as it is, in one block or as many as it needs.
fn put_stored(out: &mut BytesMut, text: &[u8], last: bool) {
    let mut rest = text;
    loop {
        let (block, after) = rest.split_at(rest.len().min(LONGEST_STORED));
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.put_u8(u8::from(last && after.is_empty()));
        out.put_u16_le(length);
        out.put_u16_le(!length);
        out.put_slice(block);
        rest = after;
        if rest.is_empty() {
            return;
        }
    }
}

/// What is appended to each answer in one format: a part that was compressed a while ago, and one of this moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail {
    pub(super) cached: Bytes,
    pub(super) cached_deflated: Bytes,
    pub(super) fresh: Vec<u8>,
}

/// A rendered exposition: both formats, plain and gzip.
#[derive(Clone, Debug)]
pub struct Rendered {
    text: Pieces,
    openmetrics: Pieces,
}

#[derive(Clone, Debug)]
struct Pieces {
    plain: Arc<[Bytes]>,
    plain_length: u64,
    gzip: Arc<[Bytes]>,
    gzip_length: u64,
    crc: Hasher,
}

/// An answer: large shared pieces, then a small one of its own.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Pieces that every answer of this exposition shares.
    pub shared: Arc<[Bytes]>,
    /// The end, made for this answer.
    pub tail: Bytes,
    /// Length of the whole.
    pub length: u64,
}

/// Magic, deflate, no flags, no time, no extra flags, unknown system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

impl Rendered {
    pub(super) fn new(text: Vec<Segment>, openmetrics: Vec<Segment>) -> Rendered {
        Rendered { text: Pieces::new(text), openmetrics: Pieces::new(openmetrics) }
    }

    /// An exposition without a sample.
    #[must_use]
    pub fn empty() -> Rendered {
        Rendered::new(Vec::new(), Vec::new())
    }

    fn pieces(&self, format: Format) -> &Pieces {
        match format {
            Format::Text => &self.text,
            Format::OpenMetrics => &self.openmetrics,
        }
    }

    /// The text alone, without what the server appends; OpenMetrics with its `# EOF`.
    #[must_use]
    pub fn to_text(&self, format: Format) -> String {
        let pieces = self.pieces(format);
        let mut text = String::with_capacity(usize::try_from(pieces.plain_length).unwrap_or_default() + 8);
        for piece in pieces.plain.iter() {
            text.push_str(&String::from_utf8_lossy(piece));
        }
        if format == Format::OpenMetrics {
            text.push_str("# EOF\n");
        }
        text
    }

    /// Bytes of the plain text in this format, without what the server appends.
    #[must_use]
    pub fn plain_length(&self, format: Format) -> u64 {
        self.pieces(format).plain_length
    }

    pub(super) fn reply(&self, format: Format, gzip: bool, tail: &Tail) -> Reply {
        let pieces = self.pieces(format);
        let (shared, shared_length) = match gzip {
            false => (&pieces.plain, pieces.plain_length),
            true => (&pieces.gzip, pieces.gzip_length),
        };
        let tail = if gzip { pieces.gzip_tail(tail) } else { plain_tail(tail) };
        Reply { shared: Arc::clone(shared), length: shared_length + tail.len() as u64, tail }
    }
}

fn plain_tail(tail: &Tail) -> Bytes {
    let mut out = BytesMut::with_capacity(tail.cached.len() + tail.fresh.len());
    out.put_slice(&tail.cached);
    out.put_slice(&tail.fresh);
    out.freeze()
}

impl Pieces {
    fn new(segments: Vec<Segment>) -> Pieces {
        let mut crc = Hasher::new();
        for segment in &segments {
            crc.combine(&Hasher::new_with_initial_len(segment.crc, segment.plain.len() as u64));
        }
        let mut gzip = vec![Bytes::from_static(&GZIP_HEADER)];
        gzip.extend(segments.iter().map(|segment| segment.deflated.clone()));
        let plain: Arc<[Bytes]> = segments.into_iter().map(|segment| segment.plain).collect();
        let gzip = join_small(gzip);
        let length = |pieces: &[Bytes]| pieces.iter().map(|piece| piece.len() as u64).sum();
        Pieces { plain_length: length(&plain), gzip_length: length(&gzip), plain, gzip, crc }
    }

    /// The end of a gzip answer: the cached part as it was compressed, the fresh part stored, then check sum and length
    /// of the whole text.
    fn gzip_tail(&self, tail: &Tail) -> Bytes {
        let stored = tail.fresh.len() + STORED_HEADER * (tail.fresh.len() / LONGEST_STORED + 1);
        let mut out = BytesMut::with_capacity(tail.cached_deflated.len() + stored + 8);
        out.put_slice(&tail.cached_deflated);
        put_stored(&mut out, &tail.fresh, true);
        let mut crc = self.crc.clone();
        crc.update(&tail.cached);
        crc.update(&tail.fresh);
        out.put_u32_le(crc.finalize());
        let length = self.plain_length + (tail.cached.len() + tail.fresh.len()) as u64;
        // The length modulo 2^32, as the format has it.
        out.put_u32_le((length & u64::from(u32::MAX)) as u32);
        out.freeze()
    }
}

/// Compressed segments are small; joined they cost fewer system calls.
fn join_small(pieces: Vec<Bytes>) -> Arc<[Bytes]> {
    const JOINED: usize = 64 * 1024;
    let mut joined: Vec<Bytes> = Vec::new();
    let mut open = BytesMut::new();
    for piece in pieces {
        if !open.is_empty() && open.len() + piece.len() > JOINED {
            joined.push(open.split().freeze());
        }
        if piece.len() >= JOINED {
            joined.push(piece);
        } else {
            open.put_slice(&piece);
        }
    }
    if !open.is_empty() {
        joined.push(open.freeze());
    }
    joined.into()
}
