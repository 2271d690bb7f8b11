//! Runs one operation of a recipe: its steps in order, page by page, each value encoded for its place.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value as Json;

use crate::model::Secret;
use crate::provision::ConnectorError;

use super::auth::Token;
use super::call::{Answered, Api, Body, Call, LogIn, unsafe_value, unsendable};
use super::encode;
use super::recipe::{Meaning, Op, Operation, Outcome, PageStyle, Rest, Step, StepBody};
use super::text::{Failed, Piece, Scope, whole};

/// More items than this in one operation are refused (SECURITY.md, invariant 9).
const MAX_ITEMS: usize = 50_000;
/// More calls than this in one operation are refused.
const MAX_CALLS: usize = 2_000;
/// Reading calls that are under way at once.
const AT_ONCE: usize = 8;

/// One application's API and what its recipe says of it.
pub(super) struct Runner<'r> {
    pub(super) rest: &'r Rest,
    pub(super) api: &'r Api,
}

/// One item of an answer, with the item of the list that its step ran for.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) value: Json,
    pub(super) each: Option<Json>,
}

/// What an operation came to.
#[derive(Debug)]
pub(super) struct Outcomes {
    /// Of the last step that ran.
    pub(super) items: Vec<Item>,
    /// With everything saved on the way.
    pub(super) scope: Scope,
}

/// One operation on its way.
struct Run<'r> {
    op: Op,
    secrets: &'r [Secret],
    scope: Scope,
    lists: Vec<(String, Vec<Json>)>,
    items: Vec<Item>,
    calls: AtomicUsize,
}

/// Whether more steps follow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    /// On too, but there is nothing in this answer: the recipe said `next` of its refusal.
    Next,
    Done,
}

impl Runner<'_> {
    pub(super) fn operation(&self, op: Op) -> Result<&Operation, ConnectorError> {
        self.rest.operations.get(&op).ok_or(ConnectorError::Unsupported { operation: op.text() })
    }

    /// `secrets`: what must not show in an error beside the credential.
    pub(super) async fn run(
        &self,
        op: Op,
        scope: Scope,
        secrets: &[Secret],
    ) -> Result<Outcomes, ConnectorError> {
        let operation = self.operation(op)?;
        let begin = operation.begin.map(|first| self.operation(first)).transpose()?;
        let first = begin.map(|begin| begin.steps.as_slice()).unwrap_or_default();
        let mut run =
            Run { op, secrets, scope, lists: Vec::new(), items: Vec::new(), calls: AtomicUsize::new(0) };
        let reading = operation.steps.len() - 1 + first.len();
        for (index, step) in first.iter().chain(&operation.steps).enumerate() {
            let gives = !matches!(op.gives(), super::recipe::Gives::Nothing | super::recipe::Gives::Saved(_));
            if self.step(&mut run, step, gives && index == reading).await? == Flow::Done {
                break;
            }
        }
        Ok(Outcomes { items: run.items, scope: run.scope })
    }

    async fn step(&self, run: &mut Run<'_>, step: &Step, result: bool) -> Result<Flow, ConnectorError> {
        if let Some(when) = &step.when
            && !when.holds(&run.scope).map_err(|failed| failing(run.op, failed))?
        {
            return Ok(Flow::On);
        }
        let each: Vec<Option<Json>> = match &step.each {
            None => vec![None],
            Some(name) => {
                let list = run.lists.iter().find(|(known, _)| known == name);
                list.map(|(_, items)| items.iter().cloned().map(Some).collect()).unwrap_or_default()
            }
        };
        let mut items = Vec::new();
        let mut passed_over = false;
        // Reading may go on for several of a list at once; writing goes in order, one by one.
        let at_once = if step.method == http::Method::GET { AT_ONCE } else { 1 };
        for chunk in each.chunks(at_once) {
            let run_now = &*run;
            let calls = chunk.iter().map(|each| async move {
                let scope = match each {
                    None => run_now.scope.clone(),
                    Some(item) => run_now.scope.clone().with("each", item.clone()),
                };
                self.pages(run_now, step, &scope, result).await
            });
            let answers = futures_util::future::try_join_all(calls).await?;
            for (each, (flow, found)) in chunk.iter().zip(answers) {
                passed_over |= flow == Flow::Next;
                items.extend(found.into_iter().map(|value| Item { value, each: each.clone() }));
                if items.len() > MAX_ITEMS {
                    return Err(too_much(run.op, "more items than are read in one operation"));
                }
                if flow == Flow::Done {
                    run.items = items;
                    return Ok(Flow::Done);
                }
            }
        }
        if !step.save.is_empty() && !passed_over {
            save(run, step, &items)?;
        }
        if let Some(name) = &step.collect {
            run.lists.push((name.clone(), items.iter().map(|item| item.value.clone()).collect()));
        }
        run.items = items;
        Ok(Flow::On)
    }

    /// One request, or as many as there are pages.
    async fn pages(
        &self,
        run: &Run<'_>,
        step: &Step,
        scope: &Scope,
        result: bool,
    ) -> Result<(Flow, Vec<Json>), ConnectorError> {
        let op = run.op;
        let template = call(op, step, scope)?;
        let pagination = self.rest.pagination.as_ref().filter(|_| step.paged);
        let mut kept = Vec::new();
        let (mut seen, mut page) = (0, 0);
        let mut next: Vec<(String, String)> = Vec::new();
        loop {
            let mut request = Call { headers: template.headers.clone(), ..copy(&template) };
            if let Some(pagination) = pagination {
                if let Some((limit, size)) = &pagination.limit {
                    set_query(&mut request, limit, size.to_string());
                }
                match &pagination.style {
                    PageStyle::Page { parameter, first } => {
                        set_query(&mut request, parameter, (first + page).to_string());
                    }
                    PageStyle::Offset { parameter } => set_query(&mut request, parameter, seen.to_string()),
                    PageStyle::Link | PageStyle::Cursor { .. } => {
                        for (name, value) in std::mem::take(&mut next) {
                            set_query(&mut request, &name, value);
                        }
                    }
                }
            }
            if run.calls.fetch_add(1, Ordering::Relaxed) >= MAX_CALLS {
                return Err(too_much(op, "more calls than are made in one operation"));
            }
            let answer = self.answer(op, &request, step.anonymous, run.secrets).await?;
            match self.meaning(step, &answer)? {
                Some(flow) => return Ok((flow, kept)),
                None if step.expect.contains(&answer.status.as_u16()) => {}
                None => return Err(refusal(step, &answer)),
            }
            let reads = result || step.items.is_some() || !step.save.is_empty();
            if !reads {
                // A page of something else (a login form with status 200) is no success.
                if !answer.body.is_empty() && !answer.is_json() {
                    return Err(answer.unexpected("no body, or a JSON one"));
                }
                return Ok((Flow::On, kept));
            }
            let json = answer.json()?;
            let found = items(step, &json, &answer)?;
            seen += found.len();
            for item in &found {
                if keeps(op, step, scope, item)? {
                    kept.push(item.clone());
                }
            }
            if seen > MAX_ITEMS {
                return Err(too_much(op, "more items than are read in one operation"));
            }
            let Some(pagination) = pagination else { return Ok((Flow::On, kept)) };
            page += 1;
            let total = match (&pagination.total_header, &pagination.total) {
                (Some(name), _) => answer.headers.get(name).and_then(|v| v.to_str().ok()?.parse().ok()),
                (None, Some(reader)) => {
                    let value = reader.value(&json, scope).map_err(|failed| failing(op, failed))?;
                    value.and_then(|value| usize::try_from(value.as_u64()?).ok())
                }
                (None, None) => None,
            };
            let more = match &pagination.style {
                // Not "fewer than asked for": servers cap a page silently below what was asked.
                PageStyle::Page { .. } | PageStyle::Offset { .. } => {
                    !found.is_empty() && total.is_none_or(|total: usize| seen < total)
                }
                PageStyle::Link => {
                    next = next_link(&answer);
                    !next.is_empty()
                }
                PageStyle::Cursor { parameter, next: reader } => {
                    let value = reader.value(&json, scope).map_err(|failed| failing(op, failed))?;
                    let value = value.as_ref().and_then(super::read::name);
                    next = value.into_iter().map(|value| (parameter.clone(), value)).collect();
                    !next.is_empty()
                }
            };
            if !more {
                return Ok((Flow::On, kept));
            }
            if page >= pagination.max_pages {
                return Err(answer.unexpected(format!("at most {} pages", pagination.max_pages)));
            }
        }
    }

    /// What the recipe says that this answer means: the step's own outcomes first, then the recipe's.
    fn meaning(&self, step: &Step, answer: &Answered) -> Result<Option<Flow>, ConnectorError> {
        let text = String::from_utf8_lossy(&answer.body).to_lowercase();
        let applies = |outcome: &&Outcome| {
            outcome.statuses.contains(&answer.status.as_u16())
                && outcome.contains.as_ref().is_none_or(|part| match &outcome.at {
                    None => text.contains(part.as_str()),
                    Some(path) => serde_json::from_slice::<Json>(&answer.body).is_ok_and(|json| {
                        let mut found = path.query(&json).all().into_iter().filter_map(Json::as_str);
                        found.any(|found| found.to_lowercase().contains(part.as_str()))
                    }),
                })
        };
        let Some(outcome) = step.outcomes.iter().chain(&self.rest.errors).find(applies) else {
            return Ok(None);
        };
        let (operation, status, excerpt) = (answer.operation, answer.status.as_u16(), answer.excerpt());
        Err(match outcome.means {
            Meaning::Done => return Ok(Some(Flow::Done)),
            Meaning::Next => return Ok(Some(Flow::Next)),
            Meaning::Conflict => ConnectorError::Conflict { operation, excerpt },
            Meaning::NotFound => ConnectorError::NotFound { operation },
            Meaning::NoSeats => ConnectorError::NoSeats { operation, excerpt },
            Meaning::Credential => ConnectorError::Credential { operation, status, excerpt },
            Meaning::Refused => ConnectorError::Refused { operation, status, excerpt },
        })
    }

    async fn answer(
        &self,
        op: Op,
        call: &Call,
        anonymous: bool,
        secrets: &[Secret],
    ) -> Result<Answered, ConnectorError> {
        if op == Op::Login || anonymous {
            return self.api.send(op.text(), call, None, secrets).await;
        }
        self.api
            .signed_in(op.text(), call, secrets, |username, password| self.log_in(username, password))
            .await
    }

    /// Named as a boxed future: a run signs in, and signing in is a run.
    fn log_in<'a>(&'a self, username: &'a str, password: &'a Secret) -> LogIn<'a> {
        Box::pin(self.log_in_now(username, password))
    }

    async fn log_in_now(&self, username: &str, password: &Secret) -> Result<Token, ConnectorError> {
        let mut scope = Scope::default();
        scope.put("login", "username", Json::from(username));
        scope.put("login", "password", Json::from(password.expose()));
        let done = self.run(Op::Login, scope, std::slice::from_ref(password)).await?;
        let token = done.scope.at("saved", "token").and_then(super::read::name);
        let token = token.ok_or_else(|| too_much(Op::Login, "no token, where one is needed"))?;
        let lifetime = done.scope.at("saved", "expires_in").and_then(Json::as_i64);
        Ok(Token::new(Secret::new(token), lifetime, self.api.auth().clock.now()))
    }
}

/// An answer of another size or shape than the recipe says, where no single answer is to be shown.
fn too_much(op: Op, what: &str) -> ConnectorError {
    ConnectorError::Unexpected {
        operation: op.text(),
        status: 200,
        expected: "what the recipe describes".to_owned(),
        excerpt: what.to_owned(),
    }
}

pub(super) fn failing(op: Op, failed: Failed) -> ConnectorError {
    unsendable(op.text(), failed.0)
}

fn copy(call: &Call) -> Call {
    let body = match &call.body {
        Body::None => Body::None,
        Body::Json(json) => Body::Json(json.clone()),
        Body::Form(pairs) => Body::Form(pairs.clone()),
        Body::Text(text) => Body::Text(text.clone()),
    };
    Call {
        method: call.method.clone(),
        path: call.path.clone(),
        query: call.query.clone(),
        headers: Vec::new(),
        body,
    }
}

fn set_query(call: &mut Call, name: &str, value: String) {
    call.query.retain(|(known, _)| known != name);
    call.query.push((name.to_owned(), value));
}

/// A step's request for `scope`, every value encoded by the place it stands in.
fn call(op: Op, step: &Step, scope: &Scope) -> Result<Call, ConnectorError> {
    let mut path = String::new();
    for segment in &step.path {
        path.push('/');
        match segment.as_slice() {
            [] => {}
            [Piece::Fixed(fixed)] => path.push_str(fixed),
            parts => {
                let value = whole(parts, scope).map_err(|failed| failing(op, failed))?;
                path.push_str(&encode::segment(&value).map_err(|error| unsafe_value(op.text(), error))?);
            }
        }
    }
    let mut call = Call::new(step.method.clone(), path);
    for (name, leaf) in &step.query {
        if let Some(value) = leaf.text(scope).map_err(|failed| failing(op, failed))? {
            call = call.query(name, value);
        }
    }
    for (name, leaf) in &step.headers {
        if let Some(value) = leaf.text(scope).map_err(|failed| failing(op, failed))? {
            let value = encode::header(&value).map_err(|error| unsafe_value(op.text(), error))?;
            call = call.header(name.clone(), value);
        }
    }
    call.body = match &step.body {
        StepBody::None => Body::None,
        StepBody::Json(tree) => {
            let json = tree.json(scope).map_err(|failed| failing(op, failed))?;
            json.map_or(Body::None, Body::Json)
        }
        StepBody::Form(leaves) => {
            let mut pairs = Vec::new();
            for (name, leaf) in leaves {
                if let Some(value) = leaf.text(scope).map_err(|failed| failing(op, failed))? {
                    pairs.push((name.clone(), value));
                }
            }
            Body::Form(pairs)
        }
    };
    Ok(call)
}

/// A path without variables is nobody's in particular: that it is not found means that the API is not there,
/// not that an account is not.
fn refusal(step: &Step, answer: &Answered) -> ConnectorError {
    let fixed = step.path.iter().flatten().all(|piece| matches!(piece, Piece::Fixed(_)));
    match answer.refusal() {
        ConnectorError::NotFound { .. } if fixed => {
            answer.unexpected("this path to exist; is the application's url the base of its API?")
        }
        error => error,
    }
}

/// The items of an answer: what `items` selects, or the whole document as the one item.
fn items(step: &Step, json: &Json, answer: &Answered) -> Result<Vec<Json>, ConnectorError> {
    let Some(path) = &step.items else { return Ok(vec![json.clone()]) };
    let found: Vec<Json> = path.query(json).all().into_iter().cloned().collect();
    // An object where a list should be, or an error with status 200, selects nothing and must not pass for
    // an empty list; an empty list anywhere in the document does.
    if found.is_empty() && !holds_empty_list(json) {
        return Err(answer.unexpected(format!("a list at `{path}`")));
    }
    Ok(found)
}

fn holds_empty_list(json: &Json) -> bool {
    match json {
        Json::Array(items) => items.is_empty() || items.iter().any(holds_empty_list),
        // `null` stands for an empty list where a server's language has nil slices (Go).
        Json::Object(map) => map.values().any(|value| value.is_null() || holds_empty_list(value)),
        Json::Null => true,
        Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
    }
}

fn keeps(op: Op, step: &Step, scope: &Scope, item: &Json) -> Result<bool, ConnectorError> {
    let Some(keep) = &step.keep else { return Ok(true) };
    keep.holds(&scope.clone().with("item", item.clone())).map_err(|failed| failing(op, failed))
}

/// Saves from the one item that there must be.
fn save(run: &mut Run<'_>, step: &Step, items: &[Item]) -> Result<(), ConnectorError> {
    let item = match items {
        [one] => one.value.clone(),
        [] => return Err(ConnectorError::NotFound { operation: run.op.text() }),
        _ => return Err(too_much(run.op, "several objects, where exactly one must be meant")),
    };
    for (name, reader) in &step.save {
        let value = reader.value(&item, &run.scope).map_err(|failed| failing(run.op, failed))?;
        if let Some(value) = value {
            run.scope.put("saved", name, value);
        }
    }
    Ok(())
}

/// The query of the link to the next page (RFC 8288, 3).
///
/// SECURITY: only its query is used, on our own URL: a link cannot lead the credential to another place.
fn next_link(answer: &Answered) -> Vec<(String, String)> {
    let links =
        answer.headers.get_all(http::header::LINK).into_iter().filter_map(|value| value.to_str().ok());
    // A URL holds no `<`, so each begins a link.
    for link in links.flat_map(|value| value.split('<').skip(1)) {
        let Some((target, parameters)) = link.split_once('>') else { continue };
        let next = parameters.split(';').any(|parameter| {
            let parameter = parameter.trim().trim_end_matches([',', ' ']).to_ascii_lowercase();
            matches!(parameter.as_str(), "rel=\"next\"" | "rel=next")
        });
        if next && let Some((_, query)) = target.split_once('?') {
            return url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        }
    }
    Vec::new()
}
