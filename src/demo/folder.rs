//! A folder that is gone when the demo is.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::DemoError;
use crate::platform::Entropy;

/// A fresh folder that only its owner may enter; removed with all that is in it when dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Below `parent`, under a name that nobody can have prepared.
    pub(super) fn create(parent: &Path, entropy: &dyn Entropy) -> Result<Self, DemoError> {
        let name = u64::from_be_bytes(entropy.bytes()?);
        let path = parent.join(format!("narthex-demo-{name:016x}"));
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).map_err(|reason| DemoError::Folder { path: path.clone(), reason })?;
        Ok(Self { path })
    }

    /// Writes a file that only its owner may read.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf, DemoError> {
        let path = self.path.join(name);
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(&path).and_then(|mut file| file.write_all(text.as_bytes()));
        match written {
            Ok(()) => Ok(path),
            Err(reason) => Err(DemoError::Folder { path, reason }),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(folder = %self.path.display(), %error, "the demo's folder could not be removed");
        }
    }
}
