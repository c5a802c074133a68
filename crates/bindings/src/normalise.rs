//! `Normaliser`: the numbers of whole batches of calls, by a site's dial plan, column by column.
//!
//! Ingest of dataset SIP hands over the two texts and the trunk side of each call and gets numbers, classes and
//! directions back: the very code that the ENUM server runs before it decides, so that a number means the same in a
//! decision and in a record.
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::builder::{Int16Builder, Int64Builder};
use arrow_array::cast::AsArray as _;
use arrow_array::types::Int16Type;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use ringfence_numbers::{DialPlan, Direction, Party, Site};

/// Came from the trunk, went to the trunk (`SipEvent::side`).
const FROM_TRUNK: i16 = 1;
const TO_TRUNK: i16 = 2;

/// A compiled dial plan for batches of calls.
#[pyclass(frozen, module = "ringfence._native")]
struct Normaliser {
    plan: DialPlan,
}

#[pymethods]
impl Normaliser {
    #[new]
    #[pyo3(signature = (site, protected=Vec::new()))]
    fn new(site: &str, protected: Vec<String>) -> PyResult<Self> {
        let site: Site = serde_json::from_str(site)
            .map_err(|error| PyValueError::new_err(format!("site: {error}")))?;
        DialPlan::compile(&site, &protected)
            .map(|plan| Self { plan })
            .map_err(|error| PyValueError::new_err(error.to_string()))
    }

    /// Arrow IPC stream of `source`, `destination` (utf8) and `side` (int16) → of `source`, `destination` (int64),
    /// `source_class`, `destination_class` and `direction` (int16).
    fn calls<'py>(&self, py: Python<'py>, stream: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let found = py.detach(|| catch_unwind(AssertUnwindSafe(|| self.normalise(stream))));
        match found {
            Ok(Ok(columns)) => Ok(PyBytes::new(py, &columns)),
            Ok(Err(error)) => Err(PyValueError::new_err(error.to_string())),
            Err(_) => Err(PyValueError::new_err("not an Arrow IPC stream")),
        }
    }

    /// (source, class, destination, class, direction) of one call.
    fn call(&self, source: &str, destination: &str, side: i16) -> (u64, u8, u64, u8, u8) {
        let (source, destination) = (
            self.plan.normalise(source.as_bytes()),
            self.plan.normalise(destination.as_bytes()),
        );
        let direction = self.direction(&source, &destination, side);
        (
            source.digits(),
            source.class as u8,
            destination.digits(),
            destination.class as u8,
            direction as u8,
        )
    }
}

impl Normaliser {
    /// Trunk side first, then own ranges.
    fn direction(&self, source: &Party, destination: &Party, side: i16) -> Direction {
        match side {
            FROM_TRUNK => Direction::Inbound,
            TO_TRUNK => Direction::Outbound,
            _ => self.plan.direction(source, destination),
        }
    }

    fn normalise(&self, stream: &[u8]) -> Result<Vec<u8>, ArrowError> {
        let mut columns = Columns::default();
        for batch in StreamReader::try_new(stream, None)? {
            let batch = batch?;
            let text = |name: &str| {
                batch
                    .column_by_name(name)
                    .and_then(|column| column.as_string_opt::<i32>())
                    .ok_or_else(|| ArrowError::SchemaError(format!("column {name} is not text")))
            };
            let (sources, destinations) = (text("source")?, text("destination")?);
            let sides = batch
                .column_by_name("side")
                .and_then(|column| column.as_primitive_opt::<Int16Type>())
                .ok_or_else(|| ArrowError::SchemaError("column side is not int16".to_owned()))?;
            for ((source, destination), side) in sources.iter().zip(destinations).zip(sides) {
                let source = self.plan.normalise(source.unwrap_or_default().as_bytes());
                let destination = self
                    .plan
                    .normalise(destination.unwrap_or_default().as_bytes());
                let direction = self.direction(&source, &destination, side.unwrap_or_default());
                columns.push(&source, &destination, direction);
            }
        }
        columns.finish()
    }
}

#[derive(Default)]
struct Columns {
    numbers: [Int64Builder; 2],
    words: [Int16Builder; 3],
}

impl Columns {
    fn push(&mut self, source: &Party, destination: &Party, direction: Direction) {
        for (column, party) in self.numbers.iter_mut().zip([source, destination]) {
            column.append_value(party.digits().cast_signed());
        }
        let words = [source.class as u8, destination.class as u8, direction as u8];
        for (column, word) in self.words.iter_mut().zip(words) {
            column.append_value(i16::from(word));
        }
    }

    fn finish(mut self) -> Result<Vec<u8>, ArrowError> {
        let names = [
            ("source", DataType::Int64),
            ("destination", DataType::Int64),
            ("source_class", DataType::Int16),
            ("destination_class", DataType::Int16),
            ("direction", DataType::Int16),
        ];
        let fields: Vec<Field> = names
            .into_iter()
            .map(|(name, kind)| Field::new(name, kind, false))
            .collect();
        let numbers = self.numbers.iter_mut();
        let mut arrays: Vec<ArrayRef> = numbers
            .map(|column| Arc::new(column.finish()) as ArrayRef)
            .collect();
        let words = self.words.iter_mut();
        arrays.extend(words.map(|column| Arc::new(column.finish()) as ArrayRef));
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?;
        let mut stream = StreamWriter::try_new(Vec::new(), &batch.schema())?;
        stream.write(&batch)?;
        stream.into_inner()
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Normaliser>()
}
