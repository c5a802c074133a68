//! The policy document as it travels (docs/contracts.md 4): JSON, unknown fields refused.
use std::collections::BTreeMap;
use std::fmt;

use ringfence_numbers::{Direction, NumberClass, Pattern, Site};
use serde::Deserialize;
use serde::de::{self, Deserializer};

use crate::{Action, PolicyError};

/// A policy version.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Layout of the document: 1.
    pub format: u32,
    /// Number of the version, from 1.
    pub version: u32,
    /// Dial plan and own ranges.
    pub site: Site,
    /// Destinations that are allowed before any rule.
    #[serde(default)]
    pub protected: Vec<String>,
    /// How actions are written into answers.
    #[serde(default)]
    pub answers: AnswersText,
    /// Further ways to write them, by name.
    #[serde(default)]
    pub profiles: BTreeMap<String, AnswersText>,
    /// SBCs, and the profile that each is answered by.
    #[serde(default)]
    pub clients: Vec<Client>,
    /// Lists by name.
    #[serde(default)]
    pub lists: BTreeMap<String, List>,
    /// Schedules by name.
    #[serde(default)]
    pub schedules: BTreeMap<String, Schedule>,
    /// Rules in the order they are tried.
    pub rules: Vec<Rule>,
}

/// Templates as written; compiled into [`crate::Answers`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AnswersText {
    /// NAPTR regexp of `allow`.
    pub allow: String,
    /// NAPTR regexp of `terminate`.
    pub terminate: String,
    /// NAPTR regexp of `redirect`.
    pub redirect: String,
    /// NAPTR services field.
    pub service: String,
    /// What `{host}` stands for; without it, the apex that was asked.
    pub host: Option<String>,
    /// How "no opinion" is said.
    pub no_opinion: NoOpinion,
}

/// How "no opinion" is said to an SBC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoOpinion {
    /// NOERROR without a record (RFC 2308, 2.2).
    #[default]
    NoData,
    /// The name does not exist (RFC 2308, 2.1): for SBCs that take NODATA for a fault.
    NxDomain,
    /// As `allow`: for SBCs that go on only with a record.
    Allow,
}

/// An SBC, or several of a kind.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Address or network it asks from.
    pub network: String,
    /// Name of a profile.
    pub profile: String,
    /// What people call it.
    pub name: String,
}

impl Default for AnswersText {
    fn default() -> Self {
        Self {
            allow: r"!^(.*)$!sip:\1@allow.{host}!".into(),
            terminate: r"!^(.*)$!sip:\1@terminate.{host}!".into(),
            redirect: "!^.*$!sip:{target}@redirect.{host}!".into(),
            service: "E2U+sip".into(),
            host: None,
            no_opinion: NoOpinion::default(),
        }
    }
}

/// A list of patterns.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// What is listed.
    #[serde(default)]
    pub entries: Vec<Pattern>,
    /// Whether [`crate::DynamicEntries`] are listed too.
    #[serde(default)]
    pub dynamic: bool,
    /// SHA-256 of a content that is listed too, in hexadecimal (see [`crate::Contents`]).
    #[serde(default)]
    pub content: Option<String>,
}

/// A weekly time window in a zone.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// IANA time zone.
    pub zone: String,
    /// Days on which the window opens: `mon` … `sun`.
    pub days: Vec<String>,
    /// Local time `HH:MM` from which it holds.
    pub from: String,
    /// Local time `HH:MM` until which it holds, to `24:00`; not after `from`: on the next day.
    pub to: String,
}

/// Whether a rule acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Decides.
    Enforce,
    /// Is recorded only.
    Monitor,
    /// Is skipped.
    Off,
}

/// Directions a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleDirection {
    /// Every direction, the unknown one too.
    Any,
    /// From outside.
    Inbound,
    /// To outside.
    Outbound,
    /// Within the site.
    Internal,
    /// Through the site.
    Transit,
}

impl RuleDirection {
    /// Whether a call in this direction is meant.
    #[must_use]
    pub fn includes(self, direction: Direction) -> bool {
        match self {
            Self::Any => true,
            Self::Inbound => direction == Direction::Inbound,
            Self::Outbound => direction == Direction::Outbound,
            Self::Internal => direction == Direction::Internal,
            Self::Transit => direction == Direction::Transit,
        }
    }
}

/// One rule.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Stable over versions, from 1.
    pub id: u32,
    /// What people call it.
    pub name: String,
    /// Whether it acts.
    pub mode: Mode,
    /// Directions it is for.
    pub direction: RuleDirection,
    /// Any of these; none means anything.
    pub sources: Vec<Matcher>,
    /// Any of these; none means anything.
    pub destinations: Vec<Matcher>,
    /// What it does.
    pub action: Action,
    /// Where a redirect goes, `+E.164`.
    pub target: Option<String>,
    /// Name of a schedule.
    pub schedule: Option<String>,
    /// Acts only above this rate.
    pub rate: Option<Rate>,
}

/// More than `limit` calls in `window_s` seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Calls that are still below the rate.
    pub limit: u32,
    /// Length of the sliding window, seconds.
    pub window_s: u32,
    /// What is counted apart.
    pub key: RateKey,
}

/// What a rate is counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RateKey {
    /// Each source.
    Source,
    /// Each destination.
    Destination,
    /// Each source with each destination.
    Pair,
}

impl RateKey {
    /// The word of the document.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
            Self::Pair => "pair",
        }
    }
}

/// What a rule asks of a source or destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matcher {
    /// Is under the pattern.
    Pattern(Pattern),
    /// Is in the list of this name.
    List(String),
    /// Is of this class.
    Class(NumberClass),
}

/// Classes that a rule can ask for; full numbers have patterns, protected ones are decided before rules.
const RULE_CLASSES: [NumberClass; 5] = [
    NumberClass::Anonymous,
    NumberClass::Invalid,
    NumberClass::Extension,
    NumberClass::Absent,
    NumberClass::ShortCode,
];

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern(pattern) => write!(f, "{pattern}"),
            Self::List(name) => write!(f, "list:{name}"),
            Self::Class(class) => write!(f, "class:{}", class.word()),
        }
    }
}

impl<'de> Deserialize<'de> for Matcher {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Matcher;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a pattern, \"list:NAME\" or \"class:NAME\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Matcher, E> {
                if let Some(name) = text.strip_prefix("list:") {
                    return Ok(Matcher::List(name.to_owned()));
                }
                if let Some(word) = text.strip_prefix("class:") {
                    let class = RULE_CLASSES.into_iter().find(|class| class.word() == word);
                    let words = RULE_CLASSES.map(NumberClass::word).join(", ");
                    return class.map(Matcher::Class).ok_or_else(|| {
                        E::custom(format_args!("{text:?}: the classes are {words}"))
                    });
                }
                text.parse()
                    .map(Matcher::Pattern)
                    .map_err(|error| E::custom(format_args!("{text:?}: {error}")))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl Document {
    /// Reads a document; an error names the field.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        // The path of a fault is found by reading again: keeping it for each of a million entries would cost every install.
        serde_json::from_slice(bytes).map_err(|error| {
            let again = serde_path_to_error::deserialize::<_, Self>(
                &mut serde_json::Deserializer::from_slice(bytes),
            );
            let path = again.err().map(|located| located.path().to_string());
            // "." is the document itself, "?" what could not be told.
            let field = path
                .filter(|path| path != "." && path != "?")
                .unwrap_or_else(|| "policy".to_owned());
            PolicyError::new(field, error.to_string())
        })
    }
}
