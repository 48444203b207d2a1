//! What SINK remembers of a database, for as long as a connection lives.

use super::connect::PostgresSettings;
use super::details::SnapshotNumbers;
use super::dimensions::Dimensions;
use super::partitions::KnownPartitions;
use rollcall_domain::GroupingSet;

/// See the module.
#[derive(Debug)]
pub struct Memory {
    pub(super) dimensions: Dimensions,
    pub(super) partitions: KnownPartitions,
    pub(super) numbers: SnapshotNumbers,
    /// Grouping sets whose temporary table the connection has made.
    pub(super) pending_tables: Vec<GroupingSet>,
}

impl Memory {
    /// Nothing.
    pub(super) fn new(settings: &PostgresSettings) -> Self {
        Self {
            dimensions: Dimensions::new(settings.dimension_cache_entries),
            partitions: KnownPartitions::default(),
            numbers: SnapshotNumbers::default(),
            pending_tables: Vec::new(),
        }
    }
}
