//! All texts of one call in one allocation.
use crate::record::{TEXT_MAX, Text};

/// Longest sum of a call's texts, octets: what does not fit any more stays as it was.
const OCTETS_MAX: usize = 4096;
/// Room left at first for what the answers will bring: tag, agent, reason.
const ROOM: usize = 72;

/// Which text.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(super) enum Field {
    CallId,
    FromTag,
    ToTag,
    SessionId,
    FromName,
    FromUser,
    FromHost,
    ToUser,
    RequestUser,
    RequestHost,
    AssertedName,
    Asserted,
    Preferred,
    RemoteParty,
    Diversion,
    DiversionReason,
    History,
    Charge,
    CalledParty,
    Privacy,
    SourceAgent,
    DestinationAgent,
    Reason,
    Orig,
    Dest,
    OrigId,
    Verstat,
}

const COUNT: usize = Field::Verstat as usize + 1;

/// The texts; empty at first.
#[derive(Debug)]
pub(super) struct Texts {
    octets: Vec<u8>,
    spans: [(u16, u8); COUNT],
}

const _: () = assert!(TEXT_MAX <= u8::MAX as usize && OCTETS_MAX <= u16::MAX as usize);

impl Default for Texts {
    fn default() -> Self {
        Self {
            octets: Vec::new(),
            spans: [(0, 0); COUNT],
        }
    }
}

impl Texts {
    /// The text of a field.
    #[inline]
    pub(super) fn get(&self, field: Field) -> Text<'_> {
        let Some(&(start, length)) = self.spans.get(field as usize) else {
            return Text::default();
        };
        let start = usize::from(start);
        Text(
            self.octets
                .get(start..start + usize::from(length))
                .unwrap_or_default(),
        )
    }

    /// Sets a field, cut to [`TEXT_MAX`].
    pub(super) fn set(&mut self, field: Field, text: &[u8]) {
        let text = text.get(..TEXT_MAX).unwrap_or(text);
        let Some(span) = self.spans.get_mut(field as usize) else {
            return;
        };
        let (start, length) = (usize::from(span.0), usize::from(span.1));
        if text.len() <= length {
            if let Some(place) = self.octets.get_mut(start..start + text.len()) {
                place.copy_from_slice(text);
                span.1 = text.len() as u8; // at most TEXT_MAX
            }
            return;
        }
        let start = self.octets.len();
        if start + text.len() > OCTETS_MAX {
            return;
        }
        self.octets.extend_from_slice(text);
        *span = (start as u16, text.len() as u8); // at most OCTETS_MAX and TEXT_MAX
    }

    /// Sets a field that is still empty.
    pub(super) fn set_first(&mut self, field: Field, text: &[u8]) {
        if self.get(field).is_empty() {
            self.set(field, text);
        }
    }

    /// Copies the text into an allocation of its size, with some room.
    pub(super) fn settle(&mut self) {
        let mut octets = Vec::with_capacity(self.octets.len() + ROOM);
        octets.extend_from_slice(&self.octets);
        self.octets = octets;
    }

    /// Octets allocated.
    pub(super) fn capacity(&self) -> usize {
        self.octets.capacity()
    }
}
