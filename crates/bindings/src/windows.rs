//! `Windows`: sliding windows of detections over batches of calls, as Arrow IPC streams (docs/decisions/0021-detection-windows.md).
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{ArrowPrimitiveType, Int16Type, Int32Type, Int64Type};
use arrow_ipc::reader::StreamReader;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use ringfence_windows::{Call, Crossing, Dataset, Engine, Key};

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Windows>()
}

/// Detection, key, `is_new`, `started_us`, `at_us`, `last_us`, value, threshold, calls, numbers.
type Crossed = (
    usize,
    (u64, u64),
    bool,
    i64,
    i64,
    i64,
    f64,
    f64,
    u64,
    Vec<u64>,
);

/// Counts calls for the keys of detections.
#[pyclass(frozen, module = "ringfence._native")]
struct Windows {
    engine: Mutex<Engine>,
}

#[pymethods]
impl Windows {
    /// `specification` is JSON; at most `max_keys` are held; `seed` is what callers cannot know.
    #[new]
    fn new(specification: &str, max_keys: usize, seed: u64) -> PyResult<Self> {
        let engine = Engine::new(specification, max_keys, seed)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Self {
            engine: Mutex::new(engine),
        })
    }

    /// Count the calls of an Arrow IPC stream; what crossed.
    fn feed(
        &self,
        py: Python<'_>,
        dataset: &str,
        stream: &[u8],
        now_us: i64,
    ) -> PyResult<Vec<Crossed>> {
        let dataset = match dataset {
            "enum" => Dataset::Enum,
            "sip" => Dataset::Sip,
            _ => {
                return Err(PyValueError::new_err(format!(
                    "dataset: {dataset:?} is neither enum nor sip"
                )));
            }
        };
        let fed =
            py.detach(|| catch_unwind(AssertUnwindSafe(|| self.feed_all(dataset, stream, now_us))));
        match fed {
            Ok(crossed) => crossed.map_err(PyValueError::new_err),
            Err(_) => Err(PyValueError::new_err("not an Arrow IPC stream")),
        }
    }

    /// Time has passed: what fell silent.
    fn tick(&self, py: Python<'_>, now_us: i64) -> Vec<Crossed> {
        py.detach(|| {
            self.locked()
                .tick(now_us)
                .into_iter()
                .map(crossed)
                .collect()
        })
    }

    /// A key is in an episode already.
    fn prime(&self, detection: usize, key: (u64, u64), first_us: i64, last_us: i64) {
        self.locked()
            .prime(detection, Key(key.0, key.1), first_us, last_us);
    }

    /// Let a key cross from another value until a time; it has then not crossed yet.
    fn set_threshold(&self, detection: usize, key: (u64, u64), value: f64, until_us: i64) {
        self.locked()
            .set_threshold(detection, Key(key.0, key.1), value, until_us);
    }

    /// Calls looked at, too late, ahead of the clock; keys evicted; keys and calls held.
    fn counters(&self) -> (u64, u64, u64, u64, usize, usize) {
        let now = self.locked().counters();
        (
            now.calls,
            now.too_late,
            now.ahead,
            now.evicted,
            now.keys,
            now.held,
        )
    }

    /// Keys held of each detection.
    fn keys(&self) -> Vec<usize> {
        self.locked().keys()
    }
}

impl Windows {
    fn locked(&self) -> std::sync::MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn feed_all(
        &self,
        dataset: Dataset,
        stream: &[u8],
        now_us: i64,
    ) -> Result<Vec<Crossed>, String> {
        let not_arrow = |error| format!("not an Arrow IPC stream: {error}");
        let mut engine = self.locked();
        let mut found = Vec::new();
        for batch in StreamReader::try_new(stream, None).map_err(not_arrow)? {
            let batch = batch.map_err(not_arrow)?;
            let columns = Columns::of(&batch)?;
            let calls = (0..batch.num_rows()).map(|row| columns.call(row));
            found.extend(engine.feed(dataset, calls, now_us).into_iter().map(crossed));
        }
        Ok(found)
    }
}

fn crossed(one: Crossing) -> Crossed {
    let key = (one.key.0, one.key.1);
    (
        one.detection,
        key,
        one.is_new,
        one.started_us,
        one.at_us,
        one.last_us,
        one.value,
        one.threshold,
        one.calls,
        one.numbers,
    )
}

/// The columns of a batch, found once.
struct Columns<'a> {
    time: &'a [i64],
    start: &'a [i64],
    source: &'a [i64],
    destination: &'a [i64],
    duration_ms: &'a [i32],
    device: &'a [i16],
    country: &'a [i16],
    /// Direction, call type, outcome, trunk side, class of source, of destination.
    words: [&'a [i16]; 6],
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, String> {
        let word = |name| column::<Int16Type>(batch, name, "int16");
        let number = |name| column::<Int64Type>(batch, name, "int64");
        Ok(Self {
            time: number("time_us")?,
            start: number("start_us")?,
            source: number("source")?,
            destination: number("destination")?,
            duration_ms: column::<Int32Type>(batch, "duration_ms", "int32")?,
            device: word("device_id")?,
            country: word("country")?,
            words: [
                word("direction")?,
                word("call_type")?,
                word("outcome")?,
                word("trunk_side")?,
                word("source_class")?,
                word("destination_class")?,
            ],
        })
    }

    fn call(&self, row: usize) -> Call {
        let [
            direction,
            call_type,
            outcome,
            trunk_side,
            source_class,
            destination_class,
        ] = self
            .words
            .map(|words| u8::try_from(words[row]).unwrap_or(u8::MAX));
        Call {
            time_us: self.time[row],
            start_us: self.start[row],
            source: u64::try_from(self.source[row]).unwrap_or(0),
            destination: u64::try_from(self.destination[row]).unwrap_or(0),
            duration_ms: self.duration_ms[row],
            device: self.device[row],
            country: self.country[row],
            direction,
            call_type,
            outcome,
            trunk_side,
            source_class,
            destination_class,
        }
    }
}

fn column<'a, T: ArrowPrimitiveType>(
    batch: &'a RecordBatch,
    name: &str,
    kind: &str,
) -> Result<&'a [T::Native], String> {
    let found = batch
        .column_by_name(name)
        .and_then(|column| column.as_primitive_opt::<T>());
    let found = found.ok_or_else(|| format!("column {name}: must be {kind}"))?;
    if arrow_array::Array::null_count(found) > 0 {
        return Err(format!("column {name}: must have no nulls"));
    }
    Ok(found.values())
}
