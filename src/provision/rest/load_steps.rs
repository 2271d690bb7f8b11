//! Loading the operations of a recipe: their steps, and which variables each of them may use.

use std::collections::BTreeMap;

use http::{HeaderName, Method};

use crate::provision::connector::Features;

use super::error::{RecipeError, RecipeFault};
use super::node::{Node, Section};
use super::read::{self, Reader};
use super::recipe::{Gives, Meaning, Op, Operation, Outcome, Step, StepBody};
use super::text::{Formula, Leaf, Names, Piece, Tree, pieces};

pub(super) const METHODS: [Method; 5] =
    [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

pub(super) const MEANINGS: [(&str, Meaning); 7] = [
    ("done", Meaning::Done),
    ("next", Meaning::Next),
    ("conflict", Meaning::Conflict),
    ("not_found", Meaning::NotFound),
    ("no_seats", Meaning::NoSeats),
    ("credential", Meaning::Credential),
    ("refused", Meaning::Refused),
];

/// What an operation is loaded against.
pub(super) struct Context<'c> {
    pub(super) op: Op,
    pub(super) features: &'c Features,
    pub(super) pagination: bool,
    /// The parts of a team's name, where it has several.
    pub(super) team: &'c [String],
    pub(super) loaded: &'c BTreeMap<Op, Operation>,
}

pub(super) fn operation(node: &Node<'_, '_>, context: &Context<'_>) -> Result<Operation, RecipeError> {
    let section = node.section()?;
    let mut names = Names::of(base_names(context));
    let mut lists: Vec<String> = Vec::new();
    let begin = match section.get("begin") {
        None => None,
        Some(node) => {
            let op = node.choice(&[(Op::Current.key(), Op::Current), (Op::FindTeam.key(), Op::FindTeam)])?;
            let first = context.loaded.get(&op).ok_or_else(|| {
                node.fault(RecipeFault::MissingOperation {
                    operation: op.key(),
                    feature: "`begin`".to_owned(),
                })
            })?;
            names = names.and(saved_by(&first.steps));
            Some(op)
        }
    };
    let mut steps: Vec<Step> = Vec::new();
    for node in section.need("steps")?.nodes()? {
        let step = step(&node, context, &names, &lists)?;
        names = names.and(saved_by(std::slice::from_ref(&step)));
        lists.extend(step.collect.clone());
        steps.push(step);
    }
    if steps.is_empty() {
        return Err(node.fault(RecipeFault::MissingKey("steps".to_owned())));
    }
    let lists_names = context.op.gives() == Gives::Names;
    let item_names = names.and(["item.*", "each.*"]);
    let name = match (section.get("name"), lists_names) {
        (None, true) => return Err(node.fault(RecipeFault::MissingKey("name".to_owned()))),
        (Some(node), true) => Some(Reader::load(&node, &item_names)?),
        (Some(node), false) => return Err(node.fault(unknown("name"))),
        (None, false) => None,
    };
    let role = section.get("role").map(|node| Reader::load(&node, &item_names)).transpose()?;
    let privileged = match section.get("privileged") {
        None => None,
        Some(node) if context.op.lists() => Some(Reader::load(&node, &item_names)?),
        Some(node) => return Err(node.fault(unknown("privileged"))),
    };
    if let Gives::Saved(needed) = context.op.gives() {
        let saved = |name: &&&str| steps.iter().any(|step| step.save.iter().any(|(key, _)| key == **name));
        if let Some(missing) = needed.iter().find(|name| !saved(name)) {
            return Err(node.fault(RecipeFault::MissingKey(format!("save.{missing}"))));
        }
    }
    section.finish()?;
    Ok(Operation { begin, steps, name, role, privileged })
}

fn unknown(key: &str) -> RecipeFault {
    RecipeFault::UnknownKey { key: key.to_owned(), nearest: None }
}

/// The operation's own variables; attributes by the names that the recipe declares.
fn base_names(context: &Context<'_>) -> Vec<String> {
    let own = context.op.names().iter().flat_map(|name| match name.strip_suffix("attributes.*") {
        Some(prefix) => {
            let keys = context.features.attributes.keys();
            keys.map(|key| format!("{prefix}attributes.{key}")).collect::<Vec<_>>()
        }
        None if *name == "team.*" => {
            let parts = context.team.iter().map(|part| format!("team.{part}"));
            ["team.full", "team.name", "team.role"].into_iter().map(ToOwned::to_owned).chain(parts).collect()
        }
        None => vec![(*name).to_owned()],
    });
    own.collect()
}

fn saved_by(steps: &[Step]) -> Vec<String> {
    steps.iter().flat_map(|step| step.save.iter().map(|(name, _)| format!("saved.{name}"))).collect()
}

fn step(
    node: &Node<'_, '_>,
    context: &Context<'_>,
    names: &Names,
    lists: &[String],
) -> Result<Step, RecipeError> {
    let section = node.section()?;
    let when = section.get("when").map(|node| formula(&node, names)).transpose()?;
    let each = section.get("each");
    let names = if each.is_some() { &names.and(["each.*"]) } else { names };
    let each = match each {
        None => None,
        Some(node) => Some(
            node.choice(&lists.iter().map(|list| (list.as_str(), ())).collect::<Vec<_>>())
                .and_then(|()| node.text().map(str::to_owned))?,
        ),
    };
    let (method, path) = request(&section.need("request")?, names)?;
    let paged = section.get("paged");
    if let Some(node) = &paged
        && node.flag()?
        && !context.pagination
    {
        return Err(node.fault(RecipeFault::MissingKey("pagination".to_owned())));
    }
    let items = section.get("items").map(|node| read::path(&node)).transpose()?;
    let item_names = names.and(["item.*"]);
    let save = match section.get("save") {
        None => Vec::new(),
        Some(node) => node
            .entries()?
            .into_iter()
            .map(|(name, node)| Ok((name, Reader::load(&node, &item_names)?)))
            .collect::<Result<_, RecipeError>>()?,
    };
    let step = Step {
        method,
        path,
        query: leaves(section.get("query"), names)?,
        headers: headers(section.get("headers"), names)?,
        body: body(&section, names)?,
        expect: match section.get("expect") {
            None => vec![200, 201, 202, 204],
            Some(node) => statuses(&node)?,
        },
        outcomes: section.get("outcomes").map(|node| outcomes(&node)).transpose()?.unwrap_or_default(),
        paged: paged.map(|node| node.flag()).transpose()?.unwrap_or(false),
        keep: section.get("keep").map(|node| formula(&node, &item_names)).transpose()?,
        items,
        save,
        collect: section.get("collect").map(|node| node.text()).transpose()?.map(str::to_owned),
        each,
        when,
        anonymous: section.get("anonymous").map(|node| node.flag()).transpose()?.unwrap_or(false),
    };
    if step.items.is_none() && (step.paged || step.keep.is_some() || step.collect.is_some()) {
        return Err(node.fault(RecipeFault::MissingKey("items".to_owned())));
    }
    if step.each.is_some() && !step.save.is_empty() {
        let fault = "a step that runs for each of a list cannot `save`; it can `collect`".to_owned();
        return Err(node.fault(RecipeFault::Contradiction(fault)));
    }
    section.finish()?;
    Ok(step)
}

fn formula(node: &Node<'_, '_>, names: &Names) -> Result<Formula, RecipeError> {
    Formula::compile(node.text()?, names).map_err(|fault| node.fault(fault))
}

/// `METHOD /path/{{ with }}/expressions`.
fn request(node: &Node<'_, '_>, names: &Names) -> Result<(Method, Vec<Vec<Piece>>), RecipeError> {
    let bad = |what: String| node.fault(RecipeFault::Request(what));
    let text = node.text()?;
    let (method, path) = text.split_once(' ').unwrap_or((text, ""));
    let method = METHODS
        .into_iter()
        .find(|known| known.as_str() == method)
        .ok_or_else(|| bad(format!("`{text}` is not `GET|POST|PUT|PATCH|DELETE /path`")))?;
    let mut segments: Vec<Vec<Piece>> = vec![Vec::new()];
    for piece in pieces(path.trim(), names).map_err(|fault| node.fault(fault))? {
        match piece {
            Piece::Formula(_) => segments.last_mut().map(|last| last.push(piece)).unwrap_or_default(),
            Piece::Fixed(fixed) => {
                for (index, part) in fixed.split('/').enumerate() {
                    if index > 0 {
                        segments.push(Vec::new());
                    }
                    if !part.is_empty() {
                        segments
                            .last_mut()
                            .map(|last| last.push(Piece::Fixed(part.to_owned())))
                            .unwrap_or_default();
                    }
                }
            }
        }
    }
    let mut segments = segments.into_iter();
    if !segments.next().is_some_and(|first| first.is_empty()) || segments.len() == 0 {
        return Err(bad(
            "the path must start with `/`; scheme and host come from the configuration".to_owned()
        ));
    }
    let segments: Vec<_> = segments.collect();
    let last = segments.len() - 1;
    for (index, segment) in segments.iter().enumerate() {
        let fixed = |part: &str| {
            !part.is_empty()
                && !matches!(part, "." | "..")
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&b))
        };
        let fits = match segment.as_slice() {
            [] => index == last,
            [Piece::Fixed(part)] => fixed(part),
            parts => parts.iter().all(|part| match part {
                Piece::Fixed(part) => matches!(part.as_str(), "." | "..") || fixed(part),
                Piece::Formula(_) => true,
            }),
        };
        if !fits {
            return Err(bad(
                "a part of the path is empty, `.`, `..`, or has characters that cannot stand in a path; \
                 a query belongs into `query`"
                    .to_owned(),
            ));
        }
    }
    Ok((method, segments))
}

fn leaves(node: Option<Node<'_, '_>>, names: &Names) -> Result<Vec<(String, Leaf)>, RecipeError> {
    let Some(node) = node else { return Ok(Vec::new()) };
    node.entries()?.into_iter().map(|(key, node)| Ok((key, leaf(&node, names)?))).collect()
}

fn leaf(node: &Node<'_, '_>, names: &Names) -> Result<Leaf, RecipeError> {
    if node.is_text() {
        return Leaf::compile(node.text()?, names).map_err(|fault| node.fault(fault));
    }
    node.scalar().map(Leaf::Fixed)
}

fn headers(node: Option<Node<'_, '_>>, names: &Names) -> Result<Vec<(HeaderName, Leaf)>, RecipeError> {
    let Some(node) = node else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (key, node) in node.entries()? {
        let name = HeaderName::try_from(key.as_str())
            .map_err(|_| node.fault(RecipeFault::WrongType { key, expected: "a header's name" }))?;
        // The engine's own: framing, addressing and the credential are no matter for a recipe.
        if ["host", "content-length", "transfer-encoding", "connection", "authorization", "cookie"]
            .contains(&name.as_str())
        {
            return Err(
                node.fault(RecipeFault::Request(format!("the header `{name}` is not for a recipe to set")))
            );
        }
        found.push((name, leaf(&node, names)?));
    }
    Ok(found)
}

fn body(section: &Section<'_, '_>, names: &Names) -> Result<StepBody, RecipeError> {
    match (section.get("json"), section.get("form")) {
        (None, None) => Ok(StepBody::None),
        (Some(node), None) => tree(&node, names).map(StepBody::Json),
        (None, Some(node)) => leaves(Some(node), names).map(StepBody::Form),
        (Some(_), Some(node)) => {
            Err(node.fault(RecipeFault::Contradiction("a step has `json` or `form`, not both".to_owned())))
        }
    }
}

fn tree(node: &Node<'_, '_>, names: &Names) -> Result<Tree, RecipeError> {
    if node.is_table() {
        let entries = node.entries()?.into_iter().map(|(key, node)| Ok((key, tree(&node, names)?)));
        return entries.collect::<Result<_, RecipeError>>().map(Tree::Table);
    }
    if node.is_array() {
        return node.nodes()?.iter().map(|node| tree(node, names)).collect::<Result<_, _>>().map(Tree::List);
    }
    leaf(node, names).map(Tree::Leaf)
}

fn statuses(node: &Node<'_, '_>) -> Result<Vec<u16>, RecipeError> {
    let read = |node: &Node<'_, '_>| {
        let status = node.count()?;
        u16::try_from(status).ok().filter(|status| (100..=599).contains(status)).ok_or_else(|| {
            node.fault(RecipeFault::WrongType { key: node.key.clone(), expected: "an HTTP status" })
        })
    };
    if node.is_array() { node.nodes()?.iter().map(read).collect() } else { Ok(vec![read(node)?]) }
}

/// `{ status = 422, contains = "…", at = "$.message", means = "conflict" }`, in order; the first counts.
pub(super) fn outcomes(node: &Node<'_, '_>) -> Result<Vec<Outcome>, RecipeError> {
    let one = |node: &Node<'_, '_>| {
        let section = node.section()?;
        let outcome = Outcome {
            statuses: statuses(&section.need("status")?)?,
            contains: section.get("contains").map(|node| node.text()).transpose()?.map(str::to_lowercase),
            at: section.get("at").map(|node| read::path(&node)).transpose()?,
            means: section.need("means")?.choice(&MEANINGS)?,
        };
        section.finish()?;
        Ok(outcome)
    };
    node.nodes()?.iter().map(one).collect()
}
