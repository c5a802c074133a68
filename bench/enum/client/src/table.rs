//! The floor's table: number → ready-made NAPTR record, open addressing; and the answer made from it.

const HEADER: usize = 12;
const NOT_FOUND: u8 = 3;
const OPT_ANSWER: [u8; 11] = [0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0];
// Owner: pointer to the question's name; NAPTR, IN, TTL 0.
const RECORD_HEAD: [u8; 10] = [0xc0, 12, 0, 35, 0, 1, 0, 0, 0, 0];

/// Numbers and their records.
pub struct Table {
    slots: Vec<(u64, u32)>,
    records: Vec<u8>,
}

impl Table {
    /// Table of `numbers` (E.164 digits, not 0), each answered with `regexp(number)`.
    pub fn new(numbers: &[u64], regexp: impl Fn(u64) -> String) -> Self {
        let size = (numbers.len() * 2).next_power_of_two().max(2);
        let mut table = Self {
            slots: vec![(0, 0); size],
            records: Vec::with_capacity(numbers.len() * 64),
        };
        for number in numbers {
            let offset = table.records.len() as u32;
            let record = record(&regexp(*number));
            table
                .records
                .extend_from_slice(&(record.len() as u16).to_be_bytes());
            table.records.extend_from_slice(&record);
            let slot = table.slot(*number);
            table.slots[slot] = (*number, offset);
        }
        table
    }

    /// Make the answer to the query `message[..length]` in place; its length, 0 for what is not a query.
    pub fn answer(&self, message: &mut [u8], length: usize) -> usize {
        let Some((number, end)) = question(message, length) else {
            return 0;
        };
        let has_opt = message[11] == 1;
        let record = self.record(number);
        let size = record.map_or(0, <[u8]>::len);
        if end + size + OPT_ANSWER.len() > message.len() {
            return 0;
        }
        message[2] = 0x84 | (message[2] & 1);
        message[3] = if record.is_some() { 0 } else { NOT_FOUND };
        message[6..HEADER].fill(0);
        message[7] = u8::from(record.is_some());
        message[11] = u8::from(has_opt);
        if let Some(bytes) = record {
            message[end..end + size].copy_from_slice(bytes);
        }
        let mut end = end + size;
        if has_opt {
            message[end..end + OPT_ANSWER.len()].copy_from_slice(&OPT_ANSWER);
            end += OPT_ANSWER.len();
        }
        end
    }

    fn record(&self, number: u64) -> Option<&[u8]> {
        let (found, offset) = self.slots[self.slot(number)];
        if found == 0 {
            return None;
        }
        let start = offset as usize;
        let length = usize::from(u16::from_be_bytes([
            self.records[start],
            self.records[start + 1],
        ]));
        self.records.get(start + 2..start + 2 + length)
    }

    /// Slot that holds `number`, or the empty one where it belongs.
    fn slot(&self, number: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut index = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) as usize & mask;
        while self.slots[index].0 != 0 && self.slots[index].0 != number {
            index = (index + 1) & mask;
        }
        index
    }
}

/// Number asked for (digit labels, last digit first) and the end of the question.
fn question(message: &[u8], length: usize) -> Option<(u64, usize)> {
    if length < HEADER + 5 || message[2] & 0x80 != 0 || message[4] != 0 || message[5] != 1 {
        return None;
    }
    let (mut at, mut number, mut scale) = (HEADER, 0u64, 1u64);
    loop {
        let size = usize::from(*message[..length].get(at)?);
        if size == 0 {
            let end = at + 5;
            return (end <= length).then_some((number, end));
        }
        if size > 63 {
            return None;
        }
        let first = *message[..length].get(at + 1)?;
        if size == 1 && first.is_ascii_digit() {
            number = number.wrapping_add(scale.wrapping_mul(u64::from(first - b'0')));
            scale = scale.wrapping_mul(10);
        }
        at += size + 1;
    }
}

fn record(regexp: &str) -> Vec<u8> {
    let mut data = vec![0, 100, 0, 10, 1, b'u', 7];
    data.extend_from_slice(b"E2U+sip");
    data.push(regexp.len() as u8);
    data.extend_from_slice(regexp.as_bytes());
    data.push(0);
    let mut record = RECORD_HEAD.to_vec();
    record.extend_from_slice(&(data.len() as u16).to_be_bytes());
    record.extend_from_slice(&data);
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(digits: &str) -> Vec<u8> {
        let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for digit in digits.bytes().rev() {
            message.extend_from_slice(&[1, digit]);
        }
        message.extend_from_slice(b"\x04e164\x07example\0\0\x23\0\x01");
        message
    }

    fn ask(table: &Table, digits: &str) -> Vec<u8> {
        let mut message = query(digits);
        let length = message.len();
        message.resize(512, 0);
        let answered = table.answer(&mut message, length);
        message.truncate(answered);
        message
    }

    #[test]
    fn answers_listed_numbers_with_their_own_record() {
        let numbers: Vec<u64> = (12_105_550_000..12_105_552_000).collect();
        let table = Table::new(&numbers, |number| format!("!^.*$!sip:+{number}@host!"));
        let answer = ask(&table, "12105550123");
        assert_eq!(answer[..8], [0x12, 0x34, 0x85, 0, 0, 1, 0, 1]);
        assert!(
            answer
                .windows(16)
                .any(|window| window == b"sip:+12105550123")
        );
        assert_eq!(ask(&table, "12105559999")[3], NOT_FOUND);
    }

    #[test]
    fn drops_what_is_not_a_query() {
        let table = Table::new(&[1], |_| "!a!b!".into());
        for length in 0..query("12105550123").len() {
            let mut message = query("12105550123");
            message.truncate(length);
            message.resize(512, 0);
            assert_eq!(table.answer(&mut message, length), 0);
        }
    }
}
