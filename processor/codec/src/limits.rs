//! What bounds a decoder's work. The size of a value itself is the broker's limit.

/// Bytes of a writer's schema as JSON text.
pub const SCHEMA_BYTES_MAX: usize = 1 << 20;

/// Nodes of the plan that reads a writer's schema as ours. Our largest schema needs about a hundred.
pub const PLAN_NODES_MAX: usize = 10_000;

/// How deep a datum may be nested; our own schemas need six levels.
pub const DATUM_DEPTH_MAX: usize = 32;

/// Bytes of text that an error's detail quotes.
pub const DETAIL_BYTES_MAX: usize = 512;

/// Schemas that a cache holds unless told otherwise.
pub const CACHED_SCHEMAS: usize = 1_000;

const _: () = assert!(DATUM_DEPTH_MAX >= 8, "our own schemas must fit");
const _: () = assert!(
    PLAN_NODES_MAX >= 1_000,
    "our own schemas must fit with room to grow"
);
