//! Lists that come in pages, in every style.

use serde_json::{Value as Json, json};

use crate::config::settings::Credential;
use crate::model::Secret;
use crate::provision::connector::{ConnectorError, FindBy};

use super::TOY;
use super::fake::{Fake, Reply, Seen};

const COUNT: usize = 7;

fn users(from: usize, to: usize) -> Vec<Json> {
    let user =
        |id: usize| json!({ "id": id, "name": format!("u{id}"), "enabled": true, "level": 9, "owner": "no" });
    (from..to.min(COUNT)).map(user).collect()
}

fn number(seen: &Seen, name: &str) -> usize {
    let url = url::Url::parse(&format!("http://x{}", seen.target)).unwrap();
    let found = url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.parse().unwrap());
    found.unwrap_or(0)
}

/// The ids that are listed with this `[pagination]`, and the calls made.
async fn listed(
    pagination: &str,
    answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
) -> (Result<Vec<String>, ConnectorError>, Vec<String>) {
    let paged = TOY
        .replace("items = \"$[*]\", keep = \"item.level == 9\"", "items = \"$[*]\", paged = true")
        .replace("[[errors]]", &format!("[pagination]\n{pagination}\n\n[[errors]]"));
    let fake = Fake::start(answer).await;
    let connector = fake.with_recipe(&paged, Credential::Bearer(Secret::new("t0ken"))).unwrap();
    let found = connector.find(FindBy::Privileged).await;
    (found.map(|all| all.into_iter().map(|account| account.id.0).collect()), fake.lines())
}

fn all() -> Vec<String> {
    (0..COUNT).map(|id| id.to_string()).collect()
}

const PAGE: &str = "style = \"page\"\npage = \"page\"\nlimit = \"per\"\nsize = 5";

#[tokio::test]
async fn pages_are_read_until_one_is_empty_although_the_server_caps_them() {
    // Asked for 5, gives 3 at most.
    let (found, lines) = listed(PAGE, |seen| {
        let page = number(seen, "page") - 1;
        Reply::json(200, &Json::from(users(page * 3, page * 3 + 3)))
    })
    .await;
    assert_eq!(found.unwrap(), all());
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[1], "GET /users?per=5&page=2");
}

#[tokio::test]
async fn a_total_in_a_header_spares_the_last_call() {
    let (found, lines) = listed(&format!("{PAGE}\ntotal_header = \"X-Total\""), |seen| {
        let page = number(seen, "page") - 1;
        Reply::json(200, &Json::from(users(page * 5, page * 5 + 5))).with("x-total", "7")
    })
    .await;
    assert_eq!((found.unwrap(), lines.len()), (all(), 2));
}

#[tokio::test]
async fn offsets_go_by_what_came() {
    let (found, lines) = listed("style = \"offset\"\noffset = \"from\"", |seen| {
        let from = number(seen, "from");
        Reply::json(200, &Json::from(users(from, from + 4)))
    })
    .await;
    assert_eq!(found.unwrap(), all());
    assert_eq!(lines, ["GET /users?from=0", "GET /users?from=4", "GET /users?from=7"]);
}

#[tokio::test]
async fn cursors_are_followed_until_there_is_none() {
    let (found, lines) = listed("style = \"cursor\"\ncursor = \"after\"\nnext = \"$[-1:].next\"", |seen| {
        let from = number(seen, "after");
        let mut page = users(from, from + 4);
        if from + 4 < COUNT {
            page.last_mut().unwrap()["next"] = json!(from + 4);
        }
        Reply::json(200, &Json::from(page))
    })
    .await;
    assert_eq!(found.unwrap(), all());
    assert_eq!(lines, ["GET /users", "GET /users?after=4"]);
}

#[tokio::test]
async fn lesson_34_a_link_to_another_place_is_followed_on_our_own_url_only() {
    let (found, lines) = listed("style = \"link\"", |seen| {
        let page = number(seen, "p");
        let reply = Reply::json(200, &Json::from(users(page * 4, page * 4 + 4)));
        let next =
            "<http://evil.test/users?p=0>; rel=\"prev\", <http://evil.test/x?p=1&q=a%26b>; rel=\"next\"";
        if page == 0 { reply.with("link", next) } else { reply }
    })
    .await;
    assert_eq!(found.unwrap(), all());
    assert_eq!(lines, ["GET /users", "GET /users?p=1&q=a%26b"]);
}

#[tokio::test]
async fn invariant_9_a_list_without_end_is_given_up() {
    let endless = |_: &Seen| Reply::json(200, &Json::from(users(0, 5)));
    let (found, lines) = listed(&format!("{PAGE}\nmax_pages = 9"), endless).await;
    assert!(
        matches!(found, Err(ConnectorError::Unexpected { ref expected, .. }) if expected == "at most 9 pages")
    );
    assert_eq!(lines.len(), 9);
}
