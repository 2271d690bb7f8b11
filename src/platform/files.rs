//! Whether files are others than they were.
//!
//! By looking, not by being told: what is told of (inotify) differs between file systems, and a Kubernetes volume is
//! replaced by turning a symbolic link two folders above the file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::crypto::sha256;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// Tells one state of a file from another, symbolic links followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
    device: u64,
}

/// `None` where there is none that could be read.
pub async fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = tokio::fs::metadata(path).await.ok()?;
    Some(Stamp {
        modified: metadata.modified().ok(),
        length: metadata.len(),
        inode: metadata.ino(),
        device: metadata.dev(),
    })
}

/// Looks after some files.
pub struct Watch {
    files: BTreeSet<PathBuf>,
    /// Before what was read of them last.
    stamps: Vec<Option<Stamp>>,
    content: [u8; 32],
}

impl Watch {
    /// Of these, as they are now.
    pub async fn of(files: BTreeSet<PathBuf>) -> Self {
        let stamps = stamps(&files).await;
        let content = content(&files).await;
        Self { files, stamps, content }
    }

    /// Looks after these from now on; whether they are others than before.
    pub async fn follow(&mut self, files: BTreeSet<PathBuf>) -> bool {
        let others = files != self.files;
        if others {
            *self = Self::of(files).await;
        }
        others
    }

    /// Waits until something else stands in one of them, and stays there from one look to the next: whoever writes a
    /// file in several steps, or several files, has a moment for it. Safe to be cancelled.
    pub async fn changed(&mut self) {
        let mut before = None;
        loop {
            tokio::time::sleep(LOOK).await;
            let stamps = stamps(&self.files).await;
            if stamps == self.stamps {
                before = None;
            } else if before.as_ref() == Some(&stamps) {
                self.stamps = stamps;
                let content = content(&self.files).await;
                if std::mem::replace(&mut self.content, content) != content {
                    return;
                }
                before = None;
            } else {
                before = Some(stamps);
            }
        }
    }
}

async fn stamps(files: &BTreeSet<PathBuf>) -> Vec<Option<Stamp>> {
    let mut stamps = Vec::with_capacity(files.len());
    for file in files {
        stamps.push(stamp(file).await);
    }
    stamps
}

/// A digest of all that stands in them.
async fn content(files: &BTreeSet<PathBuf>) -> [u8; 32] {
    let mut digests = Vec::new();
    for file in files {
        match tokio::fs::read(file).await {
            Ok(bytes) => {
                digests.push(1);
                digests.extend(sha256(&bytes));
            }
            Err(_) => digests.push(0),
        }
    }
    sha256(&digests)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    /// Whether a change is noticed within a while in which nothing else happens.
    async fn notices(watch: &mut Watch) -> bool {
        tokio::time::timeout(LOOK * 6, watch.changed()).await.is_ok()
    }

    fn file(folder: &TempDir, name: &str, text: &str) -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    #[tokio::test]
    async fn what_stands_in_a_file_is_looked_at_and_not_when_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, "secret", "one");
        let mut watch = Watch::of(BTreeSet::from([path.clone()])).await;
        assert!(!notices(&mut watch).await, "nothing happened");
        let same = file(&folder, "same", "one");
        fs::rename(same, &path).unwrap();
        assert!(!notices(&mut watch).await, "the same stands there");
        fs::write(&path, "two").unwrap();
        assert!(notices(&mut watch).await);
        assert!(!notices(&mut watch).await, "it was told already");
    }

    #[tokio::test]
    async fn files_that_come_and_go_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("later");
        let mut watch = Watch::of(BTreeSet::from([path.clone()])).await;
        fs::write(&path, "").unwrap();
        assert!(notices(&mut watch).await, "empty is not absent");
        fs::remove_file(&path).unwrap();
        assert!(notices(&mut watch).await);
    }

    #[tokio::test]
    async fn the_link_that_kubernetes_turns_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        for (version, text) in [("..1", "old"), ("..2", "new")] {
            fs::create_dir(folder.path().join(version)).unwrap();
            file(&folder, &format!("{version}/proxy.toml"), text);
        }
        symlink("..1", folder.path().join("..data")).unwrap();
        symlink("..data/proxy.toml", folder.path().join("proxy.toml")).unwrap();
        let mut watch = Watch::of(BTreeSet::from([folder.path().join("proxy.toml")])).await;
        symlink("..2", folder.path().join("..data_tmp")).unwrap();
        fs::rename(folder.path().join("..data_tmp"), folder.path().join("..data")).unwrap();
        assert!(notices(&mut watch).await);
    }
}
