//! The only crate that names pyo3: exposes the data plane to Python as `ringfence._native`.
//!
//! One file for each part; each registers its own names. `python/ringfence/_native.pyi` is the contract.
use pyo3::prelude::*;

mod capture;
mod copy;
mod dial_plan;
mod entry_hits;
mod enum_server;
mod journal;
mod list_reader;
mod normalise;
mod policy;
mod probe;
mod replay;
mod windows;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    capture::register(module)?;
    copy::register(module)?;
    dial_plan::register(module)?;
    entry_hits::register(module)?;
    enum_server::register(module)?;
    journal::register(module)?;
    list_reader::register(module)?;
    normalise::register(module)?;
    policy::register(module)?;
    probe::register(module)?;
    replay::register(module)?;
    windows::register(module)?;
    Ok(())
}
