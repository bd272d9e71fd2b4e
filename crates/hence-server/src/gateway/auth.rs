//! Who may do what: tokens and verbs, and the allow-lists of hosts and origins.
//!
//! Localhost is not a wall: a page in a browser can reach it, and DNS can be rebound to it. So the
//! `Host` must be known, a foreign `Origin` is refused, and in development only callers that are
//! no browser go without a token.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HOST, HeaderValue, ORIGIN, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Gateway;
use super::problem::{Code, Problem};

/// The header by which a browser says where a request comes from.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// What a token may allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verb {
    /// To publish events.
    Publish,
    /// To read events, tails, the topology and dead letters.
    Read,
    /// To send dead letters again.
    Redrive,
    /// To have a handler called for old events.
    Replay,
    /// To pause a subscription, and to let it go on.
    Operate,
}

impl Verb {
    /// Every verb.
    pub(crate) const ALL: [Self; 5] = [
        Self::Publish,
        Self::Read,
        Self::Redrive,
        Self::Replay,
        Self::Operate,
    ];

    /// The verb as it is written.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Read => "read",
            Self::Redrive => "redrive",
            Self::Replay => "replay",
            Self::Operate => "operate",
        }
    }
}

/// A token that the gateway knows, as the hash of its secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token {
    name: Arc<str>,
    hash: [u8; 32],
    allow: Vec<Verb>,
}

impl Token {
    /// A token whose secret has this SHA-256.
    pub(crate) fn new(name: &str, hash: [u8; 32], allow: Vec<Verb>) -> Self {
        Self {
            name: name.into(),
            hash,
            allow,
        }
    }

    /// The name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A token with this secret.
    pub(crate) fn of_secret(name: &str, secret: &str, allow: Vec<Verb>) -> Self {
        Self::new(name, Sha256::digest(secret.as_bytes()).into(), allow)
    }
}

/// Without the hash: what is not printed does not leak.
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token({}, {:?})", self.name, self.allow)
    }
}

/// Who may come in, and from where.
#[derive(Debug, Default)]
pub(crate) struct Access {
    /// The tokens that are known.
    pub(crate) tokens: Vec<Token>,
    /// Whether a caller that is no browser needs no token (`hence dev`, on loopback only).
    pub(crate) open: bool,
    /// Names by which the gateway may be called besides `localhost` and loopback addresses.
    pub(crate) hosts: Vec<String>,
    /// Origins of pages in browsers that may call it besides its own.
    pub(crate) origins: Vec<String>,
    /// Whether any address is a good `Host`, because it listens beyond loopback.
    pub(crate) any_address: bool,
}

/// Who calls.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The name of the token, or `anonymous`.
    pub(crate) name: Arc<str>,
    /// What it may do.
    pub(crate) allow: Vec<Verb>,
}

impl Access {
    /// Checks `Host` and `Origin`.
    pub(crate) fn check_place(&self, parts: &Parts) -> Result<(), Problem> {
        // Of several names it would not be clear which one another proxy believes.
        let several = parts.headers.get_all(HOST).iter().nth(1).is_some();
        let host = host(parts).filter(|_| !several);
        if !host.is_some_and(|host| self.is_host(host)) {
            let detail = match host {
                Some(host) => format!("the host '{host}' is not one of this server's names"),
                None if several => "the request names several hosts".to_owned(),
                None => "the request names no host".to_owned(),
            };
            return Err(Code::HOST
                .problem(detail)
                .hint("call it as localhost, or list the name in gateway.hosts"));
        }
        let foreign = match text(&parts.headers, ORIGIN.as_str()) {
            Some(origin) if self.is_origin(origin, host) => None,
            Some(origin) => Some(format!("pages of '{origin}' may not call this server")),
            None => match text(&parts.headers, SEC_FETCH_SITE) {
                None | Some("none" | "same-origin") => None,
                Some(site) => Some(format!("a browser sent this from another site ({site})")),
            },
        };
        foreign.map_or(Ok(()), |detail| {
            let hint = "list the origin of the page in gateway.origins";
            Err(Code::ORIGIN.problem(detail).hint(hint))
        })
    }

    /// The origin of a page elsewhere that is allowed to call, if the request comes from one.
    pub(crate) fn foreign_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        let listed = self.origins.iter().any(|known| *known == *origin);
        listed.then(|| origin.clone())
    }

    fn is_host(&self, host: &str) -> bool {
        let name = without_port(host);
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let known = |other: &String| other.eq_ignore_ascii_case(name);
        match bare.parse::<IpAddr>() {
            Ok(address) => {
                self.any_address || address.is_loopback() || self.hosts.iter().any(known)
            }
            Err(_) => name.eq_ignore_ascii_case("localhost") || self.hosts.iter().any(known),
        }
    }

    fn is_origin(&self, origin: &str, host: Option<&str>) -> bool {
        let own = origin.strip_prefix("http://");
        own.is_some() && own == host || self.origins.iter().any(|known| known == origin)
    }

    /// Finds out who calls.
    ///
    /// # Errors
    /// `HN4011` when the token is missing or not known.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let Some(given) = headers.get(AUTHORIZATION) else {
            let browser = headers.contains_key(ORIGIN) || headers.contains_key(SEC_FETCH_SITE);
            if self.open && !browser {
                let (name, allow) = ("anonymous".into(), Verb::ALL.to_vec());
                return Ok(Caller { name, allow });
            }
            let hint = if self.open {
                "a browser needs the token that `hence dev` printed: Authorization: Bearer …"
            } else {
                "send Authorization: Bearer …"
            };
            return Err(unauthorised("the request has no token").hint(hint));
        };
        let secret = given
            .to_str()
            .ok()
            .and_then(|text| text.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, secret)| secret.trim());
        let Some(secret) = secret else {
            let hint = "send Authorization: Bearer …";
            return Err(unauthorised("the authorisation is not a bearer token").hint(hint));
        };
        let hash: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
        // Every token is compared, in constant time, so that the time says nothing.
        let mut found = None;
        for token in &self.tokens {
            if bool::from(token.hash.ct_eq(&hash)) {
                found = Some(token);
            }
        }
        found
            .map(|token| Caller {
                name: Arc::clone(&token.name),
                allow: token.allow.clone(),
            })
            .ok_or_else(|| unauthorised("the token is not known to this server"))
    }
}

fn unauthorised(detail: &str) -> Problem {
    let scheme = HeaderValue::from_static("Bearer");
    Code::TOKEN.problem(detail).header(WWW_AUTHENTICATE, scheme)
}

/// The host that a request names: of its URL in HTTP/2, else of its header.
fn host(parts: &Parts) -> Option<&str> {
    let authority = parts.uri.authority();
    authority
        .map(hyper::http::uri::Authority::as_str)
        .or_else(|| text(&parts.headers, HOST.as_str()))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => {
            name
        }
        _ => host,
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    // A header that is not text is one that no list knows.
    headers
        .get(name)
        .map(|value| value.to_str().unwrap_or("(not text)"))
}

/// A caller that may publish.
pub(crate) struct MayPublish(pub(crate) Caller);

/// A caller that may read.
pub(crate) struct MayRead;

/// A caller that may send dead letters again.
pub(crate) struct MayRedrive(pub(crate) Caller);

/// A caller that may pause subscriptions.
pub(crate) struct MayOperate(pub(crate) Caller);

/// A caller that may have a job of some kind; which one, its kind says.
pub(crate) struct MayWork(pub(crate) Caller);

/// Any caller that is known.
pub(crate) struct Anyone(pub(crate) Caller);

impl Caller {
    /// Whether it may.
    pub(crate) fn may(&self, verb: Verb) -> bool {
        self.allow.contains(&verb)
    }

    /// # Errors
    /// `HN4031` when the token does not allow it.
    pub(crate) fn check(&self, verb: Verb) -> Result<(), Problem> {
        self.check_any(&[verb])
    }

    fn check_any(&self, verbs: &[Verb]) -> Result<(), Problem> {
        if verbs.is_empty() || verbs.iter().any(|verb| self.may(*verb)) {
            return Ok(());
        }
        let quoted = verbs.iter().map(|verb| format!("'{}'", verb.as_str()));
        let (name, verbs) = (&self.name, quoted.collect::<Vec<_>>().join(" or "));
        Err(Code::PERMISSION.problem(format!("the token '{name}' does not allow {verbs}")))
    }
}

fn admit(gateway: &Gateway, parts: &Parts, any: &[Verb]) -> Result<Caller, Problem> {
    let caller = gateway.access.caller(&parts.headers)?;
    caller.check_any(any)?;
    Ok(caller)
}

macro_rules! extractors {
    ($($name:ident: $verb:expr, $make:expr;)*) => {$(
        impl FromRequestParts<Arc<Gateway>> for $name {
            type Rejection = Problem;

            async fn from_request_parts(
                parts: &mut Parts,
                gateway: &Arc<Gateway>,
            ) -> Result<Self, Problem> {
                admit(gateway, parts, $verb).map($make)
            }
        }
    )*};
}

extractors! {
    MayPublish: &[Verb::Publish], MayPublish;
    MayRead: &[Verb::Read], |_| MayRead;
    MayRedrive: &[Verb::Redrive], MayRedrive;
    MayOperate: &[Verb::Operate], MayOperate;
    MayWork: &[Verb::Redrive, Verb::Replay], MayWork;
    Anyone: &[], Anyone;
}
