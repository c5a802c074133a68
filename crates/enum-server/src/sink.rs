//! Where a worker puts what it decided: an event for each query, in batches.
use ringfence_events::EnumEvent;
use ringfence_journal::StreamWriter;

/// The writing side of one stream of events. Owned by one thread; never blocks.
pub trait EventSink: Send + 'static {
    /// Adds an event to the batch, in memory.
    fn record(&mut self, event: &EnumEvent<'_>);
    /// Makes the batch safe from a crash of the process. Called before the batch's answers are sent, so that no
    /// answered query is without its event.
    fn commit(&mut self);
    /// Events that there was no room for.
    fn lost(&self) -> u64;
}

impl EventSink for StreamWriter {
    fn record(&mut self, event: &EnumEvent<'_>) {
        Self::record(self, event);
    }

    fn commit(&mut self) {
        Self::commit(self);
    }

    fn lost(&self) -> u64 {
        Self::lost(self)
    }
}

/// Keeps no events: a server without a journal.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoJournal;

impl EventSink for NoJournal {
    fn record(&mut self, _event: &EnumEvent<'_>) {}
    fn commit(&mut self) {}
    fn lost(&self) -> u64 {
        0
    }
}

impl EventSink for Box<dyn EventSink> {
    fn record(&mut self, event: &EnumEvent<'_>) {
        (**self).record(event);
    }

    fn commit(&mut self) {
        (**self).commit();
    }

    fn lost(&self) -> u64 {
        (**self).lost()
    }
}
