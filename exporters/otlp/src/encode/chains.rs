//! Messages of one kind that belong to several owners, in one buffer.

use std::ops::Range;

/// Messages in the order in which they were made, each in a chain with the others of its owner. One buffer holds all of
/// them, as fields with their headers: 10,000 metrics of one point each cost no allocation a metric.
#[derive(Debug, Default)]
pub(super) struct Chains {
    /// The messages, one behind the other.
    pub(super) buffer: Vec<u8>,
    links: Vec<Link>,
}

#[derive(Clone, Debug)]
struct Link {
    message: Range<usize>,
    next: Option<usize>,
}

/// The messages of one owner.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chain {
    first: Option<usize>,
    last: Option<usize>,
    /// Bytes of all its messages.
    pub(super) bytes: usize,
}

impl Chains {
    /// Adds the message that takes the buffer's end from `start` on to a chain.
    pub(super) fn add(&mut self, chain: &mut Chain, start: usize) {
        chain.bytes += self.buffer.len() - start;
        let link = self.links.len();
        // Behind one of the same owner it is one piece with that.
        if let (Some(last), Some(before)) = (chain.last, self.links.last_mut())
            && last + 1 == link
            && before.message.end == start
        {
            before.message.end = self.buffer.len();
            return;
        }
        self.links.push(Link { message: start..self.buffer.len(), next: None });
        match chain.last.and_then(|last| self.links.get_mut(last)) {
            Some(last) => last.next = Some(link),
            None => chain.first = Some(link),
        }
        chain.last = Some(link);
    }

    /// A chain's messages, in order; some of them in one piece.
    pub(super) fn messages(&self, chain: Chain) -> impl Iterator<Item = &[u8]> {
        let mut next = chain.first;
        std::iter::from_fn(move || {
            let link = self.links.get(next?)?;
            next = link.next;
            self.buffer.get(link.message.clone())
        })
    }

    /// Takes the message that begins at `start` out of the buffer, for another one.
    pub(super) fn move_to(&mut self, other: &mut Chains, start: usize) {
        other.buffer.extend(self.buffer.drain(start..));
    }
}
