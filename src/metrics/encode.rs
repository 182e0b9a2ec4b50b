//! Samples to exposition text, in both formats at once.
//!
//! Flows in: families and their samples, pushed one by one. Flows out: a [`Rendered`], ready to serve. Invariants: a
//! sample's line is the same bytes in text 0.0.4 and in OpenMetrics 1.0.0, so large families are kept once for both;
//! HELP and TYPE are written only before a sample; a value that is not finite is dropped (unknown is absent).

use bytes::Bytes;
#[cfg(debug_assertions)]
use std::collections::HashSet;

use super::body::{Deflater, Format, Rendered, Segment};
use super::family::{FamilySpec, HistogramValue, Kind};
use super::number::{write_bound, write_count, write_value};

/// A family's samples up to this size are copied into both formats, which keeps most families in one piece; above it
/// they are kept, and compressed, once.
const COPIED: usize = 4 * 1024;
/// Size of the pieces in which large families are kept. Pieces of one size let the allocator use the room of an old
/// exposition for the next one.
const PIECE: usize = 256 * 1024;
/// Room beyond a piece for the line, or the histogram, that fills it.
const SPARE: usize = 32 * 1024;

/// Takes samples, gives a [`Rendered`].
#[derive(Debug)]
pub struct Encoder {
    /// From this size on a family's samples are kept once.
    copied: usize,
    text: Writing,
    openmetrics: Writing,
    /// Sample lines of the open family that are in neither format yet.
    lines: Vec<u8>,
    open: Option<Open>,
    /// The pieces of large families, which both formats refer to.
    shared: Vec<Bytes>,
    #[cfg(debug_assertions)]
    names: HashSet<&'static str>,
}

/// One format in the making.
#[derive(Debug, Default)]
struct Writing {
    pieces: Vec<Piece>,
    /// What this format has for itself since the last segment.
    own: Vec<u8>,
}

/// A stretch of one format.
#[derive(Debug)]
enum Piece {
    Own(Bytes),
    /// By its place among the shared ones.
    Shared(usize),
}

impl Writing {
    fn cut(&mut self) {
        if !self.own.is_empty() {
            self.pieces.push(Piece::Own(Bytes::from(std::mem::take(&mut self.own))));
        }
    }
}

/// The family that is being written.
#[derive(Debug)]
struct Open {
    spec: &'static FamilySpec,
    /// Whether HELP and TYPE are in the formats already, because the family has grown large.
    announced: bool,
    #[cfg(debug_assertions)]
    seen: HashSet<Vec<u8>>,
}

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder::new()
    }
}

impl Encoder {
    /// An empty exposition.
    #[must_use]
    pub fn new() -> Encoder {
        Encoder::copying(COPIED)
    }

    /// For what is appended to each answer: one piece in each format.
    pub(super) fn small() -> Encoder {
        Encoder::copying(usize::MAX)
    }

    fn copying(copied: usize) -> Encoder {
        Encoder {
            copied,
            text: Writing::default(),
            openmetrics: Writing::default(),
            lines: Vec::new(),
            open: None,
            shared: Vec::new(),
            #[cfg(debug_assertions)]
            names: HashSet::new(),
        }
    }

    /// Begins a family. Each family is begun once.
    pub fn family(&mut self, spec: &'static FamilySpec) -> Family<'_> {
        self.close();
        #[cfg(debug_assertions)]
        {
            assert!(self.names.insert(spec.name), "family {} is written twice", spec.name);
            assert_eq!(
                spec.kind == Kind::Counter,
                spec.name.ends_with("_total"),
                "{}: counters, and only counters, end in _total",
                spec.name
            );
        }
        self.open = Some(Open {
            spec,
            announced: false,
            #[cfg(debug_assertions)]
            seen: HashSet::new(),
        });
        Family { starts: LineStarts::new(spec), spec, encoder: self }
    }

    /// Both formats, plain and gzip.
    #[must_use]
    pub fn finish(mut self) -> Rendered {
        self.close();
        self.text.cut();
        self.openmetrics.cut();
        let mut deflater = Deflater::default();
        // Compressed once for both formats.
        let shared: Vec<Segment> = self.shared.into_iter().map(|piece| deflater.segment(piece)).collect();
        let mut segments = |writing: Writing| -> Vec<Segment> {
            let pieces = writing.pieces.into_iter();
            pieces
                .filter_map(|piece| match piece {
                    Piece::Own(bytes) => Some(deflater.segment(bytes)),
                    Piece::Shared(place) => shared.get(place).cloned(),
                })
                .collect()
        };
        let (text, openmetrics) = (segments(self.text), segments(self.openmetrics));
        Rendered::new(text, openmetrics)
    }

    /// One format as plain text, without the work of compressing it; OpenMetrics with its `# EOF`.
    #[must_use]
    pub fn into_text(mut self, format: Format) -> String {
        self.close();
        let (writing, end) = match format {
            Format::Text => (self.text, ""),
            Format::OpenMetrics => (self.openmetrics, "# EOF\n"),
        };
        let shared = &self.shared;
        let pieces = writing.pieces.iter().filter_map(|piece| match piece {
            Piece::Own(bytes) => Some(bytes),
            Piece::Shared(place) => shared.get(*place),
        });
        let mut text: Vec<u8> = pieces.flatten().copied().collect();
        text.extend_from_slice(&writing.own);
        text.extend_from_slice(end.as_bytes());
        String::from_utf8_lossy(&text).into_owned()
    }

    /// The text of both formats as it is so far, of an encoder for what is appended.
    pub(super) fn finish_small(mut self) -> (Vec<u8>, Vec<u8>) {
        self.close();
        debug_assert!(self.text.pieces.is_empty(), "only an encoder for what is appended keeps one piece");
        (self.text.own, self.openmetrics.own)
    }

    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        if self.lines.is_empty() {
            return;
        }
        if !open.announced {
            announce(open.spec, &mut self.text, &mut self.openmetrics);
        }
        if self.lines.len() >= self.copied {
            return self.share_lines();
        }
        self.text.own.extend_from_slice(&self.lines);
        self.openmetrics.own.extend_from_slice(&self.lines);
        self.lines.clear();
    }

    /// Called after each sample. Moves a large family's lines out of the way.
    fn settle(&mut self) {
        let Some(open) = self.open.as_mut() else { return };
        if !open.announced {
            open.announced = true;
            announce(open.spec, &mut self.text, &mut self.openmetrics);
            // The buffer has just outgrown the copied size; from here on it has room for a whole piece, and for the
            // line that is one too many.
            self.lines.reserve_exact((PIECE + SPARE).saturating_sub(self.lines.len()));
        }
        if self.lines.len() >= PIECE {
            self.share_lines();
            self.lines.reserve_exact(PIECE + SPARE);
        }
    }

    /// Makes the lines a segment of both formats. A whole piece is given away as it is; a smaller one is copied, so
    /// that it does not keep the room of a whole one.
    fn share_lines(&mut self) {
        self.text.cut();
        self.openmetrics.cut();
        self.text.pieces.push(Piece::Shared(self.shared.len()));
        self.openmetrics.pieces.push(Piece::Shared(self.shared.len()));
        if self.lines.len() >= PIECE {
            return self.shared.push(Bytes::from(std::mem::take(&mut self.lines)));
        }
        self.shared.push(Bytes::copy_from_slice(&self.lines));
        self.lines.clear();
    }
}

fn announce(spec: &FamilySpec, text: &mut Writing, openmetrics: &mut Writing) {
    header(&mut text.own, spec.name, spec, b"\\\n");
    header(&mut openmetrics.own, spec.openmetrics_name(), spec, b"\\\n\"");
}

fn header(out: &mut Vec<u8>, name: &str, spec: &FamilySpec, escaped: &[u8]) {
    for part in [b"# HELP ".as_slice(), name.as_bytes(), b" "] {
        out.extend_from_slice(part);
    }
    // Hardly any help text has anything to escape, and this runs for every answer.
    if memchr::memchr3(b'\\', b'\n', b'"', spec.help.as_bytes()).is_none() {
        out.extend_from_slice(spec.help.as_bytes());
    } else {
        for &byte in spec.help.as_bytes() {
            match byte {
                b'\n' => out.extend_from_slice(b"\\n"),
                _ if escaped.contains(&byte) => out.extend_from_slice(&[b'\\', byte]),
                _ => out.push(byte),
            }
        }
    }
    for part in [b"\n# TYPE ".as_slice(), name.as_bytes(), b" ", spec.kind.word().as_bytes(), b"\n"] {
        out.extend_from_slice(part);
    }
}

/// Takes the samples of one family.
#[derive(Debug)]
pub struct Family<'a> {
    encoder: &'a mut Encoder,
    spec: &'static FamilySpec,
    starts: LineStarts,
}

/// The constant text in front of each label value: `name{account="`, `",origin="`, made once a family.
#[derive(Debug)]
struct LineStarts {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl LineStarts {
    fn new(spec: &FamilySpec) -> LineStarts {
        let mut starts = LineStarts { text: Vec::with_capacity(64), ends: Vec::with_capacity(spec.labels.len()) };
        for (index, label) in spec.labels.iter().enumerate() {
            let opening: [&[u8]; 2] = if index == 0 { [spec.name.as_bytes(), b"{"] } else { [b"\"".as_slice(), b","] };
            for part in [opening[0], opening[1], label.as_bytes(), b"=\""] {
                starts.text.extend_from_slice(part);
            }
            starts.ends.push(starts.text.len());
        }
        starts
    }
}

impl Family<'_> {
    /// One sample. `values` are the label values in the family's order. A value that is not finite is dropped, because
    /// unknown is absent.
    pub fn sample(&mut self, values: &[&str], value: f64) {
        if !self.fits(values, self.spec.kind != Kind::Histogram) || !value.is_finite() {
            return;
        }
        let lines = &mut self.encoder.lines;
        let start = lines.len();
        if values.is_empty() {
            lines.extend_from_slice(self.spec.name.as_bytes());
            lines.push(b' ');
        } else {
            let mut from = 0;
            for (&to, value) in self.starts.ends.iter().zip(values) {
                lines.extend_from_slice(self.starts.text.get(from..to).unwrap_or_default());
                write_escaped(lines, value);
                from = to;
            }
            lines.extend_from_slice(b"\"} ");
        }
        let labels = start..lines.len();
        write_value(lines, value);
        lines.push(b'\n');
        self.written(labels);
    }

    /// One histogram. Dropped if the sum is not finite or the counts do not belong to the bounds.
    pub fn histogram(&mut self, values: &[&str], value: &HistogramValue<'_>) {
        let shaped = value.counts.len() == value.bounds.len() + 1 && value.bounds.iter().all(|bound| bound.is_finite());
        debug_assert!(shaped, "{}: one count more than finite bounds", self.spec.name);
        if !self.fits(values, self.spec.kind == Kind::Histogram) || !value.sum.is_finite() || !shaped {
            return;
        }
        let mut labels = Vec::with_capacity(128);
        for (name, value) in self.spec.labels.iter().zip(values) {
            labels.extend_from_slice(name.as_bytes());
            labels.extend_from_slice(b"=\"");
            write_escaped(&mut labels, value);
            labels.extend_from_slice(b"\",");
        }
        let name = self.spec.name.as_bytes();
        let start = self.encoder.lines.len();
        let lines = &mut self.encoder.lines;
        let mut total: u64 = 0;
        for (index, count) in value.counts.iter().enumerate() {
            total = total.saturating_add(*count);
            for part in [name, b"_bucket{", &labels, b"le=\""] {
                lines.extend_from_slice(part);
            }
            match value.bounds.get(index) {
                Some(bound) => write_bound(lines, *bound),
                None => lines.extend_from_slice(b"+Inf"),
            }
            lines.extend_from_slice(b"\"} ");
            write_count(lines, total);
            lines.push(b'\n');
        }
        let labels = labels.strip_suffix(b",").unwrap_or_default();
        let begin = |lines: &mut Vec<u8>, suffix: &[u8]| {
            lines.extend_from_slice(name);
            lines.extend_from_slice(suffix);
            if !labels.is_empty() {
                for part in [b"{".as_slice(), labels, b"}"] {
                    lines.extend_from_slice(part);
                }
            }
            lines.push(b' ');
        };
        begin(lines, b"_sum");
        write_value(lines, value.sum);
        lines.push(b'\n');
        let from = lines.len();
        begin(lines, b"_count");
        let labels = from..lines.len();
        write_count(lines, total);
        lines.push(b'\n');
        debug_assert!(start < from);
        self.written(labels);
    }

    fn fits(&self, values: &[&str], kind: bool) -> bool {
        let fits = values.len() == self.spec.labels.len() && kind;
        debug_assert!(fits, "{}: the labels are {:?}, not {values:?}", self.spec.name, self.spec.labels);
        fits
    }

    fn written(&mut self, labels: std::ops::Range<usize>) {
        #[cfg(debug_assertions)]
        if let Some(open) = self.encoder.open.as_mut() {
            let labels = self.encoder.lines.get(labels).unwrap_or_default();
            assert!(open.seen.insert(labels.to_vec()), "written twice: {}", String::from_utf8_lossy(labels));
        }
        #[cfg(not(debug_assertions))]
        let _ = labels;
        if self.encoder.lines.len() >= self.encoder.copied {
            self.encoder.settle();
        }
    }
}

/// A label value: `\`, `"` and line feed are escaped, alike in both formats.
fn write_escaped(out: &mut Vec<u8>, value: &str) {
    let mut rest = value.as_bytes();
    while let Some(at) = memchr::memchr3(b'\\', b'"', b'\n', rest) {
        let (plain, from) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((special, after)) = from.split_first() else { return };
        out.extend_from_slice(&[b'\\', if *special == b'\n' { b'n' } else { *special }]);
        rest = after;
    }
    out.extend_from_slice(rest);
}
