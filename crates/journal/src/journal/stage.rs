//! Where the stage is: a folder in memory that outlives the process but not the machine's power.
use std::path::{Path, PathBuf};

use crate::disk::real::{RealDisk, effective_user, is_private_folder};
use crate::disk::{Disk, DiskFile, is_full};
use crate::segment::{HEADER, Header, Kind};
use crate::{Config, JournalError};

const SHARED_MEMORY: &str = "/dev/shm";

/// The folder with two stage files for each stream of one journal.
#[derive(Debug, Clone)]
pub(super) struct StageFolder {
    pub path: PathBuf,
}

impl StageFolder {
    /// The configured folder, or one on tmpfs, or the journal's own with a notice that says what it costs.
    pub fn choose(config: &Config) -> Result<(Self, Vec<String>), JournalError> {
        let journal = std::path::absolute(&config.folder)
            .map_err(JournalError::io("resolve", &config.folder))?;
        // Links are resolved, so that one folder has one stage whatever it is called.
        let journal = journal.canonicalize().unwrap_or(journal);
        let name = folder_name(&journal);
        let why = match in_memory(config) {
            Ok(base) => {
                let path = base.join(name);
                match RealDisk.create_folder(&path) {
                    Ok(()) => return Ok((Self { path }, Vec::new())),
                    Err(error) if is_full(&error) => format!("{}: {error}", base.display()),
                    Err(error) => return Err(JournalError::io("make", &path)(error)),
                }
            }
            Err(why) => why,
        };
        let path = config.folder.join("stage");
        RealDisk
            .create_folder(&path)
            .map_err(JournalError::io("make", &path))?;
        let notice = format!(
            "no stage in memory ({why}): it is in {}, a slow disk delays answers",
            path.display()
        );
        Ok((Self { path }, vec![notice]))
    }

    /// The two files of a stream.
    pub fn files(&self, stream: u32) -> [PathBuf; 2] {
        [0, 1].map(|which| self.path.join(format!("{stream}-{which}")))
    }

    /// Streams that have stage files.
    pub fn streams(&self, disk: &dyn Disk) -> Result<Vec<u32>, JournalError> {
        let entries = disk
            .list(&self.path)
            .map_err(JournalError::io("list", &self.path))?;
        let names = entries
            .iter()
            .filter(|entry| entry.bytes > HEADER)
            .filter_map(|entry| entry.name.split_once('-'));
        Ok(names
            .filter(|(_, which)| matches!(*which, "0" | "1"))
            .filter_map(|(id, _)| id.parse().ok())
            .collect())
    }
}

/// Open a stage file, empty but for its header, whatever was there.
pub(super) fn reset(
    disk: &dyn Disk,
    path: &Path,
    stream: u32,
    journal_id: u64,
) -> std::io::Result<Box<dyn DiskFile>> {
    let mut file = match disk.open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => disk.create(path)?,
        other => other?,
    };
    file.truncate(0)?;
    file.append(
        &Header {
            kind: Kind::Stage,
            stream,
            journal_id,
            first: 0,
        }
        .encode(),
    )?;
    Ok(file)
}

/// The folder in memory for all journals: the configured one, or ours on `/dev/shm`.
fn in_memory(config: &Config) -> Result<PathBuf, String> {
    config.stage.clone().map_or_else(shared_memory, Ok)
}

fn shared_memory() -> Result<PathBuf, String> {
    if !Path::new(SHARED_MEMORY).is_dir() {
        return Err(format!("{SHARED_MEMORY} is missing"));
    }
    let user = effective_user().map_err(|error| error.to_string())?;
    let base = Path::new(SHARED_MEMORY).join(format!("ringfence-{user}"));
    RealDisk
        .create_folder(&base)
        .map_err(|error| format!("{}: {error}", base.display()))?;
    // Anyone may make a folder there: one that is not ours could hand us forged events.
    match is_private_folder(&base) {
        Ok(true) => Ok(base),
        Ok(false) => Err(format!(
            "{} is not a private folder of user {user}",
            base.display()
        )),
        Err(error) => Err(format!("{}: {error}", base.display())),
    }
}

/// 64 bits of FNV-1a of the journal's path; the header's journal_id catches a collision.
fn folder_name(journal: &Path) -> String {
    let hash = journal
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, octet| {
            (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{hash:016x}")
}
