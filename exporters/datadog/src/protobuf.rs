//! Writes the few forms of protobuf's wire format that Datadog's payloads need, straight from the model.
//!
//! What is written is canonical proto3: fields in the order of the calls, values equal to their default left out.

/// Wire types (<https://protobuf.dev/programming-guides/encoding/>).
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH_DELIMITED: u32 = 2;

/// Appends fields of one message to a buffer.
pub(crate) struct Writer<'a>(&'a mut Vec<u8>);

impl<'a> Writer<'a> {
    pub(crate) fn new(buffer: &'a mut Vec<u8>) -> Self {
        Writer(buffer)
    }

    /// A `string`, left out when it is empty.
    pub(crate) fn string(&mut self, field: u32, value: &str) {
        if !value.is_empty() {
            self.repeated_string(field, value);
        }
    }

    /// One value of a `repeated string`, also an empty one.
    #[inline]
    pub(crate) fn repeated_string(&mut self, field: u32, value: &str) {
        match u8::try_from(value.len()) {
            Ok(length) if length < 0x80 && field < 16 => {
                self.0.extend_from_slice(&[(field << 3 | LENGTH_DELIMITED) as u8, length]);
            }
            _ => {
                self.key(field, LENGTH_DELIMITED);
                self.varint(value.len() as u64);
            }
        }
        self.0.extend_from_slice(value.as_bytes());
    }

    /// A `double`, left out when it is zero.
    pub(crate) fn double(&mut self, field: u32, value: f64) {
        if value != 0.0 {
            self.key(field, FIXED64);
            self.0.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// An `int64`, left out when it is zero.
    pub(crate) fn int64(&mut self, field: u32, value: i64) {
        if value != 0 {
            self.key(field, VARINT);
            self.varint(value as u64);
        }
    }

    /// A packed `repeated sint32`, left out when there is no value.
    pub(crate) fn packed_sint32(&mut self, field: u32, values: &[i32]) {
        if !values.is_empty() {
            self.message(field, |packed| values.iter().for_each(|&value| packed.varint(u64::from(zigzag(value)))));
        }
    }

    /// A packed `repeated uint32`, left out when there is no value.
    pub(crate) fn packed_uint32(&mut self, field: u32, values: &[u32]) {
        if !values.is_empty() {
            self.message(field, |packed| values.iter().for_each(|&value| packed.varint(u64::from(value))));
        }
    }

    /// A nested message, also an empty one; `write` adds its fields.
    ///
    /// Its length stands before it and is known after it. One byte is kept free; a message of another length is moved to
    /// fit, which costs less than measuring every message before it is written.
    #[inline]
    pub(crate) fn message(&mut self, field: u32, write: impl FnOnce(&mut Writer<'_>)) {
        self.message_with_room(field, 1, write);
    }

    /// The same for a message that is rarely shorter than 128 bytes: two bytes are kept free.
    #[inline]
    pub(crate) fn long_message(&mut self, field: u32, write: impl FnOnce(&mut Writer<'_>)) {
        self.message_with_room(field, 2, write);
    }

    #[inline]
    fn message_with_room(&mut self, field: u32, room: usize, write: impl FnOnce(&mut Writer<'_>)) {
        self.key(field, LENGTH_DELIMITED);
        let length_at = self.0.len();
        self.0.resize(length_at + room, 0);
        write(&mut Writer(self.0));
        let (bytes, used) = encode_varint((self.0.len() - length_at - room) as u64);
        if used != room {
            self.make_room(length_at, room, used);
        }
        for (place, byte) in self.0.iter_mut().skip(length_at).zip(bytes.iter().take(used)) {
            *place = *byte;
        }
    }

    /// Moves what stands behind some bytes, so that there are others as many as needed.
    #[cold]
    fn make_room(&mut self, at: usize, room: usize, needed: usize) {
        let end = self.0.len();
        self.0.resize(end.max(end + needed - room), 0);
        self.0.copy_within(at + room..end, at + needed);
        self.0.truncate(end + needed - room);
    }

    #[inline]
    fn key(&mut self, field: u32, wire_type: u32) {
        self.varint(u64::from(field << 3 | wire_type));
    }

    #[inline]
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// Seven bits a byte, lowest first, the top bit set on all but the last; with the number of bytes used.
fn encode_varint(mut value: u64) -> ([u8; 10], usize) {
    let mut bytes = [0; 10];
    let mut used = 0;
    for byte in &mut bytes {
        used += 1;
        *byte = value as u8 & 0x7f;
        value >>= 7;
        if value == 0 {
            break;
        }
        *byte |= 0x80;
    }
    (bytes, used)
}

/// Maps signed numbers of small magnitude to small unsigned ones: 0, -1, 1, -2 to 0, 1, 2, 3.
fn zigzag(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    /// The same message, written by prost.
    #[derive(Clone, PartialEq, Message)]
    struct Sample {
        #[prost(string, tag = "1")]
        text: String,
        #[prost(string, repeated, tag = "2")]
        texts: Vec<String>,
        #[prost(double, tag = "3")]
        double: f64,
        #[prost(int64, tag = "4")]
        int: i64,
        #[prost(sint32, repeated, tag = "7")]
        keys: Vec<i32>,
        #[prost(uint32, repeated, tag = "8")]
        counts: Vec<u32>,
        #[prost(message, repeated, tag = "20")]
        nested: Vec<Sample>,
    }

    fn write(sample: &Sample, writer: &mut Writer<'_>) {
        writer.string(1, &sample.text);
        sample.texts.iter().for_each(|text| writer.repeated_string(2, text));
        writer.double(3, sample.double);
        writer.int64(4, sample.int);
        writer.packed_sint32(7, &sample.keys);
        writer.packed_uint32(8, &sample.counts);
        for (index, nested) in sample.nested.iter().enumerate() {
            match index % 2 {
                0 => writer.message(20, |writer| write(nested, writer)),
                _ => writer.long_message(20, |writer| write(nested, writer)),
            }
        }
    }

    fn bytes(sample: &Sample) -> Vec<u8> {
        let mut buffer = Vec::new();
        write(sample, &mut Writer::new(&mut buffer));
        buffer
    }

    #[test]
    fn the_examples_of_the_wire_format_come_out() {
        let mut buffer = Vec::new();
        let mut writer = Writer::new(&mut buffer);
        writer.int64(1, 150);
        writer.string(2, "testing");
        writer.message(3, |nested| nested.int64(1, 150));
        assert_eq!(buffer, b"\x08\x96\x01\x12\x07testing\x1a\x03\x08\x96\x01");
    }

    #[test]
    fn lengths_of_any_size_stand_before_their_message() {
        for length in [0, 1, 124, 125, 126, 127, 128, 16_380, 16_384, 3_000_000] {
            let inner = Sample { text: "x".repeat(length), ..Sample::default() };
            let outer = Sample { nested: vec![inner.clone(), inner], ..Sample::default() };
            assert_eq!(bytes(&outer), outer.encode_to_vec(), "{length}");
        }
    }

    fn samples() -> impl Strategy<Value = Sample> {
        let flat = (
            ".{0,40}",
            proptest::collection::vec(".{0,10}", 0..4),
            prop_oneof![Just(0.0), any::<f64>().prop_filter("comparable", |value| !value.is_nan())],
            any::<i64>(),
            proptest::collection::vec(any::<i32>(), 0..50),
            proptest::collection::vec(any::<u32>(), 0..50),
        )
            .prop_map(|(text, texts, double, int, keys, counts)| Sample {
                text,
                texts,
                double,
                int,
                keys,
                counts,
                nested: Vec::new(),
            });
        flat.prop_recursive(3, 8, 3, |inner| {
            (inner.clone(), proptest::collection::vec(inner, 0..3))
                .prop_map(|(sample, nested)| Sample { nested, ..sample })
        })
    }

    proptest! {
        #[test]
        fn another_writer_writes_the_same_bytes(sample in samples()) {
            prop_assert_eq!(bytes(&sample), sample.encode_to_vec());
        }
    }
}
