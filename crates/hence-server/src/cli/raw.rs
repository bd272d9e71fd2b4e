//! JSON text as it came: laid out or packed without being read into values, so that the order of
//! members and the digits of numbers stay.

/// The same JSON on one line, without spaces outside strings.
pub(crate) fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut text = Text::default();
    for c in json.chars() {
        if text.step(c) || !c.is_whitespace() {
            out.push(c);
        }
    }
    out
}

/// The same JSON with one member a line.
pub(crate) fn pretty(json: &str) -> String {
    let packed = compact(json);
    let mut out = String::with_capacity(packed.len() * 2);
    let (mut depth, mut text) = (0_usize, Text::default());
    let mut chars = packed.chars().peekable();
    while let Some(c) = chars.next() {
        if text.step(c) {
            out.push(c);
            continue;
        }
        match c {
            '{' | '[' => {
                out.push(c);
                if let Some(close) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    new_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => out.push(c),
        }
    }
    out
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

/// Whether the reader stands inside a string.
#[derive(Default)]
struct Text {
    inside: bool,
    escaped: bool,
}

impl Text {
    /// Takes one character; true when it belongs to a string, quotation marks included.
    fn step(&mut self, c: char) -> bool {
        if !self.inside {
            self.inside = c == '"';
            return self.inside;
        }
        match c {
            _ if self.escaped => self.escaped = false,
            '\\' => self.escaped = true,
            '"' => self.inside = false,
            _ => {}
        }
        true
    }
}

#[cfg(test)]
mod tests;
