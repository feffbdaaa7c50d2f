//! Compression of request bodies.

use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::sync::Mutex;

use flate2::write::{GzEncoder, ZlibEncoder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zstd::bulk::Compressor;
use zstd::zstd_safe::{CParameter, compress_bound};

use crate::lock;

use super::body_memory::MAX_SPARE_BYTES;

/// The level that the Datadog Agent uses, too. By the table in `docs/benchmarks.md` a level lower saves a fifth of the time
/// and makes bodies a fifth larger; level 3 makes some smaller and others larger in up to half more time; from 5 on it
/// takes three to six times as long.
const ZSTD_LEVEL: i32 = 1;

/// The level's own table of 2^14 places makes a processor wait for memory. One of 2^11 (8 KiB) stays in its first-level cache,
/// also while other work comes between two bodies, and as bodies repeat themselves within a few items it finds nearly the
/// same.
const ZSTD_HASH_LOG: u32 = 11;

/// Six bytes that are the same are worth looking for; with level 1 it depends on the body's length: six, or seven.
const ZSTD_MIN_MATCH: u32 = 6;

/// How far back a body may repeat itself: 2 MiB. The level's own 512 KiB forget a traceback that comes back rarely. It costs
/// neither time nor memory here, and every decoder is to take 8 MiB (RFC 8878, section 3.1.1.1.2).
const ZSTD_WINDOW_LOG: u32 = 21;

/// Level 6, which most programs take, makes bodies of points and log lines less than a tenth smaller and takes more than
/// twice the time (`exporters/otlp/benches/encode.rs`).
const GZIP_LEVEL: flate2::Compression = flate2::Compression::new(4);

/// How request bodies are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952), level 4.
    Gzip,
    /// Zstandard (RFC 8878), level 1.
    Zstd,
    /// HTTP's `deflate`: the zlib container (RFC 1950), not a bare deflate stream.
    #[serde(alias = "zlib")]
    Deflate,
}

impl Compression {
    /// The value of the `Content-Encoding` header, `None` where it is to be left out.
    pub fn content_encoding(self) -> Option<&'static str> {
        match self {
            Compression::None => None,
            Compression::Gzip => Some("gzip"),
            Compression::Zstd => Some("zstd"),
            Compression::Deflate => Some("deflate"),
        }
    }

    /// The levels that it has, from the fastest to the one that makes the smallest bodies.
    pub fn levels(self) -> RangeInclusive<i32> {
        match self {
            Compression::None => 0..=0,
            Compression::Gzip | Compression::Deflate => 0..=9,
            Compression::Zstd => 1..=22,
        }
    }

    /// The compressed bytes; the same for the same input.
    pub fn compress(self, bytes: &[u8]) -> Vec<u8> {
        self.compress_at(None, bytes)
    }

    /// The same at one of its [`levels`](Self::levels); `None` for the one that is best for what we send.
    pub fn compress_at(self, level: Option<i32>, bytes: &[u8]) -> Vec<u8> {
        let of_gzip = |level: Option<i32>| {
            level
                .and_then(|level| u32::try_from(level).ok())
                .map_or(GZIP_LEVEL, |level| flate2::Compression::new(level.min(9)))
        };
        match self {
            Compression::None => bytes.to_vec(),
            Compression::Gzip => in_memory(gzip(of_gzip(level), bytes)),
            Compression::Zstd => in_memory(zstd(level, bytes)),
            Compression::Deflate => in_memory(zlib(of_gzip(level), bytes)),
        }
    }
}

/// What zstd works with.
struct Zstd {
    level: Option<i32>,
    context: Compressor<'static>,
    /// The body that it made last. It has room for bytes that do not compress at all, of which little is ever touched.
    body: Vec<u8>,
}

/// One that is not in use: to make a context takes as long as to compress 100 kB. One serves all exporters, as they rarely encode
/// at the same time, and rarely at different levels.
static SPARE: Mutex<Option<Zstd>> = Mutex::new(None);

fn zstd(level: Option<i32>, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let spare = lock(&SPARE).take();
    let mut zstd = match spare.filter(|spare| spare.level == level) {
        Some(spare) => spare,
        None => Zstd { level, context: new_compressor(level)?, body: Vec::new() },
    };
    zstd.body.clear();
    zstd.body.reserve(compress_bound(bytes.len()));
    let compressed = zstd.context.compress_to_buffer(bytes, &mut zstd.body);
    // A body may be kept for long, and so has memory of its own, of its size.
    let body = compressed.map(|_| zstd.body.as_slice().to_vec());
    if zstd.body.capacity() > MAX_SPARE_BYTES {
        zstd.body = Vec::new();
    }
    *lock(&SPARE) = Some(zstd);
    body
}

fn new_compressor(level: Option<i32>) -> io::Result<Compressor<'static>> {
    if let Some(level) = level {
        return Compressor::new(level);
    }
    let mut compressor = Compressor::new(ZSTD_LEVEL)?;
    compressor.set_parameter(CParameter::HashLog(ZSTD_HASH_LOG))?;
    compressor.set_parameter(CParameter::MinMatch(ZSTD_MIN_MATCH))?;
    compressor.set_parameter(CParameter::WindowLog(ZSTD_WINDOW_LOG))?;
    Ok(compressor)
}

/// The header of flate2's gzip holds neither a time nor a file name, so equal bodies stay equal.
fn gzip(level: flate2::Compression, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn zlib(level: flate2::Compression, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), level);
    encoder.write_all(bytes)?;
    encoder.finish()
}

#[expect(clippy::expect_used, reason = "no input makes it fail, only a lack of memory, where allocating fails as well")]
fn in_memory(result: io::Result<Vec<u8>>) -> Vec<u8> {
    result.expect("memory to compress a request in")
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::{GzDecoder, ZlibDecoder};
    use proptest::prelude::*;

    use super::*;

    const ALL: [Compression; 4] = [Compression::None, Compression::Gzip, Compression::Zstd, Compression::Deflate];

    fn decompress(compression: Compression, bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        match compression {
            Compression::None => plain.extend_from_slice(bytes),
            Compression::Gzip => drop(GzDecoder::new(bytes).read_to_end(&mut plain).unwrap()),
            Compression::Zstd => plain = zstd::decode_all(bytes).unwrap(),
            Compression::Deflate => drop(ZlibDecoder::new(bytes).read_to_end(&mut plain).unwrap()),
        }
        plain
    }

    #[test]
    fn each_has_its_content_encoding_and_container() {
        let bytes = b"tag:value,".repeat(100);
        let cases: [(Compression, Option<&str>, &[u8]); 4] = [
            (Compression::None, None, b"tag:value,"),
            (Compression::Gzip, Some("gzip"), &[0x1f, 0x8b]),
            (Compression::Zstd, Some("zstd"), &[0x28, 0xb5, 0x2f, 0xfd]),
            (Compression::Deflate, Some("deflate"), &[0x78]),
        ];
        for (compression, encoding, magic) in cases {
            assert_eq!(compression.content_encoding(), encoding);
            assert!(compression.compress(&bytes).starts_with(magic), "{compression:?}");
        }
    }

    #[test]
    fn names_are_the_headers_and_zlib_is_deflate() {
        let parse = |name: &str| serde_json::from_value::<Compression>(name.into());
        for compression in ALL {
            assert_eq!(parse(compression.content_encoding().unwrap_or("none")).unwrap(), compression);
        }
        assert_eq!(parse("zlib").unwrap(), Compression::Deflate);
        assert!(parse("brotli").is_err());
    }

    #[test]
    fn a_level_of_choice_makes_bodies_smaller_or_larger_that_come_back() {
        let mut random = fastrand::Rng::with_seed(1);
        let words: Vec<String> = (0..300).map(|_| random.u32(..).to_string()).collect();
        let text: String =
            (0..5_000).map(|_| words[random.usize(..300) * random.usize(..300) / 300].as_str()).collect();
        for compression in ALL.into_iter().filter(|compression| *compression != Compression::None) {
            let at = |level| compression.compress_at(level, text.as_bytes());
            let levels = compression.levels();
            let (fast, small) = (at(Some(*levels.start())), at(Some(*levels.end())));
            assert!(small.len() < fast.len(), "{compression:?}: {} and {}", small.len(), fast.len());
            for body in [fast, small, at(None)] {
                assert_eq!(decompress(compression, &body), text.as_bytes(), "{compression:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn bodies_come_back_and_compress_alike(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            for compression in ALL {
                let compressed = compression.compress(&bytes);
                prop_assert_eq!(&decompress(compression, &compressed), &bytes);
                prop_assert_eq!(compression.compress(&bytes), compressed);
            }
        }
    }
}
