//! Under which id, and from which number on, the mediation knows this journal; and how a folder that was set back
//! (copied, restored from a backup, rolled back to a snapshot) is noticed and goes on under a new id.
//!
//! Files and frames keep their own id and numbers for ever. What the mediation sees is an *incarnation*: an id of its
//! own, and for each stream a *base* that is taken off its sequences. A new journal is its own first incarnation, all
//! bases 0.
//!
//! ```text
//! in the folder        1 … 100 │ 101 … 150        the folder was copied at 100 and put back later;
//! at the mediation     1 … 100 │ 101 … 200        meanwhile the original went on to 200
//!                       shared │ two different stories
//! new incarnation              │ 1 … 50           what this folder recorded since, under the new id
//! ```
//! What both stories share is known: everything that was in folder and stage when it was opened for the first time since
//! the mediation last agreed with it. That is written to `unconfirmed` at open, kept over further starts, and removed
//! when the mediation agrees. Should the mediation hold more of a stream than is shared and more than was read here
//! to be uploaded, someone else uploaded it: the folder was set back. Then the mediation has all that is shared
//! (its sequences have no gap), and nothing behind it: events behind it get the new incarnation, none is lost or doubled.
//!
//! Not told apart: two copies that upload at the same time (each retires when it sees the other's events, but what
//! crossed on the way is trimmed), and a copy that was made while the original had not reached its mediation since its
//! own start: then events between that start and the copy arrive under both ids.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use super::guard;
use super::progress;
use super::shared::Shared;
use super::stream::Stream;
use crate::JournalError;

/// What the mediation is told of this journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Incarnation {
    pub journal_id: u64,
    /// Last sequence of each stream that belongs to an earlier incarnation.
    pub bases: BTreeMap<u32, u64>,
}

/// What this folder shares with the story that the mediation knows.
#[derive(Debug, Default)]
pub(super) struct Agreement {
    /// Last shared sequence of each stream; what was read to be uploaded is shared too.
    shared: BTreeMap<u32, u64>,
    /// `unconfirmed` is on the disk.
    is_noted: bool,
}

impl Incarnation {
    /// A stream's base, 0 for most.
    pub fn base(&self, stream: u32) -> u64 {
        self.bases.get(&stream).copied().unwrap_or(0)
    }
}

/// Load the incarnation, and note what is in folder and stage unless an earlier start did. After recovery, before any
/// event. A disk that cannot keep the note is no reason not to start.
pub(super) fn open(shared: &Shared, fresh_id: u64) -> Result<(), JournalError> {
    let folder = &shared.config.folder;
    let disk = shared.disk.as_ref();
    let failed = |action| JournalError::io(action, folder.join(progress::INCARNATION));
    let streams = shared.streams();
    let incarnation = match progress::load_incarnation(disk, folder).map_err(failed("read"))? {
        progress::Loaded::Missing => Incarnation {
            journal_id: shared.journal_id,
            ..Incarnation::default()
        },
        progress::Loaded::Sound(incarnation) => incarnation,
        progress::Loaded::Damaged => {
            shared
                .notice("the journal's incarnation is damaged: it goes on as a new one".to_owned());
            let acknowledged = |one: &Arc<Stream>| (one.id, one.acknowledged.load(Relaxed));
            let fresh = Incarnation {
                journal_id: fresh_id,
                bases: streams.iter().map(acknowledged).collect(),
            };
            progress::save_incarnation(disk, folder, &fresh).map_err(failed("write"))?;
            fresh
        }
    };
    *guard(&shared.incarnation) = incarnation;
    let mut agreement = guard(&shared.agreement);
    if let Some(noted) = progress::load_unconfirmed(disk, folder).map_err(failed("read"))? {
        agreement.shared = noted.into_iter().collect();
        agreement.is_noted = true;
        return Ok(());
    }
    // With what the stage holds: if the folder was set back and the stage was not, that is how the story went on.
    let found = |one: &Arc<Stream>| (one.id, guard(&one.handover).last);
    agreement.shared = streams.iter().map(found).collect();
    let noted: Vec<_> = agreement.shared.iter().map(|(&a, &b)| (a, b)).collect();
    match progress::save_unconfirmed(disk, folder, &noted) {
        Ok(()) => agreement.is_noted = true,
        Err(error) => shared.notice(format!(
            "journal cannot note its state: {error}; should its folder have been set back, another start hides it"
        )),
    }
    Ok(())
}

/// Compare with what the mediation holds of this incarnation; what was done about it when it cannot be ours.
pub(super) fn reconcile(
    shared: &Shared,
    received: &BTreeMap<u32, u64>,
    fresh_id: u64,
) -> Result<Option<String>, JournalError> {
    let incarnation = guard(&shared.incarnation).clone();
    let mut agreement = guard(&shared.agreement);
    for stream in shared.streams() {
        let ours = agreement.shared.entry(stream.id).or_default();
        *ours = (*ours).max(stream.offered.load(Acquire));
    }
    let foreign = received.iter().find(|&(stream, &theirs)| {
        let ours = agreement.shared.get(stream).copied().unwrap_or(0);
        theirs.saturating_add(incarnation.base(*stream)) > ours
    });
    let told = match foreign {
        None => None,
        Some((stream, theirs)) => {
            let fresh = Incarnation {
                journal_id: fresh_id,
                bases: agreement.shared.clone(),
            };
            let saved =
                progress::save_incarnation(shared.disk.as_ref(), &shared.config.folder, &fresh);
            saved.map_err(JournalError::io(
                "write",
                shared.config.folder.join(progress::INCARNATION),
            ))?;
            retire(shared, &fresh);
            let ours = fresh
                .base(*stream)
                .saturating_sub(incarnation.base(*stream));
            *guard(&shared.incarnation) = fresh;
            Some(format!(
                "the journal folder was set back: the mediation holds stream {stream} of journal {} up to {theirs}, \
                 this folder knows of {ours}; what it recorded since is journal {fresh_id} now",
                incarnation.journal_id
            ))
        }
    };
    if agreement.is_noted {
        progress::remove_unconfirmed(shared.disk.as_ref(), &shared.config.folder).map_err(
            JournalError::io("remove", shared.config.folder.join(progress::UNCONFIRMED)),
        )?;
        agreement.is_noted = false;
    }
    if let Some(told) = &told {
        shared.notice(told.clone());
    }
    Ok(told)
}

/// What belongs to earlier incarnations is with the mediation: it may go when room is needed.
fn retire(shared: &Shared, fresh: &Incarnation) {
    for stream in shared.streams() {
        let durable = stream.durable.load(Acquire);
        let known = fresh.base(stream.id).min(durable);
        stream.acknowledged.fetch_max(known, Relaxed);
    }
    shared.progress_stale.store(true, Relaxed);
}
