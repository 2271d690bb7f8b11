//! What narthex accepts, xmlsec1 accepts: two implementations that share no code, asked about good messages that were
//! changed in thousands of ways. Only what narthex accepts is asked about.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use narthex::identify::saml::xml::{DSIG, Tree};

use super::cases::{Case, Cases, of_gate};
use super::mutate::{Draw, mutate};

const MUTANTS: usize = 12_000;

/// Whether xmlsec1 takes each signature of the message for right, with one of the case's keys.
fn second_opinion(cases: &Cases, case: &Case, message: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(message).unwrap();
    let tree = Tree::parse(text.as_bytes(), text.len()).unwrap();
    let signatures = tree.root().unwrap().elements().filter(|node| node.is(DSIG, "Signature")).count();
    assert!(signatures > 0, "accepted without any signature: {text}");
    let mut said = String::new();
    for number in 1..=signatures {
        let right = case.keys.iter().any(|key| {
            let output = Command::new("xmlsec1")
                // No key but the trusted one, whatever KeyInfo says.
                .args(["--verify", "--enabled-key-data", "key-name", "--pubkey-cert-pem"])
                .arg(cases.certificate_file(key))
                .args(["--id-attr:ID", "urn:oasis:names:tc:SAML:2.0:protocol:Response"])
                .args(["--id-attr:ID", "urn:oasis:names:tc:SAML:2.0:assertion:Assertion"])
                .arg("--node-xpath")
                .arg(format!(
                    "(//*[local-name()='Signature' and namespace-uri()='http://www.w3.org/2000/09/xmldsig#'])[{number}]"
                ))
                .arg(message)
                .output()
                .expect("xmlsec1 is not there: run tests/parties/install xmlsec1");
            write!(said, "{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout))
                .unwrap();
            output.status.success()
        });
        if !right {
            return Err(said);
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs tests/parties/install xmlsec1"]
fn lesson_26_what_is_accepted_of_twelve_thousand_mutants_xmlsec1_accepts_too() {
    let cases = Cases::kept();
    let good: Vec<&Case> = cases.cases.iter().filter(|case| case.error.is_none() && case.right).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mutant.xml");
    let (mut accepted, mut same, mut codes) = (0, 0, std::collections::BTreeMap::<String, usize>::new());
    let mut differ = Vec::new();
    for number in 0..MUTANTS {
        let case = good[number % good.len()];
        let original = String::from_utf8(cases.message(case)).unwrap();
        let mut draw = Draw::seeded(number as u64 + 1);
        let mut mutant = original.clone();
        for _ in 0..1 + draw.below(3) {
            mutant = mutate(&mutant, &mut draw);
        }
        if mutant == original {
            same += 1;
            continue;
        }
        let keys = cases.keys(case).unwrap();
        let gate = case.gate(&keys);
        let genuine = gate.open(original.as_bytes()).unwrap();
        let opened = match gate.open(mutant.as_bytes()) {
            Ok(opened) => opened,
            Err(error) => {
                *codes.entry(of_gate(&error)).or_default() += 1;
                continue;
            }
        };
        accepted += 1;
        // Nothing but what was signed comes out, to the byte.
        assert_eq!(opened.assertion(), genuine.assertion(), "mutant {number} of {}:\n{mutant}", case.file);
        if genuine.response().is_signed() {
            assert_eq!(opened.response().bytes(), genuine.response().bytes(), "mutant {number}:\n{mutant}");
        }
        std::fs::write(&file, &mutant).unwrap();
        if let Err(said) = second_opinion(&cases, case, &file) {
            differ.push(format!("mutant {number} of {}:\n{mutant}\n{said}", case.file));
        }
    }
    assert!(differ.is_empty(), "{} of {accepted} accepted ones:\n{}", differ.len(), differ.join("\n\n"));
    // Else the test would hold for a gate that takes nothing, or for changes that change nothing.
    assert!(accepted > 500, "only {accepted} were accepted");
    assert!(MUTANTS - same > 10_000, "{same} were not changed");
    assert!(codes.len() > 15, "refused for few reasons: {codes:?}");
}
