//! What becomes of a sign-in whose calls to the application fail (A1, A2, A4, F9): one table, run against a relay that
//! breaks connections, and told in docs/failures.md.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use http::Method;

use crate::support::breaking::{Break, Breaking, Often};
use crate::support::stack::put;
use crate::support::{Browser, Log, Page, Stack};

/// How a first sign-in ends while it lasts, and how often the application was asked to do the thing.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ends {
    /// Signed in.
    In { calls: usize },
    /// A page with an error id and a button that goes on with the same identity, which then signs in.
    Later { code: String, calls: usize },
    /// A page with an error id; another sign-in is wanted, once somebody has mended it.
    Refused { code: String, calls: usize },
}

#[expect(clippy::unnecessary_wraps, reason = "as the table has it")]
const fn signed_in(calls: usize) -> Option<Expected> {
    Some(Expected::In(calls))
}

#[expect(clippy::unnecessary_wraps, reason = "as the table has it")]
const fn later(code: &'static str, calls: usize) -> Option<Expected> {
    Some(Expected::Later(code, calls))
}

#[expect(clippy::unnecessary_wraps, reason = "as the table has it")]
const fn refused(code: &'static str, calls: usize) -> Option<Expected> {
    Some(Expected::Refused(code, calls))
}

/// [`Ends`], written down.
#[derive(Clone, Copy)]
enum Expected {
    In(usize),
    Later(&'static str, usize),
    Refused(&'static str, usize),
}

impl From<Expected> for Ends {
    fn from(expected: Expected) -> Self {
        match expected {
            Expected::In(calls) => Self::In { calls },
            Expected::Later(code, calls) => Self::Later { code: code.to_owned(), calls },
            Expected::Refused(code, calls) => Self::Refused { code: code.to_owned(), calls },
        }
    }
}

/// The calls of a first sign-in that are broken: whether there is an account, the account, its team.
const OPERATIONS: [(&str, &str); 3] =
    [("find", "GET /api/users?"), ("create", "POST /api/users"), ("entitle", "PUT /api/teams/")];

struct Row {
    breaks: Break,
    /// For people.
    says: &'static str,
    /// By operation: where it happens once, and where it lasts. `None`: it cannot happen, or not be told apart.
    ends: [[Option<Expected>; 2]; 3],
}

const UNREACHABLE: &str = "application_unreachable";
const UNEXPECTED: &str = "application_unexpected";
const BUSY: &str = "application_busy";
const BUDGET: &str = "time_budget";

/// THE table.
const ROWS: &[Row] = &[
    Row {
        breaks: Break::Refused,
        says: "refuses connections",
        ends: [[None, later(UNREACHABLE, 0)], [None, later(UNREACHABLE, 0)], [None, later(UNREACHABLE, 0)]],
    },
    Row {
        breaks: Break::ResetAtOnce,
        says: "resets the connection before it reads the request",
        ends: [
            [signed_in(2), later(UNREACHABLE, 0)],
            [signed_in(1), later(UNREACHABLE, 0)],
            [signed_in(1), later(UNREACHABLE, 0)],
        ],
    },
    Row {
        breaks: Break::ResetUnread,
        says: "reads the request and resets the connection, nothing done",
        ends: [
            [signed_in(3), later(UNREACHABLE, 3)],
            [signed_in(2), later(UNREACHABLE, 3)],
            [signed_in(2), later(UNREACHABLE, 3)],
        ],
    },
    Row {
        breaks: Break::ResetDone,
        says: "does it and resets the connection without an answer",
        ends: [
            [signed_in(3), later(UNREACHABLE, 3)],
            [signed_in(1), signed_in(1)],
            [signed_in(2), later(UNREACHABLE, 3)],
        ],
    },
    Row {
        breaks: Break::ResetMidAnswer,
        says: "does it and resets the connection in the middle of the answer",
        ends: [
            [signed_in(3), later(UNREACHABLE, 3)],
            [signed_in(1), signed_in(1)],
            [signed_in(2), later(UNREACHABLE, 3)],
        ],
    },
    Row {
        breaks: Break::HalfAnswer,
        says: "does it and closes after half of the answer",
        ends: [
            [signed_in(3), later(UNREACHABLE, 3)],
            [signed_in(1), signed_in(1)],
            [signed_in(2), later(UNREACHABLE, 3)],
        ],
    },
    Row {
        breaks: Break::Silent,
        says: "does nothing and does not answer within `call_timeout`",
        ends: [
            [signed_in(3), later(BUDGET, 3)],
            [signed_in(2), later(BUDGET, 3)],
            [signed_in(2), later(BUDGET, 3)],
        ],
    },
    Row {
        breaks: Break::SilentDone,
        says: "does it and does not answer within `call_timeout`",
        ends: [
            [signed_in(3), later(BUDGET, 3)],
            [signed_in(1), signed_in(1)],
            [signed_in(2), later(BUDGET, 3)],
        ],
    },
    Row {
        breaks: Break::Overtaken,
        says: "does not answer within `call_timeout`, and does it when the call is made again, which it answers with 409",
        ends: [[None, None], [signed_in(2), None], [None, None]],
    },
    Row {
        breaks: Break::LoginPage,
        says: "answers 200 with the login page of a gateway",
        ends: [
            [later(UNEXPECTED, 1), later(UNEXPECTED, 1)],
            [later(UNEXPECTED, 1), later(UNEXPECTED, 1)],
            [later(UNEXPECTED, 1), later(UNEXPECTED, 1)],
        ],
    },
    Row {
        breaks: Break::WrongType,
        says: "does it and answers with JSON that it calls `text/html`",
        ends: [
            [later(UNEXPECTED, 1), later(UNEXPECTED, 1)],
            [later(UNEXPECTED, 1), later(UNEXPECTED, 1)],
            [None, None],
        ],
    },
    Row {
        breaks: Break::MissingId,
        says: "does it and answers without the account's id",
        ends: [[None, None], [later(UNEXPECTED, 1), later(UNEXPECTED, 1)], [None, None]],
    },
    Row {
        breaks: Break::Oversized,
        says: "does it and answers with more than 1 MiB",
        ends: [
            [later(UNEXPECTED, 1), later(UNEXPECTED, 1)],
            [later(UNEXPECTED, 1), later(UNEXPECTED, 1)],
            [later(UNEXPECTED, 1), later(UNEXPECTED, 1)],
        ],
    },
    Row {
        breaks: Break::Status(429, Some(1)),
        says: "answers 429 with `Retry-After: 1`",
        ends: [
            [signed_in(3), later(BUSY, 3)],
            [signed_in(2), later(BUSY, 3)],
            [signed_in(2), later(BUSY, 3)],
        ],
    },
    Row {
        breaks: Break::Status(429, Some(60)),
        says: "answers 429 with a `Retry-After` beyond `time_budget`",
        ends: [
            [later(BUSY, 1), later(BUSY, 1)],
            [later(BUSY, 1), later(BUSY, 1)],
            [later(BUSY, 1), later(BUSY, 1)],
        ],
    },
    Row {
        breaks: Break::Status(503, None),
        says: "answers 503",
        ends: [
            [signed_in(3), later(BUSY, 3)],
            [signed_in(2), later(BUSY, 3)],
            [signed_in(2), later(BUSY, 3)],
        ],
    },
    Row {
        breaks: Break::Status(500, None),
        says: "answers 500",
        ends: [
            [signed_in(3), later("application_refused", 3)],
            [signed_in(2), later("application_refused", 3)],
            [signed_in(2), later("application_refused", 3)],
        ],
    },
    Row {
        breaks: Break::Status(422, None),
        says: "answers 422",
        ends: [
            [None, refused("application_refused", 1)],
            [None, refused("application_refused", 1)],
            [None, refused("application_refused", 1)],
        ],
    },
    Row {
        breaks: Break::Expired,
        says: "refuses narthex's credential from here on (401)",
        ends: [
            [None, refused("application_credential", 1)],
            [None, refused("application_credential", 1)],
            [None, refused("application_credential", 1)],
        ],
    },
];

/// In the proportion of the defaults.
const CALL_TIMEOUT: &str = "4s";
const TIME_BUDGET: &str = "12s";
/// What a sign-in on a busy machine stays within too.
const WITHIN: Duration = Duration::from_secs(30);
/// Sign-ins at once.
const AT_ONCE: usize = 8;

/// A proxy whose calls to the application go through the relay.
async fn stack(relay: &Breaking) -> Stack {
    Stack::with(|config| {
        relay.relay_to(config["application"]["url"].as_str().unwrap());
        put(config, "application.url", relay.url.as_str());
        put(config, "provisioning.call_timeout", CALL_TIMEOUT);
        put(config, "provisioning.time_budget", TIME_BUDGET);
    })
    .await
}

/// What a first sign-in asks of the application where nothing is broken.
async fn usual_calls() -> Vec<String> {
    let relay = Breaking::start();
    let stack = stack(&relay).await;
    let page = stack.sign_in_at(&Browser::new(), "ada", "/echo").await;
    assert_eq!(page.status, 200, "{}", page.text());
    relay.seen()
}

fn calls_of(relay: &Breaking, calls: &str) -> usize {
    relay.seen().iter().filter(|call| call.starts_with(calls)).count()
}

/// Accounts that were made.
fn made(stack: &Stack) -> usize {
    let calls = stack.parties.app.calls();
    let made = calls.iter().filter(|call| call.method == Method::POST && call.path == "/api/users");
    made.filter(|call| call.status == Some(201)).count()
}

fn is_in(stack: &Stack, browser: &Browser, page: &Page) -> bool {
    (page.status.as_u16(), page.url.path()) == (200, "/echo")
        && browser.cookie(&stack.session_cookie()).is_some()
}

async fn one(log: &Log, row: &Row, often: Often, calls: &'static str, usual: &[String]) -> Ends {
    let what = format!("{:?} {often:?} {calls}", row.breaks);
    let relay = Breaking::start();
    let (stack, browser) = (stack(&relay).await, Browser::new());
    let after = usual.iter().position(|call| call.starts_with(calls)).unwrap();
    relay.breaks(row.breaks, often, calls, after);
    let began = Instant::now();
    let page = stack.sign_in_at(&browser, "ada", "/echo").await;
    assert!(began.elapsed() < WITHIN, "{what}: {:?}", began.elapsed());
    let asked = calls_of(&relay, calls);
    assert!(made(&stack) <= 1, "{what}: two creations");
    relay.mend();
    let ends = if is_in(&stack, &browser, &page) {
        Ends::In { calls: asked }
    } else {
        assert_eq!(page.status, 503, "{what}: {}", page.text());
        assert_eq!(browser.cookie(&stack.session_cookie()), None, "{what}: a session without an account");
        let code = log.code(&page);
        if page.text().contains("Try again") {
            let page = browser.submit(&page, page.form_with("resume")).await;
            assert!(is_in(&stack, &browser, &page), "{what}: {}", page.text());
            Ends::Later { code, calls: asked }
        } else {
            let page = stack.sign_in_at(&browser, "ada", "/echo").await;
            assert!(is_in(&stack, &browser, &page), "{what}: {}", page.text());
            Ends::Refused { code, calls: asked }
        }
    };
    // However it went: one account, whole.
    let accounts = stack.parties.app.users().into_iter().filter(|user| user.email == "ada@example.com");
    assert_eq!((accounts.count(), made(&stack)), (1, 1), "{what}");
    assert_eq!(stack.parties.app.teams_of("ada"), [("developers".to_owned(), "member".to_owned())], "{what}");
    ends
}

#[tokio::test]
async fn a1_a2_a4_f9_however_a_call_to_the_application_fails_the_sign_in_ends_as_the_table_says() {
    let (log, usual) = (Log::begin(), usual_calls().await);
    let (log, usual) = (&log, &usual);
    let often = [Often::Once, Often::UntilMended];
    let cells = ROWS.iter().flat_map(|row| {
        let by_operation = OPERATIONS.iter().zip(&row.ends);
        by_operation.flat_map(move |((name, calls), ends)| {
            let each = often.into_iter().zip(ends);
            each.filter_map(move |(often, expected)| {
                expected.map(|expected| (row, *name, *calls, often, expected))
            })
        })
    });
    let run = cells.map(|(row, name, calls, often, expected)| async move {
        let found = one(log, row, often, calls, usual).await;
        let expected = Ends::from(expected);
        (found != expected)
            .then(|| format!("{:?} {name} {often:?}: expected {expected:?}, found {found:?}", row.breaks))
    });
    let wrong: Vec<String> = futures_util::stream::iter(run)
        .buffer_unordered(AT_ONCE)
        .filter_map(|wrong| async move { wrong })
        .collect()
        .await;
    assert!(wrong.is_empty(), "{usual:#?}\n{}", wrong.join("\n"));
}

const HEAD: &str = "<!-- Made from the table in tests/it/failures.rs; \
`NARTHEX_BLESS=1 cargo test --test it the_page_of_failures_is_not_stale` writes it anew. -->
# When the application's admin API fails

What becomes of somebody's first sign-in when the application fails at one of the three things that narthex asks of it:
**find** (is there an account already?), **create** it, and **entitle** it (its role and teams). Each line is run by a
test against a relay that breaks connections just so; in all of them exactly one account comes of it in the end, with all
that it should have, no session begins before that, and the page comes within `provisioning.time_budget`.

- *signed in*: narthex got over it by itself; the person notices nothing.
- *try again*: a 503 page with an error id and a button. The identity that the provider vouched for is kept for 10 minutes,
  and the button goes on where it stopped, without another sign-in at the provider.
- *refused*: a 503 page with an error id and no button: waiting does not help, somebody has to mend something.

The code is the one under which the refusal stands in the log and the audit log. In brackets: how often the application was
asked to do the thing, before the button was pressed. A `create` whose outcome is not known is never simply sent again:
narthex looks for the account first, and a 409 that meets its own earlier attempt is that attempt's account.

Whoever has an account and a session already notices nothing of all this. After nine failures in a row narthex leaves the
application alone for a while (`narthex_application_left_alone` in [metrics.md](metrics.md)): sign-ins that need it end with
*try again* at once.

";

fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("| the application … | how often | find | create | entitle |\n|---|---|---|---|---|\n");
    for row in ROWS {
        for (at, often) in ["once", "until it is mended"].into_iter().enumerate() {
            if row.ends.iter().all(|ends| ends[at].is_none()) {
                continue;
            }
            let cell = |ends: &[Option<Expected>; 2]| match ends[at] {
                None => "–".to_owned(),
                Some(Expected::In(calls)) => format!("signed in ({calls})"),
                Some(Expected::Later(code, calls)) => format!("try again: `{code}` ({calls})"),
                Some(Expected::Refused(code, calls)) => format!("refused: `{code}` ({calls})"),
            };
            let [find, create, entitle] = row.ends.each_ref().map(cell);
            let _ = writeln!(page, "| {} | {often} | {find} | {create} | {entitle} |", row.says);
        }
    }
    page
}

#[test]
fn the_page_of_failures_is_not_stale() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/failures.md");
    let page = page();
    if std::env::vars().any(|(name, _)| name == "NARTHEX_BLESS") {
        std::fs::write(path, &page).unwrap();
    }
    let held = std::fs::read_to_string(path).unwrap_or_default();
    let how = "NARTHEX_BLESS=1 cargo test --test it the_page_of_failures_is_not_stale";
    assert!(held == page, "docs/failures.md is stale; run: {how}");
}
