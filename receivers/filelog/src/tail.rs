//! One content being read: where we are in it, what of it is pending, and whether the file still has it.
//!
//! A content is what a writer wrote into one file from its beginning. It outlives its file's name (rename) and, with
//! copytruncate, even the file: its copy goes on where the original was truncated.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hornpipe_engine::Reason;
use hornpipe_engine::logs::{Joining, Rules};
use hornpipe_model::{Log, LogSource, Text, Timestamp};

use crate::encoding::Encoding;
use crate::fingerprint::{Head, Mark, WINDOW};
use crate::handle::{Handle, Key, Look};
use crate::progress::Progress;
use crate::records::{Piece, Records};
use crate::splitter::{Flush, Splitter};

/// What stays pending in memory with more room than this is moved to smaller.
const ROOM: usize = 64 * 1024;

/// The number of a content, in this run and in the checkpoint.
pub(crate) type ContentId = u64;

/// A content being read.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) id: ContentId,
    /// Which file set it belongs to.
    pub(crate) set: usize,
    pub(crate) records: Records,
    /// Where it was found first.
    pub(crate) origin: PathBuf,
    /// Where its file is, or was last.
    pub(crate) path: PathBuf,
    pub(crate) key: Key,
    /// Its file, where that is open.
    pub(crate) handle: Option<Handle>,
    pub(crate) head: Head,
    pub(crate) progress: Progress,
    /// What the file looked like when it was read to its end.
    pub(crate) look: Look,
    /// The size that the file was seen to have last.
    pub(crate) size: u64,
    /// When it grew last.
    pub(crate) grown: Duration,
    /// Since when none of the patterns names its file.
    pub(crate) left: Option<Duration>,
    /// True once its file was read, and had its content, while none of the patterns named it.
    pub(crate) was_read_left: bool,
    /// The content that had its name until it came: its file was renamed, so that this one is no copy of it.
    pub(crate) succeeds: Option<ContentId>,
    /// True where the checkpoint had it with a file, until that is found or missed.
    pub(crate) is_expected: bool,
    /// True where its file was truncated: what that has now is another content.
    pub(crate) is_truncated: bool,
    /// True while it waits to be read.
    pub(crate) is_queued: bool,
    /// True once it was compared with other contents.
    pub(crate) is_judged: bool,
    position: u64,
    /// The bytes before `position`: some that were sent, to recognize the place by, and the `pending` ones.
    kept: Vec<u8>,
    pending: usize,
}

/// What it takes to make records of bytes.
pub(crate) struct Reading<'a> {
    pub(crate) splitter: &'a Splitter,
    /// How lines are joined, where they are.
    pub(crate) joining: Option<&'a Joining>,
    pub(crate) rules: &'a Rules,
    pub(crate) observed: Timestamp,
    pub(crate) now: Duration,
    /// Most bytes to read at once.
    pub(crate) limit: usize,
    pub(crate) fingerprint_size: usize,
    pub(crate) scratch: &'a mut Vec<u8>,
    pub(crate) out: &'a mut Vec<Log>,
    pub(crate) counts: &'a mut Counts,
}

/// What reading counts beside records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Bytes of content read.
    pub(crate) bytes: u64,
    /// Records that are not valid in their encoding.
    pub(crate) invalid: u64,
    /// Parts of records that were longer than allowed.
    pub(crate) parts: u64,
    /// NUL bytes skipped at the beginning of records.
    pub(crate) nul_bytes: u64,
    /// Bytes that were in a file and gone before they were read.
    pub(crate) lost_bytes: u64,
    /// Records that a rule dropped, by its reason.
    pub(crate) dropped: BTreeMap<Reason, u64>,
}

/// What became of an attempt to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
    /// There may be more.
    More,
    /// All that there is now is read.
    End,
    /// The file no longer has what was read from it.
    Truncated,
}

impl Tail {
    /// A content whose file is read from its beginning.
    pub(crate) fn new(id: ContentId, set: usize, path: &Path, key: Key, source: Arc<LogSource>) -> Self {
        Tail {
            id,
            set,
            records: Records::of(source),
            origin: path.to_owned(),
            path: path.to_owned(),
            key,
            handle: None,
            head: Head::Bytes(Vec::new()),
            progress: Progress::starting_at(Mark::at(0, b"")),
            look: Look::default(),
            size: 0,
            grown: Duration::ZERO,
            left: None,
            was_read_left: false,
            succeeds: None,
            is_expected: false,
            is_truncated: false,
            is_queued: false,
            is_judged: false,
            position: 0,
            kept: Vec::new(),
            pending: 0,
        }
    }

    /// A content as the checkpoint has it; it has no file yet.
    pub(crate) fn restored(self, settled: Mark, head: Head) -> Self {
        Tail { progress: Progress::starting_at(settled), position: settled.offset, head, is_judged: true, ..self }
    }

    /// How far it is read.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// True while something is read and not sent: lines that are held, or the beginning of one.
    pub(crate) fn has_pending(&self) -> bool {
        self.pending > 0 || self.records.has_held()
    }

    /// True where what is pending is whole lines, not the beginning of one.
    pub(crate) fn has_whole_lines(&self) -> bool {
        self.pending == 0 && self.records.has_held()
    }

    /// When what is pending has waited for long enough: the beginning of a line for its end, or lines for others.
    pub(crate) fn deadline(
        &self,
        joining: Option<&Joining>,
        encoding: Encoding,
        force_flush: Duration,
    ) -> Option<Duration> {
        match self.has_characters(encoding) {
            true => Some(self.grown.saturating_add(force_flush)),
            false => self.records.deadline(joining?),
        }
    }

    /// True where something of a line waits that is more than the beginning of a character.
    fn has_characters(&self, encoding: Encoding) -> bool {
        /// No character has more bytes.
        const LONGEST: usize = 4;
        let waits = self.kept.get(self.kept.len() - self.pending..).unwrap_or_default();
        waits.len() >= LONGEST || encoding.whole(waits) > 0
    }

    /// The place up to which it is read.
    pub(crate) fn mark(&self) -> Mark {
        match self.kept.is_empty() {
            true => self.progress.settled(),
            false => Mark::at(self.position, &self.kept),
        }
    }

    /// Goes on in a file, at its place there or at the file's end, whichever comes first. `end` is that file's length as far
    /// as it is known to be this content; what is pending has to be sent before where it is beyond that.
    pub(crate) fn attach(
        &mut self,
        mut handle: Handle,
        key: Key,
        path: &Path,
        end: u64,
        head_size: usize,
    ) -> std::io::Result<()> {
        if self.position > end {
            let before = handle.before(end)?.unwrap_or_default();
            self.position = end;
            self.pending = 0;
            self.progress.cut_at(Mark::at(end, &before));
            self.kept = before;
        } else if self.kept.is_empty() && self.position > 0 {
            self.kept = handle.before(self.position)?.unwrap_or_default();
        }
        if !matches!(self.head, Head::Bytes(_)) || self.head.len() < head_size {
            let known = usize::try_from(self.position).unwrap_or(usize::MAX).min(head_size);
            self.head = Head::Bytes(handle.head(known)?);
        }
        self.handle = Some(handle);
        self.key = key;
        self.is_expected = false;
        self.path = path.to_owned();
        self.look = Look::default();
        self.is_judged = true;
        Ok(())
    }

    /// Starts at the end of what the file has now.
    pub(crate) fn start_at_end(&mut self, handle: &mut Handle, size: u64, head_size: usize) -> std::io::Result<()> {
        self.kept = handle.before(size)?.unwrap_or_default();
        self.position = size;
        self.head = Head::Bytes(handle.head(usize::try_from(size).unwrap_or(usize::MAX).min(head_size))?);
        self.progress = Progress::starting_at(Mark::at(size, &self.kept));
        self.is_judged = true;
        Ok(())
    }

    /// Notes how the file begins, before it is read.
    pub(crate) fn set_head(&mut self, head: &[u8]) {
        // NUL bytes at its end may be room that the writer will fill.
        let end = head.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        self.head = Head::Bytes(head.get(..end).unwrap_or_default().to_vec());
    }

    /// True when the open file still has what was read from it: the bytes at its beginning and those before our place.
    pub(crate) fn is_intact(&mut self) -> std::io::Result<bool> {
        let Some(handle) = self.handle.as_mut() else { return Ok(true) };
        if handle.is_compressed() {
            return Ok(handle.meta()?.look.size >= self.look.size);
        }
        if handle.meta()?.look.size < self.position {
            return Ok(false);
        }
        if !has_head(handle, &self.head)? {
            return Ok(false);
        }
        let window = self.kept.len().min(WINDOW);
        let mut before = vec![0; window];
        let read = handle.read_at(&mut before, self.position - window as u64)?;
        Ok(read == window && self.kept.ends_with(&before))
    }

    /// True when the open file has something else than what was read, or cannot be read.
    pub(crate) fn is_other(&mut self) -> bool {
        !self.is_intact().unwrap_or(false)
    }

    /// Reads on from the open file and makes records of what is complete.
    pub(crate) fn read(&mut self, reading: &mut Reading<'_>) -> std::io::Result<ReadOutcome> {
        let Some(handle) = self.handle.as_mut() else { return Ok(ReadOutcome::End) };
        let look = handle.meta()?.look;
        if look == self.look {
            return Ok(ReadOutcome::End);
        }
        let is_compressed = handle.is_compressed();
        let is_shorter = look.size < if is_compressed { self.look.size } else { self.position };
        if is_shorter || (!is_compressed && !has_head(handle, &self.head)?) {
            return Ok(ReadOutcome::Truncated);
        }
        self.size = look.size;
        // The bytes before our place are read again with the new ones, to see whether they are still the same.
        let overlap = if is_compressed { 0 } else { self.kept.len().min(WINDOW) };
        let known = self.kept.len();
        let at = known - overlap;
        let data = &mut *reading.scratch;
        data.resize(known + reading.limit, 0);
        let (Some(context), Some(target)) = (data.get_mut(..at), self.kept.get(..at)) else {
            return Ok(ReadOutcome::End);
        };
        context.copy_from_slice(target);
        let read = handle.read_at(data.get_mut(at..).unwrap_or_default(), self.position - overlap as u64)?;
        if read < overlap || data.get(at..known) != self.kept.get(at..) {
            return Ok(ReadOutcome::Truncated);
        }
        let fresh = read - overlap;
        let data = std::mem::take(reading.scratch);
        self.take_in(data.get(..known + fresh).unwrap_or_default(), fresh, Flush::Nothing, reading);
        *reading.scratch = data;
        if fresh > 0 {
            self.grown = reading.now;
        }
        if fresh == reading.limit {
            return Ok(ReadOutcome::More);
        }
        // Not the look of before the read: what came in between has to show.
        self.look = look;
        Ok(ReadOutcome::End)
    }

    /// Sends what is pending, complete or not.
    pub(crate) fn flush(&mut self, reading: &mut Reading<'_>) {
        self.flush_as(Flush::All, reading);
    }

    fn flush_as(&mut self, flush: Flush, reading: &mut Reading<'_>) {
        let data = std::mem::take(&mut self.kept);
        self.take_in(&data, 0, flush, reading);
        self.records.flush(reading);
    }

    /// Sends what of the pending has waited for long enough.
    pub(crate) fn flush_overdue(&mut self, reading: &mut Reading<'_>) {
        match self.has_characters(reading.splitter.encoding) {
            true => self.flush_as(Flush::Characters, reading),
            false => self.records.expire(reading),
        }
    }

    /// Makes records of `data`, which has what was kept and `fresh` bytes that are new.
    fn take_in(&mut self, data: &[u8], fresh: usize, flush: Flush, reading: &mut Reading<'_>) {
        reading.counts.bytes += fresh as u64;
        self.position += fresh as u64;
        self.extend_head(data, fresh, reading.fingerprint_size);
        let mut start = data.len() - fresh - self.pending;
        let encoding = reading.splitter.encoding;
        if self.position == (data.len() - start) as u64 {
            start += encoding.byte_order_mark(data.get(start..).unwrap_or_default());
        }
        let lines = lines_to_share(data.get(start..).unwrap_or_default(), reading);
        let first = start;
        loop {
            if !self.records.is_split() {
                let skipped = leading_nul_bytes(data.get(start..).unwrap_or_default(), encoding, reading.limit);
                reading.counts.nul_bytes += skipped as u64;
                start += skipped;
            }
            let Some((before, rest)) = data.split_at_checked(start) else { break };
            let Some(line) = reading.splitter.next(rest, flush) else { break };
            let bytes = rest.get(..line.text).unwrap_or_default();
            let offset = self.position - rest.len() as u64;
            let mark = reading.joining.map(|_| Mark::at(offset, before)).unwrap_or_default();
            let range = start - first..start - first + line.text;
            let text = lines.as_ref().and_then(|lines| Text::part(lines, range));
            self.records.add(Piece { bytes, text, continues: line.continues, start: mark }, reading);
            start += line.consumed;
        }
        self.keep(data, start, reading.limit);
    }

    /// Keeps what is pending from `start` on, and the window before it.
    fn keep(&mut self, data: &[u8], start: usize, limit: usize) {
        let mut end = data.len();
        let pending = data.get(start..).unwrap_or_default();
        // Nothing but NUL bytes at a file's end: room that its writer took in advance and will fill, or a hole that
        // it will write behind. They are read again when the file changes.
        if pending.len() < limit && !pending.is_empty() && pending.iter().all(|byte| *byte == 0) {
            end = start;
            self.position -= pending.len() as u64;
            if let Head::Bytes(head) = &mut self.head {
                head.truncate(usize::try_from(self.position).unwrap_or(usize::MAX));
            }
        }
        self.pending = end - start;
        let kept = data.get(start.saturating_sub(WINDOW)..end).unwrap_or_default();
        if self.kept.capacity() > ROOM && kept.len() < ROOM / 2 {
            self.kept = Vec::new();
        }
        self.kept.clear();
        self.kept.extend_from_slice(kept);
    }

    fn extend_head(&mut self, data: &[u8], fresh: usize, fingerprint_size: usize) {
        let Head::Bytes(head) = &mut self.head else { return };
        let before = self.position - fresh as u64;
        // What of the new bytes is beyond the known ones.
        let Some(known) = (head.len() as u64).checked_sub(before).and_then(|known| usize::try_from(known).ok()) else {
            return;
        };
        let new = data.get(data.len() - fresh + known.min(fresh)..).unwrap_or_default();
        let wanted = new.len().min(fingerprint_size.saturating_sub(head.len()));
        head.extend_from_slice(new.get(..wanted).unwrap_or_default());
    }

    /// The place up to which everything is sent.
    pub(crate) fn sent_mark(&self) -> Mark {
        let before = self.kept.len() - self.pending;
        let line = || Mark::at(self.position - self.pending as u64, self.kept.get(..before).unwrap_or_default());
        self.records.held_from().unwrap_or_else(line)
    }

    /// True when `handle` has this content, as far as `size` bytes of it go; then where they end together.
    pub(crate) fn is_in(&self, handle: &mut Handle, head: &[u8], size: u64) -> std::io::Result<Option<u64>> {
        if !self.head.fits(head) {
            return Ok(None);
        }
        if self.position == 0 {
            return Ok(Some(0));
        }
        let latest = std::iter::once(self.mark()).chain(self.progress.recent());
        for mark in latest.filter(|mark| mark.offset <= size && mark.offset > 0) {
            if let Some(before) = handle.before(mark.offset)? {
                let end = if mark.offset == self.position { mark.offset } else { size };
                return Ok((Mark::at(mark.offset, &before) == mark).then_some(end));
            }
        }
        Ok(None)
    }
}

fn has_head(handle: &mut Handle, head: &Head) -> std::io::Result<bool> {
    match head {
        Head::Bytes(bytes) => Ok(handle.head(bytes.len())? == *bytes),
        Head::Hash(known) => Ok(head.to_hash() == Head::Bytes(handle.head(known.length)?).to_hash()),
    }
}

/// The whole lines at the beginning of `data` as one text, of which records can be parts: where lines are sent as they stand in
/// the file.
fn lines_to_share(data: &[u8], reading: &Reading<'_>) -> Option<Arc<str>> {
    let as_they_are =
        reading.splitter.encoding == Encoding::Utf8 && reading.joining.is_none() && reading.rules.is_empty();
    let end = memchr::memrchr(b'\n', data).filter(|_| as_they_are)?;
    std::str::from_utf8(data.get(..end)?).ok().map(Arc::from)
}

/// NUL bytes before a record: a hole that a writer left which did not append after a truncation. Fewer than `limit` with
/// nothing behind them are left alone: they may be room that the writer will fill.
fn leading_nul_bytes(data: &[u8], encoding: Encoding, limit: usize) -> usize {
    if encoding.is_utf16() || encoding == Encoding::Raw {
        return 0;
    }
    match data.iter().position(|byte| *byte != 0) {
        Some(nul_bytes) => nul_bytes,
        None if data.len() >= limit => data.len(),
        None => 0,
    }
}
