//! One thread, one clock that jumps, and jobs that go on one at a time.
//!
//! A job goes on when the time has come that it waits for; nothing else ever happens. Each job belongs to a process,
//! which may be killed, whatever its jobs wait for, or stopped for a while and go on later, unaware.
//!
//! Invariant: what happens next depends on the calls made here and on nothing else, so that a seed repeats itself.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A process. Numbers are never used again.
pub(crate) type ProcessId = usize;
/// A job. Numbers are never used again.
pub(crate) type JobId = usize;

/// The process of whatever is not under test; it is never killed.
pub(crate) const ENVIRONMENT: ProcessId = 0;

struct Job {
    process: ProcessId,
    /// Not there while it goes on.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

#[derive(Clone, Copy, Debug)]
struct Process {
    alive: bool,
    stopped_until_us: i64,
}

/// See the module.
pub(crate) struct Executor {
    now_us: Cell<i64>,
    order: Cell<u64>,
    /// Time, order of asking, job.
    queue: RefCell<BinaryHeap<Reverse<(i64, u64, JobId)>>>,
    jobs: RefCell<BTreeMap<JobId, Job>>,
    next_job: Cell<JobId>,
    current: Cell<JobId>,
    processes: RefCell<Vec<Process>>,
}

impl Executor {
    pub(crate) fn new() -> Rc<Self> {
        let environment = Process {
            alive: true,
            stopped_until_us: 0,
        };
        Rc::new(Self {
            now_us: Cell::new(0),
            order: Cell::new(0),
            queue: RefCell::default(),
            jobs: RefCell::default(),
            next_job: Cell::new(0),
            current: Cell::new(0),
            processes: RefCell::new(vec![environment]),
        })
    }

    /// Microseconds since the world began.
    pub(crate) fn now_us(&self) -> i64 {
        self.now_us.get()
    }

    /// A new process, without jobs yet.
    pub(crate) fn new_process(&self) -> ProcessId {
        let mut processes = self.processes.borrow_mut();
        processes.push(Process {
            alive: true,
            stopped_until_us: 0,
        });
        processes.len() - 1
    }

    /// Whether a process lives.
    pub(crate) fn is_alive(&self, process: ProcessId) -> bool {
        self.processes.borrow()[process].alive
    }

    /// Whether a process lives and is not stopped.
    pub(crate) fn is_running(&self, process: ProcessId) -> bool {
        let process = self.processes.borrow()[process];
        process.alive && process.stopped_until_us <= self.now_us()
    }

    /// Ends a process as `kill -9` does: its jobs end where they wait.
    pub(crate) fn kill(&self, process: ProcessId) {
        self.processes.borrow_mut()[process].alive = false;
        let mut jobs = self.jobs.borrow_mut();
        let its = |job: &Job| job.process == process;
        let ended: Vec<JobId> = jobs
            .iter()
            .filter(|(_, job)| its(job))
            .map(|(id, _)| *id)
            .collect();
        let ended: Vec<Job> = ended.iter().filter_map(|id| jobs.remove(id)).collect();
        drop(jobs);
        // What they hold may ask whether its process lives.
        drop(ended);
    }

    /// Stops a process until then, as `SIGSTOP` and `SIGCONT` do.
    pub(crate) fn stop(&self, process: ProcessId, until_us: i64) {
        self.processes.borrow_mut()[process].stopped_until_us = until_us;
    }

    /// Starts a job.
    pub(crate) fn spawn(
        &self,
        process: ProcessId,
        future: impl Future<Output = ()> + 'static,
    ) -> JobId {
        let id = self.next_job.replace(self.next_job.get() + 1);
        let job = Job {
            process,
            future: Some(Box::pin(future)),
        };
        self.jobs.borrow_mut().insert(id, job);
        self.wake_at(self.now_us(), id);
        id
    }

    /// Whether a job has ended, by itself or with its process.
    pub(crate) fn has_ended(&self, job: JobId) -> bool {
        !self.jobs.borrow().contains_key(&job)
    }

    fn wake_at(&self, at_us: i64, job: JobId) {
        let order = self.order.replace(self.order.get() + 1);
        self.queue.borrow_mut().push(Reverse((at_us, order, job)));
    }

    /// Waits for some time, for at least one other job's turn.
    pub(crate) fn sleep(&self, time_us: i64) -> Sleep<'_> {
        Sleep {
            executor: self,
            time_us: time_us.max(0),
            asked: false,
        }
    }

    /// Lets the next job go on; `false`: nothing is left to do.
    pub(crate) fn step(&self) -> bool {
        let Some(Reverse((at_us, _, id))) = self.queue.borrow_mut().pop() else {
            return false;
        };
        let taken = {
            let mut jobs = self.jobs.borrow_mut();
            let Some(job) = jobs.get_mut(&id) else {
                return true;
            };
            let stopped_until_us = self.processes.borrow()[job.process].stopped_until_us;
            if stopped_until_us > at_us {
                drop(jobs);
                self.wake_at(stopped_until_us, id);
                return true;
            }
            job.future.take()
        };
        self.now_us.set(self.now_us().max(at_us));
        let Some(mut future) = taken else { return true };
        self.current.set(id);
        match future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(()) => {
                self.jobs.borrow_mut().remove(&id);
            }
            Poll::Pending => {
                if let Some(job) = self.jobs.borrow_mut().get_mut(&id) {
                    job.future = Some(future);
                }
            }
        }
        true
    }
}

/// See [`Executor::sleep`].
pub(crate) struct Sleep<'a> {
    executor: &'a Executor,
    time_us: i64,
    asked: bool,
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.asked, true) {
            return Poll::Ready(());
        }
        let at_us = self.executor.now_us() + self.time_us;
        self.executor.wake_at(at_us, self.executor.current.get());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two jobs of two processes that note each of their steps.
    fn run(change: impl Fn(&Executor, i64)) -> Vec<(ProcessId, i64)> {
        let executor = Executor::new();
        let notes = Rc::new(RefCell::new(Vec::new()));
        for pause in [30, 40] {
            let process = executor.new_process();
            let (on, notes) = (Rc::clone(&executor), Rc::clone(&notes));
            executor.spawn(process, async move {
                for _ in 0..3 {
                    on.sleep(pause).await;
                    notes.borrow_mut().push((process, on.now_us()));
                }
            });
        }
        while executor.step() {
            change(&executor, executor.now_us());
        }
        notes.take()
    }

    #[test]
    fn jobs_go_on_when_their_time_has_come() {
        assert_eq!(
            run(|_, _| {}),
            [(1, 30), (2, 40), (1, 60), (2, 80), (1, 90), (2, 120)]
        );
    }

    #[test]
    fn a_killed_process_does_nothing_more() {
        let kill = |executor: &Executor, now_us| {
            if now_us == 40 {
                executor.kill(1);
            }
        };
        assert_eq!(run(kill), [(1, 30), (2, 40), (2, 80), (2, 120)]);
    }

    #[test]
    fn a_stopped_process_goes_on_later() {
        let stop = |executor: &Executor, now_us| {
            if now_us == 40 {
                executor.stop(1, 100);
            }
        };
        let notes = run(stop);
        assert_eq!(
            notes,
            [(1, 30), (2, 40), (2, 80), (1, 100), (2, 120), (1, 130)]
        );
    }
}
