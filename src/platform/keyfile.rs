//! The seal key: given by the configuration, or made once and kept in a file.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::crypto::KeyRing;
use super::entropy::Entropy;
use crate::model::Secret;

/// A key of fewer bytes could be guessed.
pub const MIN_BYTES: usize = 32;
/// More than any key needs; keeps a mistaken path (a device, a database) from being read whole.
const MAX_BYTES: u64 = 64 * 1024;

/// Why there is no seal key. Never says anything of the key itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    #[error(
        "the seal key {source_name} has {bytes} bytes, at least {MIN_BYTES} are needed: make one with \
         `head -c 32 /dev/urandom | base64`"
    )]
    TooShort { source_name: String, bytes: usize },
    #[error("the seal key file {path} is larger than {MAX_BYTES} bytes: that is no key; name the right file")]
    TooLong { path: PathBuf },
    #[error(
        "the seal key file {path} can be reached by every user of this machine (mode {mode:04o}): chmod 600 {path}"
    )]
    OpenToAll { path: PathBuf, mode: u32 },
    #[error(
        "the seal key file {path} cannot be read: {reason}; it must be a text file that narthex's user may read"
    )]
    Unreadable { path: PathBuf, reason: String },
    #[error(
        "there is no folder {} for the store and its seal key {path}: make it, owned by the user that narthex runs as, \
         or name a file in another one in store.url",
        folder(path).display()
    )]
    NoFolder { path: PathBuf },
    #[error(
        "the seal key {path} cannot be made: {reason}; the folder {} holds the store and its key: let the user that \
         narthex runs as write to it, or name a file in another one in store.url",
        folder(path).display()
    )]
    CannotMake { path: PathBuf, reason: String },
    #[error("no seal key could be made: the machine's random source failed")]
    NoEntropy,
}

/// From a key that stands in the configuration, the environment or a file that is named there.
pub fn given(key: &Secret) -> Result<KeyRing, KeyFileError> {
    key_ring(key.expose(), || "keys.seal".to_owned())
}

/// From the file at `path`, which is made with a random key where it is absent.
///
/// The key is the file's text without the white space around it, so the same file gives the same key when it
/// is named in the configuration instead.
pub fn file_or_make(path: &Path, entropy: &dyn Entropy) -> Result<KeyRing, KeyFileError> {
    if let Some(ring) = read(path)? {
        return Ok(ring);
    }
    if make(path, entropy)? {
        tracing::info!(path = %path.display(), "a seal key was made; keep a copy of it with your backups");
    }
    // Whoever was first, of several that start at once: all go on with what is there now.
    read(path)?.ok_or_else(|| KeyFileError::Unreadable {
        path: path.to_owned(),
        reason: "it went away just after it was made".to_owned(),
    })
}

fn key_ring(text: &str, source_name: impl Fn() -> String) -> Result<KeyRing, KeyFileError> {
    let key = text.trim_ascii();
    if key.len() < MIN_BYTES {
        return Err(KeyFileError::TooShort { source_name: source_name(), bytes: key.len() });
    }
    Ok(KeyRing::new(key.as_bytes()))
}

/// The text of the file at `path`, for a copy of it.
pub fn text(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    let text = read_text(path)?.ok_or_else(|| KeyFileError::Unreadable {
        path: path.to_owned(),
        reason: "there is none, no narthex has served with it yet".to_owned(),
    })?;
    key_ring(&text, || path.display().to_string())?;
    Ok(text)
}

/// `None` where there is no such file.
fn read(path: &Path) -> Result<Option<KeyRing>, KeyFileError> {
    read_text(path)?.map(|text| key_ring(&text, || path.display().to_string())).transpose()
}

fn read_text(path: &Path) -> Result<Option<Zeroizing<String>>, KeyFileError> {
    let unreadable =
        |error: std::io::Error| KeyFileError::Unreadable { path: path.to_owned(), reason: error.to_string() };
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(unreadable)?,
    };
    // SECURITY: who has the key can forge session cookies. Asked of the opened file, not of the path, so
    // that what was checked is what is read. A group may be let in: that is how secrets are mounted in pods.
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o7777;
    if mode & 0o007 != 0 {
        return Err(KeyFileError::OpenToAll { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(String::new());
    let read = file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > MAX_BYTES {
        return Err(KeyFileError::TooLong { path: path.to_owned() });
    }
    Ok(Some(text))
}

/// Puts a whole key at `path`, or leaves what another process put there meanwhile (`false`).
///
/// The key is written beside it first: a crash half-way must not leave a short key that the next start would
/// stumble over. A hard link, unlike a renaming, never replaces a key that is there.
fn make(path: &Path, entropy: &dyn Entropy) -> Result<bool, KeyFileError> {
    let random: Zeroizing<[u8; 32]> = Zeroizing::new(entropy.bytes().map_err(|_| KeyFileError::NoEntropy)?);
    let name: [u8; 8] = entropy.bytes().map_err(|_| KeyFileError::NoEntropy)?;
    let mut text = Zeroizing::new(STANDARD.encode(*random));
    text.push('\n');
    let folder = folder(path);
    if !folder.is_dir() {
        return Err(KeyFileError::NoFolder { path: path.to_owned() });
    }
    let draft = folder.join(format!(".seal-key-{:016x}", u64::from_be_bytes(name)));
    let made = write_new(&draft, text.as_bytes()).and_then(|()| match fs::hard_link(&draft, path) {
        Ok(()) => File::open(folder)?.sync_all().map(|()| true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    });
    // The draft may never have come to be.
    let _ = fs::remove_file(&draft);
    made.map_err(|error| KeyFileError::CannotMake { path: path.to_owned(), reason: error.to_string() })
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn write_new(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::SystemEntropy;
    use crate::platform::crypto::Purpose;
    use crate::platform::entropy::NoEntropy;

    /// A sample of the ring's work: two rings are the same where it is.
    fn sample(ring: &KeyRing) -> [u8; 16] {
        ring.mac(Purpose::Csrf).tag(b"sample")
    }

    fn write(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn failure(result: Result<KeyRing, KeyFileError>) -> KeyFileError {
        result.map(|_| ()).unwrap_err()
    }

    #[test]
    fn an_absent_file_is_made_once_for_its_owner_only_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seal.key");
        let first = file_or_make(&path, &SystemEntropy).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(STANDARD.decode(text.trim_end()).unwrap().len(), 32);
        let second = file_or_make(&path, &SystemEntropy).unwrap();
        assert_eq!(sample(&first), sample(&second));
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn the_same_file_gives_the_same_key_when_the_configuration_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seal.key");
        let made = file_or_make(&path, &SystemEntropy).unwrap();
        for text in [fs::read_to_string(&path).unwrap(), fs::read_to_string(&path).unwrap().trim().to_owned()]
        {
            assert_eq!(sample(&given(&Secret::new(text)).unwrap()), sample(&made));
        }
    }

    #[test]
    fn several_that_start_at_once_go_on_with_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seal.key");
        let samples: Vec<_> = std::thread::scope(|scope| {
            let running: Vec<_> = (0..16)
                .map(|_| scope.spawn(|| sample(&file_or_make(&path, &SystemEntropy).unwrap())))
                .collect();
            running.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(samples.iter().all(|one| *one == samples[0]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_everybody_can_reach_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seal.key");
        for mode in [0o600, 0o400, 0o440, 0o640, 0o660] {
            write(&path, &"k".repeat(32), mode);
            assert!(file_or_make(&path, &SystemEntropy).is_ok(), "{mode:o}");
        }
        for mode in [0o604, 0o644, 0o602, 0o601] {
            write(&path, &"k".repeat(32), mode);
            let error = failure(file_or_make(&path, &SystemEntropy));
            assert_eq!(error, KeyFileError::OpenToAll { path: path.clone(), mode });
            assert!(error.to_string().contains(&format!("chmod 600 {}", path.display())), "{error}");
        }
    }

    #[test]
    fn a_key_of_31_bytes_is_refused_and_white_space_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seal.key");
        write(&path, &format!(" {}\n", "k".repeat(31)), 0o600);
        let error = failure(file_or_make(&path, &SystemEntropy));
        assert_eq!(error, KeyFileError::TooShort { source_name: path.display().to_string(), bytes: 31 });
        assert!(!error.to_string().contains("kkk"), "{error}");
        let error = failure(given(&Secret::new("k".repeat(31))));
        assert_eq!(error, KeyFileError::TooShort { source_name: "keys.seal".to_owned(), bytes: 31 });
        assert!(given(&Secret::new("k".repeat(32))).is_ok());
    }

    #[test]
    fn an_empty_file_is_refused_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seal.key");
        write(&path, "", 0o600);
        let error = failure(file_or_make(&path, &SystemEntropy));
        assert!(matches!(error, KeyFileError::TooShort { bytes: 0, .. }), "{error:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
    }

    #[test]
    fn what_is_no_key_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let error = failure(file_or_make(folder.path(), &SystemEntropy));
        assert!(matches!(error, KeyFileError::Unreadable { .. }), "a folder: {error:?}");
        let path = folder.path().join("seal.key");
        fs::write(&path, [0xff; 40]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let error = failure(file_or_make(&path, &SystemEntropy));
        assert!(matches!(error, KeyFileError::Unreadable { .. }), "no text: {error:?}");
        write(&path, &"k".repeat(64 * 1024 + 1), 0o600);
        let error = failure(file_or_make(&path, &SystemEntropy));
        assert_eq!(error, KeyFileError::TooLong { path: path.clone() });
        write(&path, &"k".repeat(64 * 1024), 0o600);
        assert!(file_or_make(&path, &SystemEntropy).is_ok());
    }

    #[test]
    fn a_missing_folder_is_an_error_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("seal.key");
        let error = failure(file_or_make(&path, &SystemEntropy));
        assert_eq!(error, KeyFileError::NoFolder { path: path.clone() });
        let said = error.to_string();
        assert!(said.contains(&format!("no folder {} for", path.parent().unwrap().display())), "{said}");
        assert!(said.contains("store.url"), "{said}");
    }

    /// In /proc nobody makes files, not even root.
    #[test]
    fn a_folder_that_cannot_be_written_to_is_an_error_with_the_remedy() {
        let path = Path::new("/proc/seal.key");
        let error = failure(file_or_make(path, &SystemEntropy));
        assert!(matches!(error, KeyFileError::CannotMake { .. }), "{error:?}");
        let said = error.to_string();
        assert!(said.contains("the folder /proc holds the store and its key: let the user"), "{said}");
        assert!(said.contains("store.url"), "{said}");
    }

    #[test]
    fn without_randomness_nothing_is_made() {
        struct Dry;
        impl Entropy for Dry {
            fn fill(&self, _: &mut [u8]) -> Result<(), NoEntropy> {
                Err(NoEntropy)
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let error = failure(file_or_make(&folder.path().join("seal.key"), &Dry));
        assert_eq!(error, KeyFileError::NoEntropy);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
