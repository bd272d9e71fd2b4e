//! Words of a command that somebody copies into a shell.

use std::borrow::Cow;

/// A word as a POSIX shell takes it for one, whatever is in it.
pub(crate) fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => Cow::Borrowed(word),
        false => Cow::Owned(format!("'{}'", word.replace('\'', r"'\''"))),
    }
}

/// `--name value`; a value that looks like a flag is tied to its name.
pub(crate) fn flag(name: &str, value: &str) -> String {
    let tie = if value.starts_with('-') { '=' } else { ' ' };
    format!("--{name}{tie}{}", quoted(value))
}

#[cfg(test)]
mod tests;
