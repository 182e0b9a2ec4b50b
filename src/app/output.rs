//! What commands print.

use std::io::{ErrorKind, Write as _, stdout};

use super::AppError;

/// Prints to standard output. A reader that has seen enough, as `head` has, is no failure.
///
/// # Errors
/// If it cannot be written.
pub fn print(text: &str) -> Result<(), AppError> {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(AppError::System(format!("cannot write to standard output: {}", error.kind())))
        }
        _ => Ok(()),
    }
}
