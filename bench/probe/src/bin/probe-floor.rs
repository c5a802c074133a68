//! The least that reading a capture can cost: records walked in large pieces, Ethernet, IPv4 and UDP headers read, packets counted by
//! flow in an open table. No SIP is read, nothing is measured. `probe-floor FILE` prints packets and flows.
use std::io::Read;

const SLOTS: usize = 1 << 20;

fn main() -> std::io::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_default();
    let mut file = std::fs::File::open(path)?;
    let mut buffer = vec![0_u8; (256 << 10) + (256 << 10)];
    let mut table: Vec<(u64, u64)> = vec![(0, 0); SLOTS];
    let (mut end, mut packets, mut is_first) = (0, 0_u64, true);
    loop {
        let until = (end + (256 << 10)).min(buffer.len());
        let count = file.read(&mut buffer[end..until])?;
        if count == 0 {
            break;
        }
        end += count;
        let mut at = if std::mem::take(&mut is_first) { 24 } else { 0 };
        while at + 16 <= end {
            let head = &buffer[at..at + 16];
            let length = u32::from_le_bytes([head[8], head[9], head[10], head[11]]) as usize;
            let Some(frame) = buffer[..end].get(at + 16..at + 16 + length) else {
                break;
            };
            at += 16 + length;
            packets += 1;
            count_flow(frame, &mut table);
        }
        buffer.copy_within(at..end, 0);
        end -= at;
    }
    let flows = table.iter().filter(|(key, _)| *key != 0).count();
    println!("{{\"packets\": {packets}, \"flows\": {flows}}}");
    Ok(())
}

fn count_flow(frame: &[u8], table: &mut [(u64, u64)]) {
    let Some(head) = frame.first_chunk::<42>() else {
        return;
    };
    if head[12..15] != [8, 0, 0x45] || head[23] != 17 {
        return;
    }
    let word = |at: usize| {
        u64::from(u32::from_le_bytes([
            head[at],
            head[at + 1],
            head[at + 2],
            head[at + 3],
        ]))
    };
    let product = u128::from(word(26) | word(30) << 32 ^ 0x9e37_79b9_7f4a_7c15)
        * u128::from(word(34) ^ 0xd1b5_4a32_d192_ed03);
    let key = (product as u64 ^ (product >> 64) as u64) | 1;
    let mut slot = key as usize % SLOTS;
    while table[slot].0 != 0 && table[slot].0 != key {
        slot = (slot + 1) % SLOTS;
    }
    table[slot] = (key, table[slot].1 + 1);
}
