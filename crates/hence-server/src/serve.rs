//! The commands that run a server; the gateway brings them.

/// Runs Hence for development.
#[derive(clap::Args, Debug)]
pub(crate) struct Dev {}

impl Dev {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        anyhow::bail!("the gateway is not part of this build")
    }
}

/// Runs Hence as a configuration file says.
#[derive(clap::Args, Debug)]
pub(crate) struct Serve {}

impl Serve {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        anyhow::bail!("the gateway is not part of this build")
    }
}
