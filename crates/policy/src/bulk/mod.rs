//! A list as a file of a million lines: read in parts, every fault with its line, entries in canonical form and order.
//!
//! ```text
//! octets ─ records ─► fields ─ pattern, note, end ─► Listed (sorted, each pattern once)  or  faults by line
//! ```
//! CSV has the columns pattern, note, expires in this order, or in the order that a first line with these names gives;
//! other columns are passed over. Where a pattern comes twice, the later line counts.
mod records;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use ringfence_numbers::{DialPlan, Pattern};

pub use self::records::Format;
use self::records::{Record, RecordFault, Records};

/// Most characters of a note.
pub const NOTE_MAX: usize = 1000;
/// Most characters of a refused line that are shown.
const SHOWN_MAX: usize = 80;
/// Names of the columns, as a first line may give them.
const PATTERN_NAMES: [&str; 3] = ["pattern", "number", "entry"];
const NOTE_NAMES: [&str; 3] = ["note", "comment", "reason"];
const EXPIRES_NAMES: [&str; 4] = ["expires", "expiry", "expires_at", "until"];

/// A line that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Line of the file, from 1.
    pub line: u64,
    /// What stands there, shortened.
    pub text: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

/// What the caller puts up with.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most entries.
    pub entries: usize,
    /// Most faults that are kept; all are counted.
    pub faults: usize,
}

/// Reads a list in parts.
#[derive(Debug)]
pub struct ListReader {
    records: Records,
    rows: Rows,
    is_begun: bool,
}

/// Where the fields stand.
#[derive(Debug, Clone, Copy)]
struct Columns {
    pattern: usize,
    note: Option<usize>,
    expires: Option<usize>,
}

#[derive(Debug)]
struct Rows {
    limits: Limits,
    plan: DialPlan,
    columns: Columns,
    format: Format,
    is_first: bool,
    listed: Listed,
    faults: Vec<Fault>,
    fault_count: u64,
}

/// Entries, each pattern once, ascending by the octets of its text.
#[derive(Debug, Default)]
pub struct Listed {
    entries: Vec<Packed>,
    /// Patterns and notes, one behind the other.
    text: String,
    /// Lines whose pattern came again later.
    pub repeated: u64,
}

/// An entry in `Listed::text`.
#[derive(Debug, Clone, Copy)]
struct Packed {
    start: usize,
    pattern: u16,
    note: u16,
    line: u32,
    end: Option<i64>,
    pattern_value: Pattern,
}

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedEntry<'a> {
    /// In canonical form.
    pub text: &'a str,
    /// The same, parsed.
    pub pattern: Pattern,
    /// Why it is there.
    pub note: &'a str,
    /// When it ceases to act, microseconds since 1970 UTC.
    pub end: Option<i64>,
}

impl ListReader {
    /// `plan` tells what a number that is not E.164 was probably meant to be.
    #[must_use]
    pub fn new(format: Format, plan: DialPlan, limits: Limits) -> Self {
        Self {
            records: Records::new(format),
            is_begun: false,
            rows: Rows {
                limits,
                plan,
                format,
                columns: Columns {
                    pattern: 0,
                    note: Some(1),
                    expires: Some(2),
                },
                is_first: true,
                listed: Listed::default(),
                faults: Vec::new(),
                fault_count: 0,
            },
        }
    }

    /// Goes on with a part of the file.
    pub fn feed(&mut self, part: &[u8]) {
        let Self { records, rows, .. } = self;
        // Excel writes a byte order mark first.
        let part = match self.is_begun {
            false => part.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(part),
            true => part,
        };
        self.is_begun |= !part.is_empty();
        records.feed(part, &mut |record, fault| rows.take(record, fault));
    }

    /// Entries read so far.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.rows.listed.entries.len()
    }

    /// The end of the file: the entries, or the faults that were kept and how many there are.
    pub fn finish(mut self) -> Result<Listed, (Vec<Fault>, u64)> {
        let Self { records, rows, .. } = &mut self;
        records.finish(&mut |record, fault| rows.take(record, fault));
        if self.rows.fault_count > 0 {
            return Err((self.rows.faults, self.rows.fault_count));
        }
        let mut listed = self.rows.listed;
        listed.order();
        Ok(listed)
    }
}

impl Rows {
    fn take(&mut self, record: &Record, fault: Option<RecordFault>) {
        match fault {
            Some(RecordFault::TooLong) => {
                self.refuse(record, "the line is too long for an entry".into());
            }
            Some(RecordFault::QuoteNotClosed) => {
                self.refuse(record, "a quote is opened and not closed".into());
            }
            None if record.is_blank() => {}
            None if std::mem::take(&mut self.is_first) && self.is_head(record) => {}
            None => {
                if let Err(problem) = self.add(record) {
                    self.refuse(record, problem);
                }
            }
        }
    }

    /// Whether the first line names the columns; then it says where they are.
    fn is_head(&mut self, record: &Record) -> bool {
        let place = |names: &[&str]| {
            (0..record.fields()).find(|&place| {
                let field = record.field(place).trim_ascii();
                names
                    .iter()
                    .any(|name| field.eq_ignore_ascii_case(name.as_bytes()))
            })
        };
        let Some(pattern) = place(&PATTERN_NAMES) else {
            return false;
        };
        self.columns = Columns {
            pattern,
            note: place(&NOTE_NAMES),
            expires: place(&EXPIRES_NAMES),
        };
        true
    }

    fn add(&mut self, record: &Record) -> Result<(), String> {
        let text = |place: Option<usize>| match place {
            Some(place) if place < record.fields() => str::from_utf8(record.field(place))
                .map_err(|_| "is not UTF-8; save the file as UTF-8".to_owned()),
            _ => Ok(""),
        };
        let pattern = self.pattern(text(Some(self.columns.pattern))?.trim())?;
        let (note, end) = match self.format {
            Format::Numbers => ("", None),
            Format::Csv => (
                note_of(text(self.columns.note)?)?,
                end_of(text(self.columns.expires)?.trim())?,
            ),
        };
        if self.listed.entries.len() >= self.limits.entries {
            return Err(format!(
                "there are more than {} entries, the most of a list",
                self.limits.entries
            ));
        }
        self.listed.push(pattern, note, end, record.line);
        Ok(())
    }

    fn pattern(&self, text: &str) -> Result<Pattern, String> {
        match text.parse() {
            Ok(Pattern::Any) => Err(
                "* is every number; an entry is a number, a prefix, a range or a wildcard".into(),
            ),
            Ok(pattern) => Ok(pattern),
            Err(error) if text.is_empty() => Err(format!("{error}, such as +12105550100")),
            Err(error) => Err(match self.plan.normalise(text.as_bytes()).number {
                Some(number) => format!("{error}; is {number} meant?"),
                None => error.to_string(),
            }),
        }
    }

    fn refuse(&mut self, record: &Record, problem: String) {
        self.fault_count += 1;
        if self.faults.len() >= self.limits.faults {
            return;
        }
        let shown: String = (0..record.fields().max(1))
            .map(|place| String::from_utf8_lossy(record.field(place)).into_owned())
            .collect::<Vec<_>>()
            .join(",")
            .chars()
            .take(SHOWN_MAX)
            .collect();
        self.faults.push(Fault {
            line: record.line,
            text: shown,
            problem,
        });
    }
}

/// The note, without the apostrophe that keeps a spreadsheet from running it (export puts it there).
fn note_of(field: &str) -> Result<&str, String> {
    let note = match field.strip_prefix('\'') {
        Some(rest)
            if rest
                .trim_start_matches('\'')
                .starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) =>
        {
            rest
        }
        _ => field,
    };
    if note.contains('\0') {
        return Err("the note holds a NUL character".into());
    }
    let length = note.chars().count();
    if length > NOTE_MAX {
        return Err(format!(
            "the note has {length} characters; expected at most {NOTE_MAX}"
        ));
    }
    Ok(note)
}

fn end_of(field: &str) -> Result<Option<i64>, String> {
    if field.is_empty() {
        return Ok(None);
    }
    let at_utc = |time: DateTime| time.to_zoned(TimeZone::UTC).ok().map(|t| t.timestamp());
    let time = field
        .parse::<Timestamp>()
        .ok()
        .or_else(|| field.parse::<DateTime>().ok().and_then(at_utc))
        .or_else(|| {
            let date: Date = field.parse().ok()?;
            at_utc(date.to_datetime(jiff::civil::Time::midnight()))
        });
    match time {
        Some(time) if time.as_second() > 0 => Ok(Some(time.as_microsecond())),
        _ => Err(format!(
            "expires: {field:?} is not a time; expected such as 2026-12-31 or 2026-12-31T18:00:00Z"
        )),
    }
}

impl Listed {
    fn push(&mut self, pattern: Pattern, note: &str, end: Option<i64>, line: u64) {
        use std::fmt::Write as _;
        let start = self.text.len();
        let _ = write!(self.text, "{pattern}"); // a String takes everything
        let length = self.text.len() - start;
        self.text.push_str(note);
        self.entries.push(Packed {
            start,
            pattern: length as u16,
            note: note.len() as u16,
            line: line.min(u64::from(u32::MAX)) as u32,
            end,
            pattern_value: pattern,
        });
    }

    fn order(&mut self) {
        let text = &self.text;
        let pattern = |entry: &Packed| {
            &text.as_bytes()[entry.start..entry.start + usize::from(entry.pattern)]
        };
        self.entries
            .sort_unstable_by(|a, b| pattern(a).cmp(pattern(b)).then(b.line.cmp(&a.line)));
        let before = self.entries.len();
        self.entries.dedup_by(|a, b| pattern(a) == pattern(b));
        self.repeated = (before - self.entries.len()) as u64;
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry at a place.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<ListedEntry<'_>> {
        let entry = self.entries.get(place)?;
        let note = entry.start + usize::from(entry.pattern);
        Some(ListedEntry {
            text: &self.text[entry.start..note],
            pattern: entry.pattern_value,
            note: &self.text[note..note + usize::from(entry.note)],
            end: entry.end,
        })
    }

    /// Every entry, ascending.
    pub fn iter(&self) -> impl Iterator<Item = ListedEntry<'_>> {
        (0..self.len()).filter_map(|place| self.get(place))
    }
}
