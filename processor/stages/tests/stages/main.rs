//! NORMALIZE and ROLLUP through their public API, driven as the shell drives them: encoded values in, schemas
//! looked up, batches decoded, state restored from what a compacted topic would have kept.

mod harness;
mod naive;
mod normalize;
mod partials;
mod rejections;
mod restore;
mod rollup;
mod totals;
