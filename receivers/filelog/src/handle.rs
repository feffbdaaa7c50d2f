//! An open file: what it is, and its content, decompressed where it is compressed.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fingerprint::window_before;

/// Whether files are decompressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Compression {
    /// Files are read as they are.
    #[default]
    #[serde(rename = "")]
    None,
    /// All files are compressed with gzip.
    #[serde(rename = "gzip")]
    Gzip,
    /// A file is decompressed where it begins as gzip does.
    #[serde(rename = "auto")]
    Auto,
}

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What tells files apart while they exist: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

/// What a file looked like: when it looks the same again, nothing has happened to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// Bytes on disk.
    pub(crate) size: u64,
    /// When it was changed, in seconds and nanoseconds.
    pub(crate) modified: (i64, i64),
}

/// A file's metadata, as far as they matter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meta {
    pub(crate) key: Key,
    pub(crate) look: Look,
    pub(crate) is_file: bool,
}

impl From<&Metadata> for Meta {
    fn from(metadata: &Metadata) -> Self {
        Meta {
            key: Key { device: metadata.dev(), inode: metadata.ino() },
            look: Look { size: metadata.size(), modified: (metadata.mtime(), metadata.mtime_nsec()) },
            is_file: metadata.is_file(),
        }
    }
}

/// An open file.
#[derive(Debug)]
pub(crate) struct Handle {
    file: File,
    gzip: Option<Gzip>,
}

#[derive(Debug)]
struct Gzip {
    decoder: MultiGzDecoder<File>,
    /// How much of the content came out of the decoder.
    offset: u64,
    /// The file's size when the decoder met its end; more may come.
    ended_at: Option<u64>,
    /// True where that was within a member.
    is_cut_off: bool,
}

impl Handle {
    /// Opens a file. Never waits: a named pipe is opened without a writer, and refused.
    pub(crate) fn open(path: &Path, compression: Compression) -> io::Result<(Handle, Meta)> {
        let file = open_file(path)?;
        let meta = Meta::from(&file.metadata()?);
        if !meta.is_file {
            return Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"));
        }
        let begins_as_gzip = || {
            let mut magic = [0; GZIP.len()];
            file.read_at(&mut magic, 0).is_ok_and(|read| read == GZIP.len()) && magic == GZIP
        };
        let is_gzip = match compression {
            Compression::None if begins_as_gzip() => {
                let text = "it is compressed with gzip; set `compression: auto` to read it, or exclude it";
                return Err(io::Error::new(ErrorKind::InvalidData, text));
            }
            Compression::None => false,
            Compression::Gzip => true,
            Compression::Auto => begins_as_gzip(),
        };
        let gzip = if is_gzip { Some(Gzip::start(&file)?) } else { None };
        Ok((Handle { file, gzip }, meta))
    }

    pub(crate) fn meta(&self) -> io::Result<Meta> {
        Ok(Meta::from(&self.file.metadata()?))
    }

    /// True where offsets are not places in the file.
    pub(crate) fn is_compressed(&self) -> bool {
        self.gzip.is_some()
    }

    /// Reads what there is at an offset of the content, as much as fits.
    pub(crate) fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let size = self.file.metadata()?.size();
        let Some(gzip) = &mut self.gzip else { return read_fully(&self.file, buffer, offset) };
        if gzip.offset > offset || gzip.ended_at.is_some_and(|ended_at| ended_at != size) {
            *gzip = Gzip::start(&self.file)?;
        }
        gzip.read_at(buffer, offset, size)
    }

    /// Reads exactly the bytes before an offset that a mark is over; `None` where the content is shorter.
    pub(crate) fn before(&mut self, offset: u64) -> io::Result<Option<Vec<u8>>> {
        let window = window_before(offset);
        let mut bytes = vec![0; window];
        let read = self.read_at(&mut bytes, offset - window as u64)?;
        Ok((read == window).then_some(bytes))
    }

    /// How long the content is; `None` where its file ends within a compressed member, that is still being written.
    pub(crate) fn length(&mut self) -> io::Result<Option<u64>> {
        let size = self.file.metadata()?.size();
        let Some(gzip) = &mut self.gzip else { return Ok(Some(size)) };
        *gzip = Gzip::start(&self.file)?;
        let mut bytes = vec![0; 64 * 1024];
        while gzip.read(&mut bytes, size)? > 0 {}
        Ok((!gzip.is_cut_off).then_some(gzip.offset))
    }

    /// Reads up to `length` first bytes.
    pub(crate) fn head(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let read = self.read_at(&mut bytes, 0)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

#[cfg(target_os = "linux")]
fn open_file(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    std::fs::OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

#[cfg(not(target_os = "linux"))]
fn open_file(path: &Path) -> io::Result<File> {
    File::open(path)
}

fn read_fully(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

impl Gzip {
    /// A decoder at the beginning of the file.
    fn start(file: &File) -> io::Result<Self> {
        let mut own = file.try_clone()?;
        own.seek(SeekFrom::Start(0))?;
        Ok(Gzip { decoder: MultiGzDecoder::new(own), offset: 0, ended_at: None, is_cut_off: false })
    }

    fn read_at(&mut self, buffer: &mut [u8], offset: u64, size: u64) -> io::Result<usize> {
        let mut skipped = vec![0; 32 * 1024];
        while self.offset < offset {
            let wanted = usize::try_from(offset - self.offset).unwrap_or(usize::MAX).min(skipped.len());
            let Some(into) = skipped.get_mut(..wanted) else { break };
            if self.read(into, size)? == 0 {
                return Ok(0);
            }
        }
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read(rest, size)? {
                0 => break,
                read => filled += read,
            }
        }
        Ok(filled)
    }

    /// Reads on; 0 at the end, also where the file ends within a member that is still being written.
    fn read(&mut self, buffer: &mut [u8], size: u64) -> io::Result<usize> {
        if self.ended_at.is_some() {
            return Ok(0);
        }
        match self.decoder.read(buffer) {
            Ok(0) => {
                self.ended_at = Some(size);
                Ok(0)
            }
            Ok(read) => {
                self.offset += read as u64;
                Ok(read)
            }
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                self.ended_at = Some(size);
                self.is_cut_off = true;
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }
}
