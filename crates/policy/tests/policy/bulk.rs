//! A list's file: what is taken, in which form, and what is said of a line that is not.

use proptest::prelude::*;
use ringfence_numbers::{DialPlan, Site};
use ringfence_policy::{Fault, Format, Limits, ListReader, Listed};
use serde_json::json;

const LIMITS: Limits = Limits {
    entries: 1000,
    faults: 100,
};

fn reader(format: Format, limits: Limits) -> ListReader {
    let site = json!({"country_code": "1", "national_prefix": "1", "national_lengths": [10], "international_prefixes": ["011"]});
    let site: Site = serde_json::from_value(site).unwrap();
    ListReader::new(format, DialPlan::compile(&site, &[]).unwrap(), limits)
}

fn read(format: Format, text: &[u8]) -> Result<Listed, (Vec<Fault>, u64)> {
    let mut reader = reader(format, LIMITS);
    reader.feed(text);
    reader.finish()
}

fn entries(listed: &Listed) -> Vec<(&str, &str, Option<i64>)> {
    listed
        .iter()
        .map(|entry| (entry.text, entry.note, entry.end))
        .collect()
}

fn problem(format: Format, text: &str) -> String {
    let (faults, _) = read(format, text.as_bytes()).unwrap_err();
    faults[0].problem.clone()
}

#[test]
fn numbers_one_a_line_come_out_in_canonical_form_and_order() {
    let text = b"\xEF\xBB\xBF# blocked\r\n+1900*\r\n\n  +12105550100 # called all night\n+1210555????\n+12105550100";
    let listed = read(Format::Numbers, text).unwrap();
    assert_eq!(
        entries(&listed),
        [
            ("+12105550000-+12105559999", "", None),
            ("+12105550100", "", None),
            ("+1900*", "", None),
        ]
    );
    assert_eq!(listed.repeated, 1);
}

#[test]
fn csv_has_notes_and_ends_in_the_order_its_first_line_gives() {
    let text = "note;Expires;number;other\n\"a; \"\"b\"\"\nc\";2026-12-31;+12105550100;x\n;2026-12-31T18:00:00-06:00;+1900*;\n";
    let listed = read(Format::Csv, text.as_bytes()).unwrap();
    assert_eq!(
        entries(&listed),
        [
            ("+12105550100", "a; \"b\"\nc", Some(1_798_675_200_000_000)),
            ("+1900*", "", Some(1_798_761_600_000_000)),
        ]
    );
    let plain = read(Format::Csv, b"+12105550100\n+1900*,why\n").unwrap();
    assert_eq!(
        entries(&plain),
        [("+12105550100", "", None), ("+1900*", "why", None)]
    );
}

#[test]
fn the_later_line_of_a_pattern_counts() {
    let listed = read(Format::Csv, b"+1900*,first\n+1900*,second\n").unwrap();
    assert_eq!(entries(&listed), [("+1900*", "second", None)]);
}

#[test]
fn every_fault_has_its_line_and_what_would_be_right() {
    let text = b"+12105550100\n(210) 555-0100\n+1900*\nnonsense\n*\n";
    let (faults, count) = read(Format::Numbers, text).unwrap_err();
    assert_eq!(count, 3);
    let told: Vec<(u64, &str)> = faults
        .iter()
        .map(|fault| (fault.line, fault.text.as_str()))
        .collect();
    assert_eq!(told, [(2, "(210) 555-0100"), (4, "nonsense"), (5, "*")]);
    assert!(faults[0].problem.ends_with("is +12105550100 meant?"));
    assert!(faults[2].problem.contains("every number"));
}

#[test]
fn what_a_field_may_not_be_is_said() {
    assert!(problem(Format::Csv, "+1900*,x,tomorrow\n").contains("2026-12-31T18:00:00Z"));
    assert!(problem(Format::Csv, "+1900*,\"x\n").contains("not closed"));
    assert!(problem(Format::Csv, &format!("+1900*,{}\n", "x".repeat(1001))).contains("1001"));
    assert!(problem(Format::Csv, &format!("+1900*,{}\n", "x".repeat(20_000))).contains("too long"));
    assert!(problem(Format::Csv, "+1900*,a\0b\n").contains("NUL"));
    let (faults, _) = read(Format::Csv, b"+1900*,\xFF\n").unwrap_err();
    assert!(faults[0].problem.contains("UTF-8"));
}

#[test]
fn faults_beyond_the_cap_are_counted_and_too_many_entries_are_one() {
    let limits = Limits {
        entries: 2,
        faults: 3,
    };
    let mut many = reader(Format::Numbers, limits);
    many.feed("x\n".repeat(10).as_bytes());
    let (faults, count) = many.finish().unwrap_err();
    assert_eq!((faults.len(), count), (3, 10));
    let mut many = reader(Format::Numbers, limits);
    many.feed(b"+1901\n+1902\n+1903\n");
    let (faults, _) = many.finish().unwrap_err();
    assert!(faults[0].problem.contains("more than 2"));
}

proptest! {
    #[test]
    fn a_file_reads_the_same_in_parts_of_any_size(
        text in "([+]1[0-9?]{0,3}[*]?|\"a,\n\"|,|;|\r|\n|x|#){0,60}",
        cuts in prop::collection::vec(0..200usize, 0..8),
        is_csv in any::<bool>(),
    ) {
        let format = if is_csv { Format::Csv } else { Format::Numbers };
        let octets = text.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(octets.len())).collect();
        cuts.sort_unstable();
        let mut parts = reader(format, LIMITS);
        let mut from = 0;
        for cut in cuts.into_iter().chain([octets.len()]) {
            parts.feed(&octets[from..cut]);
            from = cut;
        }
        match (read(format, octets), parts.finish()) {
            (Ok(whole), Ok(in_parts)) => prop_assert_eq!(entries(&whole), entries(&in_parts)),
            (whole, in_parts) => prop_assert_eq!(whole.err(), in_parts.err()),
        }
    }

    #[test]
    fn what_is_written_as_csv_reads_the_same(
        rows in prop::collection::btree_map("[+][1-9][0-9]{6,12}[*]?", ("[ -~äß\n]{0,20}", prop::option::of(1_000_000i64..4_000_000_000_000_000)), 0..20),
    ) {
        let mut text = String::from("pattern,note,expires\n");
        for (pattern, (note, end)) in &rows {
            // As export writes it: an apostrophe before what a spreadsheet would run.
            let shielded = match note.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\n']) {
                true => format!("'{note}"),
                false => note.clone(),
            };
            let end = end.map_or(String::new(), |end| jiff::Timestamp::from_microsecond(end).unwrap().to_string());
            text.push_str(&format!("{pattern},\"{}\",{end}\r\n", shielded.replace('"', "\"\"")));
        }
        let read_back = read(Format::Csv, text.as_bytes()).unwrap();
        let read_back: Vec<_> = entries(&read_back).into_iter().map(|(p, n, e)| (p.to_owned(), n.to_owned(), e)).collect();
        let written: Vec<_> = rows.into_iter().map(|(pattern, (note, end))| (pattern, note, end)).collect();
        prop_assert_eq!(read_back, written);
    }

    #[test]
    fn any_octets_are_read_or_refused(octets in prop::collection::vec(any::<u8>(), 0..300), is_csv in any::<bool>()) {
        let _ = read(if is_csv { Format::Csv } else { Format::Numbers }, &octets);
    }
}
