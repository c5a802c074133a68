//! Configuration of an ENUM server (docs/contracts.md 5): JSON, unknown fields refused.
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ringfence_policy::{Action, Network};
use serde::Deserialize;

use crate::wire::name;
use crate::wire::query_name::{DEFAULT_LAYOUTS, Layout};

/// Most threads for each address.
const WORKERS_MAX: u16 = 256;
/// What `{host}` may have before it in a regexp limits an apex.
const APEX_MAX: usize = 128;

/// Each layout that does not fit costs a look at the name.
const QUERY_NAMES_MAX: usize = 16;
/// Octets of `cookie_secret`.
const COOKIE_SECRET: usize = 16;
/// Receive buffers that make sense; the largest is what Linux can count.
const RECEIVE_BUFFER: std::ops::RangeInclusive<usize> = 64 << 10..=512 << 20;

/// As configured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Addresses to answer at; port 0 picks one.
    pub listen: Vec<SocketAddr>,
    /// Zones answered.
    pub apex: Vec<String>,
    /// Threads for each address.
    #[serde(default = "one")]
    pub workers: u16,
    /// EDNS0 options that may carry the source URI.
    #[serde(default = "default_option_codes")]
    pub source_option_codes: Vec<u16>,
    /// Layouts of numbers in a query name, the first that fits counts (see `wire::query_name`).
    #[serde(default = "default_query_names")]
    pub query_names: Vec<String>,
    /// Answer while there is no policy.
    #[serde(default)]
    pub fail_mode: FailMode,
    /// Addresses and networks that are answered, beside loopback. A single address is an SBC's and never limited.
    #[serde(default)]
    pub allow_from: Vec<String>,
    /// Queries a second that a client which is no SBC may ask; 0: as many as it likes.
    #[serde(default)]
    pub client_limit_qps: u32,
    /// What DNS cookies are made with, 32 hexadecimal digits; without it, random at each start.
    #[serde(default)]
    pub cookie_secret: Option<String>,
    /// Receive buffer asked for each socket: a burst waits in it.
    #[serde(default = "default_receive_buffer")]
    pub receive_buffer_bytes: usize,
    /// The journal of events; without one none are kept.
    #[serde(default)]
    pub journal: Option<JournalConfig>,
}

/// Answer while there is no policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailMode {
    /// Calls go on.
    #[default]
    Allow,
    /// NODATA.
    None,
    /// Calls are refused.
    Terminate,
}

impl FailMode {
    /// The action.
    #[must_use]
    pub fn action(self) -> Action {
        match self {
            Self::Allow => Action::Allow,
            Self::None => Action::None,
            Self::Terminate => Action::Terminate,
        }
    }
}

/// The journal's part.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct JournalConfig {
    pub folder: PathBuf,
    pub segment_bytes: Option<u64>,
    pub max_bytes: Option<u64>,
    pub keep_hours: Option<f64>,
    pub sync_ms: Option<u64>,
    pub stage: Option<PathBuf>,
    pub stage_bytes: Option<u64>,
}

impl JournalConfig {
    /// With the journal's own defaults for what is left out.
    #[must_use]
    pub fn to_journal(&self) -> ringfence_journal::Config {
        let defaults = ringfence_journal::Config::new(&self.folder);
        let keep = self
            .keep_hours
            .and_then(|hours| Duration::try_from_secs_f64(hours * 3600.0).ok());
        ringfence_journal::Config {
            segment_bytes: self.segment_bytes.unwrap_or(defaults.segment_bytes),
            max_bytes: self.max_bytes.unwrap_or(defaults.max_bytes),
            keep: keep.unwrap_or(defaults.keep),
            sync: self.sync_ms.map_or(defaults.sync, Duration::from_millis),
            stage: self.stage.clone(),
            stage_bytes: self.stage_bytes.unwrap_or(defaults.stage_bytes),
            folder: defaults.folder,
        }
    }
}

fn one() -> u16 {
    1
}

/// A burst of some ten thousand queries.
fn default_receive_buffer() -> usize {
    4 << 20
}

fn default_option_codes() -> Vec<u16> {
    vec![4, 65_001]
}

fn default_query_names() -> Vec<String> {
    DEFAULT_LAYOUTS.map(str::to_owned).to_vec()
}

impl Config {
    /// Reads and checks; an error names the field.
    pub fn parse(json: &str) -> Result<Self, String> {
        let config: Self =
            serde_json::from_str(json).map_err(|error| format!("configuration: {error}"))?;
        if config.listen.is_empty() {
            return Err("listen: must name at least one ADDRESS:PORT".into());
        }
        if config.workers == 0 || config.workers > WORKERS_MAX {
            return Err(format!("workers: must be 1 to {WORKERS_MAX}"));
        }
        if config.apex.is_empty() {
            return Err("apex: must name at least one zone".into());
        }
        for (index, apex) in config.apex.iter().enumerate() {
            if apex.len() > APEX_MAX || name::from_text(apex).is_none() {
                return Err(format!(
                    "apex[{index}]: {apex:?} is no domain name of at most {APEX_MAX} characters"
                ));
            }
        }
        if !RECEIVE_BUFFER.contains(&config.receive_buffer_bytes) {
            let (low, high) = RECEIVE_BUFFER.into_inner();
            return Err(format!("receive_buffer_bytes: must be {low} to {high}"));
        }
        config.networks()?;
        config.layouts()?;
        config.cookie_octets()?;
        let beyond = config
            .listen
            .iter()
            .find(|address| !address.ip().is_loopback());
        match beyond {
            Some(address) if config.allow_from.is_empty() => Err(format!(
                "allow_from: must name the SBCs' addresses, such as [\"192.0.2.1\"], because listen goes beyond loopback ({address})"
            )),
            _ => Ok(config),
        }
    }

    /// `allow_from`, read.
    pub fn networks(&self) -> Result<Vec<Network>, String> {
        let read = |(index, text): (usize, &String)| {
            text.parse()
                .map_err(|problem| format!("allow_from[{index}]: {problem}"))
        };
        self.allow_from.iter().enumerate().map(read).collect()
    }

    /// `query_names`, read.
    pub fn layouts(&self) -> Result<Vec<Layout>, String> {
        if self.query_names.is_empty() || self.query_names.len() > QUERY_NAMES_MAX {
            return Err(format!(
                "query_names: must be 1 to {QUERY_NAMES_MAX} layouts"
            ));
        }
        let read = |(index, text): (usize, &String)| {
            Layout::parse(text).map_err(|problem| format!("query_names[{index}]: {problem}"))
        };
        self.query_names.iter().enumerate().map(read).collect()
    }

    /// `cookie_secret`, read.
    pub fn cookie_octets(&self) -> Result<Option<[u8; COOKIE_SECRET]>, String> {
        let Some(text) = &self.cookie_secret else {
            return Ok(None);
        };
        let problem = || "cookie_secret: must be 32 hexadecimal digits".to_owned();
        if text.len() != 2 * COOKIE_SECRET || !text.bytes().all(|c| c.is_ascii_hexdigit()) {
            return Err(problem());
        }
        let mut octets = [0; COOKIE_SECRET];
        for (index, octet) in octets.iter_mut().enumerate() {
            let pair = text.get(2 * index..2 * index + 2).ok_or_else(problem)?;
            *octet = u8::from_str_radix(pair, 16).map_err(|_| problem())?;
        }
        Ok(Some(octets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_names_its_field() {
        for (json, field) in [
            (r#"{"listen": [], "apex": ["a"]}"#, "listen"),
            (
                r#"{"listen": ["127.0.0.1"], "apex": ["a"]}"#,
                "configuration",
            ),
            (r#"{"listen": ["127.0.0.1:0"], "apex": []}"#, "apex"),
            (
                r#"{"listen": ["127.0.0.1:0"], "apex": ["a", "b c"]}"#,
                "apex[1]",
            ),
            (
                r#"{"listen": ["127.0.0.1:0"], "apex": ["a"], "workers": 0}"#,
                "workers",
            ),
            (
                r#"{"listen": ["127.0.0.1:0"], "apex": ["a"], "speed": 1}"#,
                "configuration",
            ),
            (
                r#"{"listen": ["127.0.0.1:0"], "apex": ["a"], "fail_mode": "deny"}"#,
                "configuration",
            ),
            (
                r#"{"listen": ["127.0.0.1:0", "0.0.0.0:53"], "apex": ["a"]}"#,
                "allow_from",
            ),
            (
                r#"{"listen": ["0.0.0.0:53"], "apex": ["a"], "allow_from": ["192.0.2.1", "192.0.2.1/24"]}"#,
                "allow_from[1]",
            ),
            (
                r#"{"listen": ["127.0.0.1:0"], "apex": ["a"], "cookie_secret": "00+1223344556677889900aabbccddeef"}"#,
                "cookie_secret",
            ),
            (
                r#"{"listen": ["127.0.0.1:0"], "apex": ["a"], "receive_buffer_bytes": 1}"#,
                "receive_buffer_bytes",
            ),
            (
                r#"{"listen": ["127.0.0.1:0"], "apex": ["a"], "query_names": ["{destination:reversed}", "{caller}"]}"#,
                "query_names[1]",
            ),
            (
                r#"{"listen": ["127.0.0.1:0"], "apex": ["a"], "query_names": []}"#,
                "query_names",
            ),
        ] {
            assert!(
                Config::parse(json)
                    .unwrap_err()
                    .starts_with(&format!("{field}: ")),
                "{json}"
            );
        }
        assert!(
            Config::parse(r#"{"listen": ["[::1]:0"], "apex": ["a"], "fail_mode": "none"}"#).is_ok()
        );
        let beyond = r#"{"listen": ["[::]:53"], "apex": ["a"], "allow_from": ["192.0.2.0/24"]}"#;
        assert!(Config::parse(beyond).is_ok());
    }
}
