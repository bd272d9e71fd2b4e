//! The address of a server: plain HTTP, without secrets.

use hyper::Uri;

use super::error::{Fault, Result};

/// The address without a slash at the end. `localhost:4362` means `http://localhost:4362`.
pub(crate) fn read(server: &str) -> Result<String> {
    let url = if server.contains("://") {
        server.to_owned()
    } else {
        format!("http://{server}")
    };
    let wrong = |cause: &str| {
        let sentence = format!("'{server}' is not the URL of a server");
        Err(Fault::SERVER_URL.error(sentence).cause(cause))
    };
    let uri: Uri = match url.parse() {
        Ok(uri) => uri,
        Err(error) => return wrong(&format!("{error}")),
    };
    match (uri.scheme_str(), uri.host()) {
        (Some("https"), _) => Err(Fault::SERVER_URL
            .error("the command line speaks plain HTTP only, not https")
            .cause("this version has no TLS")
            .fix("use http:// on the machine of the server, or through an SSH tunnel")),
        (Some("http"), Some(host)) if !host.is_empty() && uri.query().is_none() => {
            if uri
                .authority()
                .is_some_and(|all| all.as_str().contains('@'))
            {
                return wrong("a token does not belong into a URL: use --token-file");
            }
            Ok(url.trim_end_matches('/').to_owned())
        }
        (Some("http"), _) => wrong("it needs a host, and no query"),
        _ => wrong("only http:// is understood"),
    }
}

#[cfg(test)]
mod tests;
