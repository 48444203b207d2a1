//! What one transaction will hold: output records, in the order in which the stage emitted them.
//!
//! Invariants: records keep their order, and [`Batch::bytes`] is the sum of theirs plus
//! [`RECORD_OVERHEAD_BYTES`] each. A batch refuses nothing: the [`Task`](crate::task::Task) stops
//! handing in input once the batch is full, since a stage can't leave half of a record's effects out.

use crate::limits::RECORD_OVERHEAD_BYTES;
use crate::record::OutputRecord;

/// The records of one transaction.
#[derive(Debug, Default)]
pub struct Batch {
    records: Vec<OutputRecord>,
    bytes: usize,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a record.
    pub fn push(&mut self, record: OutputRecord) {
        self.bytes += record.bytes() + RECORD_OVERHEAD_BYTES;
        self.records.push(record);
    }

    /// The records, in order.
    #[must_use]
    pub fn records(&self) -> &[OutputRecord] {
        &self.records
    }

    /// How many bytes it will take, about: keys, values and [`RECORD_OVERHEAD_BYTES`] per record.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Drops the records and keeps the room.
    pub fn clear(&mut self) {
        self.records.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::TopicIndex;

    #[test]
    fn a_batch_counts_its_bytes_and_keeps_the_order() {
        let mut batch = Batch::new();
        assert!(batch.is_empty());
        for (key, value) in [(Some(vec![1, 2]), Some(vec![3])), (None, None)] {
            batch.push(OutputRecord {
                topic: TopicIndex(0),
                partition: 0,
                key,
                value,
            });
        }
        assert_eq!(batch.bytes(), 3 + 2 * RECORD_OVERHEAD_BYTES);
        assert_eq!(batch.records()[0].value, Some(vec![3]));
        batch.clear();
        assert_eq!((batch.bytes(), batch.is_empty()), (0, true));
    }
}
