//! Bytes on the wire, put together by hand from the field tables.

use hornpipe_engine::http::Compression;
use hornpipe_model::{CheckStatus, MetricValue, ServiceCheck, WireType};

use super::points::{batch, count, distribution, encode, statsd};
use crate::encode::Encoder;

fn body(value: MetricValue, tags: &[&str]) -> Vec<u8> {
    encode(vec![statsd("a.b", tags, value)]).requests.remove(0).body.to_vec()
}

/// The bytes of hexadecimal text, whose white space carries no meaning.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn a_counter() {
    // A series of 50 bytes: the host as resource, the name, a tag, the point 1.5 at 1,700,000,000, a rate of 10 s.
    let expected = "
        0a 32
          0a 0c  0a 04 686f7374  12 04 77656231
          12 03 612e62
          1a 08 656e763a 70726f64
          22 0f  09 000000000000f83f  10 80e2cfaa06
          28 02
          40 0a";
    assert_eq!(body(count(15.0), &["env:prod"]), hex(expected));
}

#[test]
fn a_zero_fill() {
    // As the counter's, without a tag; proto3 leaves a value of zero out.
    let expected = "
        0a 1f
          0a 0c  0a 04 686f7374  12 04 77656231
          12 03 612e62
          22 06  10 80e2cfaa06
          28 02
          40 0a";
    assert_eq!(body(MetricValue::Count { sum: 0.0, samples: 0 }, &[]), hex(expected));
}

#[test]
fn a_sketch() {
    // Two samples 1 and 2: keys 1338 and 1383, which are 2676 and 2766 in zigzag; then the empty metadata.
    let expected = "
        0a 4d
          0a 03 612e62
          12 04 77656231
          22 08 656e763a 70726f64
          3a 36
            08 80e2cfaa06  10 02
            19 000000000000f03f  21 0000000000000040
            29 000000000000f83f  31 0000000000000840
            3a 04 f414 ce15
            42 02 01 01
        12 00";
    assert_eq!(body(distribution(WireType::Distribution, [1.0, 2.0]), &["env:prod"]), hex(expected));
}

#[test]
fn a_service_check() {
    let check = ServiceCheck { status: CheckStatus::Warning, message: "slow".into() };
    let expected = r#"[{"check":"a.b","host_name":"web1","timestamp":1700000010,"status":1,"message":"slow","tags":["env:prod"]}]"#;
    let body = body(MetricValue::ServiceCheck(Box::new(check)), &["env:prod"]);
    assert_eq!(String::from_utf8(body).unwrap(), expected);
}

#[test]
fn compression_changes_nothing_but_the_container_and_repeats_itself() {
    let points = || (0..50).map(|index| statsd(&format!("m{index}"), &["env:prod"], count(1.0))).collect::<Vec<_>>();
    let items: Vec<u32> = (0..50).collect();
    let encode = |compression| {
        let mut encoded = Encoder { hostname: None, compression }.encode(&batch(points()), &items);
        encoded.requests.remove(0).body.to_vec()
    };
    let plain = encode(Compression::None);
    assert_eq!(zstd::decode_all(&*encode(Compression::Zstd)).unwrap(), plain);
    for compression in [Compression::Zstd, Compression::Gzip, Compression::Deflate] {
        assert_eq!(encode(compression), encode(compression));
    }
}
