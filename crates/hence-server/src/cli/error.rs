//! `Error`: why a command did not do what it was asked, and with which code it exits.

use std::borrow::Cow;
use std::fmt;
use std::io;

use hence::core::error::Kind;
use serde_json::json;

use super::output::{Output, Style, clean};
use super::table::counted;
use crate::config::Invalid;
use crate::serve;

/// A result with the command line's [`Error`].
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// The exit codes; one table for all commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// It failed.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The configuration is not valid.
    Configuration = 3,
    /// The server cannot be reached, or does not answer.
    Unreachable = 4,
    /// There is no such thing.
    NotFound = 5,
    /// It contradicts what is there, or was done already.
    Conflict = 6,
    /// A check did not pass.
    Check = 7,
    /// The token does not permit it.
    Refused = 8,
    /// The data cannot carry an answer.
    Unsaid = 9,
    /// Whoever read the output has gone; nothing is said about it.
    Pipe = 141,
}

/// A kind of error of the command line itself, with its page in `docs/errors`.
pub(crate) struct Fault {
    pub(crate) code: &'static str,
    pub(crate) title: &'static str,
    exit: Exit,
    fix: &'static str,
}

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $exit:ident, $title:literal, $fix:literal;)*) => {
        impl Fault {
            $($(#[$doc])* pub(crate) const $name: Self =
                Self { code: $code, title: $title, exit: Exit::$exit, fix: $fix };)*

            /// Every fault, in the order of the codes.
            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

faults! {
    /// Nobody listens at the address, or the connection broke.
    UNREACHABLE = "HN0601", Unreachable, "Server not reachable",
        "start one with `hence dev`, or name another with --server URL";
    /// The server took longer than `--timeout`.
    SILENT = "HN0602", Unreachable, "Server did not answer in time",
        "wait longer with --timeout 30s, or look at the log of the server";
    /// The URL of the server cannot be used.
    SERVER_URL = "HN0603", Usage, "Server URL not usable",
        "give an address such as --server http://127.0.0.1:4362";
    /// The token file is missing, empty, or readable by others.
    TOKEN_FILE = "HN0604", Refused, "Token file not usable",
        "keep the token alone in a file of mode 0600";
    /// What answered does not speak the protocol of Hence.
    ANSWER = "HN0605", Failed, "Answer not understood",
        "check that --server names a Hence server of this version";
    /// What was given as input cannot be read or sent.
    INPUT = "HN0606", Usage, "Input not usable",
        "see `hence publish --help` for the forms of DATA";
    /// What was asked for by name or id is not there, or is not unique.
    NOT_FOUND = "HN0607", NotFound, "Nothing of that name",
        "list what there is: `hence tail --from earliest`, `hence dlq ls`, `hence errors`";
    /// Standard output cannot be written.
    OUTPUT = "HN0608", Failed, "Output cannot be written",
        "check the disk and the permissions of what the output goes to";
    /// A target is not met, or a subscription saturates.
    MISSED = "HN0609", Check, "Target not met",
        "ask for more: `hence plan workers --target ...`, `hence plan --set ...`, or bring less load";
    /// The measurements cannot carry the answer.
    UNSAID = "HN0610", Unsaid, "Cannot say",
        "let it run longer under its usual load, then ask again; `hence plan` tells what is missing";
    /// A question to the planner makes no sense.
    QUESTION = "HN0611", Usage, "Question not understood",
        "see `hence plan --help`";
    /// What acts on the world was asked for where nobody can be asked.
    CONSENT = "HN0612", Usage, "Not without a yes",
        "see what it would do with --dry-run, then say yes with --force";
    /// A replay found calls that fail, or events that would be others now.
    FINDINGS = "HN0613", Check, "Replay with findings",
        "the findings stand above; `hence trace POSITION` shows what was published then";
    /// A job was cancelled, or failed.
    JOB = "HN0614", Failed, "Job not finished",
        "`hence jobs ls` shows how far it came";
}

impl Fault {
    /// An error of this kind with what happened in particular.
    pub(crate) fn error(&self, sentence: impl Into<String>) -> Error {
        Error(Box::new(Inner {
            exit: self.exit,
            code: Cow::Borrowed(self.code),
            title: Cow::Borrowed(self.title),
            sentence: sentence.into(),
            causes: Vec::new(),
            fix: Some(self.fix.to_owned()),
        }))
    }
}

/// Why a command did not do what it was asked: one sentence, a code, the cause, the way out.
#[derive(Debug)]
pub(crate) struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    exit: Exit,
    code: Cow<'static, str>,
    title: Cow<'static, str>,
    sentence: String,
    causes: Vec<String>,
    fix: Option<String>,
}

impl Error {
    /// An error that the server told.
    pub(crate) fn told(exit: Exit, code: String, title: String, sentence: String) -> Self {
        Self(Box::new(Inner {
            exit,
            code: code.into(),
            title: title.into(),
            sentence,
            causes: Vec::new(),
            fix: None,
        }))
    }

    /// An error of an app or a server that ran in this process.
    pub(crate) fn of_run(error: &anyhow::Error) -> Self {
        let exit = match serve::exit_code(error) {
            code if code == Exit::Configuration as u8 => Exit::Configuration,
            _ => Exit::Failed,
        };
        if let Some(Invalid(issues)) = error.downcast_ref() {
            let count = counted(issues.len(), "error");
            let sentence = format!("the configuration is not valid, {count}");
            let (code, title) = ("HN0501".to_owned(), String::new());
            let told = Self::told(exit, code, title, sentence);
            return issues.iter().fold(told, Self::cause);
        }
        if let Some(known) = error.downcast_ref::<hence::Error>() {
            let mut known = Self::from(known.clone());
            known.0.exit = exit;
            return known;
        }
        let mut chain = error.chain();
        let text = chain.next().map(ToString::to_string).unwrap_or_default();
        // `HN0503 address in use: …`, and the way out on the lines behind it.
        let (first, fix) = text.split_once('\n').unwrap_or((&text, ""));
        let is_code = |word: &str| word.len() == 6 && word.starts_with("HN");
        let (code, sentence) = first
            .split_once(' ')
            .filter(|(word, _)| is_code(word))
            .unwrap_or(("", first));
        let (code, sentence) = (code.to_owned(), sentence.to_owned());
        let told = chain.fold(Self::told(exit, code, String::new(), sentence), Self::cause);
        match fix {
            "" => told,
            fix => told.fix(fix),
        }
    }

    /// With what led to it, unless the sentence says so already.
    pub(crate) fn cause(mut self, cause: impl fmt::Display) -> Self {
        let cause = cause.to_string();
        if !self.0.sentence.contains(&cause) {
            self.0.causes.push(cause);
        }
        self
    }

    /// With another way out than the usual one of its kind.
    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.0.fix = Some(fix.into());
        self
    }

    /// With another exit code than the usual one of its kind.
    pub(crate) fn exiting(mut self, exit: Exit) -> Self {
        self.0.exit = exit;
        self
    }

    /// With a place before the sentence: `line 7: …`.
    pub(crate) fn at(mut self, place: impl fmt::Display) -> Self {
        self.0.sentence = format!("{place}: {}", self.0.sentence);
        self
    }

    pub(crate) fn code(&self) -> &str {
        &self.0.code
    }

    pub(crate) fn exit(&self) -> Exit {
        self.0.exit
    }

    /// Whether trying again may help, because the server was away or busy.
    pub(crate) fn is_outage(&self) -> bool {
        self.0.exit == Exit::Unreachable || self.0.code.starts_with("HN503")
    }

    /// Says it on standard error: in words, or as one JSON object with `--json`.
    pub(crate) fn report(&self, out: &mut Output) {
        if self.0.exit == Exit::Pipe {
            return;
        }
        let Inner {
            exit,
            code,
            title,
            sentence,
            causes,
            fix,
        } = &*self.0;
        if out.is_json() {
            let object = json!({
                "code": code, "title": title, "detail": sentence, "causes": causes, "hint": fix,
                "exit": *exit as u8,
            });
            out.complain(&object.to_string());
            return;
        }
        let mark = out.paint_error(Style::Bad, "error:");
        let code_text = if code.is_empty() {
            String::new()
        } else {
            format!(" ({code})")
        };
        out.complain(&format!("{mark} {}{code_text}", clean(sentence)));
        if !title.is_empty() && causes.is_empty() && !sentence.contains(&**title) {
            out.complain(&format!("  cause: {}", clean(title)));
        }
        for cause in causes {
            for (number, line) in cause.lines().enumerate() {
                let lead = if number == 0 { "cause: " } else { "       " };
                out.complain(format!("  {lead}{}", clean(line)).trim_end());
            }
        }
        if let Some(fix) = fix {
            out.complain(&format!("  fix:   {}", clean(fix)));
        }
        if !code.is_empty() {
            out.complain(&format!("  page:  hence errors {code}"));
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.sentence)
    }
}

/// Errors of writing: a reader that has gone is no error worth a word.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        let written = Fault::OUTPUT
            .error("the output cannot be written")
            .cause(&error);
        if error.kind() != io::ErrorKind::BrokenPipe {
            return written;
        }
        Self(Box::new(Inner {
            exit: Exit::Pipe,
            ..*written.0
        }))
    }
}

impl From<hence::Error> for Error {
    fn from(error: hence::Error) -> Self {
        let exit = match error.kind() {
            Kind::NotFound => Exit::NotFound,
            Kind::Conflict => Exit::Conflict,
            Kind::Wiring => Exit::Configuration,
            _ => Exit::Failed,
        };
        let (code, title) = (error.code().as_str(), error.code().title());
        let told = Self::told(
            exit,
            code.to_owned(),
            title.to_owned(),
            error.detail().to_owned(),
        );
        match std::error::Error::source(&error) {
            Some(source) => told.cause(source),
            None => told,
        }
    }
}

#[cfg(test)]
mod tests;
