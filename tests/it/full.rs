//! The whole as a person meets it: the real binary and a real browser. Needs `tests/parties/install chromium`; cargo
//! leaves these out ("ignored"), `tests/run` runs them.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// `narthex demo`, ended with the test whatever becomes of it.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Demo {
    /// Started on a free port, logging to `log`, with where its guide says that the application is.
    fn start(temporary: &Path, log: &Path) -> (Self, String) {
        let mut demo = Command::new(env!("CARGO_BIN_EXE_narthex"));
        demo.args(["demo", "--port", "0"]).env("TMPDIR", temporary).stdout(Stdio::piped());
        demo.stderr(File::create(log).unwrap());
        let mut demo = Self(demo.spawn().unwrap());
        let mut printed = BufReader::new(demo.0.stdout.take().unwrap());
        let mut guide = String::new();
        while !guide.contains("http://") {
            assert!(printed.read_line(&mut guide).unwrap() > 0, "it ended: {guide}");
        }
        let url = guide.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
        // Whoever prints into a pipe that nobody reads stands still one day.
        std::thread::spawn(move || std::io::copy(&mut printed, &mut std::io::sink()));
        (demo, url)
    }

    /// As Ctrl-C does.
    fn interrupt(mut self) {
        let pid = self.0.id().to_string();
        assert!(Command::new("sh").args(["-c", "kill -INT \"$1\"", "-", &pid]).status().unwrap().success());
        let ended = self.0.wait().unwrap();
        assert!(ended.success(), "{ended}");
    }
}

#[test]
#[ignore = "needs tests/parties/install chromium"]
fn the_demo_does_in_a_real_browser_what_its_guide_says_and_leaves_nothing_behind() {
    let (temporary, pictures) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = pictures.path().join("log");
    let (demo, url) = Demo::start(temporary.path(), &log);
    let script = Path::new(HERE).join("tests/console/first-login.mjs");
    let node = Path::new(HERE).join("tests/parties/node");
    // Who wants to look at the pages says where to keep them.
    let folder = std::env::var_os("NARTHEX_SCREENSHOTS");
    let folder = folder.map_or_else(|| pictures.path().to_owned(), Into::into);
    let browsed = Command::new(node).arg(script).arg(&url).arg(&folder).output().unwrap();
    assert!(
        browsed.status.success(),
        "{}\n{}\n{}",
        String::from_utf8_lossy(&browsed.stdout),
        String::from_utf8_lossy(&browsed.stderr),
        std::fs::read_to_string(&log).unwrap()
    );
    demo.interrupt();
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("account_created") && !log.contains(" ERROR "), "{log}");
    assert!(!log.contains('\u{1b}'), "no colours in a file: {log}");
    let left: Vec<_> = std::fs::read_dir(temporary.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
