//! `CaptureReader`: a capture file from its first packet to its last, calls as JSON lines, on the caller's thread.
//!
//! Nothing of Python is touched while packets are read: calls are gathered as text, and a batch of them is handed over
//! with the GIL taken for that moment. Another thread sees the progress and can cancel.
use std::fs::File;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use ringfence_numbers::{DialPlan, Site};
use ringfence_probe::dialogs::Arrival;
use ringfence_probe::engine::{EngineConfig, Output, Progress, read_capture};
use ringfence_probe::event::TrunkNetworks;
use ringfence_probe::ladder::{LadderLimits, Ladders};
use ringfence_probe::line::CallLine;
use ringfence_probe::record::{CallKey, CallRecord};
use ringfence_probe::source::SourceError;
use serde::Deserialize;

/// Calls handed to Python at once, and octets of their text.
const BATCH_CALLS: usize = 1000;
const BATCH_OCTETS: usize = 4 << 20;

/// What a reader is asked for; every field may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    engine: EngineConfig,
    /// With the messages of each call.
    messages: bool,
    /// Most octets of messages of one call.
    call_octets: Option<usize>,
    trunk_networks: Vec<String>,
    /// Dial plan as in a policy document: without it lines have no `numbers`.
    site: Option<Site>,
    protected: Vec<String>,
}

/// Reads one capture file.
#[pyclass(frozen, module = "ringfence._native")]
struct CaptureReader {
    path: String,
    options: Mutex<Option<Prepared>>,
    progress: Arc<Progress>,
}

struct Prepared {
    engine: EngineConfig,
    ladders: Option<Ladders>,
    trunk: TrunkNetworks,
    plan: Option<DialPlan>,
}

#[pymethods]
impl CaptureReader {
    /// `path` `-` is standard input; `options` a JSON object.
    #[new]
    #[pyo3(signature = (path, options="{}"))]
    fn new(path: String, options: &str) -> PyResult<Self> {
        let options: Options = serde_json::from_str(options)
            .map_err(|error| PyValueError::new_err(format!("options: {error}")))?;
        let trunk = TrunkNetworks::parse(options.trunk_networks.iter().map(String::as_str))
            .map_err(|error| PyValueError::new_err(format!("trunk_networks: {error}")))?;
        let plan = options
            .site
            .map(|site| DialPlan::compile(&site, &options.protected))
            .transpose()
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        let mut limits = LadderLimits::default();
        if let Some(octets) = options.call_octets {
            limits.call_octets = octets;
        }
        let prepared = Prepared {
            engine: options.engine,
            ladders: options.messages.then(|| Ladders::new(limits)),
            trunk,
            plan,
        };
        Ok(Self {
            path,
            options: Mutex::new(Some(prepared)),
            progress: Arc::default(),
        })
    }

    /// Read it all; `calls` is given lists of JSON texts, one for each call in the order of their ends. JSON of the
    /// outcome. Once only.
    fn run(&self, py: Python<'_>, calls: Py<PyAny>) -> PyResult<String> {
        let prepared = self
            .options
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .ok_or_else(|| PyValueError::new_err("a capture is read once: make another reader"))?;
        let engine = prepared.engine;
        let output = Lines {
            prepared,
            calls,
            batch: Vec::new(),
            octets: 0,
            progress: Arc::clone(&self.progress),
            error: None,
        };
        let (outcome, mut output) = py
            .detach(|| {
                let input: Box<dyn Read + Send> = if self.path == "-" {
                    Box::new(std::io::stdin())
                } else {
                    Box::new(File::open(&self.path)?)
                };
                let (outcome, mut output) = read_capture(input, &engine, output, &self.progress)?;
                output.hand_over();
                Ok::<_, SourceError>((outcome, output))
            })
            .map_err(source_error)?;
        match output.error.take() {
            Some(error) => Err(error),
            None => serde_json::to_string(&outcome)
                .map_err(|error| PyValueError::new_err(error.to_string())),
        }
    }

    /// (octets of the file, frames) read until now.
    fn progress(&self) -> (u64, u64) {
        (self.progress.octets(), self.progress.frames())
    }

    /// End soon: what was found until then is given.
    fn cancel(&self) {
        self.progress.cancel();
    }
}

fn source_error(error: SourceError) -> PyErr {
    match error {
        SourceError::Io(error) => PyOSError::new_err(error.to_string()),
        other => PyValueError::new_err(other.to_string()),
    }
}

/// Makes each call a line.
struct Lines {
    prepared: Prepared,
    calls: Py<PyAny>,
    batch: Vec<String>,
    octets: usize,
    progress: Arc<Progress>,
    error: Option<PyErr>,
}

impl Lines {
    fn hand_over(&mut self) {
        if self.batch.is_empty() || self.error.is_some() {
            return;
        }
        let batch = std::mem::take(&mut self.batch);
        self.octets = 0;
        if let Err(error) = Python::attach(|py| self.calls.call1(py, (batch,)).map(drop)) {
            self.error = Some(error);
            self.progress.cancel();
        }
    }
}

impl Output for Lines {
    fn call(&mut self, record: &CallRecord<'_>) {
        let ladder = self
            .prepared
            .ladders
            .as_mut()
            .map(|ladders| ladders.take(record.key));
        let line = CallLine::of(
            record,
            self.prepared.plan.as_ref(),
            &self.prepared.trunk,
            ladder.as_ref(),
        );
        // A record is plain values and texts: it serialises.
        if let Ok(text) = serde_json::to_string(&line) {
            self.octets += text.len();
            self.batch.push(text);
        }
        if self.batch.len() >= BATCH_CALLS || self.octets >= BATCH_OCTETS {
            self.hand_over();
        }
    }

    fn message(&mut self, call: CallKey, arrival: &Arrival, message: &[u8]) {
        if let Some(ladders) = &mut self.prepared.ladders {
            ladders.add(call, arrival, message);
        }
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<CaptureReader>()
}
