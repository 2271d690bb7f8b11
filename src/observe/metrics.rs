//! THE table of metrics, and the few functions that count. No identity and no secret is ever a label.

use std::fmt::Write;

use metrics::{Counter, Unit};

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static str,
    pub meaning: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

const LOGINS: &str = "narthex_logins_total";
const LOGOUTS: &str = "narthex_logouts_total";
const REQUESTS: &str = "narthex_requests_total";
const STRIPPED: &str = "narthex_stripped_headers_total";
const UPSTREAM_ERRORS: &str = "narthex_upstream_errors_total";
const REFUSALS: &str = "narthex_refusals_total";
const SESSIONS: &str = "narthex_sessions_in_memory";
const STORE_AWAY: &str = "narthex_store_away";
const RELOADS: &str = "narthex_configuration_reloads_total";
const REFUSED: &str = "narthex_configuration_refused";
const EARLIER: &str = "narthex_configurations_earlier";
const AUDIT_ENTRIES: &str = "narthex_audit_entries_total";
const AUDIT_LOST: &str = "narthex_audit_lost_total";
const AUDIT_WAITING: &str = "narthex_audit_waiting";
const NOTIFICATIONS: &str = "narthex_notifications_total";

/// Every metric that there is; `docs/metrics.md` is made from it.
pub const METRICS: &[Metric] = &[
    Metric {
        name: LOGINS,
        kind: Kind::Counter,
        labels: "idp, outcome",
        meaning: "Sign-ins that came to an end. `outcome` is `signed_in`, or the error's code.",
    },
    Metric { name: LOGOUTS, kind: Kind::Counter, labels: "idp", meaning: "Sign-outs asked for here." },
    Metric {
        name: crate::provision::measures::TOTAL,
        kind: Kind::Counter,
        labels: "outcome",
        meaning: "Provisioning runs. `outcome` is what was done, or the error's code.",
    },
    Metric {
        name: crate::provision::measures::SECONDS,
        kind: Kind::Histogram,
        labels: "outcome",
        meaning: "How long provisioning took, in seconds.",
    },
    Metric {
        name: crate::provision::measures::JOBS,
        kind: Kind::Counter,
        labels: "kind, outcome",
        meaning: "Jobs that were worked on. `outcome`: `done`, `put_off` (nothing to do yet), `failed` (tried again later), `parked` (needs an administrator).",
    },
    Metric {
        name: crate::provision::measures::PAUSED,
        kind: Kind::Counter,
        labels: "by",
        meaning: "Changes to accounts that wait, since `provisioning.max_removals` were made within an hour.",
    },
    Metric {
        name: crate::provision::measures::BREAKER,
        kind: Kind::Gauge,
        labels: "",
        meaning: "1 while the application's admin API does not answer and is left alone for a while, else 0.",
    },
    Metric {
        name: REQUESTS,
        kind: Kind::Counter,
        labels: "class",
        meaning: "Answered requests: `signed_in`, `anonymous` (public routes), `own` (narthex's pages), `login_needed`, `refused`, `upstream_error`.",
    },
    Metric {
        name: STRIPPED,
        kind: Kind::Counter,
        labels: "spelling",
        meaning: "Client headers under a managed name that were removed: `usual`, or `alias` for a spelling that only an attack has.",
    },
    Metric {
        name: UPSTREAM_ERRORS,
        kind: Kind::Counter,
        labels: "code",
        meaning: "Requests that the application did not answer, by error code.",
    },
    Metric {
        name: REFUSALS,
        kind: Kind::Counter,
        labels: "code",
        meaning: "Requests that were refused before the application saw them, by error code.",
    },
    Metric {
        name: SESSIONS,
        kind: Kind::Gauge,
        labels: "",
        meaning: "Sessions held in memory by this process.",
    },
    Metric {
        name: STORE_AWAY,
        kind: Kind::Gauge,
        labels: "",
        meaning: "1 while the store does not answer, else 0.",
    },
    Metric {
        name: RELOADS,
        kind: Kind::Counter,
        labels: "outcome",
        meaning: "Changed configurations. `outcome`: `taken_up`, or `refused`; then the one from before holds.",
    },
    Metric {
        name: REFUSED,
        kind: Kind::Gauge,
        labels: "",
        meaning: "1 while the configuration in the files cannot be used and an earlier one holds, else 0.",
    },
    Metric {
        name: EARLIER,
        kind: Kind::Gauge,
        labels: "",
        meaning: "Earlier configurations under which something goes on yet: a stream, or a request that has not ended.",
    },
    Metric {
        name: AUDIT_ENTRIES,
        kind: Kind::Counter,
        labels: "event",
        meaning: "Audit entries, by event (docs/audit.md).",
    },
    Metric {
        name: AUDIT_LOST,
        kind: Kind::Counter,
        labels: "",
        meaning: "Audit entries that the store never got: alert on any.",
    },
    Metric {
        name: AUDIT_WAITING,
        kind: Kind::Gauge,
        labels: "",
        meaning: "Audit entries that wait for the store.",
    },
    Metric {
        name: NOTIFICATIONS,
        kind: Kind::Counter,
        labels: "channel, outcome",
        meaning: "Notifications that were `sent`, `put_off` to a later try, or `lost`, by `email` and `webhook`.",
    },
];

/// Gives names and meanings to the recorder.
pub fn describe() {
    for metric in METRICS {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, Unit::Count, metric.meaning),
            Kind::Gauge => metrics::describe_gauge!(metric.name, Unit::Count, metric.meaning),
            Kind::Histogram => metrics::describe_histogram!(metric.name, Unit::Seconds, metric.meaning),
        }
    }
}

/// A sign-in came to an end; `idp` is a configured id.
pub fn login(idp: &str, outcome: &'static str) {
    metrics::counter!(LOGINS, "idp" => idp.to_owned(), "outcome" => outcome).increment(1);
}

/// Somebody signed out.
pub fn logout(idp: &str) {
    metrics::counter!(LOGOUTS, "idp" => idp.to_owned()).increment(1);
}

/// Sessions in memory, and whether the store answers.
pub fn sessions(in_memory: usize, store_away: bool) {
    metrics::gauge!(SESSIONS).set(f64::from(u32::try_from(in_memory).unwrap_or(u32::MAX)));
    metrics::gauge!(STORE_AWAY).set(if store_away { 1.0 } else { 0.0 });
}

/// A changed configuration was taken up, or was not.
pub fn reload(taken_up: bool) {
    let outcome = if taken_up { "taken_up" } else { "refused" };
    metrics::counter!(RELOADS, "outcome" => outcome).increment(1);
    metrics::gauge!(REFUSED).set(if taken_up { 0.0 } else { 1.0 });
}

/// How many configurations that were replaced serve something yet.
pub fn earlier_configurations(number: usize) {
    metrics::gauge!(EARLIER).set(f64::from(u32::try_from(number).unwrap_or(u32::MAX)));
}

/// The application did not answer.
pub fn upstream_error(code: &'static str) {
    metrics::counter!(UPSTREAM_ERRORS, "code" => code).increment(1);
}

/// A request was refused.
pub fn refusal(code: &'static str) {
    metrics::counter!(REFUSALS, "code" => code).increment(1);
}

/// Something was recorded; `event` is of the fixed table.
pub fn audit_entry(event: &'static str) {
    metrics::counter!(AUDIT_ENTRIES, "event" => event).increment(1);
}

/// Entries that the store will never get.
pub fn audit_lost(entries: u64) {
    metrics::counter!(AUDIT_LOST).increment(entries);
}

/// Entries on their way to the store.
pub fn audit_waiting(entries: usize) {
    metrics::gauge!(AUDIT_WAITING).set(f64::from(u32::try_from(entries).unwrap_or(u32::MAX)));
}

/// A notification was tried.
pub fn notification(channel: &'static str, outcome: &'static str) {
    metrics::counter!(NOTIFICATIONS, "channel" => channel, "outcome" => outcome).increment(1);
}

/// The counters of the hot path, looked up once per core.
pub struct RequestCounters {
    pub signed_in: Counter,
    pub anonymous: Counter,
    pub own: Counter,
    pub login_needed: Counter,
    pub refused: Counter,
    pub upstream_error: Counter,
    pub stripped_usual: Counter,
    pub stripped_alias: Counter,
}

impl RequestCounters {
    #[must_use]
    pub fn new() -> Self {
        let class = |class: &'static str| metrics::counter!(REQUESTS, "class" => class);
        Self {
            signed_in: class("signed_in"),
            anonymous: class("anonymous"),
            own: class("own"),
            login_needed: class("login_needed"),
            refused: class("refused"),
            upstream_error: class("upstream_error"),
            stripped_usual: metrics::counter!(STRIPPED, "spelling" => "usual"),
            stripped_alias: metrics::counter!(STRIPPED, "spelling" => "alias"),
        }
    }
}

impl Default for RequestCounters {
    fn default() -> Self {
        Self::new()
    }
}

/// The whole of `docs/metrics.md`.
#[must_use]
pub fn docs() -> String {
    let mut text = "<!-- Made from src/observe/metrics.rs; `NARTHEX_BLESS=1 cargo test --lib generated_metrics` writes it \
                    anew. -->\n\n# Metrics\n\nServed by the health listener at `/metrics` in Prometheus' text format. No \
                    identity and no secret is ever a label.\n\n| name | kind | labels | meaning |\n|---|---|---|---|\n"
        .to_owned();
    for metric in METRICS {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let (name, labels, meaning) = (metric.name, metric.labels, metric.meaning);
        // Writing to a String does not fail.
        let _written = writeln!(text, "| `{name}` | {kind} | {labels} | {meaning} |");
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn generated_metrics_are_fresh() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
        if std::env::vars().any(|(name, _)| name == "NARTHEX_BLESS") {
            std::fs::write(&path, super::docs()).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == super::docs(),
            "docs/metrics.md is stale; run: NARTHEX_BLESS=1 cargo test --lib generated_metrics"
        );
    }
}
