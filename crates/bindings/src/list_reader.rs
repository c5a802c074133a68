//! `ListReader`, `ListBatch`: a list's file, fed in parts, as rows for PostgreSQL's binary COPY. No Python object for a row.
use std::sync::Mutex;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use ringfence_events::copy::{POSTGRESQL_EPOCH_US, SIGNATURE};
use ringfence_numbers::{DialPlan, Pattern, Site};
use ringfence_policy::{Fault, Format, Limits, ListReader, Listed, ListedEntry};

/// Reads a list in parts.
#[pyclass(frozen, name = "ListReader", module = "ringfence._native")]
struct PyListReader {
    reader: Mutex<Option<ListReader>>,
}

/// Line, what stands there, what is wrong.
type PyFault = (u64, String, String);

#[pymethods]
impl PyListReader {
    #[new]
    fn new(format: &str, site: &str, max_entries: usize, max_faults: usize) -> PyResult<Self> {
        let format = match format {
            "csv" => Format::Csv,
            "numbers" => Format::Numbers,
            other => {
                return Err(PyValueError::new_err(format!(
                    "format: {other:?} is neither csv nor numbers"
                )));
            }
        };
        let site: Site = serde_json::from_str(site)
            .map_err(|error| PyValueError::new_err(format!("site: {error}")))?;
        let plan = DialPlan::compile(&site, &[])
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        let limits = Limits {
            entries: max_entries,
            faults: max_faults,
        };
        Ok(Self {
            reader: Mutex::new(Some(ListReader::new(format, plan, limits))),
        })
    }

    /// Goes on with a part; how many entries there are so far.
    fn feed(&self, py: Python<'_>, part: &[u8]) -> PyResult<usize> {
        py.detach(|| {
            let mut reader = self.reader.lock().map_err(|_| finished())?;
            let reader = reader.as_mut().ok_or_else(finished)?;
            reader.feed(part);
            Ok(reader.entries())
        })
    }

    fn finish(&self, py: Python<'_>) -> PyResult<PyListBatch> {
        py.detach(|| {
            let reader = self.reader.lock().map_err(|_| finished())?.take();
            Ok(match reader.ok_or_else(finished)?.finish() {
                Ok(listed) => PyListBatch {
                    listed,
                    faults: Vec::new(),
                    fault_count: 0,
                },
                Err((faults, fault_count)) => PyListBatch {
                    listed: Listed::default(),
                    faults,
                    fault_count,
                },
            })
        })
    }
}

fn finished() -> PyErr {
    PyValueError::new_err("the reader is finished")
}

/// What a file came to: entries, or faults.
#[pyclass(frozen, name = "ListBatch", module = "ringfence._native")]
struct PyListBatch {
    listed: Listed,
    faults: Vec<Fault>,
    fault_count: u64,
}

#[pymethods]
impl PyListBatch {
    fn __len__(&self) -> usize {
        self.listed.len()
    }

    #[getter]
    fn repeated(&self) -> u64 {
        self.listed.repeated
    }

    #[getter]
    fn faults(&self) -> Vec<PyFault> {
        let shown = |fault: &Fault| (fault.line, fault.text.clone(), fault.problem.clone());
        self.faults.iter().map(shown).collect()
    }

    #[getter]
    fn fault_count(&self) -> u64 {
        self.fault_count
    }

    /// Binary COPY of the entries from `first` on, at most `count`, with the stream's head before the first entry and
    /// its end behind the last: pattern text, low int8, high int8 (of a number or range), note text, end timestamptz.
    fn copy_rows<'py>(&self, py: Python<'py>, first: usize, count: usize) -> Bound<'py, PyBytes> {
        let copy = py.detach(|| {
            let mut copy = Vec::with_capacity(count.min(self.listed.len()) * 64);
            if first == 0 {
                copy.extend_from_slice(SIGNATURE);
            }
            let last = self.listed.len().min(first.saturating_add(count));
            (first..last)
                .filter_map(|place| self.listed.get(place))
                .for_each(|entry| write_row(&entry, &mut copy));
            if last == self.listed.len() {
                copy.extend_from_slice(&(-1i16).to_be_bytes());
            }
            copy
        });
        PyBytes::new(py, &copy)
    }
}

fn write_row(entry: &ListedEntry<'_>, copy: &mut Vec<u8>) {
    copy.extend_from_slice(&5i16.to_be_bytes());
    let (low, high) = span(entry.pattern);
    write_text(entry.text, copy);
    write_int(low, copy);
    write_int(high, copy);
    write_text(entry.note, copy);
    write_int(entry.end.map(|end| end - POSTGRESQL_EPOCH_US), copy);
}

fn write_text(text: &str, copy: &mut Vec<u8>) {
    copy.extend_from_slice(&(text.len() as i32).to_be_bytes());
    copy.extend_from_slice(text.as_bytes());
}

fn write_int(value: Option<i64>, copy: &mut Vec<u8>) {
    match value {
        Some(value) => {
            copy.extend_from_slice(&8i32.to_be_bytes());
            copy.extend_from_slice(&value.to_be_bytes());
        }
        None => copy.extend_from_slice(&(-1i32).to_be_bytes()),
    }
}

/// First and last number of a number or a range; nothing for prefixes and wildcards.
fn span(pattern: Pattern) -> (Option<i64>, Option<i64>) {
    match pattern {
        Pattern::Exact(number) => (Some(number.get() as i64), Some(number.get() as i64)),
        Pattern::Range(low, high) => (Some(low.get() as i64), Some(high.get() as i64)),
        _ => (None, None),
    }
}

/// A pattern in its one form, with its first and last number where it is a number or a range.
#[pyfunction]
fn pattern_span(text: &str) -> PyResult<(String, Option<i64>, Option<i64>)> {
    let pattern: Pattern = text
        .parse()
        .map_err(|error: ringfence_numbers::PatternError| {
            PyValueError::new_err(error.to_string())
        })?;
    let (low, high) = span(pattern);
    Ok((pattern.to_string(), low, high))
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyListReader>()?;
    module.add_class::<PyListBatch>()?;
    module.add_function(wrap_pyfunction!(pattern_span, module)?)
}
