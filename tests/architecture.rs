//! The arrows that CONVENTIONS draws: who may use what.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Files below `root` that say one of `words` and stand in none of `allowed`.
fn offenders(root: &str, words: &[&str], allowed: &[&str]) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
    let mut found = Vec::new();
    sources(&root, &mut found);
    assert!(!found.is_empty(), "{} has sources", root.display());
    found.retain(|path| {
        let relative = path
            .strip_prefix(&root)
            .expect("below the root")
            .to_string_lossy()
            .replace('\\', "/");
        let text = fs::read_to_string(path).expect("a readable file");
        !allowed.iter().any(|prefix| relative.starts_with(prefix))
            && words.iter().any(|word| text.contains(word))
    });
    found
}

#[track_caller]
fn check(root: &str, words: &[&str], allowed: &[&str]) {
    assert_eq!(offenders(root, words, allowed), Vec::<PathBuf>::new());
}

#[test]
fn only_the_adapters_use_their_libraries() {
    check("processor/app", &["use rdkafka", "rdkafka::"], &["kafka/"]);
    check("processor/app", &["use sqlx", "sqlx::"], &["postgres/"]);
    check(
        "processor/app/kafka",
        &["crate::driver", "crate::cli", "crate::postgres"],
        &[],
    );
    check("processor/app/driver", &["crate::cli"], &[]);
    check(
        "processor/driver/src",
        &["serde", "prometheus", "rollcall_audit"],
        &[],
    );
}

#[test]
fn the_core_has_no_io() {
    for room in [
        "domain",
        "normalize",
        "defects",
        "engine",
        "codec",
        "stages",
        "driver",
        "audit",
    ] {
        let words = [
            "std::fs",
            "std::net",
            "std::thread",
            "std::process",
            "tokio",
            "rdkafka",
            "sqlx",
            "SystemTime::now",
            "Instant::now",
        ];
        let root = format!("processor/{room}/src");
        check(&root, &words, &["tests", "windows/tests", "task/tests"]);
    }
}

#[test]
fn the_audit_shares_nothing_with_what_it_audits() {
    let words = [
        "rollcall_stages",
        "rollcall_engine",
        "rollcall_normalize::cpu",
        "Accumulator",
    ];
    check("processor/audit/src", &words, &["cpu.rs"]);
}

#[test]
fn the_engine_and_the_domain_know_no_formats() {
    check(
        "processor/engine/src",
        &["rollcall_domain", "rollcall_codec", "use serde"],
        &[],
    );
    check(
        "processor/domain/src",
        &["use serde", "rollcall_engine", "rollcall_codec"],
        &[],
    );
}
