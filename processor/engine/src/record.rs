//! Records that enter and leave a task.
//!
//! Topics are named by their index in the [`Topology`](crate::topology::Topology), so that the hot path
//! compares numbers and the names stay the shell's affair. A record's bytes are opaque here.

/// A topic, as an index into the topology's topics.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct TopicIndex(pub u16);

/// One record of a task's input, borrowed from the shell's receive buffer.
#[derive(Clone, Copy, Debug, Default)]
pub struct InputRecord<'a> {
    /// The input partition it came from.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// The time that the log gave it when it was appended, in microseconds since the epoch.
    pub timestamp_us: i64,
    /// Its key, as bytes.
    pub key: Option<&'a [u8]>,
    /// Its value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The header that names the value's schema, where the producer puts it there.
    pub schema_header: Option<&'a [u8]>,
}

/// One record that a transaction will append.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutputRecord {
    /// Where to.
    pub topic: TopicIndex,
    /// The partition there. The stage chooses it: the engine never hashes keys to partitions.
    pub partition: i32,
    /// Its key, as bytes.
    pub key: Option<Vec<u8>>,
    /// Its value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
}

impl OutputRecord {
    /// The bytes of key and value.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len)
    }
}
