//! The executable that a command line's first word names.

use rollcall_domain::identity::UNKNOWN;

/// Name and path of the executable that `word`, argv[0], names. A login shell's `-` and a title's `:` are no part of it.
///
/// The path is there only if it is a full one. The name is empty only of no word; of a link that says nothing about its file
/// it is [`UNKNOWN`].
#[inline]
pub(crate) fn executable(word: &str) -> (&str, Option<&str>) {
    executable_named(word, after_slash(word))
}

/// The same of a word of which is known what follows its last slash.
#[inline(always)]
pub(crate) fn executable_named<'a>(word: &'a str, name: &'a str) -> (&'a str, Option<&'a str>) {
    match word.as_bytes().first() {
        Some(b'/') => {
            if word.starts_with("/proc/") && is_link_of_proc(word) {
                (UNKNOWN, None)
            } else if name.is_empty() {
                (word, None)
            } else {
                (name, Some(word))
            }
        }
        // A login shell's name may have no slash before it.
        Some(b'-') if word.len() > 1 => {
            let name = if name.len() == word.len() {
                &name[1..]
            } else {
                name
            };
            (non_empty(name, word), None)
        }
        _ => {
            // Some titles begin in brackets.
            let title = name.strip_suffix(':');
            let title = title.map(|title| title.strip_prefix('[').unwrap_or(title));
            (non_empty(title.unwrap_or(name), word), None)
        }
    }
}

/// Whether `path` is one of the kernel's links to what a process runs or has open, as `/proc/self/exe`: it says nothing
/// about which file that is.
#[inline]
pub(crate) fn is_link_of_proc(path: &str) -> bool {
    let link = path
        .strip_prefix("/proc/")
        .and_then(|rest| rest.split_once('/'));
    link.is_some_and(|(process, file)| {
        let is_process = matches!(process, "self" | "thread-self")
            || process.bytes().all(|byte| byte.is_ascii_digit());
        is_process && (file == "exe" || file.starts_with("fd/"))
    })
}

/// What follows the last `/`.
#[inline]
pub(crate) fn after_slash(path: &str) -> &str {
    match memchr::memrchr(b'/', path.as_bytes()) {
        Some(at) => &path[at + 1..],
        None => path,
    }
}

#[inline]
fn non_empty<'a>(name: &'a str, otherwise: &'a str) -> &'a str {
    if name.is_empty() { otherwise } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables() {
        let check = |word: &str, name: &str, path: Option<&str>| {
            assert_eq!(executable(word), (name, path), "{word}")
        };
        check(
            "/usr/lib/firefox/firefox",
            "firefox",
            Some("/usr/lib/firefox/firefox"),
        );
        check("nginx:", "nginx", None);
        check("-bash", "bash", None);
        check("-/bin/sh", "sh", None);
        check("./a.out", "a.out", None);
        check("(sd-pam)", "(sd-pam)", None);
        check("sshd:", "sshd", None);
        check("[celeryd:", "celeryd", None);
        check("[x", "[x", None);
        for link in [
            "/proc/self/exe",
            "/proc/thread-self/exe",
            "/proc/4711/exe",
            "/proc/self/fd/6",
        ] {
            check(link, UNKNOWN, None);
        }
        check("/proc/x/exe", "exe", Some("/proc/x/exe"));
        check("/proc/self/root/a", "a", Some("/proc/self/root/a"));
        for odd in ["-", ":", "/", "-/"] {
            check(odd, odd, None);
        }
    }
}
