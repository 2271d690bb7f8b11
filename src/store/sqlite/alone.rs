//! That one process alone serves from the file: a lock beside it, held for as long as it does.
//!
//! SQLite lets several processes write to one file; but what one of them ends, the others would not hear of, and each
//! would do the jobs and send the letters. Commands beside a running narthex (`narthex session revoke`) are another
//! thing: they write what every narthex looks for, take no such lock and mind none, unless they are of a newer version
//! and would change the tables.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use crate::store::StoreError;

/// What is said of the holder: its process and its machine.
const MAX_TOLD: u64 = 300;

/// Nobody else serves from the file while this is there. However the process ends, the lock ends with it.
///
/// The file of the lock stays: if it went, one process could hold the lock of a file that is gone and another that of
/// the one made anew.
#[derive(Debug)]
pub struct Alone {
    file: File,
}

impl Alone {
    /// The lock of the database at `path`, which is there. By whatever links two processes come to a database, they meet
    /// at one lock; so do two containers on one volume, as far as they are on one node.
    pub(super) fn take(path: &Path) -> Result<Self, StoreError> {
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let lock = beside(&real, ".lock");
        let cannot = |reason: String| StoreError::CannotOpen {
            url: format!("sqlite:{}", path.display()),
            reason: format!("its lock {}: {reason}", lock.display()),
        };
        let mut file = open(&lock, &real).map_err(|error| {
            cannot(format!(
                "{error}; the user that narthex runs as must be able to write to it and its folder"
            ))
        })?;
        // SECURITY: root may come beside a service whose folder it is, and by a link there write to any file.
        if !is_itself(&file, &lock) {
            return Err(cannot("it is a link, or no file; take it away".to_owned()));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::HeldElsewhere {
                    path: real.display().to_string(),
                    holder: holder(&mut file),
                });
            }
            Err(TryLockError::Error(error)) => {
                return Err(cannot(format!(
                    "{error}; put the file on a local file system, which can lock files"
                )));
            }
        }
        // For whoever is refused; a disk that is full is told of by who needs it more.
        let told = format!("{} {}\n", std::process::id(), machine());
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(told.as_bytes()));
        Ok(Self { file })
    }
}

impl Drop for Alone {
    /// Closing the file does not do where a child, between its fork and its program, has it too.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// Makes the file where it is absent, as SQLite makes its own: for the owner of the database, so that root, who comes
/// beside a service, leaves nothing there that the service cannot open.
fn open(lock: &Path, database: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    match options.clone().create_new(true).mode(0o600).open(lock) {
        Ok(made) => {
            if let Ok(owner) = fs::metadata(database) {
                let _ = fchown(&made, Some(owner.uid()), Some(owner.gid()));
            }
            Ok(made)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => options.open(lock),
        Err(error) => Err(error),
    }
}

/// Whether the open file is the one file of that name, and has no other.
fn is_itself(file: &File, path: &Path) -> bool {
    let (Ok(opened), Ok(named)) = (file.metadata(), fs::symlink_metadata(path)) else {
        return false;
    };
    named.is_file() && opened.nlink() == 1 && (opened.dev(), opened.ino()) == (named.dev(), named.ino())
}

/// The path with `suffix` behind its name.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Empty where its file does not say: it may not have come to it yet.
fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    if lock.take(MAX_TOLD).read_to_string(&mut text).is_err() {
        return String::new();
    }
    let mut words = text.split_whitespace();
    let Some(process) = words.next().and_then(|word| word.parse::<u32>().ok()) else {
        return String::new();
    };
    // In a container every narthex is process 1: then the name of the pod says which.
    let elsewhere = words.next().filter(|word| *word != machine()).filter(|word| is_name(word));
    match elsewhere {
        Some(elsewhere) => format!(" (process {process} of {elsewhere})"),
        None => format!(" (process {process})"),
    }
}

fn machine() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim_ascii().to_owned()
}

fn is_name(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::super::Sqlite;
    use super::*;

    async fn refused(path: &Path) -> (String, String) {
        match Sqlite::open_alone(path).await {
            Err(StoreError::HeldElsewhere { path, holder }) => (path, holder),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn who_opens_it_alone_is_alone_until_they_end_and_keeps_nobody_from_working_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap().join("narthex.db");
        let (store, alone) = Sqlite::open_alone(&path).await.unwrap();
        let ours = format!(" (process {})", std::process::id());
        assert_eq!(refused(&path).await, (path.display().to_string(), ours));
        // What is refused takes nothing from who was first.
        refused(&path).await;
        Sqlite::open(&path).await.unwrap().close().await;
        store.close().await;
        refused(&path).await;
        drop(alone);
        let (store, _alone) = Sqlite::open_alone(&path).await.unwrap();
        store.close().await;
    }

    #[tokio::test]
    async fn tables_that_somebody_serves_from_are_brought_up_to_date_by_nobody_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap().join("narthex.db");
        let (store, alone) = Sqlite::open_alone(&path).await.unwrap();
        // As the version before the newest made them.
        let keep = "CREATE TEMP TABLE kept AS SELECT * FROM _sqlx_migrations WHERE version = 18";
        sqlx::raw_sql(keep).execute(&store.writer).await.unwrap();
        let take_back = "DELETE FROM _sqlx_migrations WHERE version = 18; ALTER TABLE console_people DROP COLUMN \
                         email; ALTER TABLE console_sessions DROP COLUMN email";
        sqlx::raw_sql(take_back).execute(&store.writer).await.unwrap();
        match Sqlite::open(&path).await {
            Err(StoreError::ServedByOlder { path: told, holder, found: 17, known: 18 }) => {
                let ours = format!(" (process {})", std::process::id());
                assert_eq!((told, holder), (path.display().to_string(), ours));
            }
            other => panic!("{other:?}"),
        }
        let version = "SELECT MAX(version) FROM _sqlx_migrations";
        let at = async || sqlx::query_scalar::<_, i64>(version).fetch_one(&store.readers).await.unwrap();
        assert_eq!(at().await, 17, "nothing was changed");
        drop(alone);
        Sqlite::open(&path).await.unwrap().close().await;
        assert_eq!(at().await, 18);
        // Whoever has the lock only to bring them up to date is waited for.
        sqlx::raw_sql(take_back).execute(&store.writer).await.unwrap();
        let alone = Alone::take(&path).unwrap();
        let bring = async {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            let again = "ALTER TABLE console_people ADD COLUMN email TEXT; ALTER TABLE console_sessions ADD COLUMN email \
                         TEXT; INSERT INTO _sqlx_migrations SELECT * FROM kept";
            sqlx::raw_sql(again).execute(&store.writer).await.unwrap();
        };
        let (waited, ()) = tokio::join!(Sqlite::open(&path), bring);
        waited.unwrap().close().await;
        drop(alone);
        // And the lock was held for that long only.
        drop(Alone::take(&path).unwrap());
        store.close().await;
    }

    #[tokio::test]
    async fn another_name_for_the_file_is_no_way_to_a_second_one() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("narthex.db"), folder.path().join("link.db"));
        let (store, _alone) = Sqlite::open_alone(&path).await.unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let (told, _) = refused(&link).await;
        assert_eq!(Path::new(&told), path.canonicalize().unwrap());
        store.close().await;
    }

    #[tokio::test]
    async fn a_holder_in_another_container_is_told_with_its_name_and_rubbish_is_not_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("narthex.db");
        let (store, _alone) = Sqlite::open_alone(&path).await.unwrap();
        let lock = beside(&path, ".lock");
        for (text, told) in [
            ("1 git-sso-0\n", " (process 1 of git-sso-0)"),
            ("1 \u{1b}[31m\n", " (process 1)"),
            ("rubbish", ""),
            ("", ""),
        ] {
            fs::write(&lock, text).unwrap();
            assert_eq!(refused(&path).await.1, told, "{text:?}");
        }
        store.close().await;
    }

    #[tokio::test]
    async fn by_a_link_in_the_place_of_the_lock_nothing_is_written_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("narthex.db"), folder.path().join("of somebody else"));
        fs::write(&other, "of somebody else").unwrap();
        let lock = beside(&path, ".lock");
        std::os::unix::fs::symlink(&other, &lock).unwrap();
        for link in ["symbolic", "hard"] {
            match Sqlite::open_alone(&path).await {
                Err(error @ StoreError::CannotOpen { .. }) => {
                    assert!(error.to_string().contains("it is a link"), "{link}: {error}");
                }
                other => panic!("{link}: {other:?}"),
            }
            assert_eq!(fs::read_to_string(&other).unwrap(), "of somebody else");
            fs::remove_file(&lock).unwrap();
            fs::hard_link(&other, &lock).unwrap();
        }
        fs::remove_file(&lock).unwrap();
        Sqlite::open_alone(&path).await.unwrap();
    }

    #[tokio::test]
    async fn a_lock_that_cannot_be_made_is_told_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("narthex.db");
        fs::create_dir(beside(&path, ".lock")).unwrap();
        match Sqlite::open_alone(&path).await {
            Err(error @ StoreError::CannotOpen { .. }) => {
                let text = error.to_string();
                assert!(text.contains("narthex.db.lock") && text.contains("must be able to write"), "{text}");
            }
            other => panic!("{other:?}"),
        }
    }
}
