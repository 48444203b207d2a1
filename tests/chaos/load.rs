//! The fleet at work: a thread that sends at a steady pace, whatever is down.

use crate::crowd::Crowd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const EVERY: Duration = Duration::from_millis(200);

/// A crowd that sends. Ends with its value.
pub struct Load {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<Crowd>>,
}

impl Load {
    /// Sends so many records a second.
    pub fn start(mut crowd: Crowd, per_second: usize) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&ended);
        let thread = thread::spawn(move || {
            let each = per_second * EVERY.as_millis() as usize / 1000;
            while !until.load(Ordering::Relaxed) {
                crowd.hand_over(each);
                thread::sleep(EVERY);
            }
            crowd
        });
        Self {
            ended,
            thread: Some(thread),
        }
    }

    /// Ends it. Returns the crowd once the broker has everything.
    pub fn end(mut self) -> Crowd {
        self.ended.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it runs until now");
        let mut crowd = thread.join().expect("the load did not fail");
        crowd.acknowledged();
        crowd
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
