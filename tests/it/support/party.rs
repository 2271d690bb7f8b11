//! Servers that are not ours (tests/parties): started, waited for, and ended with the test, or with the process.

use std::fs;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::ports::free_ports;

/// Runs the party in a process group of its own, until the pipe to this process closes: then all of the group and
/// its folder go. So nothing is left behind however the tests end, also of parties that a `static` holds.
const GUARD: &str = r#"
set -m
{ "$@"; echo "$?" >"$0/ended"; } </dev/null >"$0/log" 2>&1 &
party=$!
read -r _
kill -KILL -- "-$party"
wait
rm -rf "$0"
"#;

/// `tests/parties/start` takes the one that it is given and the two after it.
const PORTS: u16 = 3;

/// A machine that is busy with other tests needs its time to start Keycloak.
const PATIENCE: Duration = Duration::from_mins(5);

/// A running party.
pub struct Party {
    /// What its `ready.json` says.
    pub ready: Value,
    name: String,
    folder: PathBuf,
    guard: Child,
}

impl Party {
    pub async fn start(name: &str) -> Self {
        Self::start_with(name, &[], &[]).await
    }

    /// With further arguments and environment of `tests/parties/start`.
    pub async fn start_with(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let folder = TempDir::with_prefix("narthex-party-").unwrap().keep();
        let guard = Command::new("bash")
            .args(["-c", GUARD])
            .arg(&folder)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/parties/start"))
            .arg(name)
            .arg(folder.join("party"))
            .arg(free_ports(PORTS).to_string())
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C is for the tests; the guard notices by itself that they ended.
            .process_group(0)
            .spawn()
            .unwrap();
        let mut party = Self { ready: Value::Null, name: name.to_owned(), folder, guard };
        party.wait().await;
        party
    }

    /// A text in `ready.json`, at a path with dots.
    pub fn at(&self, path: &str) -> &str {
        let found = path.split('.').fold(&self.ready, |value, key| &value[key]);
        found.as_str().unwrap_or_else(|| panic!("{} says no {path}: {}", self.name, self.ready))
    }

    pub fn url(&self) -> &str {
        self.at("url")
    }

    async fn wait(&mut self) {
        let began = Instant::now();
        let mut pulse = tokio::time::interval(Duration::from_millis(100));
        let http = client();
        loop {
            pulse.tick().await;
            self.ready = read(&self.folder.join("party/ready.json"));
            if let Some(url) = self.ready["ready"].as_str()
                && http.get(url).send().await.is_ok_and(|answer| answer.status().is_success())
            {
                return;
            }
            if let Some(command) = self.ready["ready_command"].as_str()
                && Command::new("sh").args(["-c", command]).stdout(Stdio::null()).status().unwrap().success()
            {
                return;
            }
            let ended = self.folder.join("ended").exists();
            assert!(!ended, "{} ended at its start:\n{}", self.name, self.log());
            assert!(began.elapsed() < PATIENCE, "{} did not start:\n{}", self.name, self.log());
        }
    }

    /// The last lines that it wrote.
    pub fn log(&self) -> String {
        let log = fs::read(self.folder.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        if let Some(mut pipe) = self.guard.stdin.take() {
            let _ = pipe.write_all(b"end\n");
        }
        let _ = self.guard.wait();
    }
}

fn read(path: &Path) -> Value {
    fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "the tests' client is no part of the product")]
pub fn client() -> reqwest::Client {
    super::crypto_provider();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(Duration::from_secs(30))
        .build()
        .unwrap()
}
