//! The token: from a file that nobody else can read, never from a flag.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use hyper::header::HeaderValue;

use super::error::{Fault, Result};

/// The longest token that is read.
const TOKEN_BYTES_MAX: u64 = 16 << 10;

/// The `Authorization` header with the token in a file; `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<HeaderValue> {
    let shown = path.display();
    let unreadable = |error: io::Error| {
        let sentence = format!("the token file '{shown}' cannot be read");
        Fault::TOKEN_FILE.error(sentence).cause(error)
    };
    let mut text = String::new();
    if path == Path::new("-") {
        io::stdin()
            .take(TOKEN_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
    } else {
        let file = File::open(path).map_err(unreadable)?;
        check_mode(path, &file)?;
        file.take(TOKEN_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
    }
    let token = text.trim();
    if token.is_empty() {
        return Err(Fault::TOKEN_FILE.error(format!("the token file '{shown}' is empty")));
    }
    // The text itself stays out of the message.
    let mut header = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
        let sentence = format!("the token file '{shown}' holds more than one line of plain text");
        Fault::TOKEN_FILE.error(sentence)
    })?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(unix)]
fn check_mode(path: &Path, file: &File) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let shown = path.display();
    let metadata = file.metadata().map_err(|error| {
        let sentence = format!("the token file '{shown}' cannot be read");
        Fault::TOKEN_FILE.error(sentence).cause(error)
    })?;
    let mode = metadata.permissions().mode() & 0o777;
    if metadata.is_file() && mode & 0o077 != 0 {
        return Err(Fault::TOKEN_FILE
            .error(format!("the token file '{shown}' can be read by others"))
            .cause(format!("its mode is {mode:04o}"))
            .fix(format!("chmod 600 '{shown}'")));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_mode(_: &Path, _: &File) -> Result<()> {
    Ok(())
}
