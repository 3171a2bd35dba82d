//! Content codings: which ones a client takes, and answers to polls in them.

use std::cell::RefCell;

use flate2::{Compress, Compression, FlushCompress, Status};
use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};

/// How answers to polls are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpCompression {
    /// Shortest answer that is compressed, in bytes; 1024 by default. 0 compresses all.
    pub threshold: usize,
    /// How hard to compress, from 1 (fast) to 9 (small); 1 by default. Anything else is taken for the nearest of them.
    pub level: u8,
}

impl HttpCompression {
    /// Sets the shortest answer that is compressed.
    #[must_use]
    pub const fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// Sets how hard to compress, from 1 to 9.
    #[must_use]
    pub const fn level(mut self, level: u8) -> Self {
        self.level = level;
        self
    }

    /// The coding for an answer, and the answer in it: the one that the client likes best, unless the answer is short or
    /// does not get shorter.
    pub(super) fn encode(
        &self,
        request: &HeaderMap,
        answer: &[u8],
    ) -> Option<(HeaderValue, Vec<u8>)> {
        if answer.len() < self.threshold {
            return None;
        }
        let coding = Coding::best(request)?;
        let encoded = coding.encode(answer, self.level.clamp(1, 9))?;
        (encoded.len() < answer.len()).then(|| (HeaderValue::from_static(coding.name()), encoded))
    }
}

impl Default for HttpCompression {
    fn default() -> Self {
        Self {
            threshold: 1024,
            level: 1,
        }
    }
}

/// How much a client likes this coding, from 0, which is not at all, to 1 (RFC 9110 §12.5.3).
pub(super) fn weight(request: &HeaderMap, coding: &str) -> f32 {
    let lists = request
        .get_all(ACCEPT_ENCODING)
        .into_iter()
        .filter_map(|list| list.to_str().ok());
    let mut others = 0.0;
    for entry in lists.flat_map(|list| list.split(',')) {
        let mut parts = entry.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        let weight = weight.map_or(Ok(1.0), str::parse).unwrap_or(0.0);
        if name.eq_ignore_ascii_case(coding) {
            return weight;
        }
        if name == "*" {
            others = weight;
        }
    }
    others
}

/// A content coding (RFC 9110 §8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    #[cfg(feature = "brotli")]
    Brotli,
    Gzip,
    Deflate,
}

impl Coding {
    /// All of them, the best first.
    const ALL: &[Self] = &[
        #[cfg(feature = "brotli")]
        Self::Brotli,
        Self::Gzip,
        Self::Deflate,
    ];

    const fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "brotli")]
            Self::Brotli => "br",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    /// The one that the client likes best; of those that it likes as much, the best.
    fn best(request: &HeaderMap) -> Option<Self> {
        let (mut best, mut most) = (None, 0.0);
        for coding in Self::ALL {
            let weight = weight(request, coding.name());
            if weight > most {
                (best, most) = (Some(*coding), weight);
            }
        }
        best
    }

    fn encode(self, content: &[u8], level: u8) -> Option<Vec<u8>> {
        match self {
            #[cfg(feature = "brotli")]
            Self::Brotli => brotli(content, level),
            Self::Gzip => GZIP.with_borrow_mut(|kept| {
                // The largest window, as for the other.
                deflate(kept, level, content, |level| Compress::new_gzip(level, 15))
            }),
            // By that name, HTTP means the format of zlib (RFC 9110 §8.4.1.2).
            Self::Deflate => ZLIB.with_borrow_mut(|kept| {
                deflate(kept, level, content, |level| Compress::new(level, true))
            }),
        }
    }
}

/// A compressor that is kept, and its level.
type Kept = Option<(u8, Compress)>;

thread_local! {
    /// The thread's compressors, as making one costs more than compressing with it. Each takes 371 KiB.
    static GZIP: RefCell<Kept> = const { RefCell::new(None) };
    static ZLIB: RefCell<Kept> = const { RefCell::new(None) };
}

/// The content in a format around deflate; `None` if that would be no shorter.
fn deflate(
    kept: &mut Kept,
    level: u8,
    content: &[u8],
    make: impl FnOnce(Compression) -> Compress,
) -> Option<Vec<u8>> {
    let compress = match kept {
        Some((of, compress)) if *of == level => compress,
        _ => &mut kept.insert((level, make(Compression::new(level.into())))).1,
    };
    compress.reset();
    // Into the room that there is.
    let mut out = Vec::with_capacity(content.len());
    match compress.compress_vec(content, &mut out, FlushCompress::Finish) {
        Ok(Status::StreamEnd) => {}
        _ => return None,
    }
    // What is on its way for long is not to be roomy.
    out.shrink_to_fit();
    Some(out)
}

#[cfg(feature = "brotli")]
fn brotli(content: &[u8], level: u8) -> Option<Vec<u8>> {
    let params = brotli::enc::BrotliEncoderParams {
        quality: i32::from(level),
        size_hint: content.len(),
        // A window that is larger than the content is memory for nothing.
        lgwin: (usize::BITS - content.len().leading_zeros())
            .clamp(16, 22)
            .cast_signed(),
        ..Default::default()
    };
    let mut out = Vec::with_capacity(content.len() / 3);
    brotli::BrotliCompress(&mut &*content, &mut out, &params).ok()?;
    out.shrink_to_fit();
    Some(out)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn request(accept: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for list in accept.split('|') {
            headers.append(ACCEPT_ENCODING, HeaderValue::from_str(list).unwrap());
        }
        headers
    }

    fn text() -> Vec<u8> {
        (0..500)
            .flat_map(|n| format!("4{n}[\"event\",{{\"n\":{}}}]\x1e", n * 7919).into_bytes())
            .collect()
    }

    fn decoded(coding: &str, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match coding {
            "gzip" => flate2::read::GzDecoder::new(data).read_to_end(&mut out),
            "deflate" => flate2::read::ZlibDecoder::new(data).read_to_end(&mut out),
            #[cfg(feature = "brotli")]
            "br" => brotli::Decompressor::new(data, 4096).read_to_end(&mut out),
            other => panic!("{other:?}"),
        }
        .unwrap();
        out
    }

    #[test]
    fn best_liked_coding_is_used_and_comes_back() {
        for (accept, expected) in [
            ("gzip, deflate", Some("gzip")),
            ("deflate, gzip", Some("gzip")),
            ("deflate;q=1, gzip;q=0.9", Some("deflate")),
            ("DEFLATE", Some("deflate")),
            ("gzip;q=0|deflate", Some("deflate")),
            ("*;q=0.1, br;q=0, gzip;q=0", Some("deflate")),
            ("br;q=0, *", Some("gzip")),
            ("identity", None),
            ("gzip;q=0", None),
            ("gzip;q=x", None),
            ("", None),
        ] {
            for level in [0, 1, 6, 30] {
                let config = HttpCompression::default().level(level);
                let encoded = config.encode(&request(accept), &text());
                let name = encoded.as_ref().map(|(coding, _)| coding.to_str().unwrap());
                assert_eq!(name, expected, "{accept}");
                if let Some((coding, data)) = encoded {
                    assert_eq!(decoded(coding.to_str().unwrap(), &data), text());
                    assert!(data.len() < text().len() / 2, "{}", data.len());
                }
            }
        }
        assert_eq!(
            HttpCompression::default().encode(&HeaderMap::new(), &text()),
            None
        );
    }

    #[cfg(feature = "brotli")]
    #[test]
    fn brotli_is_the_best() {
        for (accept, expected) in [("gzip, deflate, br", "br"), ("br;q=0.5, gzip", "gzip")] {
            let (coding, data) = HttpCompression::default()
                .encode(&request(accept), &text())
                .unwrap();
            assert_eq!(coding, expected);
            assert_eq!(decoded(expected, &data), text());
        }
    }

    #[test]
    fn what_is_short_or_does_not_shrink_is_left_alone() {
        let request = request("gzip, deflate, br");
        let config = HttpCompression::default();
        assert_eq!(config.encode(&request, &[b'a'; 1023]), None);
        assert!(config.encode(&request, &[b'a'; 1024]).is_some());
        let config = config.threshold(0);
        for content in [&b""[..], b"6", b"42[\"e\",1]"] {
            assert_eq!(config.encode(&request, content), None);
        }
        // The same compressor works after that.
        assert!(config.encode(&request, &[b'a'; 100]).is_some());
    }
}
