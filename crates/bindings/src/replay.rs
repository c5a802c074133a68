//! `Replay`: recorded calls, as an Arrow IPC stream, decided again by a compiled policy (docs/contracts.md 8).
//!
//! The hot path of simulation. Columns are found by name once a batch; a row is then a walk over typed slices.
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::builder::{Int16Builder, Int32Builder, Int64Builder, ListBuilder};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int16Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use ringfence_policy::{Decision, DynamicEntries, RecordedCall, Snapshot};

use crate::policy::{Policy, PyDynamicEntries};

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Replay>()
}

/// Recorded calls decided again, batch after batch; rate conditions count on from one to the next.
#[pyclass(frozen, module = "ringfence._native")]
struct Replay {
    snapshot: Arc<Snapshot>,
    entries: Option<Arc<DynamicEntries>>,
    state: Mutex<ringfence_policy::Replay>,
}

#[pymethods]
impl Replay {
    #[new]
    #[pyo3(signature = (policy, entries=None))]
    fn new(policy: &Policy, entries: Option<&PyDynamicEntries>) -> Self {
        Self {
            snapshot: Arc::clone(&policy.snapshot),
            entries: entries.map(|entries| Arc::clone(&entries.entries)),
            state: Mutex::default(),
        }
    }

    /// Whether the calls must come in order of time.
    #[getter]
    fn needs_order(&self) -> bool {
        self.snapshot.has_rates()
    }

    /// One recorded call: (action, reason, rule id, target, monitored ids). For few calls; many go by `decide_batch`.
    #[expect(clippy::too_many_arguments, reason = "they are the columns")]
    fn decide(
        &self,
        time_us: i64,
        device_id: i16,
        source: i64,
        source_class: i16,
        destination: i64,
        destination_class: i16,
        direction: i16,
        destination_raw: Option<&str>,
    ) -> (i16, i16, u32, u64, Vec<u32>) {
        let none = DynamicEntries::default();
        let entries = self.entries.as_deref().unwrap_or(&none);
        let call = RecordedCall {
            time_us,
            device: device_id,
            source,
            source_class,
            destination,
            destination_class,
            direction,
            destination_raw: destination_raw.unwrap_or_default().as_bytes(),
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let decision = state.decide(&self.snapshot, &call, entries);
        let target = decision.target.map_or(0, |target| target.get());
        let monitored = decision.monitored.as_slice().to_vec();
        let (action, reason) = (decision.action as i16, decision.reason as i16);
        (action, reason, decision.rule_id, target, monitored)
    }

    /// Arrow IPC stream of recorded calls → one of their decisions, row for row.
    fn decide_batch<'py>(&self, py: Python<'py>, stream: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let decided = py.detach(|| catch_unwind(AssertUnwindSafe(|| self.decide_all(stream))));
        match decided {
            Ok(Ok(decisions)) => Ok(PyBytes::new(py, &decisions)),
            Ok(Err(message)) => Err(PyValueError::new_err(message)),
            Err(_) => Err(PyValueError::new_err("not an Arrow IPC stream")),
        }
    }
}

impl Replay {
    fn decide_all(&self, stream: &[u8]) -> Result<Vec<u8>, String> {
        let not_arrow = |error: ArrowError| format!("not an Arrow IPC stream: {error}");
        let none = DynamicEntries::default();
        let entries = self.entries.as_deref().unwrap_or(&none);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut decisions = Decisions::new();
        for batch in StreamReader::try_new(stream, None).map_err(not_arrow)? {
            let batch = batch.map_err(not_arrow)?;
            let calls = Calls::of(&batch)?;
            for row in 0..batch.num_rows() {
                decisions.push(&state.decide(&self.snapshot, &calls.row(row), entries));
            }
        }
        decisions.finish().map_err(|error| error.to_string())
    }
}

/// The columns of a batch of recorded calls.
struct Calls<'a> {
    time: &'a [i64],
    device: &'a [i16],
    numbers: [&'a [i64]; 2],
    classes: [&'a [i16]; 2],
    direction: &'a [i16],
    raw: &'a StringArray,
}

impl<'a> Calls<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, String> {
        let time = column(batch, "time")?;
        let DataType::Timestamp(TimeUnit::Microsecond, _) = time.data_type() else {
            return Err("column time: must be a timestamp in microseconds".to_owned());
        };
        let raw = column(batch, "destination_raw")?;
        Ok(Self {
            time: time.as_primitive::<TimestampMicrosecondType>().values(),
            device: small(batch, "device_id")?,
            numbers: [number(batch, "source")?, number(batch, "destination")?],
            classes: [
                small(batch, "source_class")?,
                small(batch, "destination_class")?,
            ],
            direction: small(batch, "direction")?,
            raw: raw
                .as_string_opt()
                .ok_or("column destination_raw: must be text")?,
        })
    }

    #[inline]
    fn row(&self, row: usize) -> RecordedCall<'a> {
        let [source, destination] = self.numbers;
        let has_text = destination[row] == 0 && self.raw.is_valid(row);
        RecordedCall {
            time_us: self.time[row],
            device: self.device[row],
            source: source[row],
            source_class: self.classes[0][row],
            destination: destination[row],
            destination_class: self.classes[1][row],
            direction: self.direction[row],
            destination_raw: if has_text {
                self.raw.value(row).as_bytes()
            } else {
                b""
            },
        }
    }
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, String> {
    batch
        .column_by_name(name)
        .ok_or_else(|| format!("column {name}: is missing"))
}

fn small<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a [i16], String> {
    let values = column(batch, name)?.as_primitive_opt::<Int16Type>();
    values
        .map(|values| &values.values()[..])
        .ok_or_else(|| format!("column {name}: must be int16"))
}

fn number<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a [i64], String> {
    let values = column(batch, name)?.as_primitive_opt::<Int64Type>();
    values
        .map(|values| &values.values()[..])
        .ok_or_else(|| format!("column {name}: must be int64"))
}

/// Decisions, column by column.
struct Decisions {
    action: Int16Builder,
    reason: Int16Builder,
    rule: Int32Builder,
    target: Int64Builder,
    monitored: ListBuilder<Int32Builder>,
}

fn decision_schema() -> SchemaRef {
    let ids = DataType::List(Arc::new(Field::new_list_field(DataType::Int32, false)));
    Arc::new(Schema::new(vec![
        Field::new("action", DataType::Int16, false),
        Field::new("reason", DataType::Int16, false),
        Field::new("rule_id", DataType::Int32, false),
        Field::new("target", DataType::Int64, false),
        Field::new("monitored", ids, true),
    ]))
}

impl Decisions {
    fn new() -> Self {
        let element = Arc::new(Field::new_list_field(DataType::Int32, false));
        Self {
            action: Int16Builder::new(),
            reason: Int16Builder::new(),
            rule: Int32Builder::new(),
            target: Int64Builder::new(),
            monitored: ListBuilder::new(Int32Builder::new()).with_field(element),
        }
    }

    #[inline]
    fn push(&mut self, decision: &Decision) {
        self.action.append_value(decision.action as i16);
        self.reason.append_value(decision.reason as i16);
        // Ids are below 2³¹ and numbers below 10¹⁵: the compiler refuses others.
        self.rule.append_value(decision.rule_id as i32);
        let target = decision.target.map_or(0, |target| target.get());
        self.target.append_value(target as i64);
        let monitored = decision.monitored.as_slice();
        for &id in monitored {
            self.monitored.values().append_value(id as i32);
        }
        self.monitored.append(!monitored.is_empty());
    }

    fn finish(mut self) -> Result<Vec<u8>, ArrowError> {
        let schema = decision_schema();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.action.finish()),
            Arc::new(self.reason.finish()),
            Arc::new(self.rule.finish()),
            Arc::new(self.target.finish()),
            Arc::new(self.monitored.finish()),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
        let room = Vec::with_capacity(batch.get_array_memory_size() + 4096);
        let mut stream = StreamWriter::try_new(room, &schema)?;
        stream.write(&batch)?;
        stream.into_inner()
    }
}
