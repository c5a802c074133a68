//! What the workers answer from: zones, and the policy with its answers written for each zone.
use ringfence_numbers::DialPlan;
use ringfence_policy::{Action, Answers, PolicyError, RateCounters, Snapshot};

use crate::Config;
use crate::wire::name;

/// What stays the same while the server runs.
#[derive(Debug)]
pub struct Service {
    /// Zones answered.
    pub zones: Vec<Zone>,
    /// EDNS0 options that may carry the source URI.
    pub source_option_codes: Vec<u16>,
    /// What is done without a policy.
    pub fail_action: Action,
    /// Reads numbers without a policy: those given in full.
    pub plan_without_policy: DialPlan,
    /// Rate conditions count on over a change of policy.
    pub rates: RateCounters,
}

/// One zone.
#[derive(Debug)]
pub struct Zone {
    /// As configured, without a dot at the end.
    pub apex: String,
    /// Lower-case wire octets with the root.
    pub wire: Vec<u8>,
    /// Default answers, for when there is no policy.
    pub answers: Answers,
}

/// A policy in force.
#[derive(Debug)]
pub struct Installed {
    /// What decides.
    pub snapshot: Snapshot,
    /// How actions are written, for each zone.
    pub answers: Vec<Answers>,
}

impl Service {
    /// From a checked configuration.
    pub fn new(config: &Config) -> Result<Self, PolicyError> {
        let zone = |apex: &String| {
            let apex = apex.trim_end_matches('.').to_ascii_lowercase();
            let answers = Answers::default().for_host(&apex)?;
            Ok(Zone {
                wire: name::from_text(&apex).unwrap_or_default(),
                answers,
                apex,
            })
        };
        Ok(Self {
            zones: config
                .apex
                .iter()
                .map(zone)
                .collect::<Result<_, PolicyError>>()?,
            source_option_codes: config.source_option_codes.clone(),
            fail_action: config.fail_mode.action(),
            plan_without_policy: DialPlan::default(),
            rates: RateCounters::default(),
        })
    }

    /// Compiles a document for the zones served.
    pub fn compile(&self, document: &[u8]) -> Result<Installed, PolicyError> {
        let snapshot = Snapshot::from_bytes(document)?;
        let answers = self
            .zones
            .iter()
            .map(|zone| snapshot.answers().for_host(&zone.apex))
            .collect::<Result<_, _>>()?;
        Ok(Installed { snapshot, answers })
    }
}
