//! A second reader of one segment, written from the diagram in `frame.rs` alone. It stops at the
//! first thing that does not fit.

/// A commit: its time, its position and its body.
pub(super) type Commit = (u64, u64, Vec<u8>);

fn number(bytes: &[u8], at: usize, count: usize) -> Option<u64> {
    let field = bytes.get(at..at + count)?;
    Some(
        field
            .iter()
            .rev()
            .fold(0, |number, byte| (number << 8) | u64::from(*byte)),
    )
}

/// How many appends a body has; nothing if it does not parse.
fn appends(body: &[u8]) -> Option<u64> {
    let (mut at, mut count) = (0, 0);
    while at < body.len() {
        count += u64::from(*body.get(at)? == 0);
        at += 5;
        let mut length = 0_u64;
        for shift in 0.. {
            let byte = *body.get(at)?;
            at += 1;
            if shift == 5 {
                return None;
            }
            length |= u64::from(byte & 0x7F) << (7 * shift);
            if byte < 0x80 {
                break;
            }
        }
        at = at.checked_add(usize::try_from(length).ok()?)?;
    }
    (at == body.len()).then_some(count)
}

/// The commits of a group, with their times; nothing if any of them does not parse.
fn group(time: u64, body: &[u8]) -> Option<Vec<(u64, &[u8])>> {
    let (mut all, mut at) = (Vec::new(), 0);
    loop {
        let end = at + 4 + usize::try_from(number(body, at, 4)?).ok()?;
        let rest = body.get(at + 4..end)?;
        let (mut zigzag, mut used) = (0_u128, 0);
        loop {
            let byte = *rest.get(used)?;
            if used == 10 {
                return None;
            }
            zigzag |= u128::from(byte & 0x7F) << (7 * used);
            used += 1;
            if byte < 0x80 {
                break;
            }
        }
        // Bits beyond the 64th are not looked at.
        let zigzag = zigzag as u64;
        let delta = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
        let time = u64::try_from((time as i64).checked_add(delta)?).ok()?;
        let ops = rest.get(used..)?;
        appends(ops)?;
        all.push((time, ops));
        at = end;
        if at == body.len() {
            return Some(all);
        }
    }
}

/// All commits of a segment whose header is intact.
pub(super) fn commits(file: &[u8]) -> Vec<Commit> {
    let mut all = Vec::new();
    let _ = walk(file, &mut all);
    all
}

fn walk(file: &[u8], all: &mut Vec<Commit>) -> Option<()> {
    let (log, generation) = (file.get(16..32)?, file.get(32..40)?);
    let base = number(file, 40, 8)?;
    let (mut chain, mut next, mut at) = (number(file, 68, 4)?, base, 512);
    loop {
        let head = file.get(at..at + 32)?;
        let offset = u32::try_from(at).ok()?.to_le_bytes();
        let covered = [log, generation, &offset, head.get(..8)?, head.get(12..)?].concat();
        if number(head, 8, 4)? != u64::from(crc32c::crc32c(&covered))
            || number(head, 16, 4)? != chain
        {
            return None;
        }
        let length = usize::try_from(number(head, 20, 4)?).ok()?;
        let body = file.get(at + 32..at + 32 + length)?;
        let position = base + number(head, 28, 4)?;
        if number(head, 12, 4)? != u64::from(crc32c::crc32c(body)) || position < next {
            return None;
        }
        // Positions, told or reserved, lie at most 3 GiB from the base.
        let reserved = match head.get(7)? {
            0xC4 => number(body, 0, 8).unwrap_or(0),
            _ => 0,
        };
        if position.max(reserved) > base + (3 << 30) {
            return None;
        }
        // Nothing is durable before it is written.
        if number(head, 24, 4)? > at as u64 {
            return None;
        }
        chain = number(head, 8, 4)?;
        at += 32 + length;
        next = position;
        let time = number(head, 0, 7)?;
        match head.get(7)? {
            0xC1 => {
                next += appends(body)?;
                all.push((time, position, body.to_vec()));
            }
            0xC5 => {
                for (time, ops) in group(time, body)? {
                    all.push((time, next, ops.to_vec()));
                    next += appends(ops)?;
                }
            }
            0xC2 | 0xC4 => {}
            _ => return None,
        }
    }
}
