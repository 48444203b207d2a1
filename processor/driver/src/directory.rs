//! Which faculty each user belongs to, as NORMALIZE's tasks see it.

use rollcall_domain::Directory;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The directory at one moment: each user's faculty, if any.
#[derive(Clone, Debug, Default)]
pub struct Users(pub HashMap<String, Option<String>>);

impl Directory for Users {
    fn faculty_of(&self, user: &str) -> Option<Option<&str>> {
        self.0.get(user).map(Option::as_deref)
    }
}

/// The directory, shared between who reads it and the tasks that use it.
#[derive(Clone, Debug, Default)]
pub struct SharedDirectory {
    users: Arc<Mutex<Arc<Users>>>,
    complete: Arc<AtomicBool>,
}

impl SharedDirectory {
    /// The directory as it is now.
    #[must_use]
    pub fn current(&self) -> Arc<Users> {
        Arc::clone(&self.users.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the topic was read to its end once. Nothing is processed before.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    /// From now on this is the directory.
    pub fn publish(&self, users: Users) {
        *self.users.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(users);
        self.complete.store(true, Ordering::Release);
    }
}
