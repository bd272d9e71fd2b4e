//! A real server: the program's own `dev`.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::program::{Ran, finish, hence};

/// A server that runs until it is dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    address: String,
    child: Child,
}

impl Server {
    /// A server without a disk.
    pub(crate) fn in_memory() -> Self {
        Self::start("dev", &free_address(), &["--memory"])
    }

    /// A server without a disk as a configuration file wants it.
    pub(crate) fn in_memory_as(file: &Path) -> Self {
        let more = ["--memory", "-c", file.to_str().unwrap()];
        Self::start("dev", &free_address(), &more)
    }

    /// A server on a data directory.
    pub(crate) fn on(data: &Path) -> Self {
        Self::start("dev", &free_address(), &["--data", data.to_str().unwrap()])
    }

    /// A server on a data directory wherever it lies.
    pub(crate) fn forced_on(data: &Path) -> Self {
        let data = data.to_str().unwrap();
        Self::start("dev", &free_address(), &["--force", "--data", data])
    }

    /// Another server where this one was.
    pub(crate) fn again_on(&self, data: &Path) -> Self {
        Self::start("dev", &self.address, &["--data", data.to_str().unwrap()])
    }

    /// A server as a configuration file wants it.
    pub(crate) fn configured(file: &Path) -> Self {
        Self::start("serve", &free_address(), &["-c", file.to_str().unwrap()])
    }

    fn start(command: &str, address: &str, more: &[&str]) -> Self {
        let args = [&[command, "--listen", address], more].concat();
        let mut command = hence(&args);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = format!("http://{address}");
        // It prints its address once it listens.
        assert!(
            lines.any(|line| line.unwrap().contains(&url)),
            "the server did not start"
        );
        thread::spawn(move || lines.for_each(drop));
        Self {
            url,
            address: address.to_owned(),
            child,
        }
    }

    /// Ends it without a warning, as a power cut does to a process.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Runs the program against it.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        finish(hence(args).env("HENCE_SERVER", &self.url))
    }

    /// Runs the program against it; it must succeed. Its standard output comes back.
    pub(crate) fn done(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.stderr);
        ran.stdout
    }

    /// Makes a dead letter, and gives its id.
    pub(crate) fn dead_letter(&self) -> String {
        // An order of its own each time: later events of its key wait for a dead letter.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let items = r#"[{"sku":"X","qty":1}]"#;
        let order = format!(r#"{{"order_id":"bad-{number}","amount":-1,"items":{items}}}"#);
        let position = self.place(&order);
        let listed = self.done(&["dlq", "ls", "--plain"]);
        let mut ids = listed.lines().filter_map(|line| line.split('\t').next());
        let found = ids.find(|id| id.ends_with(&format!(".{position}")));
        found.unwrap_or_else(|| panic!("{listed}")).to_owned()
    }

    /// Runs a job, and gives its id.
    pub(crate) fn job(&self) -> String {
        self.dead_letter();
        let args = ["dlq", "redrive", "--since", "1h", "--plain"];
        self.done(&args).split('\t').next().unwrap().to_owned()
    }

    /// Places an order, waits until its first handler is done, and gives its position.
    pub(crate) fn place(&self, order: &str) -> String {
        let args = ["publish", "order.placed", order, "--wait", "10s", "--plain"];
        let receipt = self.done(&args);
        receipt.split('\t').next().unwrap().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}
