//! Which segments go: acknowledged ones, oldest first, for age or for room. A stream's newest segment stays
//! always, because its last sequence is where numbering goes on after a restart.
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::guard;
use super::shared::Shared;
use super::stream::{SegmentInfo, Stream};
use crate::segment;

impl Shared {
    /// Remove acknowledged segments that are older than the configured time.
    pub(super) fn remove_aged(&self, now_us: i64) {
        let keep_us = i64::try_from(self.config.keep.as_micros()).unwrap_or(i64::MAX);
        while let Some((stream, oldest)) = self.oldest_acknowledged() {
            if now_us.saturating_sub(oldest.written_us) <= keep_us || !self.remove(&stream, oldest)
            {
                return;
            }
        }
    }

    /// Make room for `bytes` more under the bound; whether there is.
    pub(super) fn make_room(&self, bytes: u64) -> bool {
        while self.bytes() + bytes > self.config.max_bytes {
            if !self.remove_oldest_acknowledged() {
                return false;
            }
        }
        true
    }

    /// Remove one segment for room; whether one was removed.
    pub(super) fn remove_oldest_acknowledged(&self) -> bool {
        self.oldest_acknowledged()
            .is_some_and(|(stream, oldest)| self.remove(&stream, oldest))
    }

    fn oldest_acknowledged(&self) -> Option<(Arc<Stream>, SegmentInfo)> {
        let candidates = self.streams().into_iter().filter_map(|stream| {
            let index = guard(&stream.index);
            let (oldest, next) = (*index.segments.front()?, index.segments.get(1)?.first);
            drop(index);
            (next <= stream.acknowledged.load(Relaxed) + 1).then_some((stream, oldest))
        });
        candidates.min_by_key(|(_, oldest)| oldest.written_us)
    }

    fn remove(&self, stream: &Stream, oldest: SegmentInfo) -> bool {
        let path = stream.folder.join(segment::file_name(oldest.first));
        if let Err(error) = self.disk.remove(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            self.notice(format!("{} cannot be removed: {error}", path.display()));
            return false;
        }
        let mut index = guard(&stream.index);
        // Drainers of two streams may have chosen the same one.
        if index.segments.front() == Some(&oldest) {
            index.segments.pop_front();
            self.removed.fetch_add(1, Relaxed);
        }
        true
    }
}
