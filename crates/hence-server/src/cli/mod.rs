//! The command line of the one binary: every screen and every endpoint has its command.
//!
//! Data goes to standard output, messages go to standard error; `--json` gives the objects of the
//! API; the exit codes stand in [`error::Exit`]. Each command has its file.

mod address;
mod backup;
mod completion;
mod config;
mod dlq;
mod error;
mod errors;
mod event;
mod explain;
mod filter;
mod format;
mod get;
mod global;
mod graph;
mod input;
mod jobs;
mod lines;
mod log;
mod model;
mod moment;
mod output;
mod plan;
mod problem;
mod publish;
mod query;
mod raw;
#[cfg(test)]
mod reference;
mod remote;
mod replay;
mod restore;
mod shell;
mod simulate;
mod status;
mod subs;
mod table;
mod tail;
mod token;
mod trace;
mod tree;
mod version;

use std::env;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::{ColorChoice, CommandFactory, FromArgMatches};

use self::error::{Error, Exit, Result};
use self::global::Global;
use self::output::{Output, wants_colour};
use crate::serve;

const EXAMPLES: &str = "\
Examples:
  hence dev
  hence publish order.placed '{\"order_id\":\"A-17\",\"amount\":99.5,\"items\":[{\"sku\":\"X\",\"qty\":2}]}' --key A-17
  hence tail 'order.*' --from earliest --count 3
  hence trace 1";

/// Examples first, then what it is, then how it is used.
const TEMPLATE: &str = "\
{before-help}{about-with-newline}
{usage-heading} {usage}

{all-args}{after-help}";

/// Events, and what follows from them: develop, serve, publish, tail, trace, redrive.
#[derive(clap::Parser, Debug)]
#[command(name = "hence", version, before_help = EXAMPLES)]
#[command(subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    global: Global,

    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    Dev(serve::Dev),
    Serve(serve::Serve),
    Publish(publish::Publish),
    Tail(tail::Tail),
    Get(get::Get),
    Trace(trace::Trace),
    Explain(explain::Explain),
    Graph(graph::Graph),
    Plan(plan::Plan),
    Simulate(simulate::Simulate),
    /// The queueing model of the running application.
    #[command(subcommand, before_help = model::EXAMPLES)]
    Model(model::Model),
    /// Dead letters: what could not be handled, kept with its cause.
    #[command(subcommand, before_help = dlq::EXAMPLES)]
    Dlq(dlq::Dlq),
    Replay(replay::Replay),
    /// Subscriptions: how they stand, to pause one, and to let it go on.
    #[command(subcommand, before_help = subs::EXAMPLES)]
    Subs(subs::Subs),
    /// Jobs: bulk work on dead letters and replays, watched and cancelled.
    #[command(subcommand, before_help = jobs::EXAMPLES)]
    Jobs(jobs::Jobs),
    /// The configuration, and what happens without one.
    #[command(subcommand, before_help = config::EXAMPLES)]
    Config(config::Config),
    Status(status::Status),
    /// Data directories: is a log intact, how large is it, what can be saved of a damaged one.
    #[command(subcommand, before_help = log::EXAMPLES)]
    Log(log::Log),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Errors(errors::Errors),
    Completion(completion::Completion),
    Version(version::Version),
}

/// Runs the command line of this process.
pub(crate) fn main() -> ExitCode {
    let colour = |is_terminal| {
        let refused = env::args_os().any(|arg| arg == "--no-color");
        wants_colour(is_terminal, refused, |name| {
            env::var(name).unwrap_or_default()
        })
    };
    // Help goes to standard output and mistakes go to standard error; both or none are coloured.
    let choice = if colour(io::stdout().is_terminal() && io::stderr().is_terminal()) {
        ColorChoice::Always
    } else {
        ColorChoice::Never
    };
    let matches = match definition().color(choice).try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return usage(&error),
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let mut out = Output::standard(&cli.global);
    match run(cli, &mut out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.report(&mut out);
            ExitCode::from(error.exit() as u8)
        }
    }
}

/// Help that was asked for, or a mistake in the use of the command line.
fn usage(error: &clap::Error) -> ExitCode {
    if error.print().is_err() {
        return ExitCode::from(Exit::Pipe as u8);
    }
    if error.use_stderr() {
        ExitCode::from(Exit::Usage as u8)
    } else {
        ExitCode::SUCCESS
    }
}

fn run(cli: Cli, out: &mut Output) -> Result<()> {
    let Cli { global, command } = cli;
    match command {
        Command::Dev(dev) => served(dev.run()),
        Command::Serve(serve) => served(serve.run()),
        Command::Backup(backup) => backup.run(out),
        Command::Completion(completion) => completion.run(out),
        Command::Config(config) => config.run(out),
        Command::Errors(errors) => errors.run(out),
        Command::Log(log) => log.run(out),
        Command::Restore(restore) => restore.run(out),
        Command::Version(_) => version::Version::run(out),
        Command::Publish(publish) => asked(publish.run(out, &global)),
        Command::Tail(tail) => asked(tail.run(out, &global)),
        Command::Get(get) => asked(get.run(out, &global)),
        Command::Trace(trace) => asked(trace.run(out, &global)),
        Command::Explain(explain) => asked(explain.run(out, &global)),
        Command::Graph(graph) => asked(graph.run(out, &global)),
        Command::Plan(plan) => asked(plan.run(out, &global)),
        Command::Simulate(simulate) => asked(simulate.run(out, &global)),
        Command::Model(model) => asked(model.run(out, &global)),
        Command::Dlq(dlq) => asked(dlq.run(out, &global)),
        Command::Replay(replay) => asked(replay.run(out, &global)),
        Command::Subs(subs) => asked(subs.run(out, &global)),
        Command::Jobs(jobs) => asked(jobs.run(out, &global)),
        Command::Status(_) => asked(status::Status::run(out, &global)),
    }
}

/// Runs a server on all processors.
fn served(run: impl Future<Output = anyhow::Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(no_runtime)?;
    runtime.block_on(run).map_err(|error| Error::of_run(&error))
}

/// Runs a command that asks a server.
fn asked(run: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.map_err(no_runtime)?.block_on(run)
}

fn no_runtime(error: io::Error) -> Error {
    let sentence = "the operating system refuses what a program needs to run".to_owned();
    Error::told(Exit::Failed, String::new(), String::new(), sentence)
        .cause(error)
        .fix("look at the limits of processes and open files: ulimit -a")
}

/// The definition of the command line, with the same shape of help everywhere.
fn definition() -> clap::Command {
    let with_footer = |command: clap::Command, path: &str| {
        let anchor = match path {
            "hence" => String::new(),
            path => format!("#{}", path.replace(' ', "-")),
        };
        let footer = format!("Page: docs/reference/cli.md{anchor}");
        // Examples may stand behind the help of a command; they go before it here.
        let before = command.get_before_help().or(command.get_after_help());
        let examples = before.cloned().unwrap_or_default();
        let command = command.before_help(examples).after_help(footer);
        command.help_template(TEMPLATE)
    };
    let mut root = with_footer(Cli::command(), "hence");
    let names: Vec<String> = root
        .get_subcommands()
        .map(|c| c.get_name().to_owned())
        .collect();
    for name in names {
        root = root.mut_subcommand(&name, |command| {
            let path = format!("hence {name}");
            let mut command = with_footer(command, &path);
            let below: Vec<String> = command
                .get_subcommands()
                .map(|c| c.get_name().to_owned())
                .collect();
            if !below.is_empty() {
                command = command
                    .disable_help_subcommand(true)
                    .arg_required_else_help(true);
            }
            for leaf in below {
                let path = format!("{path} {leaf}");
                command = command.mut_subcommand(&leaf, |leaf| with_footer(leaf, &path));
            }
            command
        });
    }
    root
}

#[cfg(test)]
mod tests;
