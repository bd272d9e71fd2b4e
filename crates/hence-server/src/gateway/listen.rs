//! `Listen`: the addresses of the gateway, and who is there already.

use std::fmt;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use tokio::net::TcpListener;

/// The port of Hence: H-E-N-C on a telephone.
pub(crate) const PORT: u16 = 4362;

/// Where the gateway listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listen {
    /// On both loopback addresses, where the host has them.
    Localhost(u16),
    /// On one address.
    Address(SocketAddr),
}

impl Default for Listen {
    fn default() -> Self {
        Self::Localhost(PORT)
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || "is not an address such as localhost:4362 or 127.0.0.1:4362".to_owned();
        match text.strip_prefix("localhost:") {
            Some(port) => port.parse().map(Self::Localhost).map_err(|_| bad()),
            None => text.parse().map(Self::Address).map_err(|_| bad()),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Localhost(port) => write!(f, "localhost:{port}"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// An address on which nothing can listen, and what to do about it.
#[derive(Debug)]
pub(crate) struct Unusable(String);

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unusable {}

/// An address that other machines could reach, unencrypted.
#[derive(Debug)]
pub(crate) struct Exposed(String);

impl Exposed {
    /// Refuses an address for a reason, and says what to do instead.
    pub(crate) fn new(listen: Listen, reason: &str) -> Self {
        let instead = Listen::default();
        Self(format!(
            "HN0502 unsafe exposure: {listen} is reachable from other machines, and {reason}\n\
             Listen on {instead} and put a proxy with TLS before it, or override with \
             `hence serve --insecure-i-know`"
        ))
    }
}

impl fmt::Display for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Exposed {}

impl Listen {
    /// Whether only this machine can reach it.
    pub(crate) fn is_loopback(self) -> bool {
        match self {
            Self::Localhost(_) => true,
            Self::Address(address) => address.ip().is_loopback(),
        }
    }

    /// Begins to listen.
    ///
    /// # Errors
    /// The address is in use, or not one of this machine.
    pub(crate) async fn bind(self) -> Result<Vec<TcpListener>, Unusable> {
        let port = match self {
            Self::Address(address) => return Ok(vec![bind(address).await?]),
            Self::Localhost(port) => port,
        };
        let first = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        // Port 0 lets the system choose; the second address takes the same one.
        let port = first.local_addr().map_or(port, |address| address.port());
        let second = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
        match TcpListener::bind(second).await {
            Ok(second) => Ok(vec![first, second]),
            Err(error) if error.kind() == ErrorKind::AddrInUse => Err(in_use(second)),
            Err(error) => {
                tracing::info!(%error, "no IPv6 loopback here; listening on 127.0.0.1 only");
                Ok(vec![first])
            }
        }
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Unusable> {
    TcpListener::bind(address)
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => in_use(address),
            _ => Unusable(format!("cannot listen on {address}: {error}")),
        })
}

fn in_use(address: SocketAddr) -> Unusable {
    let who = holder(address).unwrap_or_else(|| "another process".to_owned());
    let (host, port) = (address.ip(), address.port());
    let other = SocketAddr::new(host, port.wrapping_add(1).max(1_024));
    Unusable(format!(
        "HN0503 address in use: {who} listens on {address}\n\
         Stop it, or listen elsewhere: --listen {other}"
    ))
}

/// The process that listens on an address, where the system lets us see it (Linux).
fn holder(address: SocketAddr) -> Option<String> {
    let table = match address.ip() {
        IpAddr::V4(_) => "/proc/net/tcp",
        IpAddr::V6(_) => "/proc/net/tcp6",
    };
    let port = format!(":{:04X}", address.port());
    let sockets = std::fs::read_to_string(table).ok()?;
    // Fields: number, local address, remote address, state (0A listens), …, the tenth is the inode.
    let inode = sockets.lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let listens = fields.get(1)?.ends_with(&port) && *fields.get(3)? == "0A";
        listens.then(|| fields.get(9).map(|inode| format!("socket:[{inode}]")))?
    })?;
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        let path = process.path();
        let Ok(open) = std::fs::read_dir(path.join("fd")) else {
            continue;
        };
        let holds = open
            .flatten()
            .any(|file| std::fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == &*inode));
        if holds {
            let name = std::fs::read_to_string(path.join("comm")).ok()?;
            let id = process.file_name();
            return Some(format!("'{}' (process {})", name.trim(), id.display()));
        }
    }
    None
}
