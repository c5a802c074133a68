//! `arrow_to_copy`: the way of rows into the database, whose work is [`ringfence_events::copy`]'s.
use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use ringfence_events::copy;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(arrow_to_copy, module)?)
}

/// Arrow IPC stream → PostgreSQL binary COPY.
#[pyfunction]
fn arrow_to_copy<'py>(py: Python<'py>, stream: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    // The stream comes from the network: should the Arrow reader panic on hostile bytes, it is still a bad stream.
    let converted = py.detach(|| catch_unwind(AssertUnwindSafe(|| copy::arrow_to_copy(stream))));
    match converted {
        Ok(Ok(copy)) => Ok(PyBytes::new(py, &copy)),
        Ok(Err(error)) => Err(PyValueError::new_err(error.to_string())),
        Err(_) => Err(PyValueError::new_err("not an Arrow IPC stream")),
    }
}
