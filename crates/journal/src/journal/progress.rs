//! Two small files, replaced atomically: `identity` (the journal's id) and `progress` (acknowledged sequences).
//!
//! Both are text with a checksum in the last line:
//! ```text
//! ringfence journal progress 1
//! 0 1200
//! 1 873
//! crc32c 1a2b3c4d
//! ```
use std::io;
use std::path::Path;

use crate::disk::{Disk, read_whole};

const IDENTITY: &str = "identity";
const IDENTITY_HEAD: &str = "ringfence journal identity 1";
const PROGRESS: &str = "progress";
const PROGRESS_HEAD: &str = "ringfence journal progress 1";
/// More than any such file has.
const LIMIT: u64 = 64 << 10;

/// The journal's id; `None` when the file is missing or damaged.
pub(super) fn load_identity(disk: &dyn Disk, folder: &Path) -> io::Result<Option<u64>> {
    let lines = load(disk, folder, IDENTITY, IDENTITY_HEAD)?;
    Ok(lines
        .first()
        .and_then(|line| line.parse().ok())
        .filter(|&id: &u64| id != 0))
}

/// Write the journal's id, durably.
pub(super) fn save_identity(disk: &dyn Disk, folder: &Path, id: u64) -> io::Result<()> {
    replace(disk, folder, IDENTITY, &format!("{IDENTITY_HEAD}\n{id}\n"))
}

/// Acknowledged sequences by stream; empty when the file is missing or damaged.
pub(super) fn load_progress(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<(u32, u64)>> {
    let lines = load(disk, folder, PROGRESS, PROGRESS_HEAD)?;
    let pairs = lines.iter().filter_map(|line| {
        let (stream, sequence) = line.split_once(' ')?;
        Some((stream.parse().ok()?, sequence.parse().ok()?))
    });
    Ok(pairs.collect())
}

/// Write the acknowledged sequences.
pub(super) fn save(disk: &dyn Disk, folder: &Path, acknowledged: &[(u32, u64)]) -> io::Result<()> {
    let lines: String = acknowledged
        .iter()
        .map(|(stream, sequence)| format!("{stream} {sequence}\n"))
        .collect();
    replace(disk, folder, PROGRESS, &format!("{PROGRESS_HEAD}\n{lines}"))
}

fn load(disk: &dyn Disk, folder: &Path, name: &str, head: &str) -> io::Result<Vec<String>> {
    let file = match disk.open(&folder.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let bytes = read_whole(file.as_ref(), LIMIT)?;
    let text = String::from_utf8_lossy(&bytes);
    let Some(at) = text.rfind("crc32c ") else {
        return Ok(Vec::new());
    };
    let (content, trailer) = text.split_at(at);
    if trailer != checksum_line(content) {
        return Ok(Vec::new());
    }
    let mut lines = content.lines();
    if lines.next() != Some(head) {
        return Ok(Vec::new());
    }
    Ok(lines.map(str::to_owned).collect())
}

fn replace(disk: &dyn Disk, folder: &Path, name: &str, content: &str) -> io::Result<()> {
    let (target, fresh) = (folder.join(name), folder.join(format!("{name}.new")));
    match disk.remove(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = disk.create(&fresh)?;
    file.append(format!("{content}{}", checksum_line(content)).as_bytes())?;
    file.sync()?;
    disk.rename(&fresh, &target)?;
    disk.sync_folder(folder)
}

fn checksum_line(content: &str) -> String {
    format!("crc32c {:08x}\n", crc32c::crc32c(content.as_bytes()))
}
