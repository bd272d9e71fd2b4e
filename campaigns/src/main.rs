//! The program of the campaigns.

use std::process::ExitCode;

fn main() -> ExitCode {
    hence_campaigns::main()
}
