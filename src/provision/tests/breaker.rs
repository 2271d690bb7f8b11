//! A3: the circuit breaker, on a clock that the tests move.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::fake::{Fake, Mishap, unreachable};
use crate::model::{EmailAddress, UnixTime};
use crate::platform::Clock;
use crate::provision::breaker::{Breaker, FAILURES, FIRST_PAUSE, LAST_PAUSE};
use crate::provision::connector::{Connector, ConnectorError, FindBy, Kind};

/// A clock that is turned by hand.
#[derive(Default)]
struct Turned(AtomicI64);

impl Clock for Turned {
    fn now(&self) -> UnixTime {
        UnixTime(1_800_000_000 + self.0.load(Ordering::Relaxed))
    }
}

impl Turned {
    fn turn(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_secs()).unwrap(), Ordering::Relaxed);
    }
}

fn scene() -> (Arc<Fake>, Arc<Turned>, Arc<dyn Connector>) {
    let (fake, clock) = (Arc::new(Fake::new()), Arc::new(Turned::default()));
    (fake.clone(), clock.clone(), Breaker::around(fake, clock))
}

async fn ask(connector: &Arc<dyn Connector>) -> Result<(), ConnectorError> {
    let email = EmailAddress::parse("ada@example.com").unwrap();
    connector.find(FindBy::Email(&email)).await.map(drop)
}

async fn fail(fake: &Fake, connector: &Arc<dyn Connector>, times: u32, how: fn() -> Mishap) {
    for _ in 0..times {
        fake.next("find", how());
        assert!(ask(connector).await.is_err());
    }
}

fn down() -> Mishap {
    unreachable(false)
}

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn left(outcome: Result<(), ConnectorError>) -> Option<Duration> {
    match outcome {
        Err(ConnectorError::LeftAlone { left, .. }) => Some(left),
        Ok(()) | Err(_) => None,
    }
}

#[tokio::test]
async fn a3_an_application_that_does_not_answer_is_left_alone_for_a_while() {
    let (fake, clock, connector) = scene();
    fail(&fake, &connector, FAILURES - 1, down).await;
    assert!(ask(&connector).await.is_ok(), "one answer, and the count begins anew");
    fail(&fake, &connector, FAILURES - 1, down).await;
    assert!(ask(&connector).await.is_ok());
    fail(&fake, &connector, FAILURES, down).await;
    fake.forget_calls();
    assert_eq!(left(ask(&connector).await), Some(FIRST_PAUSE));
    assert_eq!(
        connector.list(Kind::Role).await.map_err(|error| error.to_string()),
        Err("list: the application did not answer lately and is left alone for 5 s more".to_owned())
    );
    assert_eq!(fake.calls(""), [] as [String; 0], "nothing reaches it meanwhile");
    clock.turn(FIRST_PAUSE);
    assert!(ask(&connector).await.is_ok());
    assert!(ask(&connector).await.is_ok());
}

#[tokio::test]
async fn a3_a_clock_that_was_set_back_prolongs_nothing() {
    let (fake, clock, connector) = scene();
    fail(&fake, &connector, FAILURES, down).await;
    assert_eq!(left(ask(&connector).await), Some(FIRST_PAUSE));
    clock.0.store(-1, Ordering::Relaxed);
    assert!(ask(&connector).await.is_ok());
}

#[tokio::test]
async fn a3_one_caller_tries_before_all_do() {
    let (fake, clock, connector) = scene();
    fail(&fake, &connector, FAILURES, down).await;
    clock.turn(FIRST_PAUSE);
    fake.forget_calls();
    let several = futures_util::future::join_all((0..10).map(|_| ask(&connector))).await;
    assert_eq!(several.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(several.into_iter().filter_map(left).count(), 9);
    assert_eq!(fake.calls("find").len(), 1);
    assert!(ask(&connector).await.is_ok());
}

#[tokio::test]
async fn a3_pauses_double_up_to_a_minute() {
    let (fake, clock, connector) = scene();
    fail(&fake, &connector, FAILURES, down).await;
    let mut pause = FIRST_PAUSE;
    for _ in 0..6 {
        assert_eq!(left(ask(&connector).await), Some(pause));
        clock.turn(pause);
        fail(&fake, &connector, 1, down).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
    assert_eq!(pause, LAST_PAUSE);
    assert_eq!(left(ask(&connector).await), Some(LAST_PAUSE));
}

#[tokio::test]
async fn a3_an_application_that_asks_for_a_while_gets_it_within_bounds() {
    for (asked, given) in [(20, 20), (1, 5), (3600, 60)] {
        let (fake, _, connector) = scene();
        for _ in 0..FAILURES {
            let after = Some(Duration::from_secs(asked));
            fake.next("find", Mishap::Error(ConnectorError::Busy { operation: "find", after }));
            assert!(ask(&connector).await.is_err());
        }
        assert_eq!(left(ask(&connector).await), Some(Duration::from_secs(given)), "{asked}");
    }
}

#[tokio::test]
async fn a3_who_refuses_is_there() {
    let refusals = [
        ConnectorError::NotFound { operation: "find" },
        ConnectorError::Credential { operation: "find", status: 401, excerpt: String::new() },
        ConnectorError::Refused { operation: "find", status: 422, excerpt: String::new() },
    ];
    for refusal in refusals {
        let (fake, _, connector) = scene();
        for _ in 0..2 * FAILURES {
            fake.next("find", Mishap::Error(refusal.clone()));
            assert_eq!(left(ask(&connector).await), None, "{refusal:?}");
        }
        fail(&fake, &connector, FAILURES - 1, down).await;
        fake.next("find", Mishap::Error(refusal.clone()));
        assert_eq!(left(ask(&connector).await), None, "{refusal:?}");
        assert!(ask(&connector).await.is_ok(), "{refusal:?} began the count anew");
    }
}

#[tokio::test]
async fn a3_errors_of_the_server_and_calls_given_up_count_as_silence() {
    fn five_hundred() -> Mishap {
        let excerpt = String::new();
        Mishap::Error(ConnectorError::Refused { operation: "find", status: 500, excerpt })
    }
    let (fake, _, connector) = scene();
    fail(&fake, &connector, FAILURES, five_hundred).await;
    assert_eq!(left(ask(&connector).await), Some(FIRST_PAUSE));

    let (fake, clock, connector) = scene();
    for _ in 0..FAILURES {
        fake.next("find", Mishap::Hangs);
        assert!(tokio::time::timeout(Duration::from_millis(20), ask(&connector)).await.is_err());
    }
    assert_eq!(left(ask(&connector).await), Some(FIRST_PAUSE));
    // Nor does a trial that is given up leave it waiting for ever.
    clock.turn(FIRST_PAUSE);
    fake.next("find", Mishap::Hangs);
    assert!(tokio::time::timeout(Duration::from_millis(20), ask(&connector)).await.is_err());
    assert_eq!(left(ask(&connector).await), Some(2 * FIRST_PAUSE));
}
