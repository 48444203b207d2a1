//! Where settings come from: flags, then the environment, then secrets' files, then a TOML file, then defaults.
//!
//! A setting is an argument of the command line that the environment may give too; `cli` defines it once. Its name in
//! the file follows from its flag: `--http-address` is `address` in `[http]`. What the file says becomes the argument's
//! default before the command line is read, so that precedence and checks are clap's, and the same for all.
//!
//! Invariants: nothing in the file and nothing of our prefix in the environment is passed over in silence; a secret is
//! never printed.
//!
//! Must not know: what a setting means.

pub mod catalogue;
pub mod layers;
mod nearest;

pub use catalogue::{Catalogue, Setting};
pub use layers::{ConfigError, Layers};
