//! The clock as a parameter: the one place that asks the machine for the time of day.

use crate::model::UnixTime;

/// The time of day. Tests hand in one that they can turn.
pub trait Clock: Send + Sync {
    fn now(&self) -> UnixTime;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> UnixTime {
        match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
            Ok(elapsed) => UnixTime(i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)),
            Err(_) => UnixTime(0),
        }
    }
}
