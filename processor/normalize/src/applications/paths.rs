//! Applications by the folders that their programs lie in.

/// Folders, one in the other, that hold an application's programs.
#[derive(Clone, Debug)]
pub(super) struct PathRule {
    /// In lower case; `*` stands for anything within one name.
    folders: Vec<Box<str>>,
    /// Whether they begin at the root.
    rooted: bool,
    pub(super) application: Box<str>,
}

impl PathRule {
    /// `None` for a pattern without a folder, or with an empty one.
    pub(super) fn new(pattern: &str, application: &str) -> Option<Self> {
        let rooted = pattern.starts_with('/');
        let inner = pattern.strip_prefix('/').unwrap_or(pattern);
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        let folders: Vec<Box<str>> = inner
            .split('/')
            .map(|folder| folder.to_lowercase().into())
            .collect();
        let names_one = folders.iter().any(|folder| &**folder != "*");
        let whole = folders.iter().all(|folder| !folder.is_empty());
        (names_one && whole && !pattern.contains('\\')).then(|| Self {
            folders,
            rooted,
            application: application.into(),
        })
    }

    /// Whether a program with this path lies in them, or in folders of theirs. Capitals and the kind of slash don't matter.
    pub(super) fn matches(&self, path: &str) -> bool {
        let mut names: Vec<&str> = path.split(['/', '\\']).collect();
        // The file's own name.
        names.pop();
        if self.rooted {
            let Some(("", below)) = names.split_first().map(|(first, rest)| (*first, rest)) else {
                return false;
            };
            return below.len() >= self.folders.len() && self.is_at(below);
        }
        names
            .windows(self.folders.len())
            .any(|names| self.is_at(names))
    }

    fn is_at(&self, names: &[&str]) -> bool {
        self.folders
            .iter()
            .zip(names)
            .all(|(folder, name)| is_like(folder, &name.to_lowercase()))
    }
}

/// Whether `name` is `pattern`, in which each `*` stands for anything.
fn is_like(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(start) else {
        return false;
    };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let end = pieces.pop().unwrap_or_default();
    // Each piece as early as it can be leaves the most for those after it.
    for piece in pieces {
        match name.find(piece) {
            Some(at) => name = &name[at + piece.len()..],
            None => return false,
        }
    }
    name.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, path: &str, expect: bool) {
        let rule = PathRule::new(pattern, "a").expect("a pattern");
        assert_eq!(rule.matches(path), expect, "{pattern} {path}");
    }

    #[test]
    fn folders_anywhere_or_from_the_root() {
        check("exam", "/opt/exam/bin/start", true);
        check("exam", r"C:\Program Files\Exam\start.exe", true);
        check("exam", "/opt/exams/start", false);
        check("exam", "/opt/exam", false);
        check("/opt/exam", "/opt/exam/start", true);
        check("/opt/exam", "/home/opt/exam/start", false);
        check("/opt/exam/", "/opt/exam/start", true);
        check(
            "program files/exam",
            r"C:\Program Files\Exam\bin\x.exe",
            true,
        );
        check("c:/exam", r"C:\Exam\x.exe", true);
        check("exam", "start", false);
        check("a/b/c", "/a/x", false);
    }

    #[test]
    fn stars_stay_within_a_name() {
        check(
            "/opt/matlab/*/bin",
            "/opt/matlab/R2026a/bin/glnxa64/x",
            true,
        );
        check("/opt/matlab/*/bin", "/opt/matlab/bin/x", false);
        check("r20*a", "/opt/R2026a/x", true);
        check("r20*a", "/opt/R2026b/x", false);
        check("*b*b", "/abab/x", true);
        check("*b*b", "/ab/x", false);
        check("ab*ba", "/aba/x", false);
    }

    #[test]
    fn what_is_no_pattern() {
        for pattern in ["", "/", "*", "*/*", "a//b", r"a\b", "//"] {
            assert!(PathRule::new(pattern, "a").is_none(), "{pattern:?}");
        }
    }
}
