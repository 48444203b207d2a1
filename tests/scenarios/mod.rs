mod crash;
mod evolution;
mod outages;
mod pipeline;
mod producers;
mod rebalance;
mod settings;
