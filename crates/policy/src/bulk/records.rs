//! Octets → records of fields: CSV (RFC 4180) or one field a line, in parts of any size.

/// Most octets of one record: what is longer is no entry of a list.
const RECORD_MAX: usize = 16 << 10;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Fields between commas (or semicolons, or tabs: what comes first in the file), quoted where needed.
    Csv,
    /// One pattern a line; what stands behind `#` is a comment.
    Numbers,
}

/// A record's fields, in one buffer that is used again.
#[derive(Debug, Default)]
pub(crate) struct Record {
    octets: Vec<u8>,
    ends: Vec<usize>,
    /// Line on which it began, from 1.
    pub(crate) line: u64,
}

/// Why a record could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordFault {
    TooLong,
    QuoteNotClosed,
}

impl Record {
    pub(crate) fn field(&self, place: usize) -> &[u8] {
        let start = match place {
            0 => 0,
            _ => self
                .ends
                .get(place - 1)
                .copied()
                .unwrap_or(self.octets.len()),
        };
        let end = self.ends.get(place).copied().unwrap_or(self.octets.len());
        &self.octets[start..end]
    }

    pub(crate) fn fields(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn is_blank(&self) -> bool {
        self.octets.iter().all(u8::is_ascii_whitespace)
    }

    fn clear(&mut self, line: u64) {
        self.octets.clear();
        self.ends.clear();
        self.line = line;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the start of a field.
    Start,
    Bare,
    Quoted,
    /// Behind a quote within a quoted field: its end, or the first of two.
    Quote,
    /// Up to the end of the line.
    Skip,
}

/// The reader's state between two parts.
#[derive(Debug)]
pub(crate) struct Records {
    format: Format,
    delimiter: Option<u8>,
    state: State,
    record: Record,
    /// Lines begun.
    line: u64,
}

impl Records {
    pub(crate) fn new(format: Format) -> Self {
        let record = Record {
            line: 1,
            ..Record::default()
        };
        Self {
            format,
            delimiter: None,
            state: State::Start,
            record,
            line: 1,
        }
    }

    /// Goes on with a part; `found` gets each record that ends in it.
    pub(crate) fn feed(
        &mut self,
        part: &[u8],
        found: &mut impl FnMut(&Record, Option<RecordFault>),
    ) {
        for &octet in part {
            self.take(octet, found);
        }
    }

    /// The last record, when the file does not end with a line's end.
    pub(crate) fn finish(&mut self, found: &mut impl FnMut(&Record, Option<RecordFault>)) {
        match self.state {
            State::Quoted => found(&self.record, Some(RecordFault::QuoteNotClosed)),
            State::Skip if self.format == Format::Csv => {}
            State::Start if self.record.ends.is_empty() => {}
            _ => self.end_record(found),
        }
    }

    fn take(&mut self, octet: u8, found: &mut impl FnMut(&Record, Option<RecordFault>)) {
        if octet == b'\n' {
            self.line += 1;
            if self.state != State::Quoted {
                self.end_line(found);
                return;
            }
        }
        let is_outside = !matches!(self.state, State::Skip | State::Quoted);
        let is_delimiter = is_outside && self.is_delimiter(octet);
        match self.state {
            State::Skip => {}
            State::Quoted if octet == b'"' => self.state = State::Quote,
            State::Quoted => self.push(octet, found),
            State::Start if octet == b'"' && self.format == Format::Csv => {
                self.state = State::Quoted;
            }
            State::Quote if octet == b'"' => {
                self.state = State::Quoted;
                self.push(octet, found);
            }
            _ if is_delimiter => {
                self.record.ends.push(self.record.octets.len());
                self.state = State::Start;
            }
            _ if octet == b'#' && self.format == Format::Numbers => self.state = State::Skip,
            _ => {
                self.state = State::Bare;
                self.push(octet, found);
            }
        }
    }

    fn is_delimiter(&mut self, octet: u8) -> bool {
        match self.delimiter {
            _ if self.format == Format::Numbers => false,
            Some(delimiter) => octet == delimiter,
            None if matches!(octet, b',' | b';' | b'\t') => {
                self.delimiter = Some(octet);
                true
            }
            None => false,
        }
    }

    fn push(&mut self, octet: u8, found: &mut impl FnMut(&Record, Option<RecordFault>)) {
        if self.record.octets.len() < RECORD_MAX {
            self.record.octets.push(octet);
            return;
        }
        let why = match self.state {
            State::Quoted => RecordFault::QuoteNotClosed,
            _ => RecordFault::TooLong,
        };
        found(&self.record, Some(why));
        self.record.clear(self.line);
        self.state = State::Skip;
    }

    fn end_line(&mut self, found: &mut impl FnMut(&Record, Option<RecordFault>)) {
        let was_dropped = self.state == State::Skip && self.format == Format::Csv;
        if !was_dropped {
            if self.state == State::Bare && self.record.octets.last() == Some(&b'\r') {
                self.record.octets.pop();
            }
            self.end_record(found);
        }
        self.record.clear(self.line);
        self.state = State::Start;
    }

    fn end_record(&mut self, found: &mut impl FnMut(&Record, Option<RecordFault>)) {
        self.record.ends.push(self.record.octets.len());
        found(&self.record, None);
    }
}
