//! The Arrow schema of dataset ENUM, version 1 (docs/contracts.md 3), and the builder of its batches.
//!
//! No column is null. Numbers that do not fit their column (which no maker writes) are held at its maximum.
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::builder::{
    Int16Builder, Int32Builder, Int64Builder, ListBuilder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::EnumEvent;

/// Key of the schema's metadata that names schema and version.
pub const SCHEMA_KEY: &str = "ringfence.schema";
/// Name and version of this schema.
pub const SCHEMA_NAME: &str = "enum.1";

/// The schema, columns in the order of docs/contracts.md 3.
pub fn enum_schema() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let ids = DataType::List(Arc::new(Field::new_list_field(DataType::Int32, false)));
    let columns = [
        ("sequence", DataType::Int64),
        ("time", time),
        ("peer", DataType::Utf8),
        ("peer_port", DataType::Int32),
        ("transport", DataType::Int16),
        ("source", DataType::Int64),
        ("destination", DataType::Int64),
        ("target", DataType::Int64),
        ("source_class", DataType::Int16),
        ("destination_class", DataType::Int16),
        ("source_origin", DataType::Int16),
        ("direction", DataType::Int16),
        ("action", DataType::Int16),
        ("reason", DataType::Int16),
        ("rcode", DataType::Int16),
        ("rule_id", DataType::Int32),
        ("policy_version", DataType::Int32),
        ("latency_ns", DataType::Int32),
        ("source_raw", DataType::Utf8),
        ("destination_raw", DataType::Utf8),
        ("monitored", ids),
    ];
    let fields: Vec<Field> = columns
        .into_iter()
        .map(|(name, kind)| Field::new(name, kind, false))
        .collect();
    let metadata = HashMap::from([(SCHEMA_KEY.to_owned(), SCHEMA_NAME.to_owned())]);
    Arc::new(Schema::new_with_metadata(fields, metadata))
}

/// Collects events column by column and writes them as one Arrow IPC stream.
#[derive(Debug)]
pub struct EnumBatch {
    schema: SchemaRef,
    sequence: Int64Builder,
    time: TimestampMicrosecondBuilder,
    peer: StringBuilder,
    peer_port: Int32Builder,
    numbers: [Int64Builder; 3],
    transport: Int16Builder,
    words: [Int16Builder; 7],
    ids: [Int32Builder; 3],
    raws: [StringBuilder; 2],
    monitored: ListBuilder<Int32Builder>,
    text: String,
}

impl EnumBatch {
    /// An empty batch with room for `capacity` events.
    pub fn with_capacity(capacity: usize) -> Self {
        let element = Arc::new(Field::new_list_field(DataType::Int32, false));
        Self {
            schema: enum_schema(),
            sequence: Int64Builder::with_capacity(capacity),
            time: TimestampMicrosecondBuilder::with_capacity(capacity).with_timezone("UTC"),
            peer: StringBuilder::with_capacity(capacity, capacity * 12),
            peer_port: Int32Builder::with_capacity(capacity),
            numbers: std::array::from_fn(|_| Int64Builder::with_capacity(capacity)),
            transport: Int16Builder::with_capacity(capacity),
            words: std::array::from_fn(|_| Int16Builder::with_capacity(capacity)),
            ids: std::array::from_fn(|_| Int32Builder::with_capacity(capacity)),
            raws: std::array::from_fn(|_| StringBuilder::with_capacity(capacity, capacity * 32)),
            monitored: ListBuilder::with_capacity(Int32Builder::new(), capacity)
                .with_field(element),
            text: String::new(),
        }
    }

    /// Add one event under its sequence.
    pub fn push(&mut self, sequence: u64, event: &EnumEvent<'_>) {
        self.sequence.append_value(clamp_64(sequence));
        self.time.append_value(event.time_us);
        self.text.clear();
        // Writing into a String cannot fail.
        let _ = write!(self.text, "{}", event.peer.ip());
        self.peer.append_value(&self.text);
        self.peer_port.append_value(i32::from(event.peer.port()));
        self.transport.append_value(i16::from(event.transport));
        for (column, value) in
            self.numbers
                .iter_mut()
                .zip([event.source, event.destination, event.target])
        {
            column.append_value(clamp_64(value));
        }
        let words = [
            event.source_class,
            event.destination_class,
            event.source_origin,
            event.direction,
            event.action,
            event.reason,
            event.rcode,
        ];
        for (column, value) in self.words.iter_mut().zip(words) {
            column.append_value(i16::from(value));
        }
        for (column, value) in
            self.ids
                .iter_mut()
                .zip([event.rule_id, event.policy_version, event.latency_ns])
        {
            column.append_value(clamp_32(value));
        }
        for (column, raw) in self
            .raws
            .iter_mut()
            .zip([event.source_raw, event.destination_raw])
        {
            append_text(column, raw);
        }
        for &id in event.monitored {
            self.monitored.values().append_value(clamp_32(id));
        }
        self.monitored.append(true);
    }

    /// Events added so far.
    pub fn len(&self) -> usize {
        use arrow_array::builder::ArrayBuilder as _;
        self.sequence.len()
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The batch as a complete, uncompressed Arrow IPC stream (schema, one record batch, end).
    pub fn finish(mut self) -> Result<Vec<u8>, ArrowError> {
        let schema = Arc::clone(&self.schema);
        write_stream(&RecordBatch::try_new(schema, self.columns())?)
    }

    fn columns(&mut self) -> Vec<ArrayRef> {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.sequence.finish()),
            Arc::new(self.time.finish()),
            Arc::new(self.peer.finish()),
            Arc::new(self.peer_port.finish()),
            Arc::new(self.transport.finish()),
        ];
        columns.extend(
            self.numbers
                .iter_mut()
                .map(|column| Arc::new(column.finish()) as ArrayRef),
        );
        columns.extend(
            self.words
                .iter_mut()
                .map(|column| Arc::new(column.finish()) as ArrayRef),
        );
        columns.extend(
            self.ids
                .iter_mut()
                .map(|column| Arc::new(column.finish()) as ArrayRef),
        );
        columns.extend(
            self.raws
                .iter_mut()
                .map(|column| Arc::new(column.finish()) as ArrayRef),
        );
        columns.push(Arc::new(self.monitored.finish()));
        columns
    }
}

/// A complete, uncompressed Arrow IPC stream: schema, one record batch, end.
pub(crate) fn write_stream(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let room = Vec::with_capacity(batch.get_array_memory_size() + 4096);
    let mut stream = StreamWriter::try_new(room, &batch.schema())?;
    stream.write(batch)?;
    stream.into_inner()
}

/// Text that PostgreSQL accepts: lossy UTF-8 without NUL.
pub(crate) fn append_text(column: &mut StringBuilder, raw: &[u8]) {
    match std::str::from_utf8(raw) {
        Ok(text) if !raw.contains(&0) => column.append_value(text),
        _ => column.append_value(String::from_utf8_lossy(raw).replace('\0', "\u{FFFD}")),
    }
}

pub(crate) fn clamp_64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(crate) fn clamp_32(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}
