//! Every vector is taken or refused as its manifest says; no vector yields anybody but the genuine person.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::cases::Cases;

/// Runs every case, and says of all what went otherwise.
fn run(cases: &Cases) {
    let mut wrong = Vec::new();
    for case in &cases.cases {
        let found = cases.judge(case, &cases.message(case));
        let wanted = match &case.error {
            Some(code) => Err(code.clone()),
            None => Ok(case.name_id.clone().unwrap_or_else(|| cases.name_id.clone())),
        };
        if found != wanted {
            wrong.push(format!("{}: {found:?}, expected {wanted:?}. {}", case.file, case.about));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.cases.len(), wrong.join("\n"));
}

#[test]
fn each_vector_is_taken_or_refused_as_its_manifest_says() {
    run(&Cases::kept());
}

#[test]
fn every_file_is_a_case_and_every_case_a_file() {
    let cases = Cases::kept();
    let named: BTreeSet<String> = cases.cases.iter().map(|case| case.file.clone()).collect();
    assert_eq!(named.len(), cases.cases.len());
    let files = std::fs::read_dir(&cases.folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "xml"));
    let files: BTreeSet<String> =
        files.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(files, named);
    assert!(cases.cases.iter().filter(|case| case.error.is_none()).count() > 30);
    assert!(cases.cases.len() > 250);
}

#[test]
#[ignore = "needs tests/parties/install xmlsec1"]
fn encrypted_vectors_made_now_are_taken_or_refused_as_their_manifest_says() {
    let folder = tempfile::tempdir().unwrap();
    let generate = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/saml/generate/run");
    let made = Command::new(generate).arg("--encrypted").arg(folder.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let cases = Cases::of(folder.path());
    assert!(cases.cases.iter().filter(|case| case.file.contains("encrypted")).count() > 50);
    run(&cases);
}
