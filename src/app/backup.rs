//! A backup of the store that the settings name, for the command line. The seal key is never in it: who has both has
//! everything, so they leave by two ways.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::config::Settings;
use crate::config::settings::{SealKey, StoreUrl};
use crate::platform::keyfile::{self, KeyFileError};
use crate::store::StoreError;
use crate::store::sqlite::{Copied, Sqlite, beside};

/// No backup was made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error(
        "the store is PostgreSQL, for which pg_dump makes backups; the key keys.seal belongs to them, kept elsewhere: \
         without it narthex cannot open its signing keys in them (docs/backup.md)"
    )]
    OfPostgres,
    #[error("store.url is memory:, which nobody else can read and which ends with the process")]
    OfMemory,
    #[error("{} is there already, and nothing is overwritten: name another file", path.display())]
    Exists { path: PathBuf },
    #[error("{} cannot be written: {reason}", path.display())]
    CannotWrite { path: PathBuf, reason: io::Error },
    #[error("another backup is being made just now, by way of {}: wait for it", path.display())]
    AnotherOne { path: PathBuf },
    #[error(
        "{} is where the copy is made, and no backup has left it there: take it away, or name a file instead of -",
        path.display()
    )]
    NotOurs { path: PathBuf },
    #[error("standard output: {0}; what was written to it is no whole backup")]
    CutOff(io::Error),
    #[error(
        "keys.seal in the configuration gives the key, narthex has no file of its own for it: keep a copy of what \
         keys.seal names"
    )]
    KeyGiven,
    #[error(transparent)]
    Key(#[from] KeyFileError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was written.
#[derive(Debug)]
pub struct Written {
    pub copied: Copied,
    pub bytes: u64,
}

/// The file of the seal key, where the settings do not give the key themselves.
#[must_use]
pub fn key_file(settings: &Settings) -> Option<&Path> {
    match &settings.keys.seal {
        SealKey::FileOrMake(path) => Some(path),
        SealKey::Given(_) => None,
    }
}

/// Writes the store as it is at one moment to a new file, readable by its owner only.
///
/// # Errors
/// [`BackupError`]; then there is no such file.
pub async fn to_file(settings: &Settings, path: &Path) -> Result<Written, BackupError> {
    let database = database(settings)?;
    let cannot = |path: &Path, reason| match reason {
        reason if io::Error::kind(&reason) == ErrorKind::AlreadyExists => {
            BackupError::Exists { path: path.to_owned() }
        }
        reason => BackupError::CannotWrite { path: path.to_owned(), reason },
    };
    // The name is taken at once, and is that of a whole backup in the end: what a crash leaves there is empty.
    let mut taken = Draft::new(path).map_err(|reason| cannot(path, reason))?;
    let partial = beside(path, ".partial");
    let mut draft = Draft::new(&partial).map_err(|reason| cannot(&partial, reason))?;
    let copied = Sqlite::copy(database, &partial).await?;
    let kept = draft.file.sync_all().and_then(|()| draft.file.metadata());
    let bytes = kept.map_err(|reason| cannot(&partial, reason))?.len();
    fs::rename(&partial, path).map_err(|reason| cannot(path, reason))?;
    (draft.is_kept, taken.is_kept) = (true, true);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|reason| cannot(path, reason))?;
    Ok(Written { copied, bytes })
}

/// Writes it to `out`, by way of a file beside the database, which takes as much room for as long.
///
/// # Errors
/// [`BackupError`].
pub async fn to_stream(settings: &Settings, out: &mut (dyn Write + Send)) -> Result<Written, BackupError> {
    let database = database(settings)?;
    let path = beside(database, ".streaming");
    let cannot = |reason| BackupError::CannotWrite { path: path.clone(), reason };
    let mut draft = Draft::in_turn(&path)?;
    if draft.file.try_lock().is_err() || !draft.is_at_its_path() {
        // Another's.
        draft.is_kept = true;
        return Err(BackupError::AnotherOne { path });
    }
    let copied = Sqlite::copy(database, &path).await?;
    fs::remove_file(&path).map_err(&cannot)?;
    draft.is_kept = true;
    let bytes = io::copy(&mut draft.file, out).map_err(BackupError::CutOff)?;
    out.flush().map_err(BackupError::CutOff)?;
    Ok(Written { copied, bytes })
}

/// Writes the seal key to a new file, readable by its owner only.
///
/// # Errors
/// [`BackupError`]; then there is no such file.
pub fn key_to_file(settings: &Settings, path: &Path) -> Result<(), BackupError> {
    let key = key(settings)?;
    let cannot = |reason: io::Error| match reason.kind() {
        ErrorKind::AlreadyExists => BackupError::Exists { path: path.to_owned() },
        _ => BackupError::CannotWrite { path: path.to_owned(), reason },
    };
    let mut draft = Draft::new(path).map_err(cannot)?;
    draft.file.write_all(key.as_bytes()).and_then(|()| draft.file.sync_all()).map_err(cannot)?;
    draft.is_kept = true;
    Ok(())
}

/// Writes it to `out`.
///
/// # Errors
/// [`BackupError`].
pub fn key_to_stream(settings: &Settings, out: &mut (dyn Write + Send)) -> Result<(), BackupError> {
    let key = key(settings)?;
    out.write_all(key.as_bytes()).and_then(|()| out.flush()).map_err(BackupError::CutOff)
}

fn key(settings: &Settings) -> Result<Zeroizing<String>, BackupError> {
    let path = key_file(settings).ok_or(BackupError::KeyGiven)?;
    Ok(keyfile::text(path)?)
}

fn database(settings: &Settings) -> Result<&Path, BackupError> {
    match &settings.store.url {
        StoreUrl::Sqlite { path } => Ok(path),
        StoreUrl::Postgres(_) => Err(BackupError::OfPostgres),
        StoreUrl::Memory => Err(BackupError::OfMemory),
    }
}

/// A file that goes again unless it is kept.
struct Draft {
    file: File,
    path: PathBuf,
    is_kept: bool,
}

impl Draft {
    /// SECURITY: made for its owner only and by nobody else: a link that somebody put there is not followed.
    fn new(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Self { file, path: path.to_owned(), is_kept: false })
    }

    /// The same in the place of what a backup that was killed has left: in a container nobody else could take that away.
    ///
    /// SECURITY: nothing is written into what is there, and nothing goes that no backup would have made.
    fn in_turn(path: &Path) -> Result<Self, BackupError> {
        let cannot = |reason| BackupError::CannotWrite { path: path.to_owned(), reason };
        match Self::new(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => return made.map_err(cannot),
        }
        let there = fs::symlink_metadata(path).map_err(cannot)?;
        if !(there.is_file() && there.nlink() == 1 && there.mode() & 0o777 == 0o600) {
            return Err(BackupError::NotOurs { path: path.to_owned() });
        }
        let left = Self { file: File::open(path).map_err(cannot)?, path: path.to_owned(), is_kept: true };
        if left.file.try_lock().is_err() || !left.is_at_its_path() {
            return Err(BackupError::AnotherOne { path: path.to_owned() });
        }
        fs::remove_file(path).map_err(cannot)?;
        Self::new(path).map_err(cannot)
    }

    /// Not so where another took it away meanwhile: SQLite would make a new one, for everybody to read.
    fn is_at_its_path(&self) -> bool {
        let same = |a: fs::Metadata, b: fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
        match (self.file.metadata(), fs::symlink_metadata(&self.path)) {
            (Ok(ours), Ok(there)) => same(ours, there),
            (Err(_), _) | (_, Err(_)) => false,
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_kept {
            // SQLite's own, of a copy that broke off.
            let _ = fs::remove_file(beside(&self.path, "-journal"));
            let _ = fs::remove_file(&self.path);
        }
    }
}
