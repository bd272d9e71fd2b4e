//! Which file systems keep what they are told to sync.

use std::io;
use std::path::Path;

/// File systems on which a sync proves nothing, by their magic numbers in Linux (`statfs(2)`): they
/// live in memory, pass the sync on to something that may drop it, or answer for a server that may.
#[cfg(target_os = "linux")]
const UNSYNCABLE: [(u32, &str); 8] = [
    (0x0102_1994, "tmpfs"),
    (0x8584_58F6, "ramfs"),
    (0x794C_7630, "overlay"),
    (0x0000_6969, "NFS"),
    (0x0000_517B, "SMB"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB 2"),
    (0x0102_1997, "9p"),
];

/// The name of the file system on which a directory lies, or would lie once it is created, if that
/// cannot promise that what was synced survives a loss of power; `None` if it can, or if nobody
/// knows.
pub fn unsyncable(dir: impl AsRef<Path>) -> io::Result<Option<&'static str>> {
    let dir = dir.as_ref();
    let there = dir.ancestors().find(|path| path.exists());
    let there = there.filter(|path| !path.as_os_str().is_empty());
    look(there.unwrap_or(Path::new(".")))
}

#[cfg(target_os = "linux")]
fn look(path: &Path) -> io::Result<Option<&'static str>> {
    // The number has the width of a word on some machines and its sign on others.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::unnecessary_cast,
        reason = "every magic number has 32 bits"
    )]
    let magic = rustix::fs::statfs(path)?.f_type as u32;
    let found = UNSYNCABLE.iter().find(|(known, _)| *known == magic);
    Ok(found.map(|(_, name)| *name))
}

#[cfg(not(target_os = "linux"))]
fn look(_: &Path) -> io::Result<Option<&'static str>> {
    Ok(None)
}
