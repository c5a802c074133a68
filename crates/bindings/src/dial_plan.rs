//! `DialPlan`: a site's plan, one number with the rule that read it, or a column of numbers at a time.
use std::sync::Arc;

use arrow_array::builder::{Int16Builder, Int64Builder};
use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use ringfence_numbers::{DialPlan, Direction, Site};

#[pyclass(name = "DialPlan", frozen)]
struct PyDialPlan {
    plan: DialPlan,
}

#[pymethods]
impl PyDialPlan {
    #[new]
    #[pyo3(signature = (site, protected = Vec::new()))]
    fn new(py: Python<'_>, site: &str, protected: Vec<String>) -> PyResult<Self> {
        py.detach(|| {
            let site: Site = serde_json::from_str(site)
                .map_err(|error| PyValueError::new_err(format!("site: {error}")))?;
            DialPlan::compile(&site, &protected)
                .map(|plan| Self { plan })
                .map_err(|error| PyValueError::new_err(error.to_string()))
        })
    }

    /// (E.164 digits or 0, number class, the rule that read it, whether it is the site's own) of raw text.
    fn read(&self, number: &str) -> (u64, u8, &'static str, bool) {
        let (party, reading) = self.plan.read(number.as_bytes());
        let is_own = self.plan.direction(&party, &party) == Direction::Internal;
        (party.digits(), party.class as u8, reading.word(), is_own)
    }

    /// Arrow IPC stream whose first column is utf8 → Arrow IPC stream of `number` (int64) and `class` (int16).
    fn normalise<'py>(&self, py: Python<'py>, stream: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = py
            .detach(|| self.normalise_stream(stream))
            .map_err(|error| PyValueError::new_err(format!("numbers: {error}")))?;
        Ok(PyBytes::new(py, &bytes))
    }
}

impl PyDialPlan {
    fn normalise_stream(&self, stream: &[u8]) -> Result<Vec<u8>, ArrowError> {
        let schema = Arc::new(Schema::new(vec![
            Field::new("number", DataType::Int64, false),
            Field::new("class", DataType::Int16, false),
        ]));
        let mut out = StreamWriter::try_new(Vec::new(), &schema)?;
        for batch in StreamReader::try_new(stream, None)? {
            let (numbers, classes) = self.normalise_batch(&batch?)?;
            out.write(&RecordBatch::try_new(
                Arc::clone(&schema),
                vec![Arc::new(numbers), Arc::new(classes)],
            )?)?;
        }
        out.into_inner()
    }

    fn normalise_batch(
        &self,
        batch: &RecordBatch,
    ) -> Result<(arrow_array::Int64Array, arrow_array::Int16Array), ArrowError> {
        let texts = batch
            .columns()
            .first()
            .and_then(|column| column.as_string_opt::<i32>())
            .ok_or_else(|| ArrowError::SchemaError("the first column must be utf8".to_owned()))?;
        let mut numbers = Int64Builder::with_capacity(texts.len());
        let mut classes = Int16Builder::with_capacity(texts.len());
        for text in texts {
            let party = self.plan.normalise(text.unwrap_or_default().as_bytes());
            // E.164 has at most 15 digits.
            numbers.append_value(i64::try_from(party.digits()).unwrap_or_default());
            classes.append_value(i16::from(party.class as u8));
        }
        Ok((numbers.finish(), classes.finish()))
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyDialPlan>()
}
