//! `Output`: the only place that prints. Data goes to standard output, messages to standard error.

use std::borrow::Cow;
use std::env;
use std::io::{self, IsTerminal, Write};

use serde_json::value::RawValue;

use super::error::{Fault, Result};
use super::global::Global;
use super::raw;

/// The width that tables are cut to when the terminal does not tell its own.
const WIDTH: usize = 100;
/// The narrowest width that tables are cut to.
const WIDTH_MIN: usize = 40;

/// How data is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Tables and sentences.
    Human,
    /// The objects of the API, one a line.
    Json,
    /// One row of tab-separated fields for each item.
    Plain,
}

/// What a piece of text means; it becomes a colour where colours are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// A heading.
    Head,
    /// What went well.
    Good,
    /// What waits or is tried again.
    Wait,
    /// What failed.
    Bad,
    /// What is beside the point.
    Faint,
    /// What the line is about.
    Name,
}

impl Style {
    const fn sequence(self) -> &'static str {
        match self {
            Self::Head => "\x1b[1m",
            Self::Good => "\x1b[32m",
            Self::Wait => "\x1b[33m",
            Self::Bad => "\x1b[31m",
            Self::Faint => "\x1b[2m",
            Self::Name => "\x1b[36m",
        }
    }
}

/// Where a command writes to.
pub(crate) struct Output {
    data: Box<dyn Write>,
    messages: Box<dyn Write>,
    form: Form,
    quiet: bool,
    verbose: bool,
    colour: bool,
    colour_messages: bool,
    width: Option<usize>,
    warned: String,
}

impl Output {
    /// Standard output and standard error, as the flags and the environment want them.
    pub(crate) fn standard(global: &Global) -> Self {
        let form = match (global.json, global.plain) {
            (true, _) => Form::Json,
            (_, true) => Form::Plain,
            _ => Form::Human,
        };
        let environment = |name: &str| env::var(name).unwrap_or_default();
        let wants = |is_terminal| wants_colour(is_terminal, global.no_color, environment);
        Self {
            data: Box::new(io::stdout()),
            messages: Box::new(io::stderr()),
            form,
            quiet: global.quiet,
            verbose: global.verbose,
            colour: wants(io::stdout().is_terminal()),
            colour_messages: wants(io::stderr().is_terminal()),
            width: terminal_width(),
            warned: String::new(),
        }
    }

    /// An output into memory, for tests.
    #[cfg(test)]
    pub(crate) fn to(data: impl Write + 'static, messages: impl Write + 'static) -> Self {
        Self {
            data: Box::new(data),
            messages: Box::new(messages),
            form: Form::Human,
            quiet: false,
            verbose: false,
            colour: false,
            colour_messages: false,
            width: None,
            warned: String::new(),
        }
    }

    pub(crate) fn form(&self) -> Form {
        self.form
    }

    pub(crate) fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    /// The columns of the terminal, when the data goes to one.
    pub(crate) fn width(&self) -> Option<usize> {
        self.width
    }

    /// One line of data.
    pub(crate) fn line(&mut self, text: &str) -> Result<()> {
        self.data.write_all(text.as_bytes())?;
        self.data.write_all(b"\n")?;
        Ok(())
    }

    /// Data as it is, without a line end.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.data.write_all(bytes)?;
        self.data.flush()?;
        Ok(())
    }

    /// One JSON object on a line of its own.
    pub(crate) fn json(&mut self, value: &impl serde::Serialize) -> Result<()> {
        let text = serde_json::to_string(value)
            .map_err(|error| Fault::ANSWER.error("an answer is not JSON").cause(error))?;
        self.line(&text)
    }

    /// One JSON value of the API, with the bytes with which it came, on a line of its own.
    pub(crate) fn raw(&mut self, value: &RawValue) -> Result<()> {
        self.line(&raw::compact(value.get()))
    }

    /// One row of `--plain`; tabs and line ends inside a field become spaces.
    pub(crate) fn row<'a>(&mut self, fields: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let fields: Vec<_> = fields.into_iter().map(clean).collect();
        self.line(&fields.join("\t"))
    }

    /// A message about what was done; `-q` leaves it out.
    pub(crate) fn note(&mut self, text: &str) {
        if !self.quiet {
            self.complain(text);
        }
    }

    /// A warning of the server; the same one is said once in a row.
    pub(crate) fn warn(&mut self, text: &str) {
        if self.warned != text {
            text.clone_into(&mut self.warned);
            let mark = self.paint_error(Style::Wait, "warning:");
            self.note(&format!("{mark} {}", clean(text)));
        }
    }

    /// The command that comes next, for people.
    pub(crate) fn next(&mut self, command: &str) {
        if self.form == Form::Human {
            let text = self.paint_error(Style::Faint, &format!("next: {command}"));
            self.note(&text);
        }
    }

    /// A message that only `-v` shows.
    pub(crate) fn detail(&mut self, text: &str) {
        if self.verbose {
            self.complain(text);
        }
    }

    /// A message that always shows. When standard error has gone there is nobody left to tell.
    pub(crate) fn complain(&mut self, text: &str) {
        let _ = writeln!(self.messages, "{text}");
    }

    /// A question, without a line end.
    pub(crate) fn ask(&mut self, text: &str) {
        let _ = write!(self.messages, "{text} ");
        let _ = self.messages.flush();
    }

    /// Data text in its colour.
    pub(crate) fn paint(&self, style: Style, text: &str) -> String {
        paint(self.colour, style, text)
    }

    /// Message text in its colour.
    pub(crate) fn paint_error(&self, style: Style, text: &str) -> String {
        paint(self.colour_messages, style, text)
    }
}

fn paint(colour: bool, style: Style, text: &str) -> String {
    if colour && !text.is_empty() {
        format!("{}{text}\x1b[0m", style.sequence())
    } else {
        text.to_owned()
    }
}

/// Whether to use colours: `--no-color` and `NO_COLOR` win, then `FORCE_COLOR`, then the terminal.
pub(crate) fn wants_colour(
    is_terminal: bool,
    refused: bool,
    environment: impl Fn(&str) -> String,
) -> bool {
    if refused || !environment("NO_COLOR").is_empty() {
        return false;
    }
    let forced = environment("FORCE_COLOR");
    if !forced.is_empty() {
        return forced != "0" && forced != "false";
    }
    is_terminal && environment("TERM") != "dumb"
}

/// Waits until whoever reads standard output has gone, so that a program which has nothing to
/// write ends too. Where the system does not tell, it waits for ever.
pub(crate) async fn reader_gone() {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        use tokio::io::Interest;
        use tokio::net::unix::pipe::Sender;

        // Unchecked, because the checked form would make writing fail where it should wait.
        let copy = io::stdout().as_fd().try_clone_to_owned();
        if let Ok(Ok(pipe)) = copy.map(Sender::from_owned_fd_unchecked)
            && pipe.ready(Interest::ERROR).await.is_ok()
        {
            return;
        }
    }
    std::future::pending::<()>().await;
}

fn terminal_width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let told = rustix::termios::tcgetwinsize(io::stdout()).ok();
    let columns = told
        .map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns > 0);
    Some(columns.unwrap_or(WIDTH).max(WIDTH_MIN))
}

/// Text of others without control characters, so that an event cannot steer the terminal.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    let is_clean = |c: char| !c.is_control() && !is_direction(c);
    if text.chars().all(is_clean) {
        return Cow::Borrowed(text);
    }
    let keep = |c: char| match c {
        '\n' | '\t' | '\r' => ' ',
        c if is_clean(c) => c,
        _ => '\u{fffd}',
    };
    Cow::Owned(text.chars().map(keep).collect())
}

/// Marks that turn the direction of writing, with which text can be shown in another order.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests;
