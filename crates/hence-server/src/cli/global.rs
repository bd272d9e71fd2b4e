//! `Global`: the flags that every command has.

use std::path::PathBuf;
use std::time::Duration;

use super::moment;

/// Where a server of this machine listens unless it is told otherwise.
pub(crate) const SERVER: &str = "http://127.0.0.1:4362";

/// The flags that every command has.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The server to talk to.
    #[arg(long, global = true, value_name = "URL", env = "HENCE_SERVER", default_value = SERVER)]
    pub(crate) server: String,

    /// A file of mode 0600 that holds the token; `-` reads it from standard input.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "HENCE_TOKEN_FILE",
        hide_env_values = true
    )]
    pub(crate) token_file: Option<PathBuf>,

    /// How long to wait for an answer.
    #[arg(long, global = true, value_name = "TIME", default_value = "10s", value_parser = moment::duration)]
    pub(crate) timeout: Duration,

    /// Write the objects of the API: one, or one a line for lists.
    #[arg(long, global = true, conflicts_with = "plain")]
    pub(crate) json: bool,

    /// Write one tab-separated row for each item.
    #[arg(long, global = true)]
    pub(crate) plain: bool,

    /// Say nothing but data and errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Say what is asked of the server, and how long it took.
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,

    /// Use no colours.
    #[arg(long, global = true)]
    pub(crate) no_color: bool,

    /// Ask nothing, also on a terminal.
    #[arg(long, global = true)]
    pub(crate) no_input: bool,
}

/// How times are written.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    /// Write times in UTC in place of how long ago they were.
    #[arg(long)]
    pub(crate) utc: bool,
}

impl Times {
    /// An RFC 3339 time of the API for people; what is not a time stays as it is.
    pub(crate) fn show(self, time: &str) -> String {
        if self.utc {
            return time.to_owned();
        }
        match hence::core::Timestamp::parse(time) {
            Ok(moment) => moment::ago(moment, hence::core::Timestamp::now()),
            Err(_) => time.to_owned(),
        }
    }
}
