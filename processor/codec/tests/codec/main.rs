//! The codec seen from outside: what survives, what evolves, what is refused, and what the schemas promise.

mod evolution;
mod hostile;
mod lint;
mod oracle;
mod round_trips;
mod values;
