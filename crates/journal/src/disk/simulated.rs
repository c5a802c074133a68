//! A disk in memory that fails, tears and forgets as told: the fault budget of the model test.
//!
//! | Fault | What happens |
//! |---|---|
//! | `fail_every: n` | every n-th append, sync, create or truncate fails; a failed append leaves half of its octets |
//! | `capacity`, `stage_capacity` | appends beyond it fail with "no space", leaving what fitted; also in a stage of its own |
//! | `kill` | nothing: what was written is there (the page cache survives the process) |
//! | `cut_power` | each file keeps what was synced, and of the rest as much as `keep` says, the last octet perhaps wrong; the stage is gone; names that were not synced may be gone |
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::{Disk, DiskFile, Entry};
use crate::journal::guard;

/// Below this folder files are in memory and lose everything with the power.
pub(crate) const STAGE: &str = "/stage";

#[derive(Debug, Clone, Default)]
pub(crate) struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<PathBuf, Arc<Mutex<Content>>>,
    /// Names as the last sync of their folder saw them.
    durable_names: BTreeMap<PathBuf, Arc<Mutex<Content>>>,
    operations: u64,
    fail_every: Option<u64>,
    capacity: Option<u64>,
    stage_capacity: Option<u64>,
    forget_syncs: bool,
}

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    synced: Vec<u8>,
}

impl SimulatedDisk {
    pub fn fail_every(&self, every: Option<u64>) {
        guard(&self.state).fail_every = every;
    }

    /// Syncs return without doing anything: the moment before a sync, held still.
    pub fn forget_syncs(&self, forget: bool) {
        guard(&self.state).forget_syncs = forget;
    }

    pub fn set_capacity(&self, capacity: Option<u64>) {
        guard(&self.state).capacity = capacity;
    }

    /// Room of the stage's file system; something else may have filled it.
    pub fn set_stage_capacity(&self, capacity: Option<u64>) {
        guard(&self.state).stage_capacity = capacity;
    }

    /// Octets in all files that are not in the stage.
    pub fn used(&self) -> u64 {
        guard(&self.state).used(false)
    }

    /// Octets written to segments and not synced, over all files.
    pub fn unsynced(&self) -> u64 {
        let state = guard(&self.state);
        let files = state
            .files
            .iter()
            .filter(|(path, _)| !path.starts_with(STAGE));
        files
            .map(|(_, content)| guard(content))
            .map(|one| one.bytes.len().saturating_sub(one.synced.len()) as u64)
            .sum()
    }

    /// Cut the power: of what was not synced, `keep` octets (over all files, in order) survive.
    pub fn cut_power(&self, mut keep: u64, garble: bool) {
        let mut state = guard(&self.state);
        state.files = state.durable_names.clone();
        for (path, content) in &state.files {
            if path.starts_with(STAGE) {
                continue;
            }
            let mut content = guard(content);
            let synced = content.synced.len();
            let grown = content.bytes.len().saturating_sub(synced) as u64;
            let kept = keep.min(grown);
            keep -= kept;
            if content.bytes.starts_with(&content.synced) {
                content.bytes.truncate(synced + kept as usize);
                if garble && kept > 0 {
                    let last = content.bytes.len() - 1;
                    content.bytes[last] ^= 0x55;
                }
            } else {
                // A truncation that was not synced: the old content is back.
                content.bytes = content.synced.clone();
            }
            content.synced = content.bytes.clone();
        }
        state.files.retain(|path, _| !path.starts_with(STAGE));
        state.durable_names = state.files.clone();
    }

    /// Overwrite one octet of a file, as a dying disk does.
    pub fn damage(&self, file: &Path, offset: usize) {
        let content = guard(&self.state).files[file].clone();
        let mut content = guard(&content);
        content.bytes[offset] ^= 0xff;
        content.synced = content.bytes.clone();
    }

    pub fn files(&self) -> Vec<(PathBuf, usize)> {
        guard(&self.state)
            .files
            .iter()
            .map(|(path, content)| (path.clone(), guard(content).bytes.len()))
            .collect()
    }
}

impl State {
    fn used(&self, in_stage: bool) -> u64 {
        let files = self
            .files
            .iter()
            .filter(|(path, _)| path.starts_with(STAGE) == in_stage);
        files
            .map(|(_, content)| guard(content).bytes.len() as u64)
            .sum()
    }

    /// Count an operation that may fail.
    fn attempt(&mut self, path: &Path) -> io::Result<()> {
        if path.starts_with(STAGE) {
            return Ok(());
        }
        self.operations += 1;
        match self.fail_every {
            Some(every) if self.operations.is_multiple_of(every) => {
                Err(io::Error::other("simulated fault"))
            }
            _ => Ok(()),
        }
    }
}

impl Disk for SimulatedDisk {
    fn create_folder(&self, _folder: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        let state = guard(&self.state);
        let mut entries: Vec<Entry> = Vec::new();
        for (path, content) in &state.files {
            let Ok(inside) = path.strip_prefix(folder) else {
                continue;
            };
            let Some(name) = inside.components().next() else {
                continue;
            };
            let name = name.as_os_str().to_string_lossy().into_owned();
            if entries.last().is_none_or(|last| last.name != name) {
                entries.push(Entry {
                    name,
                    bytes: guard(content).bytes.len() as u64,
                    modified_us: 0,
                });
            }
        }
        Ok(entries)
    }

    fn create(&self, file: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = guard(&self.state);
        state.attempt(file)?;
        if state.files.contains_key(file) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let content = Arc::new(Mutex::new(Content::default()));
        state.files.insert(file.into(), Arc::clone(&content));
        drop(state);
        Ok(Box::new(SimulatedFile {
            disk: self.clone(),
            path: file.into(),
            content,
        }))
    }

    fn open(&self, file: &Path) -> io::Result<Box<dyn DiskFile>> {
        let content = guard(&self.state)
            .files
            .get(file)
            .cloned()
            .ok_or(ErrorKind::NotFound)?;
        Ok(Box::new(SimulatedFile {
            disk: self.clone(),
            path: file.into(),
            content,
        }))
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        guard(&self.state)
            .files
            .remove(file)
            .map(|_| ())
            .ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = guard(&self.state);
        let content = state.files.remove(from).ok_or(ErrorKind::NotFound)?;
        state.files.insert(to.into(), content);
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = guard(&self.state);
        state.attempt(folder)?;
        let inside = |path: &PathBuf| path.parent() == Some(folder);
        state.durable_names.retain(|path, _| !inside(path));
        let names: Vec<_> = state
            .files
            .iter()
            .filter(|(path, _)| inside(path))
            .map(|(a, b)| (a.clone(), b.clone()))
            .collect();
        state.durable_names.extend(names);
        Ok(())
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    path: PathBuf,
    content: Arc<Mutex<Content>>,
}

impl DiskFile for SimulatedFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = guard(&self.disk.state);
        let fault = state.attempt(&self.path);
        let in_stage = self.path.starts_with(STAGE);
        let capacity = if in_stage {
            state.stage_capacity
        } else {
            state.capacity
        };
        let room = capacity.map_or(u64::MAX, |capacity| {
            capacity.saturating_sub(state.used(in_stage))
        });
        drop(state);
        let mut content = guard(&self.content);
        if let Err(error) = fault {
            content.bytes.extend_from_slice(&bytes[..bytes.len() / 2]);
            return Err(error);
        }
        if (bytes.len() as u64) > room {
            content.bytes.extend_from_slice(&bytes[..room as usize]);
            return Err(ErrorKind::StorageFull.into());
        }
        content.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = guard(&self.content);
        let rest = content.bytes.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        guard(&self.disk.state).attempt(&self.path)?;
        guard(&self.content).bytes.truncate(bytes as usize);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = guard(&self.disk.state);
        let fault = state.attempt(&self.path);
        if state.forget_syncs {
            return Ok(());
        }
        drop(state);
        let mut content = guard(&self.content);
        if fault.is_err() {
            // The kernel dropped the dirty pages: zeros are what a later read from the disk finds.
            let synced = content.synced.len().min(content.bytes.len());
            content.bytes[synced..].fill(0);
            return fault;
        }
        content.synced = content.bytes.clone();
        Ok(())
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(guard(&self.content).bytes.len() as u64)
    }
}
