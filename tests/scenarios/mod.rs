mod crash;
mod settings;
