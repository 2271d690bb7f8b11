//! Who can put another file in the place of one: whoever may write a folder on the way to it, or owns one.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use super::Verdict;

/// As the kernel (ELOOP).
const MOST_LINKS: usize = 40;
/// Whom a user namespace shows for everybody whom it does not know.
const NOBODY: u32 = 65534;

/// Who runs this, and where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Here {
    pub(super) uid: u32,
    /// Not everybody has a number here.
    pub(super) in_user_namespace: bool,
    /// Whom the store belongs to, which narthex makes itself.
    pub(super) keeper: Option<u32>,
    pub(super) in_pod: bool,
}

impl Here {
    pub(super) fn new(store: Option<&Path>, in_pod: bool) -> Self {
        let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        let numbers: Vec<&str> = map.split_whitespace().collect();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            uid: effective_user(&status).unwrap_or(NOBODY),
            in_user_namespace: !numbers.is_empty() && numbers != ["0", "0", "4294967295"],
            keeper: store.and_then(|store| fs::metadata(store).ok()).map(|metadata| metadata.uid()),
            in_pod,
        }
    }

    /// What is to be said of it that this user owns something of narthex's.
    pub(super) fn owner(&self, uid: u32) -> Option<(Verdict, String)> {
        if uid == 0 || uid == self.uid {
            return None;
        }
        if uid == NOBODY && self.in_user_namespace {
            let told = "belongs to somebody whom this user namespace does not show";
            return Some((Verdict::NotTried, told.to_owned()));
        }
        if self.uid == 0 && self.keeper == Some(uid) {
            let told = format!(
                "belongs to user {uid}, as the store does, which is right where narthex runs as that user: run this as \
                 that user, too"
            );
            return Some((Verdict::NotTried, told));
        }
        let told = format!(
            "belongs to user {uid}, who can change it and is neither root nor the user who runs this ({}): chown it, or \
             run this as the user who runs narthex",
            self.uid
        );
        Some((Verdict::Wrong, told))
    }
}

/// `Uid:`, real, effective … (proc_pid_status(5)).
fn effective_user(status: &str) -> Option<u32> {
    let numbers = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    numbers.split_whitespace().nth(1)?.parse().ok()
}

/// A folder that a path leads through.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) uid: u32,
    mode: u32,
    /// Something is mounted there.
    volume: bool,
    /// Whom the link belongs to that is followed there.
    link: Option<u32>,
}

impl Folder {
    fn of(path: &Path, link: Option<u32>) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let volume = match path.parent() {
            Some(parent) => fs::metadata(parent)?.dev() != metadata.dev(),
            None => false,
        };
        Ok(Self {
            path: path.to_owned(),
            uid: metadata.uid(),
            mode: metadata.permissions().mode(),
            volume,
            link,
        })
    }

    /// Whether others may put files there that were not there before.
    pub(super) fn takes_files(&self, in_pod: bool) -> bool {
        // The kubelet makes volumes 0777 (emptyDir, configMap) or 1777 (secret); who reaches them are the containers
        // that mount them.
        self.mode & 0o002 != 0 && !(in_pod && self.volume)
    }

    /// Whether others may exchange what is there, and how that ends.
    pub(super) fn gives_away(&self, here: &Here) -> Option<(Verdict, String)> {
        if !self.takes_files(here.in_pod) {
            return None;
        }
        if self.mode & 0o1000 != 0 {
            // Sticky: each file is its owner's alone, and so is a link.
            let (verdict, told) = here.owner(self.link?)?;
            return Some((verdict, format!("a link in it {told}")));
        }
        let told = format!(
            "has mode {:04o}, so every user of this machine can exchange what is in it: chmod o-w it",
            self.mode & 0o7777
        );
        Some((Verdict::Wrong, told))
    }
}

/// The folders that are looked into on the way to it, links followed; as far as there are any.
pub(super) fn folders(path: &Path) -> io::Result<Vec<Folder>> {
    let mut rest: VecDeque<OsString> = parts(&std::path::absolute(path)?);
    let (mut at, mut links) = (PathBuf::from("/"), 0);
    let mut all = Vec::new();
    while let Some(part) = rest.pop_front() {
        if part == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&part);
        let metadata = match fs::symlink_metadata(&next) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                all.push(Folder::of(&at, None)?);
                break;
            }
            metadata => metadata?,
        };
        let is_link = metadata.is_symlink();
        all.push(Folder::of(&at, is_link.then(|| metadata.uid()))?);
        if !is_link {
            at = next;
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(io::Error::other(format!("{} leads through too many links", path.display())));
        }
        let target = fs::read_link(&next)?;
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        for part in parts(&target).into_iter().rev() {
            rest.push_front(part);
        }
    }
    Ok(all)
}

fn parts(path: &Path) -> VecDeque<OsString> {
    let part = |component: Component<'_>| match component {
        Component::Normal(_) | Component::ParentDir => Some(component.as_os_str().to_owned()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    };
    path.components().filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn here() -> Here {
        Here { uid: 1000, in_user_namespace: false, keeper: None, in_pod: false }
    }

    fn folder(mode: u32, volume: bool, link: Option<u32>) -> Folder {
        Folder { path: PathBuf::new(), uid: 0, mode, volume, link }
    }

    fn verdict(folder: &Folder, here: &Here) -> Option<Verdict> {
        folder.gives_away(here).map(|(verdict, _)| verdict)
    }

    #[test]
    fn a_folder_that_others_may_write_gives_away_what_is_in_it_unless_it_is_sticky() {
        let wrong = Some(Verdict::Wrong);
        assert_eq!(verdict(&folder(0o755, false, None), &here()), None);
        assert_eq!(verdict(&folder(0o775, false, None), &here()), None);
        assert_eq!(verdict(&folder(0o777, false, None), &here()), wrong);
        assert_eq!(verdict(&folder(0o777, true, None), &here()), wrong, "a disk is no pod's volume");
        assert_eq!(verdict(&folder(0o1777, false, None), &here()), None);
        assert_eq!(verdict(&folder(0o1777, false, Some(0)), &here()), None);
        assert_eq!(verdict(&folder(0o1777, false, Some(1001)), &here()), wrong, "somebody else's link");
        assert_eq!(verdict(&folder(0o755, false, Some(1001)), &here()), None, "which nobody can put there");
    }

    #[test]
    fn a_pod_s_volumes_are_its_containers_alone_but_not_the_folders_in_them() {
        let pod = Here { in_pod: true, ..here() };
        assert_eq!(verdict(&folder(0o2777, true, None), &pod), None, "emptyDir, configMap");
        assert_eq!(verdict(&folder(0o3777, true, Some(0)), &pod), None, "secret");
        assert_eq!(verdict(&folder(0o777, false, None), &pod), Some(Verdict::Wrong));
    }

    #[test]
    fn only_root_and_whoever_runs_this_may_own_what_narthex_goes_by() {
        let verdict = |here: Here, uid| here.owner(uid).map(|(verdict, _)| verdict);
        assert_eq!(verdict(here(), 0), None);
        assert_eq!(verdict(here(), 1000), None);
        assert_eq!(verdict(here(), 1001), Some(Verdict::Wrong));
        assert_eq!(verdict(here(), NOBODY), Some(Verdict::Wrong));
        let within = Here { in_user_namespace: true, ..here() };
        assert_eq!(verdict(within, NOBODY), Some(Verdict::NotTried));
        assert_eq!(verdict(within, 1001), Some(Verdict::Wrong));
        // By root for another user: that it is narthex's is not known.
        let root = Here { uid: 0, keeper: Some(999), ..here() };
        assert_eq!(verdict(root, 999), Some(Verdict::NotTried));
        assert_eq!(verdict(root, 1001), Some(Verdict::Wrong));
        let other = Here { keeper: Some(999), ..here() };
        assert_eq!(verdict(other, 999), Some(Verdict::Wrong), "who is not root knows who runs narthex");
    }

    #[test]
    fn who_runs_this_is_read_from_the_process_s_status() {
        assert_eq!(effective_user("Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n"), Some(2));
        assert_eq!(effective_user("Name:\tx\n"), None);
        let made = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(Here::new(None, false).uid, made.as_file().metadata().unwrap().uid());
    }

    #[test]
    fn every_folder_is_looked_into_where_links_lead_too() {
        let made = tempfile::tempdir().unwrap();
        let root = made.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("volume/..2026")).unwrap();
        fs::create_dir_all(root.join("elsewhere")).unwrap();
        fs::write(root.join("volume/..2026/token"), "x").unwrap();
        symlink("..2026", root.join("volume/..data")).unwrap();
        symlink("..data/token", root.join("volume/token")).unwrap();
        symlink(root.join("volume"), root.join("elsewhere/link")).unwrap();
        let through = |path: &str| {
            let all = folders(&root.join(path)).unwrap();
            let inner = |folder: &Folder| folder.path.strip_prefix(&root).ok().map(Path::to_owned);
            all.iter().filter_map(inner).map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(through("volume/token"), ["", "volume", "volume", "volume", "volume/..2026"]);
        let last = through("elsewhere/../elsewhere/link/token");
        assert!(last.contains(&"elsewhere".to_owned()), "{last:?}");
        assert_eq!(last.last().unwrap(), "volume/..2026");
        assert_eq!(through("volume/absent"), ["", "volume"], "where somebody may put it");
        symlink("round", root.join("round")).unwrap();
        assert!(folders(&root.join("round")).is_err());
    }
}
