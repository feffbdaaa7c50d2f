//! Content encodings.

use std::io::Read;

use http::HeaderMap;
use http::header::CONTENT_ENCODING;

/// The body without its `Content-Encoding`. `deflate` is the zlib container, as both intakes have it.
///
/// # Errors
/// An unknown encoding, or a body that is not in it.
pub(crate) fn decompress(headers: &HeaderMap, body: &[u8]) -> Result<Vec<u8>, String> {
    let encoding = headers.get(CONTENT_ENCODING).map_or(Ok("identity"), |value| value.to_str());
    let encoding = encoding.map_err(|_| "unreadable content encoding".to_owned())?;
    let mut plain = Vec::new();
    let result = match encoding {
        "identity" | "" => {
            plain.extend_from_slice(body);
            Ok(body.len())
        }
        "gzip" => flate2::read::MultiGzDecoder::new(body).read_to_end(&mut plain),
        "deflate" => flate2::read::ZlibDecoder::new(body).read_to_end(&mut plain),
        "zstd" | "zstd1" => {
            zstd::stream::read::Decoder::new(body).and_then(|mut frames| frames.read_to_end(&mut plain))
        }
        other => return Err(format!("unsupported content encoding {other}")),
    };
    result.map_err(|error| format!("the body is not {encoding}: {error}"))?;
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn headers(encoding: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_ENCODING, http::HeaderValue::from_static(encoding))])
    }

    #[test]
    fn every_encoding_of_the_intakes_is_undone() {
        let text = b"a body";
        let cases = [
            ("identity", text.to_vec()),
            ("gzip", gzip(text)),
            ("deflate", deflate(text)),
            ("zstd", zstd::encode_all(&text[..], 1).unwrap()),
        ];
        for (encoding, body) in cases {
            assert_eq!(decompress(&headers(encoding), &body).unwrap(), text, "{encoding}");
        }
        assert_eq!(decompress(&HeaderMap::new(), text).unwrap(), text);
    }

    #[test]
    fn a_body_in_another_encoding_than_said_is_an_error() {
        for encoding in ["gzip", "deflate", "zstd", "br"] {
            assert!(decompress(&headers(encoding), b"plain").is_err(), "{encoding}");
        }
    }
}
