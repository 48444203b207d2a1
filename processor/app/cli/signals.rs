//! Ctrl-C for commands that run on the main thread.

use crate::driver::Control;
use tokio::runtime::Runtime;

/// Listens for signals and passes them on to `control`, until the runtime is shut down.
pub(super) fn listen(control: &Control) -> std::io::Result<Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.spawn(super::run::await_signal(control.clone()));
    Ok(runtime)
}
