//! What `decide` answers. The numbers travel in events (docs/contracts.md 1): never renumber.
use ringfence_numbers::E164;
use serde::{Deserialize, Serialize};

/// What a decision does with the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Action {
    /// No opinion: the SBC goes on as if there were no policy.
    #[serde(skip_deserializing)]
    None = 0,
    /// As routed.
    Allow = 1,
    /// Refuse the call.
    Terminate = 2,
    /// To another number.
    Redirect = 3,
}

/// Why a decision came out as it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Reason {
    /// Never decided.
    Unknown = 0,
    /// A rule matched.
    Rule = 1,
    /// No rule matched.
    Default = 2,
    /// The destination is protected.
    Protected = 3,
    /// There is no policy; the fail mode answered.
    NoPolicy = 4,
    /// A health check.
    HealthCheck = 5,
    /// What was asked for is no number.
    NotANumber = 6,
}

/// Most monitored matches that a decision keeps.
pub const MONITORED_MAX: usize = 8;

/// Ids of monitored rules that matched, in rule order; what does not fit is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Monitored {
    ids: [u32; MONITORED_MAX],
    length: u8,
}

impl Monitored {
    /// The ids.
    #[must_use]
    pub fn as_slice(&self) -> &[u32] {
        &self.ids[..usize::from(self.length)]
    }

    pub(crate) fn push(&mut self, id: u32) {
        if let Some(slot) = self.ids.get_mut(usize::from(self.length)) {
            *slot = id;
            self.length += 1;
        }
    }
}

/// The outcome for one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// What to do.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// Id of the deciding rule, 0 for none.
    pub rule_id: u32,
    /// Where a redirect goes.
    pub target: Option<E164>,
    /// Monitored rules that matched before the deciding one.
    pub monitored: Monitored,
}

impl Decision {
    /// A decision that no rule made.
    #[must_use]
    pub fn without_rule(action: Action, reason: Reason) -> Self {
        Self {
            action,
            reason,
            rule_id: 0,
            target: None,
            monitored: Monitored::default(),
        }
    }
}
