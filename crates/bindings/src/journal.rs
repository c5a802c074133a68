//! `Journal`, `open_journal`: the reading side of a device's journal for the uplink.
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use ringfence_journal::{Config, Journal, JournalError, Reader};

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyJournal>()?;
    module.add_function(wrap_pyfunction!(open_journal, module)?)
}

/// Reading side of a device's journal.
#[pyclass(name = "Journal", module = "ringfence._native", frozen)]
pub(crate) struct PyJournal {
    journal: Arc<Journal>,
    reader: Reader,
}

impl PyJournal {
    /// A view of a journal that someone else (the ENUM server) opened and writes.
    pub(crate) fn new(journal: Arc<Journal>) -> Self {
        let reader = journal.reader();
        Self { journal, reader }
    }
}

#[pymethods]
impl PyJournal {
    #[getter]
    fn journal_id(&self) -> u64 {
        self.journal.journal_id()
    }

    /// Events counted as lost since the journal was opened.
    #[getter]
    fn lost(&self) -> u64 {
        self.journal.lost()
    }

    fn streams(&self) -> Vec<(u32, u64, u64, u64)> {
        let streams = self.reader.streams();
        streams
            .into_iter()
            .map(|one| (one.stream, one.first, one.durable, one.acknowledged))
            .collect()
    }

    fn read<'py>(
        &self,
        py: Python<'py>,
        stream: u32,
        first: u64,
        max_events: usize,
    ) -> PyResult<Option<(u64, u64, Bound<'py, PyBytes>)>> {
        let read = py.detach(|| -> Result<_, JournalError> {
            let Some(batch) = self.reader.read(stream, first, max_events)? else {
                return Ok(None);
            };
            Ok(Some((batch.first(), batch.last(), batch.to_arrow()?)))
        });
        let found = read.map_err(to_python)?;
        Ok(found.map(|(first, last, arrow)| (first, last, PyBytes::new(py, &arrow))))
    }

    fn acknowledge(&self, py: Python<'_>, stream: u32, sequence: u64) -> PyResult<()> {
        py.detach(|| self.reader.acknowledge(stream, sequence))
            .map_err(to_python)
    }

    /// Compare with what the mediation holds; a text when the folder was set back and the journal has a new id.
    fn reconcile(&self, py: Python<'_>, received: BTreeMap<u32, u64>) -> PyResult<Option<String>> {
        py.detach(|| self.reader.reconcile(&received))
            .map_err(to_python)
    }

    fn wait(&self, py: Python<'_>, timeout_ms: u64) -> bool {
        py.detach(|| self.reader.wait(Duration::from_millis(timeout_ms)))
    }

    /// What recovery and operation found that a person should know; emptied by the call.
    fn take_notices(&self) -> Vec<String> {
        self.journal.take_notices()
    }

    /// Flush and stop; whether everything is durable. Idempotent.
    fn close(&self, py: Python<'_>) -> bool {
        py.detach(|| self.journal.close())
    }
}

/// Open a journal that no process has open, and recover what its stage holds.
#[pyfunction]
#[pyo3(signature = (folder, stage=None))]
fn open_journal(py: Python<'_>, folder: PathBuf, stage: Option<PathBuf>) -> PyResult<PyJournal> {
    let config = Config {
        stage,
        ..Config::new(folder)
    };
    let journal = py.detach(|| Journal::open(config)).map_err(to_python)?;
    Ok(PyJournal::new(Arc::new(journal)))
}

/// The operator's and the caller's faults are `ValueError`, the disk's `OSError`.
fn to_python(error: JournalError) -> PyErr {
    match &error {
        JournalError::Config { .. }
        | JournalError::NoStream(_)
        | JournalError::AcknowledgedTooFar { .. }
        | JournalError::Event { .. } => PyValueError::new_err(error.to_string()),
        JournalError::Io { source, .. } => match source.raw_os_error() {
            Some(code) => PyOSError::new_err((code, error.to_string())),
            None => PyOSError::new_err(error.to_string()),
        },
        _ => PyOSError::new_err(error.to_string()),
    }
}
