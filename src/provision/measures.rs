//! The names of this stage's metrics, and their one place of use. Labels come from fixed tables.

use std::time::Duration;

use crate::store::JobOutcome;

/// Logins that reached provisioning, by outcome: one of [`super::provisioner::How::code`] or an error's code.
pub const TOTAL: &str = "narthex_provisioning_total";
/// How long they took, in seconds, by outcome.
pub const SECONDS: &str = "narthex_provisioning_seconds";
/// Where its buckets end; `provisioning.time_budget` is 15 s unless set.
pub const SECONDS_BUCKETS: [f64; 11] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 8.0, 11.0, 15.0, 30.0];

/// 1 while the application is left alone (A3), else 0.
pub const BREAKER: &str = "narthex_application_left_alone";

/// The circuit breaker opened or closed.
pub fn breaker(open: bool) {
    metrics::gauge!(BREAKER).set(if open { 1.0 } else { 0.0 });
}

/// One login's end.
pub fn record(outcome: &'static str, took: Duration) {
    metrics::counter!(TOTAL, "outcome" => outcome).increment(1);
    metrics::histogram!(SECONDS, "outcome" => outcome).record(took.as_secs_f64());
}

/// Jobs that were worked on, by kind and outcome: `done`, `put_off`, `failed`, `parked`.
pub const JOBS: &str = "narthex_jobs_total";
/// Changes that wait since too many were made (G3), by who would have made them.
pub const PAUSED: &str = "narthex_removals_paused_total";

/// One job's end, or delay.
pub fn job(kind: &'static str, outcome: &JobOutcome) {
    let outcome = match outcome {
        JobOutcome::Done => "done",
        JobOutcome::PutOff { reason: None, .. } => "put_off",
        JobOutcome::PutOff { reason: Some(_), .. } => "failed",
        JobOutcome::Parked { .. } => "parked",
    };
    metrics::counter!(JOBS, "kind" => kind, "outcome" => outcome).increment(1);
}

/// G3 stopped something.
pub fn removals_paused(by: &'static str) {
    metrics::counter!(PAUSED, "by" => by).increment(1);
}
