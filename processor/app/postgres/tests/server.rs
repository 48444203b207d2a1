//! The server that the tests share: the one that `DATABASE_URL` names, or a private one.
//!
//! Its user has to be a superuser there, for tests become other roles. They make databases `rollcall_test_…`, which they drop if
//! they pass, and the three roles `rollcall_…`, which stay; they touch nothing else.
//!
//! Invariants: a private server is started once, by the test that needs it first, and stopped when the process exits,
//! whether tests have failed or not. Should the process be killed instead, the server's leash ends it.
#![allow(unsafe_code)] // one call into libc, with what makes it sound beside it

use rollcall_stack::{Stack, StackOptions};
use std::sync::{Mutex, OnceLock};

static URL: OnceLock<String> = OnceLock::new();
static STACK: Mutex<Option<Stack>> = Mutex::new(None);

/// The URL of a database of the server, where other databases can be made from.
pub(super) fn url() -> String {
    let given = || {
        std::env::var("DATABASE_URL")
            .ok()
            .filter(|url| !url.is_empty())
    };
    URL.get_or_init(|| given().unwrap_or_else(start)).clone()
}

fn start() -> String {
    let options = StackOptions {
        kafka: false,
        registry: false,
        ..StackOptions::for_tests()
    };
    let stack = Stack::start(options).expect("a private PostgreSQL");
    let url = stack.database_url();
    *STACK.lock().expect("nobody panics with it") = Some(stack);
    // SAFETY: the function is `extern "C"`, takes no arguments and does not unwind (it would abort).
    let registered = unsafe { libc::atexit(stop) };
    assert_eq!(registered, 0, "the C library has room for it");
    url
}

/// Statics are not dropped at exit. On a thread of its own, for the exiting one has lost its thread-local values.
extern "C" fn stop() {
    let stopping = std::thread::spawn(|| {
        let stack = STACK.lock().ok().and_then(|mut stack| stack.take());
        drop(stack);
    });
    let _ = stopping.join();
}
