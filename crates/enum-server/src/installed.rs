//! What the workers answer from: zones, and the policy with its answers written for each zone.
use std::sync::Arc;

use arc_swap::ArcSwap;
use ringfence_numbers::DialPlan;
use ringfence_policy::{
    Action, Answers, Contents, DynamicEntries, PolicyError, ProfileId, RateCounters, Snapshot,
};

use crate::Config;
use crate::access::Access;
use crate::notices::Notices;
use crate::wire::cookie::CookieSecret;
use crate::wire::name;
use crate::wire::query_name::Layout;

/// What outlives a policy.
#[derive(Debug)]
pub struct Service {
    /// Zones answered.
    pub zones: Vec<Zone>,
    /// EDNS0 options that may carry the source URI.
    pub source_option_codes: Vec<u16>,
    /// How numbers stand in a query name; the first that fits counts.
    pub query_names: Vec<Layout>,
    /// What is done without a policy.
    pub fail_action: Action,
    /// Reads numbers without a policy: those given in full.
    pub plan_without_policy: DialPlan,
    /// Rate conditions count on over a change of policy.
    pub rates: RateCounters,
    /// Entries of the dynamic lists; switched as a whole, beside the policy.
    pub entries: ArcSwap<DynamicEntries>,
    /// What a person should know.
    pub notices: Arc<Notices>,
    pub(crate) access: Access,
    pub(crate) cookies: CookieSecret,
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
    answers: Vec<ZoneAnswers>,
}

/// How actions are written in one zone.
#[derive(Debug)]
struct ZoneAnswers {
    /// For whoever has no profile.
    default: Answers,
    /// As in [`Snapshot::profiles`].
    profiles: Vec<Answers>,
}

/// How one client is answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wording<'a> {
    service: &'a Service,
    policy: Option<&'a Installed>,
    profile: Option<ProfileId>,
}

impl<'a> Wording<'a> {
    pub(crate) fn new(
        service: &'a Service,
        policy: Option<&'a Installed>,
        profile: Option<ProfileId>,
    ) -> Self {
        Self {
            service,
            policy,
            profile,
        }
    }

    /// By place of the zone.
    #[inline]
    pub(crate) fn in_zone(&self, zone: usize) -> &'a Answers {
        let Some(policy) = self.policy else {
            return &self.service.zones[zone].answers;
        };
        let answers = &policy.answers[zone];
        self.profile
            .and_then(|profile| answers.profiles.get(profile.index()))
            .unwrap_or(&answers.default)
    }
}

impl Service {
    /// From a checked configuration; an error names the field.
    pub fn new(config: &Config) -> Result<Self, String> {
        let zone = |apex: &String| {
            let apex = apex.trim_end_matches('.').to_ascii_lowercase();
            let answers = Answers::default()
                .for_host(&apex)
                .map_err(|error| error.to_string())?;
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
                .collect::<Result<_, String>>()?,
            source_option_codes: config.source_option_codes.clone(),
            query_names: config.layouts()?,
            fail_action: config.fail_mode.action(),
            plan_without_policy: DialPlan::default(),
            rates: RateCounters::default(),
            entries: ArcSwap::default(),
            notices: Arc::default(),
            access: Access::new(&config.networks()?, config.client_limit_qps),
            cookies: CookieSecret::new(match config.cookie_octets()? {
                Some(secret) => secret,
                None => random_secret()?,
            }),
        })
    }

    /// Compiles a document that carries its lists itself, for the zones served.
    pub fn compile(&self, document: &[u8]) -> Result<Installed, PolicyError> {
        self.compile_with(document, &Contents::default())
    }

    /// Compiles a document with the contents of lists that it names, for the zones served.
    pub fn compile_with(
        &self,
        document: &[u8],
        contents: &Contents<'_>,
    ) -> Result<Installed, PolicyError> {
        let snapshot = Snapshot::with_contents(document, contents)?;
        let answers = self
            .zones
            .iter()
            .map(|zone| ZoneAnswers::compile(&snapshot, &zone.apex))
            .collect::<Result<_, _>>()?;
        Ok(Installed { snapshot, answers })
    }
}

fn random_secret() -> Result<[u8; 16], String> {
    let mut secret = [0; 16];
    getrandom::fill(&mut secret).map_err(|error| format!("cookie_secret: {error}"))?;
    Ok(secret)
}

impl ZoneAnswers {
    fn compile(snapshot: &Snapshot, apex: &str) -> Result<Self, PolicyError> {
        Ok(Self {
            default: snapshot.answers().for_host(apex)?,
            profiles: snapshot
                .profiles()
                .iter()
                .map(|profile| profile.for_host(apex))
                .collect::<Result<_, _>>()?,
        })
    }
}
