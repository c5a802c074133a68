//! The only crate that names pyo3: exposes the data plane to Python as `ringfence._native`.
use pyo3::prelude::*;

#[pymodule]
fn _native(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
