//! Every bound of the engine, and what must hold between them.
//!
//! Settings may lower what is a default here; the hard ones (`MAX_…`) are part of the formats or keep a
//! loop or a table finite. Each is tested at N and at N + 1.

/// What a record costs in a batch beside its key and value, in bytes, about.
pub const RECORD_OVERHEAD_BYTES: usize = 64;

/// At how many bytes a transaction is full, unless settings say otherwise.
pub const DEFAULT_BATCH_BYTES: usize = 8 * 1024 * 1024;

/// At how many records, read or written, a transaction is full, unless settings say otherwise.
pub const DEFAULT_BATCH_RECORDS: usize = 20_000;

/// The longest time that input waits for its commit, in microseconds, unless settings say otherwise.
pub const DEFAULT_COMMIT_INTERVAL_US: i64 = 500_000;

/// How often an idle task commits, in microseconds, unless settings say otherwise.
pub const DEFAULT_IDLE_COMMIT_INTERVAL_US: i64 = 1_000_000;

/// How long a restore may stand still before it is given up, in microseconds, unless settings say otherwise.
pub const DEFAULT_RESTORE_NO_PROGRESS_US: i64 = 30_000_000;

/// The grains of one grouping set.
pub const MAX_GRAINS: usize = 8;

/// The upstream partitions whose least time a task can follow.
pub const MAX_UPSTREAMS: usize = 4_096;

/// The state topics that one task restores.
pub const MAX_RESTORE_TARGETS: usize = 16;

/// The topics of a topology.
pub const MAX_TOPICS: usize = 256;

/// The stages of a topology.
pub const MAX_STAGES: usize = 64;

/// The keys of one window: slots are numbered with 32 bits.
pub const MAX_ENTRIES_PER_WINDOW: usize = u32::MAX as usize;

/// The bounds of one [`Windows`](crate::windows::Windows).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WindowLimits {
    /// How many entries (keys times open windows) may live after
    /// [`enforce_limit`](crate::windows::Windows::enforce_limit).
    pub live_entries: usize,
    /// How many bytes they may take, about.
    pub live_bytes: usize,
    /// How many entries [`advance`](crate::windows::Windows::advance) closes in one transaction. A single
    /// window that holds more is closed whole, since a window can't be half closed.
    pub closings_per_transaction: usize,
}

impl Default for WindowLimits {
    fn default() -> Self {
        WINDOW_LIMITS
    }
}

/// The window limits, unless settings say otherwise.
pub const WINDOW_LIMITS: WindowLimits = WindowLimits {
    live_entries: 2_000_000,
    live_bytes: 2 * 1024 * 1024 * 1024,
    closings_per_transaction: 20_000,
};

const _: () = {
    assert!(DEFAULT_BATCH_RECORDS * RECORD_OVERHEAD_BYTES <= DEFAULT_BATCH_BYTES);
    // A transaction that only closes windows is no larger than one that is full.
    assert!(WINDOW_LIMITS.closings_per_transaction <= DEFAULT_BATCH_RECORDS);
    // Catch-up must have somewhere to wait: what is to be closed stays in memory meanwhile.
    assert!(WINDOW_LIMITS.closings_per_transaction <= WINDOW_LIMITS.live_entries);
    assert!(WINDOW_LIMITS.live_entries <= MAX_ENTRIES_PER_WINDOW);
    assert!(DEFAULT_COMMIT_INTERVAL_US > 0);
    // Busy tasks commit at least as often as idle ones, or their readers would wait longer for more.
    assert!(DEFAULT_COMMIT_INTERVAL_US <= DEFAULT_IDLE_COMMIT_INTERVAL_US);
    assert!(DEFAULT_IDLE_COMMIT_INTERVAL_US < DEFAULT_RESTORE_NO_PROGRESS_US);
    assert!(MAX_TOPICS <= u16::MAX as usize);
    assert!(MAX_RESTORE_TARGETS <= MAX_TOPICS);
    assert!(MAX_STAGES <= MAX_TOPICS);
};
