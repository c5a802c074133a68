//! `Policy`, `DynamicEntries`, `PolicyError`, `normalise`, `parse_source` and `canonical_pattern`: the pure parts.
use std::collections::BTreeMap;
use std::sync::Arc;

use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use ringfence_numbers::{
    DialPlan, Pattern, PatternError, ROUTING_PARAMETERS, Site, uri_user, without_escapes,
};
use ringfence_policy::{Asker, Contents, DynamicEntries, Snapshot, contents_named};

create_exception!(
    ringfence._native,
    PolicyError,
    PyValueError,
    "A policy document that does not compile; the message names the field."
);

/// A compiled policy snapshot: the very engine that decides on the wire.
#[pyclass(frozen, module = "ringfence._native")]
pub(crate) struct Policy {
    pub(crate) snapshot: Arc<Snapshot>,
}

#[pymethods]
impl Policy {
    #[new]
    #[pyo3(signature = (document, contents=None))]
    fn new(py: Python<'_>, document: &[u8], contents: Option<ContentBytes>) -> PyResult<Self> {
        let held = contents.unwrap_or_default();
        py.detach(|| Snapshot::with_contents(document, &contents_of(&held)))
            .map(|snapshot| Self {
                snapshot: Arc::new(snapshot),
            })
            .map_err(policy_error)
    }

    #[getter]
    fn version(&self) -> u32 {
        self.snapshot.version()
    }

    #[pyo3(signature = (source, destination, now_us, entries=None, client=None, apex=None))]
    #[expect(clippy::too_many_arguments, reason = "they are Python's, by name")]
    fn explain(
        &self,
        py: Python<'_>,
        source: Option<&str>,
        destination: &str,
        now_us: i64,
        entries: Option<&PyDynamicEntries>,
        client: Option<&str>,
        apex: Option<&str>,
    ) -> PyResult<String> {
        let client = client
            .map(str::parse)
            .transpose()
            .map_err(|_| PyValueError::new_err("client: is no IP address"))?;
        let asker = Asker { client, apex };
        let none = DynamicEntries::default();
        let entries = entries.map_or(&none, |entries| &*entries.entries);
        py.detach(|| {
            let explained = self
                .snapshot
                .explain_to(source, destination, now_us, entries, &asker);
            serde_json::to_string(&explained)
        })
        .map_err(|error| PyValueError::new_err(error.to_string()))
    }
}

/// Compiled entries of dynamic lists, as they act beside a policy.
#[pyclass(frozen, name = "DynamicEntries", module = "ringfence._native")]
pub(crate) struct PyDynamicEntries {
    pub(crate) entries: Arc<DynamicEntries>,
}

#[pymethods]
impl PyDynamicEntries {
    #[new]
    fn new(py: Python<'_>, document: &[u8]) -> PyResult<Self> {
        py.detach(|| DynamicEntries::from_bytes(document))
            .map(|entries| Self {
                entries: Arc::new(entries),
            })
            .map_err(policy_error)
    }

    #[getter]
    fn change(&self) -> u64 {
        self.entries.change()
    }

    fn __len__(&self) -> usize {
        self.entries.len()
    }
}

/// A pattern in its one form: two texts of the same meaning become equal.
#[pyfunction]
fn canonical_pattern(text: &str) -> PyResult<String> {
    text.parse()
        .map(|pattern: Pattern| pattern.to_string())
        .map_err(|error: PatternError| PyValueError::new_err(error.to_string()))
}

/// (E.164 digits or 0, number class) of raw text under a site's dial plan (JSON, docs/contracts.md 4).
#[pyfunction]
fn normalise(py: Python<'_>, number: &str, site: &str) -> PyResult<(u64, u8)> {
    py.detach(|| {
        let site: Site = serde_json::from_str(site)
            .map_err(|error| PyValueError::new_err(format!("site: {error}")))?;
        let plan = DialPlan::compile(&site, &[])
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        let party = plan.normalise(number.as_bytes());
        Ok((party.digits(), party.class as u8))
    })
}

/// Trunk group, its context, routing number and carrier in a source as received (RFC 4694, 4904), without escapes.
#[pyfunction]
fn parse_source(raw: &str) -> BTreeMap<&'static str, String> {
    let found = uri_user(raw.as_bytes());
    let text = |value| String::from_utf8_lossy(&without_escapes(value)).into_owned();
    ROUTING_PARAMETERS
        .into_iter()
        .filter_map(|name| Some((name, text(found.parameter(name)?))))
        .collect()
}

/// Contents of lists by their hash, as Python holds them.
pub(crate) type ContentBytes = BTreeMap<String, PyBackedBytes>;

/// The same, as the compiler takes them.
pub(crate) fn contents_of(held: &ContentBytes) -> Contents<'_> {
    held.iter()
        .map(|(hash, bytes)| (hash.as_str(), &bytes[..]))
        .collect()
}

/// Hashes of the contents of lists that a document names, each once.
#[pyfunction]
fn list_contents(py: Python<'_>, document: &[u8]) -> PyResult<Vec<String>> {
    py.detach(|| contents_named(document)).map_err(policy_error)
}

/// A refused document as Python sees it.
pub(crate) fn policy_error(error: ringfence_policy::PolicyError) -> PyErr {
    PolicyError::new_err(error.to_string())
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("PolicyError", module.py().get_type::<PolicyError>())?;
    module.add_class::<Policy>()?;
    module.add_class::<PyDynamicEntries>()?;
    module.add_function(wrap_pyfunction!(canonical_pattern, module)?)?;
    module.add_function(wrap_pyfunction!(list_contents, module)?)?;
    module.add_function(wrap_pyfunction!(parse_source, module)?)?;
    module.add_function(wrap_pyfunction!(normalise, module)?)
}
