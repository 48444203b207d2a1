mod crash;
mod producers;
mod settings;
