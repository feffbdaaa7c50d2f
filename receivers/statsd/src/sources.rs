//! Who sends: the first datagram of each source, to be announced at once.

use std::net::SocketAddr;
use std::time::Duration;

use hashbrown::HashSet;

/// How many sources a reader remembers. A client that takes a new port for every datagram fills this at once; then its
/// listener stops asking the system for sources, and nothing more is announced.
const REMEMBERED: usize = 64;
/// How many first datagrams are announced in any [`INTERVAL`], so that such a client does not fill the log.
const ANNOUNCED_AT_ONCE: usize = 16;
const INTERVAL: Duration = Duration::from_secs(10);
/// How much of a metric's name is shown, in characters.
const SHOWN_CHARACTERS: usize = 80;

/// The first datagram of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FirstPacket {
    /// Who sent it, as IPv4 where that came over an IPv6 socket.
    pub(crate) source: SocketAddr,
    /// The name of its first metric.
    pub(crate) name: String,
    /// Other new sources since the last announcement, which are not shown.
    pub(crate) others: usize,
}

/// The sources that a reader knows.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// The sender of the datagram before. Clients send many in a row, so this answers most questions.
    last: Option<SocketAddr>,
    known: HashSet<SocketAddr>,
    news: Vec<FirstPacket>,
    /// Sources have been added since the news were taken.
    changed: bool,
    interval_end: Duration,
    announced: usize,
    unshown: usize,
}

impl Sources {
    /// Takes note of a datagram's sender, as far as the listener tells it.
    #[inline]
    pub(crate) fn see(&mut self, source: Option<SocketAddr>, payload: &[u8], now: Duration) {
        if let Some(source) = source
            && self.last != Some(source)
        {
            self.see_another(source, payload, now);
        }
    }

    fn see_another(&mut self, source: SocketAddr, payload: &[u8], now: Duration) {
        self.last = Some(source);
        if !self.is_full() && self.known.insert(source) {
            self.add(source, payload, now);
        }
    }

    #[cold]
    fn add(&mut self, source: SocketAddr, payload: &[u8], now: Duration) {
        self.changed = true;
        if now >= self.interval_end {
            self.interval_end = now.saturating_add(INTERVAL);
            self.announced = 0;
        }
        if self.announced >= ANNOUNCED_AT_ONCE {
            self.unshown += 1;
            return;
        }
        self.announced += 1;
        let others = std::mem::take(&mut self.unshown);
        let source = SocketAddr::new(source.ip().to_canonical(), source.port());
        self.news.push(FirstPacket { source, name: first_name(payload), others });
    }

    /// True when no further source is remembered.
    pub(crate) fn is_full(&self) -> bool {
        self.known.len() >= REMEMBERED
    }

    /// How many sources are remembered.
    pub(crate) fn known(&self) -> usize {
        self.known.len()
    }

    /// True where [`take_news`](Self::take_news) has something to tell, be it only that no more are remembered.
    pub(crate) fn has_news(&self) -> bool {
        self.changed
    }

    /// What has to be announced.
    pub(crate) fn take_news(&mut self) -> Vec<FirstPacket> {
        self.changed = false;
        std::mem::take(&mut self.news)
    }
}

/// The name of a datagram's first metric, with everything escaped that could confuse a terminal or a log.
fn first_name(payload: &[u8]) -> String {
    let name = payload.split(|byte| matches!(byte, b':' | b'|' | b'\n')).next().unwrap_or_default();
    // A character takes up to four bytes.
    let name = String::from_utf8_lossy(name.get(..SHOWN_CHARACTERS * 4).unwrap_or(name));
    name.escape_debug().take(SHOWN_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::ZERO;

    fn source(number: u16) -> Option<SocketAddr> {
        Some(SocketAddr::from(([127, 0, 0, 1], number)))
    }

    #[test]
    fn the_first_packet_of_each_source_is_news_and_only_that() {
        let mut sources = Sources::default();
        for (number, payload) in [(1, "a:1|c"), (1, "b:1|c"), (2, "c:1|g\nd:1|c"), (1, "e:1|c"), (2, "f:1|c")] {
            sources.see(source(number), payload.as_bytes(), START);
        }
        let news: Vec<_> = sources.take_news().into_iter().map(|first| (first.source.port(), first.name)).collect();
        assert_eq!(news, [(1, "a".to_owned()), (2, "c".to_owned())]);
        sources.see(None, b"g:1|c", START);
        assert!(!sources.has_news());
    }

    #[test]
    fn many_sources_at_once_are_counted_and_named_with_the_next() {
        let mut sources = Sources::default();
        for number in 0..20 {
            sources.see(source(number), b"a:1|c", START);
        }
        assert_eq!(sources.take_news().len(), ANNOUNCED_AT_ONCE);
        sources.see(source(20), b"a:1|c", START);
        assert!(sources.has_news() && sources.take_news().is_empty());
        let mapped = SocketAddr::from((std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped(), 21));
        sources.see(Some(mapped), b"b:1|c", START + INTERVAL);
        let news = sources.take_news();
        assert_eq!((news.len(), news[0].source, news[0].others), (1, source(21).unwrap(), 5));
    }

    #[test]
    fn memory_is_bounded() {
        let mut sources = Sources::default();
        for number in 0..1_000 {
            assert_eq!(sources.is_full(), number >= 64, "{number}");
            sources.see(source(number), b"a:1|c", INTERVAL * u32::from(number));
        }
        assert_eq!((sources.known(), sources.take_news().len()), (64, 64));
    }

    #[test]
    fn a_name_is_shown_whatever_it_holds() {
        for (payload, expected) in
            [("gunicorn.requests:1|c", "gunicorn.requests"), ("_sc|up|0", "_sc"), ("", ""), ("\x1b[2J", "\\u{1b}[2J")]
        {
            assert_eq!(first_name(payload.as_bytes()), expected);
        }
        assert_eq!(first_name("ü".repeat(1_000).as_bytes()).chars().count(), SHOWN_CHARACTERS);
    }
}
