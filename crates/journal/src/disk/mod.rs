//! The disk as the journal sees it: the only way in which this crate touches files.
//!
//! [`real`] is the operating system; the tests' simulated disk fails, tears and forgets.
use std::fmt::Debug;
use std::io;
use std::path::Path;

pub mod real;
#[cfg(test)]
pub(crate) mod simulated;

/// A file in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, without the folder.
    pub name: String,
    /// Its size, octets.
    pub bytes: u64,
    /// When it was last written, microseconds since 1970.
    pub modified_us: i64,
}

/// Folders and names.
pub trait Disk: Debug + Send + Sync {
    /// Make a folder and its parents, readable by the owner alone.
    fn create_folder(&self, folder: &Path) -> io::Result<()>;
    /// What is in a folder; empty when there is none.
    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>>;
    /// A new file for appending and reading, 0600; fails when the name is taken.
    fn create(&self, file: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// An existing file for appending and reading.
    fn open(&self, file: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Remove a file.
    fn remove(&self, file: &Path) -> io::Result<()>;
    /// Give `from` the name `to`, replacing what had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Make the names in a folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// An open file that only grows at its end.
pub trait DiskFile: Debug + Send + Sync {
    /// Write at the end, normally with one system call; on error some of the octets may be there.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Read at an offset; 0 at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Cut the file to `bytes`.
    fn truncate(&mut self, bytes: u64) -> io::Result<()>;
    /// Make data and size durable (fdatasync).
    fn sync(&mut self) -> io::Result<()>;
    /// The file's size.
    fn bytes(&self) -> io::Result<u64>;
}

/// Whether room, made elsewhere, would help.
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// The whole of a file, at most `limit` octets.
pub fn read_whole(file: &dyn DiskFile, limit: u64) -> io::Result<Vec<u8>> {
    let bytes = file.bytes()?.min(limit);
    let mut whole = vec![0; usize::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge)?];
    let mut filled = 0;
    while filled < whole.len() {
        match file.read_at(&mut whole[filled..], filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    whole.truncate(filled);
    Ok(whole)
}
