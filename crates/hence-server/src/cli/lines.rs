//! `Lines`: the lines of a stream that does not end by itself.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

/// The server sends an empty line every 15 s; after three of them are missing it is gone.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(45);
/// The longest line; beyond it the stream is not one of events.
const LINE_BYTES_MAX: usize = 16 << 20;

/// The lines of a stream.
pub(crate) struct Lines {
    body: Incoming,
    buffer: BytesMut,
    /// Up to here the buffer holds no line end.
    searched: usize,
}

impl Lines {
    pub(crate) fn new(body: Incoming) -> Self {
        Self {
            body,
            buffer: BytesMut::new(),
            searched: 0,
        }
    }

    /// The next line without its end, `None` when the server closed the stream in good order, or
    /// why there is none. A line that broke off is not given out.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            if let Some(line) = take_line(&mut self.buffer, &mut self.searched) {
                return Ok(Some(line));
            }
            if self.buffer.len() > LINE_BYTES_MAX {
                return Err("a line is longer than any event".to_owned());
            }
            let frame = timeout(SILENCE_MAX, self.body.frame())
                .await
                .map_err(|_| format!("it was silent for {} s", SILENCE_MAX.as_secs()))?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(error.to_string()),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}

fn take_line(buffer: &mut BytesMut, searched: &mut usize) -> Option<Bytes> {
    let rest = buffer.get(*searched..).unwrap_or_default();
    let Some(found) = rest.iter().position(|byte| *byte == b'\n') else {
        *searched = buffer.len();
        return None;
    };
    let mut line = buffer.split_to(*searched + found + 1);
    *searched = 0;
    line.truncate(line.len() - 1);
    Some(line.freeze())
}

#[cfg(test)]
mod tests;
