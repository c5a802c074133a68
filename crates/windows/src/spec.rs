//! What the engine is told to watch, as JSON: everything by number, for names are resolved before.
//!
//! Written by `ringfence.detection.compiled`. A mask has bit N for word N; a mask of 0 lets everything pass.

use std::collections::HashMap;

use ringfence_numbers::{NumberSet, Pattern};
use serde::Deserialize;

use crate::call::Dataset;
use crate::measure::MeasureSpec;

/// Why a specification is none.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SpecError {
    /// Not the JSON that is expected.
    #[error("not a specification of windows: {0}")]
    Json(String),
    /// A pattern of a set of numbers is none.
    #[error("pattern {0:?}: {1}")]
    Pattern(String, String),
    /// A filter names a set that is not there.
    #[error("detection {0}: set {1} does not exist")]
    Set(usize, usize),
    /// A window or cool-down that is none.
    #[error("detection {0}: window, cool-down and threshold must be positive")]
    Length(usize),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    pub detections: Vec<DetectionSpec>,
    #[serde(default)]
    pub sets: Vec<Vec<String>>,
    /// By device.
    #[serde(default)]
    pub places: HashMap<i16, Place>,
}

/// Where a device stands.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(crate) struct Place {
    pub site: i32,
    pub country: i16,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DetectionSpec {
    pub dataset: Dataset,
    #[serde(default)]
    pub filter: FilterSpec,
    pub key: KeySpec,
    pub measure: MeasureSpec,
    pub window_us: i64,
    pub cool_down_us: i64,
    pub value: f64,
    #[serde(default)]
    pub below: bool,
    #[serde(default)]
    pub at_least: u64,
    /// Whether crossings tell the sources that were seen.
    #[serde(default)]
    pub tells_sources: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FilterSpec {
    pub directions: u32,
    pub call_types: u32,
    pub outcomes: u32,
    pub trunk_sides: u32,
    pub source_classes: u32,
    pub destination_classes: u32,
    pub source: PartySpec,
    pub destination: PartySpec,
    pub foreign: Option<bool>,
    pub same_prefix: Option<u32>,
    /// Both ends belong to it; a call that was not answered has no duration.
    pub duration_ms: Option<(i32, i32)>,
    pub devices: Option<Vec<i16>>,
    /// Ascending, without overlap; the end does not belong to it.
    pub intervals_us: Option<Vec<(i64, i64)>>,
}

/// Places of sets: in all of these, in none of those.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PartySpec {
    pub all_of: Vec<usize>,
    pub none_of: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeySpec {
    Source,
    Destination,
    Pair,
    SourcePrefix(u32),
    DestinationPrefix(u32),
    Country,
    Site,
    Device,
    All,
}

impl Spec {
    pub(crate) fn read(json: &str) -> Result<Self, SpecError> {
        serde_json::from_str(json).map_err(|error| SpecError::Json(error.to_string()))
    }

    pub(crate) fn compile_sets(&self) -> Result<Vec<NumberSet>, SpecError> {
        let compile = |patterns: &Vec<String>| {
            let parse = |text: &String| {
                text.parse::<Pattern>()
                    .map_err(|error| SpecError::Pattern(text.clone(), error.to_string()))
            };
            patterns.iter().map(parse).collect::<Result<NumberSet, _>>()
        };
        self.sets.iter().map(compile).collect()
    }
}

impl DetectionSpec {
    pub(crate) fn check(&self, place: usize, sets: usize) -> Result<(), SpecError> {
        if self.window_us <= 0
            || self.cool_down_us <= 0
            || !self.value.is_finite()
            || self.value < 0.0
        {
            return Err(SpecError::Length(place));
        }
        for party in [&self.filter.source, &self.filter.destination] {
            for &set in party.all_of.iter().chain(&party.none_of) {
                if set >= sets {
                    return Err(SpecError::Set(place, set));
                }
            }
        }
        Ok(())
    }
}
