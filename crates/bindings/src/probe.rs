//! `Probe`: a live probe whose calls go to the journal. Nothing of Python is touched for a packet or a call.
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use ringfence_enum_server::JournalConfig;
use ringfence_journal::{Journal, StreamWriter};
use ringfence_probe::dialogs::Arrival;
use ringfence_probe::engine::{LiveConfig, LiveProbe, LiveStatistics, Output};
use ringfence_probe::event::{TrunkNetworks, event_of};
use ringfence_probe::ladder::{Ladder, LadderLimits, Ladders};
use ringfence_probe::line::CallLine;
use ringfence_probe::record::{CallKey, CallRecord};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::journal::PyJournal;

/// Ladders of ended calls that wait for the agent, octets; beyond it the oldest go.
const WAITING_OCTETS: usize = 32 << 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Configuration {
    live: LiveConfig,
    journal: JournalConfig,
    #[serde(default)]
    trunk_networks: Vec<String>,
    /// Octets of messages kept of one call; null keeps none.
    #[serde(default)]
    call_octets: Option<usize>,
}

/// A running probe.
#[pyclass(frozen, module = "ringfence._native")]
struct Probe {
    live: Mutex<LiveProbe<Recorder>>,
    journal: Arc<Journal>,
    /// Interfaces that were asked for: one that is gone is a fault.
    told: Mutex<bool>,
}

#[pymethods]
impl Probe {
    #[new]
    fn new(py: Python<'_>, configuration: &str) -> PyResult<Self> {
        let configuration: Configuration = serde_json::from_str(configuration)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        let trunk = TrunkNetworks::parse(configuration.trunk_networks.iter().map(String::as_str))
            .map_err(|error| PyValueError::new_err(format!("trunk_networks: {error}")))?;
        py.detach(|| {
            let journal = Journal::open(configuration.journal.to_journal())
                .map_err(|error| PyOSError::new_err(error.to_string()))?;
            let writer = journal
                .writer(0)
                .map_err(|error| PyOSError::new_err(error.to_string()))?;
            let recorder = Recorder {
                writer,
                trunk,
                details: Vec::new(),
                ladders: configuration.call_octets.map(|call_octets| {
                    Ladders::new(LadderLimits {
                        call_octets,
                        ..LadderLimits::default()
                    })
                }),
                ended: VecDeque::new(),
                ended_octets: 0,
                left_out: 0,
            };
            let live = LiveProbe::start(&configuration.live, recorder).map_err(start_error)?;
            Ok(Self {
                live: Mutex::new(live),
                journal: Arc::new(journal),
                told: Mutex::new(false),
            })
        })
    }

    /// ADDRESS:PORT of each HEP listener.
    #[getter]
    fn addresses(&self) -> Vec<String> {
        let addresses = lock(&self.live).hep_addresses();
        addresses.iter().map(ToString::to_string).collect()
    }

    /// JSON object of counters by name.
    fn counters(&self, py: Python<'_>) -> PyResult<String> {
        let counters = py.detach(|| {
            let live = lock(&self.live);
            let statistics = live.statistics();
            let (in_progress, recorder) = live
                .inspect(|dialogs, recorder| (dialogs.in_progress().count(), recorder.counters()));
            flat(&statistics, in_progress, recorder, self.journal.lost())
        });
        serde_json::to_string(&counters).map_err(|error| PyRuntimeError::new_err(error.to_string()))
    }

    /// JSON object of everything that was counted, by source and layer.
    fn statistics(&self, py: Python<'_>) -> PyResult<String> {
        let statistics = py.detach(|| lock(&self.live).statistics());
        serde_json::to_string(&statistics)
            .map_err(|error| PyRuntimeError::new_err(error.to_string()))
    }

    /// JSON list of calls in progress, the newest first, at most `limit`.
    fn calls(&self, py: Python<'_>, limit: usize) -> PyResult<String> {
        let lines = py.detach(|| {
            lock(&self.live).inspect(|dialogs, recorder| {
                let mut records: Vec<CallRecord<'_>> = dialogs.in_progress().collect();
                records.sort_unstable_by_key(|record| std::cmp::Reverse(record.times.start_us));
                records.truncate(limit);
                let lines: Vec<CallLine<'_>> = records
                    .iter()
                    .map(|record| CallLine::of(record, None, &recorder.trunk, None))
                    .collect();
                serde_json::to_string(&lines)
            })
        });
        lines.map_err(|error| PyRuntimeError::new_err(error.to_string()))
    }

    /// Ladders of calls that ended since the last call: JSON texts, each with `call_id`, `time_us`, `messages`.
    fn take_ladders(&self, py: Python<'_>) -> Vec<String> {
        py.detach(|| {
            lock(&self.live).inspect(|_, recorder| {
                recorder.ended_octets = 0;
                std::mem::take(&mut recorder.ended).into()
            })
        })
    }

    /// JSON list of what a person should know since the last call.
    fn notices(&self) -> String {
        let has_failed = lock(&self.live).has_failed();
        let mut told = lock(&self.told);
        let notices = if has_failed && !*told {
            json!([{"notice": "interface_lost"}])
        } else {
            json!([])
        };
        *told = has_failed;
        notices.to_string()
    }

    /// What does not deliver; None when all does.
    fn wrong(&self) -> Option<&'static str> {
        lock(&self.live)
            .has_failed()
            .then_some("an interface is gone: its capture has ended")
    }

    fn journal(&self) -> PyJournal {
        PyJournal::new(Arc::clone(&self.journal))
    }

    /// Stop capturing; every call that is left makes its record; then flush the journal. Idempotent.
    fn stop(&self, py: Python<'_>) {
        py.detach(|| {
            let mut live = lock(&self.live);
            live.stop();
            live.inspect(|_, recorder| recorder.writer.commit());
            self.journal.close();
        });
    }
}

/// Where calls go: to the journal, and their messages to the agent.
struct Recorder {
    writer: StreamWriter,
    trunk: TrunkNetworks,
    details: Vec<u8>,
    ladders: Option<Ladders>,
    ended: VecDeque<String>,
    ended_octets: usize,
    left_out: u64,
}

#[derive(Serialize)]
struct EndedLadder<'a> {
    call_id: String,
    time_us: i64,
    messages: &'a Ladder,
}

impl Output for Recorder {
    fn call(&mut self, record: &CallRecord<'_>) {
        let mut details = std::mem::take(&mut self.details);
        self.writer
            .record(&event_of(record, &self.trunk, &mut details));
        self.writer.commit();
        self.details = details;
        self.keep_ladder(record);
    }

    fn message(&mut self, call: CallKey, arrival: &Arrival, message: &[u8]) {
        if let Some(ladders) = &mut self.ladders {
            ladders.add(call, arrival, message);
        }
    }
}

impl Recorder {
    fn keep_ladder(&mut self, record: &CallRecord<'_>) {
        let Some(ladders) = &mut self.ladders else {
            return;
        };
        let ladder = ladders.take(record.key);
        if ladder.messages.is_empty() {
            return;
        }
        let ended = EndedLadder {
            call_id: record.call_id.to_string(),
            time_us: record.times.start_us,
            messages: &ladder,
        };
        let Ok(text) = serde_json::to_string(&ended) else {
            return;
        };
        self.ended_octets += text.len();
        self.ended.push_back(text);
        while self.ended_octets > WAITING_OCTETS {
            let Some(oldest) = self.ended.pop_front() else {
                break;
            };
            self.ended_octets -= oldest.len();
            self.left_out += 1;
        }
    }

    fn counters(&self) -> (u64, usize) {
        let forgotten = self.ladders.as_ref().map_or(0, Ladders::forgotten);
        let held = self.ladders.as_ref().map_or(0, Ladders::octets);
        (self.left_out + forgotten, held + self.ended_octets)
    }
}

/// The figures that are watched, by their names in docs/metrics.md.
fn flat(
    statistics: &LiveStatistics,
    in_progress: usize,
    (ladders_lost, ladder_octets): (u64, usize),
    events_lost: u64,
) -> Map<String, Value> {
    let engine = &statistics.engine;
    let packets: u64 = statistics
        .interfaces
        .iter()
        .map(|(_, counted)| counted.packets)
        .sum();
    let (hep_packets, hep_refused) =
        statistics
            .hep
            .iter()
            .fold((0, 0), |(packets, refused), (_, counted)| {
                (
                    packets + counted.packets,
                    refused + counted.refused + counted.malformed,
                )
            });
    let dialogs = &engine.dialogs;
    [
        ("packets", packets),
        ("packets_lost", statistics.probe_lost),
        ("messages_lost", statistics.messages_lost),
        ("hep_packets", hep_packets),
        ("hep_refused", hep_refused),
        ("sip_messages", dialogs.messages),
        ("sip_malformed", dialogs.malformed),
        ("calls", dialogs.calls),
        ("records", dialogs.records),
        ("registrations", dialogs.registrations),
        ("options", dialogs.options),
        ("scanners", dialogs.scanners),
        (
            "calls_evicted",
            dialogs.evicted + dialogs.dropped_unanswered,
        ),
        ("calls_in_progress", in_progress as u64),
        ("streams_in_progress", engine.streams_now as u64),
        ("ladders_lost", ladders_lost),
        ("ladder_octets", ladder_octets as u64),
        ("events_lost", events_lost),
    ]
    .into_iter()
    .map(|(name, count)| (name.to_owned(), count.into()))
    .collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start_error(error: io::Error) -> PyErr {
    match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::Other => {
            PyValueError::new_err(error.to_string())
        }
        _ => PyOSError::new_err(error.to_string()),
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Probe>()
}
