//! An Arrow IPC stream as PostgreSQL binary COPY, column for column (docs/contracts.md 3).
//!
//! The hot path of ingest. Types are resolved once a batch; a row is then a walk over typed slices that
//! writes each field's length and value with one append.
//! ```text
//! header  "PGCOPY\n\xff\r\n\0", flags 0, extension 0
//! row     int16 columns, then for each: int32 octets (-1: null), value in network order
//! trailer int16 -1
//! ```
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, BooleanArray, FixedSizeBinaryArray, RecordBatch};
use arrow_ipc::reader::StreamReader;
use arrow_schema::{ArrowError, DataType, TimeUnit};

/// What a binary COPY starts with.
pub const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const NULL: [u8; 4] = (-1i32).to_be_bytes();
/// 2000-01-01 UTC, PostgreSQL's epoch, in microseconds since 1970.
pub const POSTGRESQL_EPOCH_US: i64 = 946_684_800_000_000;
/// `int4`'s object id, the element type in an array's header.
const INT4_OID: i32 = 23;

/// Why a stream can't be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The octets are not what Arrow writes.
    #[error("not an Arrow IPC stream: {0}")]
    NotArrow(#[from] ArrowError),
    /// A column of a type, or with values, that has no form in COPY.
    #[error("column {column}: {why}")]
    Column {
        /// Its name.
        column: String,
        /// What is not supported.
        why: String,
    },
    /// COPY counts columns in 16 bits.
    #[error("more than 32767 columns")]
    TooManyColumns,
}

/// Arrow IPC stream → PostgreSQL binary COPY.
///
/// # Errors
/// When the stream is not Arrow, or a column has no form in COPY; the Arrow reader may panic on hostile octets.
pub fn arrow_to_copy(stream: &[u8]) -> Result<Vec<u8>, CopyError> {
    let mut copy = Vec::new();
    copy.extend_from_slice(SIGNATURE);
    for batch in StreamReader::try_new(stream, None)? {
        write_batch(&batch?, &mut copy)?;
    }
    copy.extend_from_slice(&(-1i16).to_be_bytes());
    Ok(copy)
}

fn write_batch(batch: &RecordBatch, copy: &mut Vec<u8>) -> Result<(), CopyError> {
    let schema = batch.schema();
    let columns: Vec<Column<'_>> = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, array)| {
            Column::new(array.as_ref()).map_err(|why| CopyError::Column {
                column: field.name().clone(),
                why,
            })
        })
        .collect::<Result<_, _>>()?;
    let count = i16::try_from(columns.len())
        .map_err(|_| CopyError::TooManyColumns)?
        .to_be_bytes();
    // Near enough that the buffer grows once a batch, not while rows are written.
    copy.reserve(batch.get_array_memory_size() + batch.num_rows() * (2 + 4 * columns.len()));
    for row in 0..batch.num_rows() {
        copy.extend_from_slice(&count);
        for column in &columns {
            column.write(row, copy);
        }
    }
    Ok(())
}

/// A column whose type is known.
struct Column<'a> {
    values: Values<'a>,
    array: &'a dyn Array,
    has_nulls: bool,
}

enum Values<'a> {
    Int16(&'a [i16]),
    Int32(&'a [i32]),
    Int64(&'a [i64]),
    Time(&'a [i64]),
    Float64(&'a [f64]),
    Boolean(&'a BooleanArray),
    /// utf8 and binary: where each value starts, and all octets.
    Octets(&'a [i32], &'a [u8]),
    Uuid(&'a FixedSizeBinaryArray),
    /// list<int32>: where each list starts, and all elements.
    Int32List(&'a [i32], &'a [i32]),
}

impl<'a> Column<'a> {
    fn new(array: &'a dyn Array) -> Result<Self, String> {
        Ok(Self {
            values: Values::new(array)?,
            array,
            has_nulls: array.null_count() > 0,
        })
    }

    #[inline]
    fn write(&self, row: usize, copy: &mut Vec<u8>) {
        if self.has_nulls && self.array.is_null(row) {
            copy.extend_from_slice(&NULL);
            return;
        }
        match &self.values {
            Values::Int16(values) => field(copy, values[row].to_be_bytes()),
            Values::Int32(values) => field(copy, values[row].to_be_bytes()),
            Values::Int64(values) => field(copy, values[row].to_be_bytes()),
            Values::Time(values) => field(
                copy,
                values[row]
                    .saturating_sub(POSTGRESQL_EPOCH_US)
                    .to_be_bytes(),
            ),
            Values::Float64(values) => field(copy, values[row].to_be_bytes()),
            Values::Boolean(values) => field(copy, [u8::from(values.value(row))]),
            Values::Octets(offsets, octets) => write_octets(copy, part(offsets, octets, row)),
            Values::Uuid(values) => write_octets(copy, values.value(row)),
            Values::Int32List(offsets, elements) => write_list(copy, part(offsets, elements, row)),
        }
    }
}

impl<'a> Values<'a> {
    fn new(array: &'a dyn Array) -> Result<Self, String> {
        Ok(match array.data_type() {
            DataType::Int16 => Self::Int16(array.as_primitive::<Int16Type>().values()),
            DataType::Int32 => Self::Int32(array.as_primitive::<Int32Type>().values()),
            DataType::Int64 => Self::Int64(array.as_primitive::<Int64Type>().values()),
            DataType::Float64 => Self::Float64(array.as_primitive::<Float64Type>().values()),
            DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if zone.as_ref() == "UTC" => {
                Self::Time(array.as_primitive::<TimestampMicrosecondType>().values())
            }
            DataType::Boolean => Self::Boolean(array.as_boolean()),
            DataType::Utf8 => {
                let text = array.as_string::<i32>();
                Self::Octets(text.value_offsets(), text.value_data())
            }
            DataType::Binary => {
                let binary = array.as_binary::<i32>();
                Self::Octets(binary.value_offsets(), binary.value_data())
            }
            DataType::FixedSizeBinary(16) => Self::Uuid(array.as_fixed_size_binary()),
            DataType::List(element) if *element.data_type() == DataType::Int32 => {
                let list = array.as_list::<i32>();
                if list.values().null_count() > 0 {
                    return Err("a list with null elements is not supported".to_owned());
                }
                Self::Int32List(
                    list.value_offsets(),
                    list.values().as_primitive::<Int32Type>().values(),
                )
            }
            other => return Err(format!("type {other} is not supported")),
        })
    }
}

/// The values of one row; offsets were validated by the reader.
#[inline]
fn part<'a, T>(offsets: &[i32], values: &'a [T], row: usize) -> &'a [T] {
    &values[offsets[row] as usize..offsets[row + 1] as usize]
}

/// A fixed-length field: length and value in one append.
#[inline]
fn field<const N: usize>(copy: &mut Vec<u8>, value: [u8; N]) {
    let mut cell = [0; 12];
    cell[..4].copy_from_slice(&(N as i32).to_be_bytes());
    cell[4..4 + N].copy_from_slice(&value);
    copy.extend_from_slice(&cell[..4 + N]);
}

#[inline]
fn write_octets(copy: &mut Vec<u8>, octets: &[u8]) {
    // An Arrow value with 32-bit offsets fits.
    copy.extend_from_slice(&(octets.len() as i32).to_be_bytes());
    copy.extend_from_slice(octets);
}

/// `integer[]`: dimensions, has-null flag, element type; then for one dimension its size and lower bound, elements.
fn write_list(copy: &mut Vec<u8>, elements: &[i32]) {
    if elements.is_empty() {
        for word in [12, 0, 0, INT4_OID] {
            copy.extend_from_slice(&i32::to_be_bytes(word));
        }
        return;
    }
    let count = elements.len() as i32;
    for word in [20 + 8 * count, 1, 0, INT4_OID, count, 1] {
        copy.extend_from_slice(&word.to_be_bytes());
    }
    for &element in elements {
        field(copy, element.to_be_bytes());
    }
}
