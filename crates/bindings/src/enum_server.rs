//! `EnumServer`: start, policy, counters, stop. Nothing of it is called for a query.
use std::sync::Arc;

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use ringfence_enum_server::{Config, Server, StartError};

use crate::journal::PyJournal;
use crate::policy::{ContentBytes, contents_of, policy_error};

/// The ENUM server's sockets and data-plane threads.
#[pyclass(frozen, module = "ringfence._native")]
struct EnumServer {
    server: Server,
}

#[pymethods]
impl EnumServer {
    #[new]
    #[pyo3(signature = (configuration, policy=None, entries=None, contents=None))]
    fn new(
        py: Python<'_>,
        configuration: &str,
        policy: Option<&[u8]>,
        entries: Option<&[u8]>,
        contents: Option<ContentBytes>,
    ) -> PyResult<Self> {
        let held = contents.unwrap_or_default();
        py.detach(|| {
            let config = Config::parse(configuration).map_err(PyValueError::new_err)?;
            let contents = contents_of(&held);
            let policy = policy.map(|document| (document, &contents));
            Server::start_with(&config, policy, entries)
                .map(|server| Self { server })
                .map_err(start_error)
        })
    }

    #[getter]
    fn addresses(&self) -> Vec<String> {
        self.server
            .addresses()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[pyo3(signature = (document, contents=None))]
    fn install(
        &self,
        py: Python<'_>,
        document: &[u8],
        contents: Option<ContentBytes>,
    ) -> PyResult<()> {
        let held = contents.unwrap_or_default();
        py.detach(|| self.server.install_with(document, &contents_of(&held)))
            .map_err(policy_error)
    }

    fn uninstall(&self, py: Python<'_>) {
        py.detach(|| self.server.uninstall());
    }

    fn install_entries(&self, py: Python<'_>, document: &[u8]) -> PyResult<()> {
        py.detach(|| self.server.install_entries(document))
            .map_err(policy_error)
    }

    #[getter]
    fn entries_change(&self) -> u64 {
        self.server.entries_change()
    }

    #[getter]
    fn policy_version(&self) -> u32 {
        self.server.policy_version()
    }

    fn counters(&self) -> PyResult<String> {
        let counters: serde_json::Map<_, _> = self
            .server
            .counters()
            .into_iter()
            .map(|(name, count)| (name, count.into()))
            .collect();
        serde_json::to_string(&counters).map_err(|error| PyRuntimeError::new_err(error.to_string()))
    }

    fn notices(&self) -> PyResult<String> {
        serde_json::to_string(&self.server.notices())
            .map_err(|error| PyRuntimeError::new_err(error.to_string()))
    }

    fn journal(&self) -> PyResult<PyJournal> {
        let journal = self.server.journal();
        let journal =
            journal.ok_or_else(|| PyValueError::new_err("journal: the configuration has none"))?;
        Ok(PyJournal::new(Arc::clone(journal)))
    }

    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.server.stop());
    }
}

fn start_error(error: StartError) -> PyErr {
    match &error {
        StartError::Policy(refused) => policy_error(refused.clone()),
        StartError::Configuration(text) => PyValueError::new_err(text.clone()),
        StartError::Listen { error: system, .. } => match system.raw_os_error() {
            Some(code) => PyOSError::new_err((code, error.to_string())),
            None => PyOSError::new_err(error.to_string()),
        },
        StartError::Journal(_) | StartError::Thread(_) => PyOSError::new_err(error.to_string()),
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<EnumServer>()
}
