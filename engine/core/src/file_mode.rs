//! Whether a file with a secret is for this process alone: pure, from its mode and its owners.
//!
//! A kubelet gives the files of a Secret to root and to the group of the volume (`fsGroup`), with the mode `0440`. A
//! person gives a file to the user that runs the engine, with `0400` or `0600`. Both are right.

/// Read permission of the group, and of others.
const GROUP_READS: u32 = 0o040;
const OTHERS_READ: u32 = 0o004;
/// Write permission of the group, and of others.
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
/// The user that may do everything anyway.
const ROOT: u32 = 0;

/// Owner of a file, and its permission bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMode {
    /// Permission bits. Bits above them, such as the kind of the file, are ignored.
    pub mode: u32,
    /// User that owns the file.
    pub user: u32,
    /// Group of the file.
    pub group: u32,
}

/// User and groups of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessIds {
    /// Effective user.
    pub user: u32,
    /// Effective group and supplementary groups.
    pub groups: Vec<u32>,
}

/// Why a file is not for this process alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ModeFault {
    /// The file belongs to another user, who can read and change it.
    #[error("it belongs to another user: give it to the user of the engine, or to root")]
    OwnedByOther,
    /// Others can change the file.
    #[error("others can change it: remove their permission (chmod go-w)")]
    Writable,
    /// Everybody can read the file.
    #[error("everybody can read it: remove that permission (chmod o-r, or defaultMode: 0440 of the volume)")]
    ReadableByAll,
    /// The members of a group that is not the engine's can read the file.
    #[error("a group that is not the engine's can read it: chmod g-r, or fsGroup of the pod")]
    ReadableByGroup,
}

/// Judges a file that contains a secret. Whether the process itself can read the file is not decided here: opening it
/// shows that.
///
/// # Errors
/// Somebody else can read or change the file; the worst fault.
pub fn judge(file: FileMode, process: &ProcessIds) -> Result<(), ModeFault> {
    let FileMode { mode, user, group } = file;
    if user != process.user && user != ROOT {
        return Err(ModeFault::OwnedByOther);
    }
    // Who can change a key can make it his own. No platform gives this permission to the group of a Secret.
    if mode & (GROUP_WRITES | OTHERS_WRITE) != 0 {
        return Err(ModeFault::Writable);
    }
    if mode & OTHERS_READ != 0 {
        return Err(ModeFault::ReadableByAll);
    }
    if mode & GROUP_READS != 0 && !process.groups.contains(&group) {
        return Err(ModeFault::ReadableByGroup);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: u32 = 65_532;
    const OTHER: u32 = 1_000;
    const FS_GROUP: u32 = 65_533;

    fn process() -> ProcessIds {
        ProcessIds { user: OWN, groups: vec![OWN, FS_GROUP] }
    }

    fn judged(mode: u32, user: u32, group: u32) -> Result<(), ModeFault> {
        judge(FileMode { mode, user, group }, &process())
    }

    #[test]
    fn what_a_kubelet_and_a_person_write_is_right() {
        for (mode, user, group) in [
            (0o100_440, ROOT, FS_GROUP),
            (0o440, OWN, OWN),
            (0o400, OWN, OTHER),
            (0o600, OWN, OTHER),
            (0o640, ROOT, FS_GROUP),
        ] {
            assert_eq!(judged(mode, user, group), Ok(()), "{mode:o} {user} {group}");
        }
        for (mode, user, group, fault) in [
            (0o444, ROOT, FS_GROUP, ModeFault::ReadableByAll),
            (0o644, OWN, OWN, ModeFault::ReadableByAll),
            (0o440, ROOT, OTHER, ModeFault::ReadableByGroup),
            (0o660, OWN, OWN, ModeFault::Writable),
            (0o602, OWN, OWN, ModeFault::Writable),
            (0o400, OTHER, FS_GROUP, ModeFault::OwnedByOther),
        ] {
            assert_eq!(judged(mode, user, group), Err(fault), "{mode:o} {user} {group}");
        }
    }

    /// All 512 modes, each owner and each group, against who can read and write by the rules of POSIX: everybody but
    /// this process, root and the members of its own groups.
    #[test]
    fn every_mode_owner_and_group() {
        let mut right = 0;
        for mode in 0..0o1000 {
            for user in [OWN, ROOT, OTHER] {
                for group in [FS_GROUP, OTHER] {
                    // A stranger is the owner, a member of the group, or neither.
                    let bits = |shift: u32| (mode >> shift & 0o4 != 0, mode >> shift & 0o2 != 0);
                    let ((group_reads, group_writes), (others_read, others_write)) = (bits(3), bits(0));
                    let strangers_group = group == OTHER;
                    let stranger_owns = user == OTHER;
                    let stranger_reads = others_read || group_reads && strangers_group;
                    let somebody_writes = others_write || group_writes;
                    let is_right = !stranger_owns && !stranger_reads && !somebody_writes;
                    assert_eq!(judged(mode, user, group).is_ok(), is_right, "{mode:o} {user} {group}");
                    right += u32::from(is_right);
                }
            }
        }
        // 8 modes of the owner, 2 of others, and of the group 4 in an own group and 2 in another one; two owners.
        assert_eq!(right, 2 * 8 * 2 * (4 + 2));
    }
}
