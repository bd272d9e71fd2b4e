//! The `hence` binary.

mod config;
mod gateway;
mod serve;

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(name = "hence", version)]
enum Hence {
    Dev(serve::Dev),
    Serve(serve::Serve),
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Hence::parse() {
        Hence::Dev(dev) => dev.run().await,
        Hence::Serve(serve) => serve.run().await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "{error:#}");
            ExitCode::from(serve::exit_code(&error))
        }
    }
}
