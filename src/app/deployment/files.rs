//! Who else can read what is secret, and change what narthex goes by.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::path::{Here, folders};
use super::{Finding, Verdict};
use crate::config::settings::{Idp, MetadataFrom, SealKey, StoreUrl};
use crate::config::{Files, Settings};

const SECRETS: &str = "secret files";
const CONFIGURATION: &str = "configuration files";

/// What is to be known of a file before it is looked at.
#[derive(Debug, Clone, Copy)]
struct Kind {
    secret: bool,
    /// narthex makes it, so that it may be absent.
    made: bool,
    /// Of SQLite, which takes up a journal that lies beside it, whoever put it there (sqlite.org/lockingv3.html,
    /// Dealing with hot journals).
    database: bool,
}

pub(super) fn files(settings: &Settings, files: &Files, in_pod: bool) -> Vec<Finding> {
    let all = of(settings, files);
    let store = all.iter().find(|(_, kind)| kind.database).map(|(path, _)| path.as_path());
    let here = Here::new(store, in_pod);
    let mut looked = Looked::default();
    for (path, kind) in &all {
        looked.at(path, *kind, &here);
    }
    looked.found()
}

/// By what others may write a folder on the way to this; who owns them is not asked.
pub(super) fn replaceable(path: &Path, in_pod: bool) -> io::Result<Option<String>> {
    let here = Here::new(None, in_pod);
    let reason = folders(path)?.into_iter().find_map(|folder| {
        let (verdict, told) = folder.gives_away(&here)?;
        (verdict == Verdict::Wrong).then(|| format!("{} {told}", folder.path.display()))
    });
    Ok(reason)
}

/// The configuration, what it names, and what narthex keeps.
fn of(settings: &Settings, files: &Files) -> BTreeMap<PathBuf, Kind> {
    let given = |secret: bool| Kind { secret, made: false, database: false };
    let mut all: BTreeMap<PathBuf, Kind> =
        files.all.iter().map(|path| (path.clone(), given(files.secret.contains(path)))).collect();
    all.insert(settings.written.path().to_owned(), given(files.literal));
    for idp in &settings.idps {
        // Whose certificates are in it may say who anybody is.
        if let Idp::Saml(saml) = idp
            && let MetadataFrom::File(path) = &saml.metadata
        {
            all.insert(path.clone(), given(false));
        }
    }
    if let SealKey::FileOrMake(path) = &settings.keys.seal {
        all.insert(path.clone(), Kind { secret: true, made: true, database: false });
    }
    if let StoreUrl::Sqlite { path } = &settings.store.url {
        for end in ["", "-wal", "-shm", "-journal"] {
            let mut name: OsString = path.clone().into();
            name.push(end);
            all.insert(name.into(), Kind { secret: true, made: true, database: true });
        }
    }
    all
}

/// What was found so far.
#[derive(Debug, Default)]
struct Looked {
    secrets: usize,
    others: usize,
    /// A secret should be in a file, whether it is or not.
    secret: bool,
    findings: Vec<Finding>,
    /// Each is told of once, however many files are in it.
    folders: BTreeMap<PathBuf, (Verdict, String)>,
}

impl Looked {
    fn at(&mut self, path: &Path, kind: Kind, here: &Here) {
        let item = if kind.secret { SECRETS } else { CONFIGURATION };
        let shown = path.display();
        self.secret |= kind.secret;
        match std::fs::metadata(path) {
            Ok(metadata) => {
                *(if kind.secret { &mut self.secrets } else { &mut self.others }) += 1;
                let mode = metadata.permissions().mode() & 0o777;
                if kind.secret && mode & 0o007 != 0 {
                    let told = format!(
                        "{shown} has mode {mode:04o}, so every user of this machine can reach it: chmod o-rwx it; in a \
                         pod, give the volume defaultMode: 0440 and the pod an fsGroup"
                    );
                    self.findings.push(Finding::wrong(item, told));
                } else if mode & 0o002 != 0 {
                    let told = format!(
                        "{shown} has mode {mode:04o}, so every user of this machine can change it: chmod o-w it"
                    );
                    self.findings.push(Finding::wrong(item, told));
                }
                if let Some((verdict, told)) = here.owner(metadata.uid()) {
                    self.findings.push(Finding { item, verdict, told: format!("{shown} {told}") });
                }
            }
            Err(error) if kind.made && error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                let told =
                    format!("{shown} cannot be looked at: {error}; run this as the user who runs narthex");
                self.findings.push(Finding::not_tried(item, told));
            }
        }
        self.above(path, kind, here);
    }

    /// Who may exchange a folder may exchange what is in it.
    fn above(&mut self, path: &Path, kind: Kind, here: &Here) {
        let all = match folders(path) {
            Ok(all) => all,
            Err(error) => {
                let told = format!("the way to {} cannot be looked at: {error}", path.display());
                self.findings.push(Finding::not_tried(CONFIGURATION, told));
                return;
            }
        };
        if let Some(last) = all.last().filter(|last| kind.database && last.takes_files(here.in_pod)) {
            let told = "is a folder that every user of this machine can put files into, and SQLite takes up a journal \
                        that lies beside its file: have the store in a folder of narthex's own";
            self.folders.entry(last.path.clone()).or_insert((Verdict::Wrong, told.to_owned()));
        }
        for folder in all {
            if let Some(told) = here.owner(folder.uid).or_else(|| folder.gives_away(here)) {
                self.folders.entry(folder.path).or_insert(told);
            }
        }
    }

    fn found(mut self) -> Vec<Finding> {
        for (path, (verdict, told)) in self.folders {
            let told = format!("{} {told}", path.display());
            self.findings.push(Finding { item: CONFIGURATION, verdict, told });
        }
        let silent = |item: &str| !self.findings.iter().any(|finding| finding.item == item);
        let mut fine = Vec::new();
        if silent(SECRETS) {
            fine.push(match self.secrets {
                0 if self.secret => Finding::not_tried(SECRETS, "narthex's files are not here"),
                0 => Finding::fine(SECRETS, "no secret is in a file"),
                number => {
                    let told =
                        format!("{number} looked at; nobody outside of their groups can read or change them");
                    Finding::fine(SECRETS, told)
                }
            });
        }
        if silent(CONFIGURATION) {
            let told = format!(
                "{} looked at, and the folders above all files; nobody outside of their groups can change them",
                self.others
            );
            fine.push(Finding::fine(CONFIGURATION, told));
        }
        self.findings.extend(fine);
        // As items are told: one after the other.
        self.findings.sort_by_key(|finding| finding.item != SECRETS);
        self.findings
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions, set_permissions};
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    const GIVEN: Kind = Kind { secret: false, made: false, database: false };
    const SECRET: Kind = Kind { secret: true, ..GIVEN };
    const DATABASE: Kind = Kind { secret: true, made: true, database: true };

    fn here() -> Here {
        Here::new(None, false)
    }

    /// `item verdict` of each finding.
    fn told(path: &Path, kind: Kind, here: &Here) -> Vec<String> {
        let mut looked = Looked { secrets: 1, ..Looked::default() };
        looked.at(path, kind, here);
        let findings = looked.found().into_iter();
        findings
            .filter(|f| f.verdict != Verdict::Fine)
            .map(|f| format!("{} {:?}", f.item, f.verdict))
            .collect()
    }

    fn chmod(path: &Path, mode: u32) {
        set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn file(mode: u32) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "x").unwrap();
        chmod(&path, mode);
        (folder, path)
    }

    #[test]
    fn a_file_that_others_may_write_is_told_of_and_a_secret_that_they_may_read_too() {
        let none: [&str; 0] = [];
        let (_folder, path) = file(0o644);
        assert_eq!(told(&path, GIVEN, &here()), none);
        for (mode, kind, expected) in [
            (0o666, GIVEN, "configuration files Wrong"),
            (0o646, GIVEN, "configuration files Wrong"),
            (0o644, SECRET, "secret files Wrong"),
            (0o602, SECRET, "secret files Wrong"),
            (0o604, DATABASE, "secret files Wrong"),
        ] {
            chmod(&path, mode);
            let found = told(&path, kind, &here());
            assert!(found.contains(&expected.to_owned()), "{mode:o}: {found:?}");
        }
        for mode in [0o600, 0o640, 0o440] {
            chmod(&path, mode);
            assert_eq!(told(&path, SECRET, &here()), none, "{mode:o}");
        }
    }

    #[test]
    fn a_folder_above_that_others_may_write_is_told_of() {
        let (folder, path) = file(0o600);
        let none: [&str; 0] = [];
        chmod(folder.path(), 0o757);
        assert_eq!(told(&path, SECRET, &here()), ["configuration files Wrong"]);
        chmod(folder.path(), 0o1777);
        assert_eq!(told(&path, SECRET, &here()), none, "nobody can exchange another's file there");
        assert_eq!(
            told(&path, DATABASE, &here()),
            ["configuration files Wrong"],
            "but lay a journal beside it"
        );
        let absent = folder.path().join("absent");
        chmod(folder.path(), 0o777);
        assert!(told(&absent, DATABASE, &here()).contains(&"configuration files Wrong".to_owned()));
    }

    #[test]
    fn somebody_else_s_file_is_told_of() {
        let (_folder, path) = file(0o600);
        let other = Here { uid: fs::metadata(&path).unwrap().uid() + 1, keeper: None, ..here() };
        if here().uid != 0 {
            assert!(told(&path, SECRET, &other).contains(&"secret files Wrong".to_owned()));
        } else {
            std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
            assert_eq!(told(&path, SECRET, &here()), ["secret files Wrong"]);
            let none: [&str; 0] = [];
            assert_eq!(told(&path, SECRET, &Here { uid: 12345, ..here() }), none);
            assert_eq!(
                told(&path, SECRET, &Here { keeper: Some(12345), ..here() }),
                ["secret files NotTried"]
            );
            assert_eq!(told(&path, GIVEN, &Here { uid: 12345, ..here() }), none);
        }
    }

    #[test]
    fn a_file_that_cannot_be_looked_at_is_not_fine() {
        let (folder, path) = file(0o600);
        let below = path.join("token");
        let found = told(&below, SECRET, &here());
        assert!(found.contains(&"secret files NotTried".to_owned()), "{found:?}");
        let absent = folder.path().join("absent");
        assert_eq!(told(&absent, GIVEN, &here()), ["configuration files NotTried"]);
    }

    #[test]
    fn a_pod_s_secret_as_the_kubelet_lays_it_out_is_in_order() {
        let made = tempfile::tempdir().unwrap();
        let volume = made.path().join("secrets");
        fs::create_dir_all(volume.join("..2026_11_22")).unwrap();
        fs::write(volume.join("..2026_11_22/token"), "x").unwrap();
        symlink("..2026_11_22", volume.join("..data")).unwrap();
        symlink("..data/token", volume.join("token")).unwrap();
        chmod(&volume.join("..2026_11_22/token"), 0o440);
        chmod(&volume.join("..2026_11_22"), 0o2755);
        chmod(&volume, 0o3777);
        let none: [&str; 0] = [];
        assert_eq!(told(&volume.join("token"), SECRET, &here()), none);
        // Not sticky, and no volume of a pod's.
        chmod(&volume, 0o2777);
        assert_eq!(told(&volume.join("token"), SECRET, &here()), ["configuration files Wrong"]);
        chmod(&volume, 0o3777);
        chmod(&volume.join("..2026_11_22"), 0o2777);
        assert_eq!(told(&volume.join("token"), SECRET, &here()), ["configuration files Wrong"]);
    }
}
