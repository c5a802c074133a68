//! The Arrow schema of dataset SIP, version 1 (docs/contracts.md 3), and the builder of its batches.
//!
//! No column is null: [`crate::NEVER`] and 0 say that there is nothing, as [`SipEvent`] does.
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use arrow_array::builder::{
    Int16Builder, Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::SipEvent;
use crate::arrow::{SCHEMA_KEY, append_text, clamp_32, clamp_64, write_stream};

/// Name and version of this schema.
pub const SIP_SCHEMA_NAME: &str = "sip.1";

const INTS: [&str; 14] = [
    "source_port",
    "destination_port",
    "flags",
    "probe_lost",
    "pdd_ms",
    "answer_ms",
    "duration_ms",
    "total_ms",
    "forward_packets",
    "forward_lost",
    "forward_jitter_us",
    "backward_packets",
    "backward_lost",
    "backward_jitter_us",
];
const WORDS: [&str; 9] = [
    "transport",
    "side",
    "result",
    "status",
    "cause_q850",
    "released_by",
    "attestation",
    "forward_mos_100",
    "backward_mos_100",
];
const TEXTS: [&str; 8] = [
    "source_address",
    "destination_address",
    "call_id",
    "source_raw",
    "destination_raw",
    "codec",
    "user_agent",
    "details",
];

/// The schema, columns in the order of docs/contracts.md 3.
pub fn sip_schema() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut fields = vec![
        Field::new("sequence", DataType::Int64, false),
        Field::new("time", time, false),
        Field::new("correlation", DataType::Int64, false),
    ];
    for (names, kind) in [
        (INTS.as_slice(), DataType::Int32),
        (&WORDS, DataType::Int16),
        (&TEXTS, DataType::Utf8),
    ] {
        fields.extend(
            names
                .iter()
                .map(|name| Field::new(*name, kind.clone(), false)),
        );
    }
    let metadata = HashMap::from([(SCHEMA_KEY.to_owned(), SIP_SCHEMA_NAME.to_owned())]);
    Arc::new(Schema::new_with_metadata(fields, metadata))
}

/// Collects calls column by column and writes them as one Arrow IPC stream.
#[derive(Debug)]
pub struct SipBatch {
    sequence: Int64Builder,
    time: TimestampMicrosecondBuilder,
    correlation: Int64Builder,
    ints: [Int32Builder; INTS.len()],
    words: [Int16Builder; WORDS.len()],
    texts: [StringBuilder; TEXTS.len()],
}

impl SipBatch {
    /// An empty batch with room for `capacity` calls.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            sequence: Int64Builder::with_capacity(capacity),
            time: TimestampMicrosecondBuilder::with_capacity(capacity).with_timezone("UTC"),
            correlation: Int64Builder::with_capacity(capacity),
            ints: std::array::from_fn(|_| Int32Builder::with_capacity(capacity)),
            words: std::array::from_fn(|_| Int16Builder::with_capacity(capacity)),
            texts: std::array::from_fn(|_| StringBuilder::with_capacity(capacity, capacity * 24)),
        }
    }

    /// Add one call under its sequence.
    pub fn push(&mut self, sequence: u64, event: &SipEvent<'_>) {
        self.sequence.append_value(clamp_64(sequence));
        self.time.append_value(event.time_us);
        // All 64 bits, as PostgreSQL's bigint holds them.
        self.correlation
            .append_value(event.correlation.cast_signed());
        let (forward, backward) = (event.forward, event.backward);
        let ints = [
            i32::from(event.source_address.port()),
            i32::from(event.destination_address.port()),
            clamp_32(event.flags),
            clamp_32(event.probe_lost),
            event.pdd_ms,
            event.answer_ms,
            event.duration_ms,
            event.total_ms,
            clamp_32(forward.packets),
            clamp_32(forward.lost),
            clamp_32(forward.jitter_us),
            clamp_32(backward.packets),
            clamp_32(backward.lost),
            clamp_32(backward.jitter_us),
        ];
        for (column, value) in self.ints.iter_mut().zip(ints) {
            column.append_value(value);
        }
        let words = [
            i16::from(event.transport),
            i16::from(event.side),
            i16::from(event.result),
            clamp_16(event.status),
            clamp_16(event.cause_q850),
            i16::from(event.released_by),
            i16::from(event.attestation),
            clamp_16(forward.mos_100),
            clamp_16(backward.mos_100),
        ];
        for (column, value) in self.words.iter_mut().zip(words) {
            column.append_value(value);
        }
        self.push_texts(event);
    }

    fn push_texts(&mut self, event: &SipEvent<'_>) {
        let address = |address: SocketAddr| address.ip().to_string();
        let source = address(event.source_address);
        let destination = address(event.destination_address);
        let texts = [
            source.as_bytes(),
            destination.as_bytes(),
            event.call_id,
            event.source_raw,
            event.destination_raw,
            event.codec,
            event.user_agent,
            event.details,
        ];
        for (column, text) in self.texts.iter_mut().zip(texts) {
            append_text(column, text);
        }
    }

    /// The batch as a complete, uncompressed Arrow IPC stream.
    pub fn finish(mut self) -> Result<Vec<u8>, ArrowError> {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.sequence.finish()),
            Arc::new(self.time.finish()),
            Arc::new(self.correlation.finish()),
        ];
        columns.extend(
            self.ints
                .iter_mut()
                .map(|column| Arc::new(column.finish()) as ArrayRef),
        );
        columns.extend(
            self.words
                .iter_mut()
                .map(|column| Arc::new(column.finish()) as ArrayRef),
        );
        columns.extend(
            self.texts
                .iter_mut()
                .map(|column| Arc::new(column.finish()) as ArrayRef),
        );
        write_stream(&RecordBatch::try_new(sip_schema(), columns)?)
    }
}

fn clamp_16(value: u16) -> i16 {
    i16::try_from(value).unwrap_or(i16::MAX)
}
