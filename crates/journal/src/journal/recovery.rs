//! What `open` does with what it finds; the cases are the table in the crate's head.
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex};

use super::drain::Drainer;
use super::guard;
use super::progress;
use super::shared::Shared;
use super::stage::{self, StageFolder};
use super::stream::{Handover, Index, SegmentInfo, StageFile, Stream};
use crate::disk::{Disk, DiskFile, is_full};
use crate::segment::{self, HEADER, Header, HeaderError, Kind, Step, Walk};
use crate::{Config, JournalError};

/// Identity, segments and progress of a journal; nothing runs yet.
pub(super) fn open(
    disk: Arc<dyn Disk>,
    config: Config,
    fresh_id: u64,
) -> Result<Arc<Shared>, JournalError> {
    let folder = config.folder.clone();
    let all = folder.join("streams");
    disk.create_folder(&all)
        .map_err(JournalError::io("make", &all))?;
    let entries = disk.list(&all).map_err(JournalError::io("list", &all))?;
    let ids: Vec<u32> = entries
        .iter()
        .filter_map(|entry| entry.name.parse().ok())
        .collect();
    let journal_id = identity(disk.as_ref(), &folder, &ids, fresh_id)?;
    let shared = Arc::new(Shared::new(disk, config, journal_id));
    let acknowledged = progress::load_progress(shared.disk.as_ref(), &folder)
        .map_err(JournalError::io("read progress in", &folder))?;
    for id in ids {
        let known = acknowledged
            .iter()
            .find(|(stream, _)| *stream == id)
            .map_or(0, |(_, sequence)| *sequence);
        let (index, last) = recover_segments(&shared, id)?;
        shared.add(stream(&shared, id, index, last, known));
    }
    Ok(shared)
}

/// Recover a stream's stage (making the stream if it is new) and hand what it holds to a new drainer.
pub(super) fn start_stream(
    shared: &Arc<Shared>,
    folder: &StageFolder,
    id: u32,
) -> Result<Drainer, JournalError> {
    let state = match shared.stream(id) {
        Some(state) => state,
        None => {
            let path = shared.stream_folder(id);
            shared
                .disk
                .create_folder(&path)
                .map_err(JournalError::io("make", &path))?;
            let all = shared.config.folder.join("streams");
            shared
                .disk
                .sync_folder(&all)
                .map_err(JournalError::io("sync", &all))?;
            shared.add(stream(shared, id, Index::default(), 0, 0))
        }
    };
    let stage = recover_stage(shared, &state, folder)?;
    shared.set_running(id);
    Ok(Drainer::new(Arc::clone(shared), state, stage))
}

fn stream(shared: &Shared, id: u32, index: Index, last: u64, acknowledged: u64) -> Stream {
    if acknowledged > last {
        shared.notice(format!(
            "stream {id}: {acknowledged} was acknowledged, but the journal ends at {last}: the disk lost events that \
             the mediation has"
        ));
    }
    // A sequence that the mediation knows is never given to another event.
    let last = last.max(acknowledged);
    let file = || StageFile {
        path: Default::default(),
        bytes: HEADER,
        last: 0,
        clean: true,
        is_broken: false,
    };
    Stream {
        id,
        folder: shared.stream_folder(id),
        handover: Mutex::new(Handover {
            chunks: Default::default(),
            waiting: 0,
            spare: Vec::new(),
            stage: [file(), file()],
            active: 0,
            last,
            unstaged: 0,
            is_urgent: false,
            closing: false,
        }),
        wake: Condvar::new(),
        index: Mutex::new(index),
        durable: AtomicU64::new(last),
        acknowledged: AtomicU64::new(acknowledged),
        offered: AtomicU64::new(0),
        lost: AtomicU64::new(0),
        unstaged: AtomicU64::new(0),
        has_writer: AtomicBool::new(false),
    }
}

/// The journal's id: from its file, else from its segments, else a fresh one, made durable.
fn identity(
    disk: &dyn Disk,
    folder: &Path,
    streams: &[u32],
    fresh: u64,
) -> Result<u64, JournalError> {
    let failed = |action| JournalError::io(action, folder.join("identity"));
    if let Some(id) = progress::load_identity(disk, folder).map_err(failed("read"))? {
        return Ok(id);
    }
    let mut id = fresh;
    'streams: for stream in streams {
        let path = folder.join("streams").join(stream.to_string());
        for entry in disk.list(&path).map_err(JournalError::io("list", &path))? {
            if segment::first_of(&entry.name).is_none() {
                continue;
            }
            let file = path.join(&entry.name);
            let opened = disk.open(&file).map_err(JournalError::io("open", &file))?;
            if let Ok(header) =
                read_header(opened.as_ref()).map_err(JournalError::io("read", &file))?
            {
                id = header.journal_id;
                break 'streams;
            }
        }
    }
    progress::save_identity(disk, folder, id).map_err(failed("write"))?;
    if let Some(parent) = folder.parent() {
        // Not every file system can; the folder itself is durable already.
        let _ = disk.sync_folder(parent);
    }
    Ok(id)
}

fn read_header(file: &dyn DiskFile) -> io::Result<Result<Header, HeaderError>> {
    let bytes = crate::disk::read_whole(file, HEADER)?;
    Ok(Header::decode(&bytes))
}

/// The segments of a stream and the last sequence in them. Only the newest can be torn: each older one was synced
/// before the next was made.
fn recover_segments(shared: &Shared, id: u32) -> Result<(Index, u64), JournalError> {
    let folder = shared.stream_folder(id);
    let entries = shared
        .disk
        .list(&folder)
        .map_err(JournalError::io("list", &folder))?;
    let mut found: Vec<SegmentInfo> = entries
        .iter()
        .filter_map(|entry| {
            let first = segment::first_of(&entry.name)?;
            Some(SegmentInfo {
                first,
                bytes: entry.bytes,
                written_us: entry.modified_us,
            })
        })
        .collect();
    found.sort_unstable_by_key(|segment| segment.first);
    while let Some(newest) = found.last_mut() {
        let path = folder.join(segment::file_name(newest.first));
        let (bytes, last) = recover_newest(shared, id, &path, newest)?;
        if let Some(last) = last {
            newest.bytes = bytes;
            return Ok((
                Index {
                    segments: found.into(),
                },
                last,
            ));
        }
        shared
            .disk
            .remove(&path)
            .map_err(JournalError::io("remove", &path))?;
        shared
            .disk
            .sync_folder(&folder)
            .map_err(JournalError::io("sync", &folder))?;
        found.pop();
    }
    Ok((Index::default(), 0))
}

/// Cut what is torn from the newest segment and make the rest durable; its sound octets and last sequence.
fn recover_newest(
    shared: &Shared,
    id: u32,
    path: &Path,
    info: &SegmentInfo,
) -> Result<(u64, Option<u64>), JournalError> {
    let mut file = shared
        .disk
        .open(path)
        .map_err(JournalError::io("open", path))?;
    let header = read_header(file.as_ref()).map_err(JournalError::io("read", path))?;
    match header {
        Ok(header)
            if header.journal_id != shared.journal_id
                || header.stream != id
                || header.kind != Kind::Segment =>
        {
            return Err(JournalError::Foreign {
                path: path.into(),
                found: header.journal_id,
                expected: shared.journal_id,
            });
        }
        Err(HeaderError::Newer(version)) => {
            return Err(JournalError::Newer {
                path: path.into(),
                version,
            });
        }
        _ => {}
    }
    let (end, last) =
        scan(shared, id, file.as_ref(), path, info).map_err(JournalError::io("read", path))?;
    if last.is_some() {
        if header.is_err() {
            shared.notice(format!("{}: the header is damaged", path.display()));
        }
        if end < info.bytes {
            shared.notice(format!(
                "{}: {} octets that were never durable are cut",
                path.display(),
                info.bytes - end
            ));
            file.truncate(end).map_err(JournalError::io("cut", path))?;
        }
        file.sync().map_err(JournalError::io("sync", path))?;
    }
    Ok((end, last))
}

/// Where the sound frames end, and the last sequence in them.
fn scan(
    shared: &Shared,
    id: u32,
    file: &dyn DiskFile,
    path: &Path,
    info: &SegmentInfo,
) -> io::Result<(u64, Option<u64>)> {
    let mut walk = Walk::new(file, HEADER, info.bytes);
    let (mut end, mut next) = (HEADER, info.first);
    let mut has_events = false;
    loop {
        let from = walk.offset();
        let (frame_first, frame_durable, frame_last, frame_end) = match walk.step()? {
            Step::Frame { offset, frame, raw } => (
                frame.first,
                frame.durable,
                frame.last(),
                offset + raw.len() as u64,
            ),
            Step::End => break,
            Step::Bad => {
                if walk.resync()? {
                    continue;
                }
                break;
            }
        };
        if frame_first > next && frame_durable < next {
            // Behind a hole that nobody promised: a power cut tore what was not synced. Another frame may prove more.
            continue;
        }
        if frame_first > next {
            shared.notice(format!(
                "stream {id}: {}: damaged before offset {from}: events {next} to {} are lost",
                path.display(),
                frame_first - 1
            ));
        }
        has_events |= frame_last >= frame_first;
        next = next.max(frame_last + 1);
        end = frame_end;
    }
    Ok((end, has_events.then(|| next - 1)))
}

/// What a stage file holds.
struct Staged {
    /// `None`: there is no room for so much as its header; the drainer tries again.
    file: Option<Box<dyn DiskFile>>,
    /// (first, last, octets) of frames that the segments do not have.
    frames: Vec<(u64, u64, Vec<u8>)>,
    bytes: u64,
}

fn recover_stage(
    shared: &Shared,
    state: &Stream,
    folder: &StageFolder,
) -> Result<[Option<Box<dyn DiskFile>>; 2], JournalError> {
    let paths = folder.files(state.id);
    let durable = state.durable.load(Relaxed);
    let load = |path| {
        load_stage(shared, state.id, path, durable).map_err(JournalError::io("recover", path))
    };
    let mut staged = [load(&paths[0])?, load(&paths[1])?];
    let first = |one: &Staged| one.frames.first().map_or(u64::MAX, |frame| frame.0);
    let order = if first(&staged[1]) < first(&staged[0]) {
        [1, 0]
    } else {
        [0, 1]
    };
    let mut handover = guard(&state.handover);
    for which in order {
        let frames = std::mem::take(&mut staged[which].frames);
        let is_broken = staged[which].file.is_none();
        let clean = frames.is_empty() && !is_broken;
        for (first, last, raw) in frames {
            if first > handover.last + 1 {
                let next = handover.last + 1;
                shared.notice(format!(
                    "stream {}: events {next} to {} are lost: the disk has them no more, or the stage could not be \
                     written before the process was killed",
                    state.id,
                    first - 1
                ));
            }
            handover.push(&raw, first, last);
            handover.last = handover.last.max(last);
        }
        let last = handover.last;
        handover.stage[which] = StageFile {
            path: paths[which].clone(),
            bytes: staged[which].bytes,
            last,
            clean,
            is_broken,
        };
        if !clean && !is_broken {
            // The newer one goes on being written, so that the files stay in order.
            handover.active = which;
        }
    }
    Ok(staged.map(|one| one.file))
}

fn load_stage(shared: &Shared, id: u32, path: &Path, durable: u64) -> io::Result<Staged> {
    let disk = shared.disk.as_ref();
    let empty = || {
        let file = match stage::reset(disk, path, id, shared.journal_id) {
            Err(error) if is_full(&error) => None,
            other => Some(other?),
        };
        Ok(Staged {
            file,
            frames: vec![],
            bytes: HEADER,
        })
    };
    let mut file = match disk.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return empty(),
        other => other?,
    };
    let ours = Header {
        kind: Kind::Stage,
        stream: id,
        journal_id: shared.journal_id,
        first: 0,
    };
    if read_header(file.as_ref())? != Ok(ours) {
        return empty();
    }
    let bytes = file.bytes()?;
    let mut walk = Walk::new(file.as_ref(), HEADER, bytes);
    let mut frames = Vec::new();
    while let Step::Frame { frame, raw, .. } = walk.step()? {
        // A `lost` frame counts as the record it stands before.
        if frame.last().max(frame.first) > durable {
            frames.push((frame.first, frame.last(), raw.to_vec()));
        }
    }
    let end = walk.offset();
    if frames.is_empty() {
        file.truncate(HEADER)?;
        return Ok(Staged {
            file: Some(file),
            frames,
            bytes: HEADER,
        });
    }
    if end < bytes {
        file.truncate(end)?;
    }
    Ok(Staged {
        file: Some(file),
        frames,
        bytes: end,
    })
}
