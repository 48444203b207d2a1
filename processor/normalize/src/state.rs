//! What the letters that `ps` and the kernels use for a process' state mean.

use rollcall_domain::ProcessState;

/// The process state of a first letter of `STAT` on Linux.
#[inline]
pub(crate) fn linux_state(letter: Option<&u8>) -> Option<ProcessState> {
    match letter? {
        b'R' => Some(ProcessState::Running),
        b'S' => Some(ProcessState::Sleeping),
        b'D' | b'K' => Some(ProcessState::Waiting),
        b'I' => Some(ProcessState::Idle),
        b'T' | b't' => Some(ProcessState::Stopped),
        b'Z' | b'X' | b'x' => Some(ProcessState::Zombie),
        _ => None,
    }
}

/// The process state of a first letter of `STAT` on macOS.
#[inline]
pub(crate) fn macos_state(letter: Option<&u8>) -> Option<ProcessState> {
    match letter? {
        b'R' => Some(ProcessState::Running),
        b'S' => Some(ProcessState::Sleeping),
        b'U' => Some(ProcessState::Waiting),
        b'I' => Some(ProcessState::Idle),
        b'T' => Some(ProcessState::Stopped),
        b'Z' => Some(ProcessState::Zombie),
        _ => None,
    }
}
