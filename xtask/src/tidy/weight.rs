//! A clone stays light: no file over 512 KiB.

use crate::house::House;
use crate::tidy::Findings;

const LIMIT: u64 = 512 * 1024;

pub(crate) fn check(house: &House, findings: &mut Findings) {
    for file in house.files.iter().filter(|file| file.bytes > LIMIT) {
        let message = format!(
            "{} KiB, the limit is {} KiB",
            file.bytes / 1024,
            LIMIT / 1024
        );
        findings.problem(&file.path, 1, message, "generate it, or make it smaller");
    }
}

#[cfg(test)]
mod tests;
