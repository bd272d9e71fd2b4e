//! `hence dev` and `hence serve`: an application, its engine, and the gateway before it.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hence::{App, Running};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::config::{self, Config, Expected, Invalid};
use crate::gateway::Gateway;
use crate::gateway::auth::{Access, Token, Verb};
use crate::gateway::listen::{Exposed, Listen, PORT};
use crate::gateway::server::{self, REQUESTS_DRAIN_MAX};

/// Where `hence dev` keeps events.
const DATA: &str = "./hence-data";
/// What is logged unless `RUST_LOG` says otherwise.
const LOG: &str = "info";
/// The exit code of a configuration with which nothing can start.
const EXIT_CONFIGURATION: u8 = 3;
/// The exit code after the second Ctrl-C.
const EXIT_INTERRUPTED: i32 = 130;

/// Runs Hence for development: an embedded log, the orders application, no tokens.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  hence dev\n  hence dev --memory --rate 5\n  hence dev --data ./mine --no-demo --listen 127.0.0.1:4400"
)]
pub(crate) struct Dev {
    /// Where events are kept; the default is ./hence-data.
    #[arg(long, value_name = "DIR", conflicts_with = "memory")]
    data: Option<PathBuf>,
    /// Keep events in memory only: they are lost when the process ends.
    #[arg(long)]
    memory: bool,
    /// Keep events also where the file system cannot promise to keep what is synced: tmpfs,
    /// overlay, NFS.
    #[arg(long, conflicts_with = "memory")]
    force: bool,
    /// A configuration file.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Do not run the bundled orders application.
    #[arg(long)]
    no_demo: bool,
    /// Orders a second that the bundled application places by itself.
    #[arg(long, value_name = "R", conflicts_with = "no_demo", value_parser = parse_rate)]
    rate: Option<f64>,
    /// Where to listen, on loopback; the default is localhost:4362.
    #[arg(long, value_name = "ADDR", value_parser = parse_listen)]
    listen: Option<Listen>,
}

/// Runs Hence as a configuration file says; every caller needs a token.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  hence serve -c hence.toml")]
pub(crate) struct Serve {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Where to listen, in place of gateway.listen.
    #[arg(long, value_name = "ADDR", value_parser = parse_listen)]
    listen: Option<Listen>,
    /// Listen beyond loopback although nothing is encrypted.
    #[arg(long)]
    insecure_i_know: bool,
}

fn parse_listen(text: &str) -> Result<Listen, String> {
    text.parse().map_err(|reason| format!("'{text}' {reason}"))
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate: Option<f64> = text.parse().ok();
    let good = |rate: &f64| rate.is_finite() && *rate >= 0.0;
    rate.filter(good)
        .ok_or_else(|| "must be a number, zero or more".to_owned())
}

/// The exit code that an error of `dev` or `serve` asks for.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    use hence::core::Code;
    let set_up = [
        Code::DURABILITY,
        Code::ENGINE_URL,
        Code::FILE_SYSTEM,
        Code::WIRING,
    ];
    let wrong = error.is::<Invalid>()
        || error.is::<Exposed>()
        || error
            .downcast_ref::<hence::Error>()
            .is_some_and(|error| set_up.contains(&error.code()));
    if wrong { EXIT_CONFIGURATION } else { 1 }
}

impl Dev {
    /// Runs until Ctrl-C or SIGTERM.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let terminal = begin_logs();
        let engine = format!("log:{DATA}");
        let expected = Expected {
            engine: &engine,
            orders: !self.no_demo,
            token: false,
            subscriptions: &subscriptions,
        };
        let mut config = config::load(self.config.as_deref(), std::env::vars(), &expected)?;
        if let Some(data) = &self.data {
            config.engine = format!("log:{}", data.display());
        }
        if self.force && config.engine.starts_with("log:") {
            let joint = if config.engine.contains('?') {
                '&'
            } else {
                '?'
            };
            config.engine.push(joint);
            config.engine.push_str("force=true");
        }
        if self.memory {
            "memory:".clone_into(&mut config.engine);
        }
        config.demo.orders &= !self.no_demo;
        config.demo.rate = self.rate.unwrap_or(config.demo.rate);
        config.listen = self.listen.unwrap_or(config.listen);
        if !config.listen.is_loopback() {
            let reason = "`hence dev` is for this machine alone; `hence serve` has tokens";
            return Err(Exposed::new(config.listen, reason).into());
        }
        let secret = fresh_secret();
        config
            .tokens
            .push(Token::of_secret("dev", &secret, Verb::ALL.to_vec()));
        let started = Started::begin(config, true).await?;
        if terminal {
            started.greet(&secret)?;
        }
        started.run().await
    }
}

impl Serve {
    /// Runs until Ctrl-C or SIGTERM.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        begin_logs();
        let expected = Expected {
            engine: "log:./hence-data",
            orders: false,
            token: true,
            subscriptions: &subscriptions,
        };
        let mut config = config::load(Some(&self.config), std::env::vars(), &expected)?;
        config.listen = self.listen.unwrap_or(config.listen);
        if !config.listen.is_loopback() {
            if !self.insecure_i_know {
                let reason = "tokens and events would cross the network unencrypted";
                return Err(Exposed::new(config.listen, reason).into());
            }
            tracing::warn!(listen = %config.listen, "other machines can reach this, unencrypted");
        }
        Started::begin(config, false).await?.run().await
    }
}

/// The subscriptions that code defines.
fn subscriptions(orders: bool) -> Vec<String> {
    let nodes = application(orders).topology().subscriptions;
    nodes.into_iter().map(|node| node.name).collect()
}

/// The bundled application, or one that only stores.
fn application(orders: bool) -> App {
    if orders {
        hence_orders::app()
    } else {
        App::new("hence")
    }
}

/// A secret of 32 bytes that nobody can guess.
fn fresh_secret() -> String {
    let (one, two) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    let random = Sha256::new().chain_update(one).chain_update(two).finalize();
    format!("hence_{}", BASE64.encode(random))
}

/// Logs to stdout, because logs are what these commands put out: for people on a terminal, as JSON
/// otherwise. Tells whether it is a terminal.
fn begin_logs() -> bool {
    let terminal = std::io::stdout().is_terminal();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOG));
    let logs = tracing_subscriber::fmt().with_env_filter(filter);
    let begun = if terminal {
        let coloured = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        logs.with_ansi(coloured)
            .with_target(false)
            .compact()
            .try_init()
    } else {
        logs.json().flatten_event(true).try_init()
    };
    if let Err(error) = begun {
        // Somebody set up logs before us, as a test may; those hold.
        tracing::debug!(%error, "logs were set up already");
    }
    terminal
}

/// A server that is ready.
struct Started {
    config: Config,
    running: Running,
    listeners: Vec<TcpListener>,
    access: Access,
}

impl Started {
    async fn begin(mut config: Config, open: bool) -> anyhow::Result<Self> {
        // First the address: nothing of the log is touched when another process runs already.
        let listeners = config.listen.bind().await?;
        let mut app = config.apply(application(config.demo.orders));
        if config.demo.orders && config.demo.rate > 0.0 {
            app = app.source(hence_orders::demo_load(config.demo.rate));
        }
        app.check()?;
        let mut options = hence_engine_local::Options::default();
        options.retention = config.retention;
        options.spares = true;
        let engine = hence_engine_local::open_with(&config.engine, options)?;
        let running = app.start_on(engine).await?;
        let access = Access {
            tokens: std::mem::take(&mut config.tokens),
            open,
            hosts: std::mem::take(&mut config.hosts),
            origins: std::mem::take(&mut config.origins),
            any_address: !config.listen.is_loopback(),
        };
        Ok(Self {
            config,
            running,
            listeners,
            access,
        })
    }

    fn urls(&self) -> Vec<String> {
        let addresses = self
            .listeners
            .iter()
            .filter_map(|listener| listener.local_addr().ok());
        addresses
            .map(|address| format!("http://{address}"))
            .collect()
    }

    /// Serves until Ctrl-C or SIGTERM, then drains.
    async fn run(self) -> anyhow::Result<()> {
        let (listen, engine) = (self.urls().join(" "), &self.config.engine);
        let durability = self.running.bus().durability();
        tracing::info!(listen, engine, %durability, "ready");
        let Config { limits, dedup, .. } = self.config;
        let drain = CancellationToken::new();
        let gateway = Gateway::new(&self.running, self.access, limits, dedup, drain.clone());
        let serving = tokio::spawn(server::serve(gateway, self.listeners));
        hence::app::interrupted().await;
        tracing::info!("going down: finishing what was begun; once more Ctrl-C stops at once");
        tokio::spawn(async {
            hence::app::interrupted().await;
            std::process::exit(EXIT_INTERRUPTED);
        });
        drain.cancel();
        serving.await?;
        // Together with the requests this stays within what a drain may take.
        let most = hence::app::DRAIN_MAX.saturating_sub(REQUESTS_DRAIN_MAX);
        let drained = self.running.drain_within(most).await;
        tracing::info!(abandoned = drained.abandoned, "stopped");
        Ok(())
    }

    /// Tells a newcomer what runs and what to try.
    fn greet(&self, secret: &str) -> anyhow::Result<()> {
        let mut out = String::new();
        let lines = [
            format!("Hence {} · development mode", env!("CARGO_PKG_VERSION")),
            "Only this machine can reach it, and nobody needs a token.".to_owned(),
            "Do not use it in production: see `hence serve`.".to_owned(),
        ];
        let width = lines
            .iter()
            .map(|line| line.chars().count())
            .max()
            .unwrap_or(0);
        writeln!(out, "╭─{}─╮", "─".repeat(width))?;
        for line in &lines {
            writeln!(out, "│ {line:width$} │")?;
        }
        writeln!(out, "╰─{}─╯", "─".repeat(width))?;
        let (bus, topology) = (self.running.bus(), self.running.topology());
        writeln!(
            out,
            "  engine   {} ({})",
            self.config.engine,
            bus.durability()
        )?;
        let count = topology.subscriptions.len();
        writeln!(
            out,
            "  runs     {} with {count} subscriptions",
            topology.app
        )?;
        writeln!(out, "  listens  {}", self.urls().join(" and "))?;
        writeln!(out, "  browsers need the token {secret}\n")?;

        let port = self
            .listeners
            .first()
            .and_then(|listener| listener.local_addr().ok());
        let port = port.map_or(PORT, |address| address.port());
        let server = match self.config.listen {
            Listen::Localhost(_) => format!("localhost:{port}"),
            Listen::Address(address) => format!("{}:{port}", host(address.ip())),
        };
        let remote = if server == format!("localhost:{PORT}") {
            String::new()
        } else {
            format!(" --server http://{server}")
        };
        let next = bus.engine().health().map_or(1, |report| report.last.0 + 1);
        let publish = if self.config.demo.orders {
            format!(
                "curl --json '{{\"order_id\":\"A-17\",\"amount\":99.5,\"items\":[{{\"sku\":\"X\",\"qty\":2}}]}}' {server}/v1/publish/order.placed"
            )
        } else {
            format!("curl --json '{{\"hello\":\"world\"}}' {server}/v1/publish/greeting.sent")
        };
        writeln!(out, "  see events come        curl -N {server}/v1/tail")?;
        writeln!(out, "  publish one            {publish}")?;
        writeln!(out, "  see what it caused     hence{remote} trace {next}\n")?;
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(out.as_bytes())?;
        Ok(stdout.flush()?)
    }
}

fn host(address: std::net::IpAddr) -> String {
    match address {
        std::net::IpAddr::V4(address) => address.to_string(),
        std::net::IpAddr::V6(address) => format!("[{address}]"),
    }
}
