//! A second reader of the format, written from the diagram alone: slow, simple, and without a
//! line of the real one. Both must agree.

use std::collections::BTreeMap;
use std::path::Path;

/// An operation: kind, tag, position if it is an append, body.
pub(crate) type Op = (u8, u32, Option<u64>, Vec<u8>);

/// CRC-32C, one bit at a time.
fn crc(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0x82F6_3B78
            } else {
                crc >> 1
            };
        }
    }
    !crc
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// All commits in these segment files, up to the first thing that does not fit.
pub(crate) fn read(files: &BTreeMap<String, Vec<u8>>) -> Vec<(u64, Vec<Op>)> {
    let mut commits = Vec::new();
    let mut chain = None;
    for (name, file) in files {
        let header = &file[..512];
        assert_eq!(&header[..8], b"HENCELOG");
        assert!((1..=2).contains(&number(&header[8..12])));
        assert_eq!(number(&header[12..16]), u64::from(crc(&header[..12])));
        assert_eq!(number(&header[508..]), u64::from(crc(&header[..508])));
        assert_eq!(number(&header[64..68]), file.len() as u64);
        let generation = &header[32..40];
        assert!(name.contains(&format!("{:020}", number(generation))));
        let base = number(&header[40..48]);
        let previous = number(&header[68..72]);
        assert!(chain.is_none_or(|chain| chain == previous));
        chain = Some(previous);
        let mut at = 512;
        while at + 32 <= file.len() {
            let head = &file[at..at + 32];
            let place = [&header[16..32], generation, &(at as u32).to_le_bytes()].concat();
            let covered = [&place, &head[..8], &head[12..]].concat();
            let length = number(&head[20..24]) as usize;
            let fits = at + 32 + length <= file.len();
            if number(&head[8..12]) != u64::from(crc(&covered)) || !fits {
                break;
            }
            let body = &file[at + 32..at + 32 + length];
            if number(&head[12..16]) != u64::from(crc(body)) {
                break;
            }
            if Some(number(&head[16..20])) != chain {
                break;
            }
            chain = Some(number(&head[8..12]));
            at += 32 + length;
            match head[7] {
                0xC1 => {
                    let time = number(&head[..7]);
                    commits.push((time, operations(body, base + number(&head[28..32]))));
                }
                0xC5 => {
                    let frame_time = number(&head[..7]) as i64;
                    let mut position = base + number(&head[28..32]);
                    let mut rest = body;
                    while !rest.is_empty() {
                        let (commit, behind) = rest[4..].split_at(number(&rest[..4]) as usize);
                        rest = behind;
                        let begin = commit.iter().position(|byte| *byte < 128).unwrap() + 1;
                        let zigzag = commit[..begin]
                            .iter()
                            .rev()
                            .fold(0, |all, byte| (all << 7) | u64::from(byte % 128));
                        let delta = (zigzag / 2) as i64 ^ -((zigzag % 2) as i64);
                        let ops = operations(&commit[begin..], position);
                        position += ops.iter().filter(|op| op.0 == 0).count() as u64;
                        commits.push(((frame_time + delta) as u64, ops));
                    }
                }
                0xC2 | 0xC4 => {}
                0xC3 => break,
                role => panic!("role {role:x}"),
            }
        }
    }
    commits
}

fn operations(body: &[u8], mut position: u64) -> Vec<Op> {
    let mut all = Vec::new();
    let mut at = 0;
    while at < body.len() {
        let (kind, tag) = (body[at], number(&body[at + 1..at + 5]) as u32);
        at += 5;
        let mut length = 0;
        let mut shift = 0;
        loop {
            let byte = body[at];
            at += 1;
            length += usize::from(byte % 128) << shift;
            shift += 7;
            if byte < 128 {
                break;
            }
        }
        let taken = (kind == 0).then_some(position);
        position += u64::from(kind == 0);
        all.push((kind, tag, taken, body[at..at + length].to_vec()));
        at += length;
    }
    all
}

/// The segment files in a directory.
pub(crate) fn segments_in(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    names
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .filter(|(name, _)| name.starts_with("segment-"))
        .map(|(name, path)| (name, std::fs::read(path).unwrap()))
        .collect()
}
