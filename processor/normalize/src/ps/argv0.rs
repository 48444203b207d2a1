//! Where the path that a command line begins with ends: it may hold blanks, and `ps` prints nothing that shows its end.

use crate::bits::{self, BLOCK};
use crate::executable::after_slash;

/// Where ` -x`, ` --x` or ` /x` begins. A lone dash between words (`Foo - Bar.app`) is no argument.
#[inline]
pub(super) fn argument_start(line: &str) -> usize {
    let bytes = line.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let mut starts =
            bits::argument_starts(&bits::block(bytes, at), &bits::block(bytes, at + 1));
        while starts != 0 {
            let start = at + starts.trailing_zeros() as usize;
            if !bytes[start..].starts_with(b" - ") {
                return start;
            }
            starts &= starts - 1;
        }
        at += BLOCK;
    }
    bytes.len()
}

/// Whether `path` is in a folder of programs that are called by name, and so have none with blanks.
pub(super) fn is_in_program_folder(path: &str) -> bool {
    if path.starts_with("/usr/") {
        return true;
    }
    let folder = &path[..path.len() - after_slash(path).len()];
    ["/bin/", "/sbin/", "/libexec/"]
        .iter()
        .any(|name| folder.ends_with(name))
}

/// Whether `path`, which `line` begins with, may be a piece only where `line` was cut: nothing that follows shows its end.
pub(super) fn may_be_cut(line: &str, path: Option<&str>) -> bool {
    let is_open = |path| argument_start(line) == line.len() && !is_in_program_folder(path);
    !line.contains(' ') || path.is_some_and(is_open)
}

/// Whether a later word may belong to the path, for it holds a slash. Addresses and settings (`a://b`, `a=/b`) don't.
pub(super) fn goes_on_with_folder(words: &str) -> bool {
    words.split(' ').any(|word| {
        word.split_once('/')
            .is_some_and(|(folder, _)| !folder.contains([':', '=']))
    })
}
