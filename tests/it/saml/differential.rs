//! What narthex accepts, xmlsec1 accepts: two implementations that share no code, asked about good messages that were
//! changed in thousands of ways. Only what narthex accepts is asked about.

use std::collections::BTreeSet;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use narthex::identify::saml::gate::Opened;
use narthex::identify::saml::xml::{DSIG, Tree};

use super::cases::{Case, Cases, Keys, of_gate};
use super::mutate::{Draw, mutate};

/// `NARTHEX_MUTANTS` asks for more of them.
const MUTANTS: usize = 12_000;

/// Whether xmlsec1 takes the nth signature of each of these messages for right, with one of the case's keys.
fn verifies(cases: &Cases, case: &Case, nth: usize, messages: &[&Path]) -> Result<(), String> {
    let mut said = String::new();
    let right = case.keys.iter().any(|key| {
        let output = Command::new("xmlsec1")
            // No key but the trusted one, whatever KeyInfo says.
            .args(["--verify", "--enabled-key-data", "key-name", "--pubkey-cert-pem"])
            .arg(cases.certificate_file(key))
            .args(["--id-attr:ID", "urn:oasis:names:tc:SAML:2.0:protocol:Response"])
            .args(["--id-attr:ID", "urn:oasis:names:tc:SAML:2.0:assertion:Assertion"])
            .arg("--node-xpath")
            .arg(format!("(//*[local-name()='Signature' and namespace-uri()='{DSIG}'])[{nth}]"))
            .args(messages)
            .output()
            .expect("xmlsec1 is not there: run tests/parties/install xmlsec1");
        let mut told = String::from_utf8_lossy(&output.stderr).into_owned();
        told += &String::from_utf8_lossy(&output.stdout);
        said += &told;
        output.status.success() && told.lines().filter(|line| *line == "OK").count() == messages.len()
    });
    if right { Ok(()) } else { Err(said) }
}

/// What was accepted: where it is kept, and how many signatures are in it.
struct Accepted {
    file: PathBuf,
    signatures: usize,
}

/// Those that xmlsec1 refuses. It takes long to start, so it is asked about many at once, and about each alone where
/// it does not like all.
fn second_opinion(cases: &Cases, case: &Case, accepted: &[Accepted]) -> Vec<String> {
    let mut differ = Vec::new();
    for nth in 1..=accepted.iter().map(|one| one.signatures).max().unwrap_or_default() {
        let files = accepted.iter().filter(|one| one.signatures >= nth).map(|one| one.file.as_path());
        for some in files.collect::<Vec<_>>().chunks(100) {
            if verifies(cases, case, nth, some).is_err() {
                let each = some.iter().filter_map(|file| {
                    let said = verifies(cases, case, nth, &[file]).err()?;
                    let text = std::fs::read_to_string(file).unwrap();
                    Some(format!("{} of {}:\n{text}\n{said}", file.display(), case.file))
                });
                differ.extend(each);
            }
        }
    }
    differ
}

/// What became of a share of the mutants.
#[derive(Default)]
struct Outcome {
    accepted: usize,
    unchanged: usize,
    refusals: BTreeSet<String>,
    differ: Vec<String>,
}

/// A good message, and what the gate makes of it.
struct Good<'c> {
    case: &'c Case,
    keys: Keys,
    text: String,
    genuine: Opened,
}

impl<'c> Good<'c> {
    fn new(cases: &Cases, case: &'c Case) -> Self {
        let keys = cases.keys(case).unwrap();
        let text = String::from_utf8(cases.message(case)).unwrap();
        let genuine = case.gate(&keys).open(text.as_bytes()).unwrap();
        Self { case, keys, text, genuine }
    }

    fn mutant(&self, number: usize) -> String {
        let mut draw = Draw::seeded(number as u64 + 1);
        let mut mutant = self.text.clone();
        for _ in 0..=draw.below(3) {
            mutant = mutate(&mutant, &mut draw);
        }
        mutant
    }

    /// Tries every mutant of this message; `numbers` are theirs.
    fn try_mutants(&self, cases: &Cases, numbers: impl Iterator<Item = usize>, folder: &Path) -> Outcome {
        let (mut outcome, mut accepted) = (Outcome::default(), Vec::new());
        for number in numbers {
            let mutant = self.mutant(number);
            if mutant == self.text {
                outcome.unchanged += 1;
                continue;
            }
            let opened = match self.case.gate(&self.keys).open(mutant.as_bytes()) {
                Ok(opened) => opened,
                Err(error) => {
                    outcome.refusals.insert(of_gate(&error));
                    continue;
                }
            };
            // Nothing but what was signed comes out, to the byte.
            let which = || format!("mutant {number} of {}:\n{mutant}", self.case.file);
            assert_eq!(opened.assertion(), self.genuine.assertion(), "{}", which());
            if opened.response().is_signed() {
                assert_eq!(opened.response(), self.genuine.response(), "{}", which());
            }
            let tree = Tree::parse(mutant.as_bytes(), mutant.len()).unwrap();
            let signatures =
                tree.root().unwrap().elements().filter(|node| node.is(DSIG, "Signature")).count();
            assert!(signatures > 0, "accepted without any signature: {}", which());
            let file = folder.join(format!("mutant-{number}.xml"));
            std::fs::write(&file, &mutant).unwrap();
            accepted.push(Accepted { file, signatures });
        }
        outcome.accepted = accepted.len();
        outcome.differ = second_opinion(cases, self.case, &accepted);
        outcome
    }
}

#[test]
#[ignore = "needs tests/parties/install xmlsec1"]
#[expect(clippy::print_stderr, reason = "whoever runs it wants to know how many there were")]
fn lesson_26_what_is_accepted_of_twelve_thousand_mutants_xmlsec1_accepts_too() {
    let cases = Cases::kept();
    let good = cases.all.iter().filter(|case| case.error.is_none() && case.right);
    let good: Vec<Good<'_>> = good.map(|case| Good::new(&cases, case)).collect();
    let folder = tempfile::tempdir().unwrap();
    let mutants = std::env::var("NARTHEX_MUTANTS").map_or(MUTANTS, |more| more.parse().unwrap());
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let worker = || {
            let mut outcomes = Vec::new();
            loop {
                let which = next.fetch_add(1, Ordering::Relaxed);
                let Some(good_one) = good.get(which) else { return outcomes };
                let numbers = (which..mutants).step_by(good.len());
                outcomes.push(good_one.try_mutants(&cases, numbers, folder.path()));
            }
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let count = |of: fn(&Outcome) -> usize| outcomes.iter().map(of).sum::<usize>();
    let (accepted, unchanged) = (count(|outcome| outcome.accepted), count(|outcome| outcome.unchanged));
    let differ: Vec<&String> = outcomes.iter().flat_map(|outcome| &outcome.differ).collect();
    let refusals: BTreeSet<&String> = outcomes.iter().flat_map(|outcome| &outcome.refusals).collect();
    eprintln!("{mutants} mutants of {}: {accepted} accepted, {unchanged} unchanged", good.len());
    let shown: Vec<String> = differ.iter().take(10).map(ToString::to_string).collect();
    assert!(differ.is_empty(), "{} of {accepted} accepted ones:\n{}", differ.len(), shown.join("\n\n"));
    // Else the test would hold for a gate that takes nothing, or for changes that change nothing.
    assert!(accepted > 1000, "only {accepted} were accepted");
    assert!(mutants - unchanged > 10_000, "{unchanged} were not changed");
    assert!(refusals.len() > 20, "refused for few reasons: {refusals:?}");
}
