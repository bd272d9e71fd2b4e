//! `--format`: one event as text, printf-like.

use super::event::Event;
use super::output::clean;

/// What each mark stands for; `--format help` prints it.
pub(crate) const HELP: [(&str, &str); 12] = [
    ("%i", "id"),
    ("%t", "type"),
    ("%s", "source"),
    ("%S", "subject"),
    ("%k", "ordering key"),
    ("%p", "position"),
    ("%T", "time"),
    ("%d", "data"),
    ("%a{name}", "any attribute"),
    ("%n", "line end"),
    ("\\t", "tab"),
    ("%%", "a percent sign"),
];

/// A format, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Format(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Attribute(String),
    Position,
    Data,
}

impl Format {
    /// Takes a format apart; the error names the mark that is unknown.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c == '\\' {
                match chars.next() {
                    Some('n') => plain.push('\n'),
                    Some('t') => plain.push('\t'),
                    Some('0') => plain.push('\0'),
                    Some('\\') => plain.push('\\'),
                    other => return Err(unknown('\\', other)),
                }
                continue;
            }
            if c != '%' {
                plain.push(c);
                continue;
            }
            let attribute = |name: &str| Part::Attribute(name.to_owned());
            let part = match chars.next() {
                Some('i') => attribute("id"),
                Some('t') => attribute("type"),
                Some('s') => attribute("source"),
                Some('S') => attribute("subject"),
                Some('k') => attribute("partitionkey"),
                Some('T') => attribute("time"),
                Some('p') => Part::Position,
                Some('d') => Part::Data,
                Some('a') => Part::Attribute(braced(&mut chars)?),
                Some('n') => {
                    plain.push('\n');
                    continue;
                }
                Some('%') => {
                    plain.push('%');
                    continue;
                }
                other => return Err(unknown('%', other)),
            };
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(part);
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self(parts))
    }

    /// The event in this format. A line end is not added.
    pub(crate) fn write(&self, position: &str, event: &Event) -> String {
        let one = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Attribute(name) => clean(&event.or_empty(name)).into_owned(),
            Part::Position => position.to_owned(),
            Part::Data => clean(&event.data().unwrap_or_default()).into_owned(),
        };
        self.0.iter().map(one).collect()
    }
}

fn braced(chars: &mut std::str::Chars<'_>) -> Result<String, String> {
    let rest = chars.as_str();
    let name = rest
        .strip_prefix('{')
        .and_then(|rest| rest.split_once('}'))
        .map(|(name, _)| name)
        .filter(|name| !name.is_empty())
        .ok_or("`%a` wants the name of an attribute in braces: %a{tenantid}")?;
    chars.nth(name.len() + 1);
    Ok(name.to_owned())
}

fn unknown(lead: char, found: Option<char>) -> String {
    match found {
        Some(c) => format!("`{lead}{c}` is no mark; `--format help` lists them"),
        None => format!("the format ends within a mark: `{lead}`"),
    }
}

#[cfg(test)]
mod tests;
