//! Small files, replaced atomically: `identity` (the journal's id), `progress` (acknowledged sequences), `incarnation`
//! and `unconfirmed` (see [`super::incarnation`]).
//!
//! All are text with a checksum in the last line:
//! ```text
//! ringfence journal progress 1
//! 0 1200
//! 1 873
//! crc32c 1a2b3c4d
//! ```
use std::io;
use std::path::Path;

use super::incarnation::Incarnation;
use crate::disk::{Disk, read_whole};

const IDENTITY: &str = "identity";
const IDENTITY_HEAD: &str = "ringfence journal identity 1";
const PROGRESS: &str = "progress";
const PROGRESS_HEAD: &str = "ringfence journal progress 1";
pub(super) const INCARNATION: &str = "incarnation";
const INCARNATION_HEAD: &str = "ringfence journal incarnation 1";
pub(super) const UNCONFIRMED: &str = "unconfirmed";
const UNCONFIRMED_HEAD: &str = "ringfence journal unconfirmed 1";
/// More than any such file has.
const LIMIT: u64 = 64 << 10;

/// The journal's id; `None` when the file is missing or damaged.
pub(super) fn load_identity(disk: &dyn Disk, folder: &Path) -> io::Result<Option<u64>> {
    let lines = load(disk, folder, IDENTITY, IDENTITY_HEAD)?;
    Ok(lines
        .unwrap_or_default()
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
    Ok(pairs(lines.unwrap_or_default().iter()))
}

/// What a file that matters turned out to be.
pub(super) enum Loaded<T> {
    Missing,
    Damaged,
    Sound(T),
}

/// The incarnation: its id, then the bases.
pub(super) fn load_incarnation(disk: &dyn Disk, folder: &Path) -> io::Result<Loaded<Incarnation>> {
    if let Err(error) = disk.open(&folder.join(INCARNATION)) {
        return match error.kind() {
            io::ErrorKind::NotFound => Ok(Loaded::Missing),
            _ => Err(error),
        };
    }
    let lines = load(disk, folder, INCARNATION, INCARNATION_HEAD)?.unwrap_or_default();
    let id = lines.first().and_then(|line| line.parse().ok());
    Ok(id
        .filter(|&id| id != 0)
        .map_or(Loaded::Damaged, |journal_id| {
            let bases = pairs(lines.iter().skip(1)).into_iter().collect();
            Loaded::Sound(Incarnation { journal_id, bases })
        }))
}

/// Write the incarnation, durably.
pub(super) fn save_incarnation(
    disk: &dyn Disk,
    folder: &Path,
    incarnation: &Incarnation,
) -> io::Result<()> {
    let bases: Vec<_> = incarnation.bases.iter().map(|(&a, &b)| (a, b)).collect();
    let (id, lines) = (incarnation.journal_id, to_lines(&bases));
    let content = format!("{INCARNATION_HEAD}\n{id}\n{lines}");
    replace(disk, folder, INCARNATION, &content)
}

/// What is shared with the mediation's story, by stream; `None` when that was confirmed, or the note is damaged.
pub(super) fn load_unconfirmed(
    disk: &dyn Disk,
    folder: &Path,
) -> io::Result<Option<Vec<(u32, u64)>>> {
    let lines = load(disk, folder, UNCONFIRMED, UNCONFIRMED_HEAD)?;
    Ok(lines.map(|lines| pairs(lines.iter())))
}

/// Note what is shared, durably.
pub(super) fn save_unconfirmed(
    disk: &dyn Disk,
    folder: &Path,
    shared: &[(u32, u64)],
) -> io::Result<()> {
    let lines = to_lines(shared);
    replace(
        disk,
        folder,
        UNCONFIRMED,
        &format!("{UNCONFIRMED_HEAD}\n{lines}"),
    )
}

/// The mediation agreed: works on a full disk too.
pub(super) fn remove_unconfirmed(disk: &dyn Disk, folder: &Path) -> io::Result<()> {
    match disk.remove(&folder.join(UNCONFIRMED)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => disk.sync_folder(folder),
    }
}

fn pairs<'l>(lines: impl Iterator<Item = &'l String>) -> Vec<(u32, u64)> {
    let pair = |line: &'l String| {
        let (stream, sequence) = line.split_once(' ')?;
        Some((stream.parse().ok()?, sequence.parse().ok()?))
    };
    lines.filter_map(pair).collect()
}

fn to_lines(pairs: &[(u32, u64)]) -> String {
    let lines = pairs.iter();
    lines
        .map(|(stream, sequence)| format!("{stream} {sequence}\n"))
        .collect()
}

/// Write the acknowledged sequences.
pub(super) fn save(disk: &dyn Disk, folder: &Path, acknowledged: &[(u32, u64)]) -> io::Result<()> {
    let lines = to_lines(acknowledged);
    replace(disk, folder, PROGRESS, &format!("{PROGRESS_HEAD}\n{lines}"))
}

/// The lines behind the head; `None` when the file is missing or damaged.
fn load(disk: &dyn Disk, folder: &Path, name: &str, head: &str) -> io::Result<Option<Vec<String>>> {
    let file = match disk.open(&folder.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let bytes = read_whole(file.as_ref(), LIMIT)?;
    let text = String::from_utf8_lossy(&bytes);
    let Some(at) = text.rfind("crc32c ") else {
        return Ok(None);
    };
    let (content, trailer) = text.split_at(at);
    if trailer != checksum_line(content) {
        return Ok(None);
    }
    let mut lines = content.lines();
    if lines.next() != Some(head) {
        return Ok(None);
    }
    Ok(Some(lines.map(str::to_owned).collect()))
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
