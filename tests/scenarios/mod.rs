mod crash;
mod evolution;
mod outages;
mod pipeline;
mod producers;
mod queries;
mod rebalance;
mod settings;
