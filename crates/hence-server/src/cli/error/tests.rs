use anyhow::anyhow;

use super::*;

fn reported(error: &Error) -> String {
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let memory = Memory::default();
    error.report(&mut Output::to(io::sink(), memory.clone()));
    let bytes = memory.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn an_error_of_a_server_is_taken_apart() {
    let error = anyhow!("HN0503 address in use: another process\nStop it, or listen elsewhere");
    let error = Error::of_run(&error);
    assert_eq!(error.exit(), Exit::Failed);
    assert_eq!(
        reported(&error),
        "error: address in use: another process (HN0503)\n  \
         fix:   Stop it, or listen elsewhere\n  page:  hence errors HN0503\n"
    );
    let error = Error::of_run(&anyhow!("inner").context("outer"));
    assert_eq!(reported(&error), "error: outer\n  cause: inner\n");
    let error = Error::of_run(&hence::core::Code::ENGINE_URL.error("no engine 'x:'").into());
    assert_eq!(error.exit(), Exit::Configuration);
}

#[test]
fn a_cause_is_said_once_and_keeps_its_lines() {
    let error = Fault::INPUT.error("a is missing").cause("missing");
    let error = error.cause("h.toml:1\n  1 | x\x1b[2J").fix("write a");
    assert_eq!(
        reported(&error),
        "error: a is missing (HN0606)\n  cause: h.toml:1\n           1 | x\u{fffd}[2J\n  \
         fix:   write a\n  page:  hence errors HN0606\n"
    );
}

#[test]
fn a_closed_pipe_is_silent_and_a_full_disk_is_not() {
    let gone = Error::from(io::Error::from(io::ErrorKind::BrokenPipe));
    assert_eq!((gone.exit() as u8, reported(&gone).as_str()), (141, ""));
    let full = Error::from(io::Error::from(io::ErrorKind::StorageFull));
    assert!(reported(&full).contains("HN0608"));
}
