//! Puts encoded items together into requests within the intake's limits.

use std::collections::BTreeMap;

use hornpipe_engine::component::{Encoded, Reason, Request, reason};
use hornpipe_engine::http::{Compression, give_body_memory, take_body_memory};
use hornpipe_model::Signal;

/// How a route's body is put together and how much of it the intake takes.
pub(crate) struct Layout {
    /// The route, which is the path of its requests.
    pub(crate) route: &'static str,
    /// The signal of its requests.
    pub(crate) signal: Signal,
    /// What stands before the first item.
    pub(crate) before: &'static [u8],
    /// What stands between two items.
    pub(crate) between: &'static [u8],
    /// What stands after the last item.
    pub(crate) after: &'static [u8],
    /// Most bytes of a body before compression.
    pub(crate) max_bytes: usize,
    /// Most bytes of a body as sent.
    pub(crate) max_sent_bytes: usize,
    /// Most points of a body; of logs and events records.
    pub(crate) max_points: usize,
}

/// Requests of one route in the making. All bytes of one item go into one request.
pub(crate) struct Payloads {
    layout: &'static Layout,
    compression: Compression,
    /// How many items there may be, for the size of the buffer.
    items: usize,
    /// The body of the request in the making, without its end.
    buffer: Vec<u8>,
    pieces: Vec<Piece>,
    points: usize,
    requests: Vec<Request>,
    dropped: BTreeMap<Reason, u64>,
}

/// Where an item stands in the buffer.
#[derive(Clone, Copy)]
struct Piece {
    item: u32,
    start: usize,
    end: usize,
}

impl Payloads {
    /// For at most so many items.
    pub(crate) fn new(layout: &'static Layout, compression: Compression, items: usize) -> Self {
        Payloads {
            layout,
            compression,
            items,
            buffer: Vec::new(),
            pieces: Vec::new(),
            points: 0,
            requests: Vec::new(),
            dropped: BTreeMap::new(),
        }
    }

    /// Adds an item. `write` appends its bytes and tells how many points they hold, or why there are none.
    pub(crate) fn add(&mut self, item: u32, write: impl FnOnce(&mut Vec<u8>) -> Result<usize, Reason>) {
        if self.buffer.capacity() == 0 {
            self.buffer = take_body_memory();
        }
        let before = self.buffer.len();
        let is_first = self.pieces.is_empty();
        self.buffer.extend_from_slice(if is_first { self.layout.before } else { self.layout.between });
        let mut start = self.buffer.len();
        let points = match write(&mut self.buffer) {
            Ok(points) => points,
            Err(reason) => return self.drop_from(before, reason),
        };
        let first = self.pieces.first().map_or(start, |piece| piece.start);
        if !self.fits(first, self.points + points) && !is_first {
            let last = self.buffer.split_off(start);
            self.buffer.truncate(before);
            self.close();
            self.buffer.extend_from_slice(self.layout.before);
            start = self.buffer.len();
            self.buffer.extend_from_slice(&last);
        }
        if self.pieces.is_empty() {
            if !self.fits(start, points) {
                return self.drop_from(0, reason::TOO_LARGE);
            }
            // The others are probably as long: that saves moving the buffer as it grows.
            let likely = (self.buffer.len() - start).saturating_mul(self.items);
            self.buffer.reserve(likely.min(self.layout.max_bytes));
        }
        self.pieces.push(Piece { item, start, end: self.buffer.len() });
        self.points += points;
    }

    /// Ends the last request and hands all over.
    pub(crate) fn finish_into(mut self, encoded: &mut Encoded) {
        self.close();
        give_body_memory(self.buffer);
        encoded.requests.append(&mut self.requests);
        encoded.dropped.extend(self.dropped);
    }

    fn drop_from(&mut self, start: usize, reason: Reason) {
        self.buffer.truncate(start);
        *self.dropped.entry(reason).or_default() += 1;
    }

    /// Whether the items from `start` on fit into one request.
    fn fits(&self, start: usize, points: usize) -> bool {
        let items = self.buffer.len() - start;
        let body = self.layout.before.len() + items + self.layout.after.len();
        body <= self.layout.max_bytes && points <= self.layout.max_points
    }

    /// Turns what is in the making into requests.
    fn close(&mut self) {
        let pieces = std::mem::take(&mut self.pieces);
        if !pieces.is_empty() {
            self.buffer.extend_from_slice(self.layout.after);
            let body = self.compression.compress(&self.buffer);
            self.push(body, &pieces);
        }
        self.buffer.clear();
        self.points = 0;
    }

    /// Makes one request of the pieces, whose body is given, or two of their halves where it is too long as sent.
    fn push(&mut self, body: Vec<u8>, pieces: &[Piece]) {
        if body.len() <= self.layout.max_sent_bytes {
            self.requests.push(Request {
                route: self.layout.route,
                signal: self.layout.signal,
                body: body.into(),
                items: pieces.iter().map(|piece| piece.item).collect(),
            });
        } else if pieces.len() > 1 {
            let (left, right) = pieces.split_at(pieces.len() / 2);
            for half in [left, right] {
                let body = self.body(half);
                self.push(body, half);
            }
        } else {
            *self.dropped.entry(reason::TOO_LARGE).or_default() += 1;
        }
    }

    /// The body of some pieces that stand behind one another.
    fn body(&self, pieces: &[Piece]) -> Vec<u8> {
        let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else { return Vec::new() };
        let items = self.buffer.get(first.start..last.end).unwrap_or_default();
        self.compression.compress(&[self.layout.before, items, self.layout.after].concat())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A body of at most ten items' bytes, five as sent and four points.
    static SMALL: Layout = Layout {
        route: "/small",
        signal: Signal::Metrics,
        before: b"[",
        between: b",",
        after: b"]",
        max_bytes: 12,
        max_sent_bytes: 9,
        max_points: 4,
    };

    fn encode(layout: &'static Layout, items: &[(usize, usize)]) -> Encoded {
        let mut payloads = Payloads::new(layout, Compression::None, items.len());
        for (index, &(bytes, points)) in items.iter().enumerate() {
            payloads.add(index as u32, |buffer| {
                buffer.resize(buffer.len() + bytes, b'0' + index as u8 % 10);
                Ok(points)
            });
        }
        let mut encoded = Encoded::default();
        payloads.finish_into(&mut encoded);
        encoded
    }

    fn bodies(encoded: &Encoded) -> Vec<&str> {
        encoded.requests.iter().map(|request| std::str::from_utf8(&request.body).unwrap()).collect()
    }

    #[test]
    fn items_share_a_request_until_a_limit() {
        assert_eq!(bodies(&encode(&SMALL, &[(1, 1), (1, 1), (1, 1)])), ["[0,1,2]"]);
        assert_eq!(bodies(&encode(&SMALL, &[(1, 2), (1, 2), (1, 1)])), ["[0,1]", "[2]"], "five points");
        assert_eq!(bodies(&encode(&SMALL, &[(4, 1), (4, 1), (5, 1)])), ["[0000]", "[1111]", "[22222]"], "bytes");
        assert!(encode(&SMALL, &[]).requests.is_empty());
    }

    #[test]
    fn a_request_too_long_as_sent_is_halved() {
        // "[000,111,22]" is 12 bytes, within the limit before compression and above the one after.
        let encoded = encode(&SMALL, &[(3, 1), (3, 1), (2, 1)]);
        assert_eq!(bodies(&encoded), ["[000]", "[111,22]"]);
        assert_eq!(encoded.requests[1].items, [1, 2]);
    }

    #[test]
    fn one_item_too_large_is_dropped_alone() {
        for large in [(11, 1), (8, 1), (1, 5)] {
            let encoded = encode(&SMALL, &[(1, 1), large, (1, 1)]);
            assert_eq!(encoded.dropped, [(reason::TOO_LARGE, 1)], "{large:?}");
            let items: Vec<u32> = encoded.requests.iter().flat_map(|request| request.items.clone()).collect();
            assert_eq!(items, [0, 2], "{large:?}");
        }
    }

    #[test]
    fn an_item_that_cannot_be_written_leaves_nothing_behind() {
        let mut payloads = Payloads::new(&SMALL, Compression::None, 2);
        payloads.add(0, |buffer| {
            buffer.extend_from_slice(b"half");
            Err(reason::NOT_FINITE)
        });
        payloads.add(1, |buffer| {
            buffer.push(b'1');
            Ok(1)
        });
        let mut encoded = Encoded::default();
        payloads.finish_into(&mut encoded);
        assert_eq!(bodies(&encoded), ["[1]"]);
        assert_eq!(encoded.dropped, [(reason::NOT_FINITE, 1)]);
    }

    proptest! {
        #[test]
        fn every_item_is_in_one_request_or_dropped_and_limits_hold(
            items in proptest::collection::vec((0..14_usize, 0..6_usize), 0..60),
        ) {
            let encoded = encode(&SMALL, &items);
            let mut sent: Vec<u32> = encoded.requests.iter().flat_map(|request| request.items.clone()).collect();
            prop_assert!(sent.is_sorted());
            sent.dedup();
            let dropped: u64 = encoded.dropped.iter().map(|&(_, count)| count).sum();
            prop_assert_eq!(sent.len() as u64 + dropped, items.len() as u64);
            for request in &encoded.requests {
                let of_request = |index: &u32| items[*index as usize];
                prop_assert!(request.body.len() <= SMALL.max_sent_bytes);
                prop_assert!(request.items.iter().map(of_request).map(|(_, points)| points).sum::<usize>() <= 4);
                let texts = request.items.iter().map(|index| {
                    char::from(b'0' + *index as u8 % 10).to_string().repeat(of_request(index).0)
                });
                let expected = format!("[{}]", texts.collect::<Vec<_>>().join(","));
                prop_assert_eq!(std::str::from_utf8(&request.body).unwrap(), expected);
            }
        }
    }
}
