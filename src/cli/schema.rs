//! `narthex schema`: the JSON Schema of `proxy.toml`, for editors.

use std::io::Write;

use super::{CANNOT, FINE};
use crate::config::schema;

/// Prints it.
pub(super) fn run() -> u8 {
    match std::io::stdout().lock().write_all(schema::printed().as_bytes()) {
        Ok(()) => FINE,
        Err(_) => CANNOT,
    }
}
