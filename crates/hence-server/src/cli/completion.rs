//! `hence completion`: what the shell needs to complete commands and flags.

use clap_complete::Shell;

use super::error::Result;
use super::output::Output;

pub(crate) const EXAMPLES: &str = "\
Examples:
  hence completion bash > hence.bash
  hence completion zsh > _hence
  hence completion fish > hence.fish";

/// Writes the completion script of a shell.
#[derive(clap::Args, Debug)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Completion {
    /// The shell.
    shell: Shell,
}

impl Completion {
    pub(crate) fn run(&self, out: &mut Output) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::definition(), "hence", &mut script);
        out.bytes(&script)?;
        out.next(match self.shell {
            Shell::Bash => "source the script from ~/.bashrc",
            Shell::Zsh => "put the script as _hence into a folder of $fpath",
            Shell::Fish => "put the script into ~/.config/fish/completions/hence.fish",
            _ => "load the script in the profile of the shell",
        });
        Ok(())
    }
}
