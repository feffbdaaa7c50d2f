//! Entries that travel as one request.

use std::time::Duration;

use super::entry::Entry;
use super::queue::Queue;
use super::{BatchConfig, BatchSizer};
use crate::{Clock, Shutdown};

/// Gathers entries until they are enough, or the oldest has waited long enough, or the drain begins. Whatever `first` is, it
/// comes back as the oldest.
pub(super) async fn gather(
    mut first: Entry,
    queue: &Queue,
    config: &BatchConfig,
    clock: &Clock,
    drain: &Shutdown,
) -> Entry {
    let deadline = clock.monotonic().saturating_add(config.flush_timeout.get());
    while size(&first, config) < config.min_size {
        let fits = |next: &Entry| {
            let together = size(&first, config) + size(next, config);
            first.goes_with(next) && (config.max_size == 0 || together <= config.max_size)
        };
        if let Some(next) = queue.pop_for(fits) {
            first.merge(next);
            continue;
        }
        let left = deadline.saturating_sub(clock.monotonic());
        if left == Duration::ZERO || drain.is_requested() || queue.has_other() {
            break;
        }
        tokio::select! {
            () = queue.filled() => {}
            () = clock.sleep(left) => {}
            () = drain.requested() => {}
        }
    }
    first
}

/// An entry's items, in groups that are no larger than wanted.
pub(super) fn split(entry: &Entry, mut items: Vec<u32>, config: &BatchConfig) -> Vec<Vec<u32>> {
    let most = match config.sizer {
        _ if config.max_size == 0 => return vec![items],
        BatchSizer::Items => config.max_size,
        BatchSizer::Bytes => config.max_size.saturating_mul(entry.data.items() as u64) / (entry.bytes() as u64).max(1),
    };
    let most = usize::try_from(most).unwrap_or(usize::MAX).max(1);
    let mut groups = Vec::new();
    while items.len() > most {
        let rest = items.split_off(most);
        groups.push(std::mem::replace(&mut items, rest));
    }
    groups.push(items);
    groups
}

fn size(entry: &Entry, config: &BatchConfig) -> u64 {
    match config.sizer {
        BatchSizer::Items => entry.open_items(),
        BatchSizer::Bytes => entry.bytes() as u64,
    }
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests {
    use std::sync::Arc;

    use hornpipe_model::{Data, LogBatch, Resource, Timestamp};

    use super::*;
    use crate::delivery::OnFull;
    use crate::delivery::queue::Bounds;
    use crate::testing::{FakeClock, numbered_logs, numbers_in};

    const QUEUED: Timestamp = Timestamp::from_secs(1_000);

    struct Bench {
        queue: Queue,
        time: FakeClock,
        config: BatchConfig,
    }

    impl Bench {
        fn new(min_size: u64, max_size: u64) -> Self {
            let bounds = Bounds { memory: 1 << 20, disk: 0, size: None, on_full: OnFull::DropOldest };
            let config = BatchConfig { min_size, max_size, ..BatchConfig::default() };
            Bench { queue: Queue::new(bounds), time: FakeClock::new(), config }
        }

        async fn push(&self, data: Data) {
            self.queue.push(Entry::new(data, None, QUEUED)).await;
        }

        async fn push_each(&self, numbers: std::ops::Range<u64>) {
            for number in numbers {
                self.push(numbered_logs(number..number + 1, QUEUED)).await;
            }
        }

        async fn gather(&self) -> Vec<u64> {
            let first = self.queue.pop().await.unwrap();
            let (_trigger, drain) = Shutdown::new();
            let gathered = gather(first, &self.queue, &self.config, &self.time.clock(), &drain).await;
            numbers_in(&gathered.data)
        }
    }

    #[tokio::test]
    async fn what_waits_already_goes_together_up_to_the_most() {
        let bench = Bench::new(5, 5);
        bench.push_each(0..7).await;
        assert_eq!(bench.gather().await, [0, 1, 2, 3, 4]);
    }

    #[tokio::test]
    async fn too_little_waits_for_more_and_goes_when_its_time_is_over() {
        let bench = Arc::new(Bench::new(10, 0));
        bench.push_each(0..1).await;
        let gathering = tokio::spawn({
            let bench = Arc::clone(&bench);
            async move { bench.gather().await }
        });
        bench.time.advance(Duration::from_millis(150)).await;
        bench.push_each(1..2).await;
        bench.time.advance(Duration::from_millis(49)).await;
        assert!(!gathering.is_finished());
        bench.time.advance(Duration::from_millis(1)).await;
        assert_eq!(gathering.await.unwrap(), [0, 1]);
    }

    #[test]
    fn what_is_larger_than_wanted_is_split() {
        let entry = Entry::new(numbered_logs(0..7, QUEUED), None, QUEUED);
        let bytes = entry.bytes() as u64;
        let sizes = |max_size, sizer| {
            let config = BatchConfig { max_size, sizer, ..BatchConfig::default() };
            let groups = split(&entry, (0..7).collect(), &config);
            assert_eq!(groups.concat(), (0..7).collect::<Vec<_>>());
            groups.iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(sizes(0, BatchSizer::Items), [7]);
        assert_eq!(sizes(7, BatchSizer::Items), [7]);
        assert_eq!(sizes(3, BatchSizer::Items), [3, 3, 1]);
        assert_eq!(sizes(bytes, BatchSizer::Bytes), [7]);
        assert_eq!(sizes(bytes / 2, BatchSizer::Bytes), [3, 3, 1]);
        assert_eq!(sizes(1, BatchSizer::Bytes), [1; 7]);
    }

    #[tokio::test]
    async fn another_resource_ends_the_batch() {
        let bench = Bench::new(10, 0);
        bench.push_each(0..2).await;
        let resource = Arc::new(Resource { schema_url: "other".to_owned(), ..Resource::default() });
        bench.push(LogBatch { resource, scope: Arc::default(), records: Vec::new() }.into()).await;
        assert_eq!(bench.gather().await, [0, 1]);
    }

    #[tokio::test]
    async fn enough_does_not_wait_and_a_closed_queue_does_not_either() {
        let bench = Bench::new(2, 0);
        bench.push(numbered_logs(0..3, QUEUED)).await;
        assert_eq!(bench.gather().await, [0, 1, 2]);
        bench.push_each(3..4).await;
        bench.queue.close();
        assert_eq!(bench.gather().await, [3]);
    }
}
