//! Names: variables, claims by their paths, and `claims.get`.

use minijinja::machinery::ast::{Call, CallArg, Expr};

use super::{Checked, Checker, Typed, range};
use crate::expr::typed::{ClaimPath, Flag, List, Text};
use crate::expr::variables::{Domain, Read, VARIABLES};
use crate::expr::{ExprError, Located, nearest};

/// One step from a name into what it holds.
enum Step<'e> {
    Attribute(&'e str),
    Key(String),
}

impl Checker<'_> {
    pub(super) fn call(&self, call: &Call<'_>, expr: &Expr<'_>) -> Checked<Typed> {
        let instead = "the only call is `claims.get('name')`, which is empty where the claim is absent";
        if let Expr::GetAttr(method) = &call.expr
            && let Expr::Var(root) = &method.expr
            && root.id == "claims"
            && method.name == "get"
        {
            return match call.args.as_slice() {
                [CallArg::Pos(Expr::Const(name))] if name.value.as_str().is_some() => {
                    let name = name.value.as_str().unwrap_or_default().to_owned();
                    let shown = format!("claims.get('{name}')");
                    self.claims.borrow_mut().insert(name.clone());
                    Ok(Typed::Claim(ClaimPath {
                        shown,
                        name: name.clone(),
                        parts: vec![name],
                        lenient: true,
                    }))
                }
                _ => Err(self.mistaken(range(expr), "`claims.get` takes one name in quotes", instead)),
            };
        }
        Err(self.mistaken(range(expr), "functions and methods are not known here", instead))
    }

    /// A name with what is taken out of it.
    pub(super) fn path(&self, expr: &Expr<'_>) -> Checked<Typed> {
        let mut steps = Vec::new();
        let mut at = expr;
        let root = loop {
            at = match at {
                Expr::Var(root) => break root.id,
                Expr::GetAttr(get) => {
                    steps.push(Step::Attribute(get.name));
                    &get.expr
                }
                Expr::GetItem(get) => {
                    let Expr::Const(key) = &get.subscript_expr else {
                        let instead = "write the name in quotes: `claims['name']`";
                        return Err(self.mistaken(range(expr), "a name cannot be computed", instead));
                    };
                    let Some(key) = key.value.as_str() else {
                        let instead = "use `| first`, or `'value' in …`";
                        return Err(self.mistaken(range(expr), "values are not taken by number", instead));
                    };
                    steps.push(Step::Key(key.to_owned()));
                    &get.expr
                }
                _ => {
                    let instead = "take parts of a variable only, and use filters for the rest";
                    return Err(self.mistaken(range(expr), "this has no parts", instead));
                }
            };
        };
        steps.reverse();
        self.variable(root, &steps, expr)
    }

    fn variable(&self, root: &str, steps: &[Step<'_>], expr: &Expr<'_>) -> Checked<Typed> {
        let names: Vec<&str> = steps
            .iter()
            .map(|step| match step {
                Step::Attribute(name) => *name,
                Step::Key(name) => name.as_str(),
            })
            .collect();
        let full = std::iter::once(root).chain(names.iter().copied()).collect::<Vec<_>>().join(".");
        let found = VARIABLES.iter().find(|variable| match variable.name.strip_suffix(".*") {
            Some(stem) => full.strip_prefix(stem).is_some_and(|rest| rest.starts_with('.')),
            None => variable.name == full,
        });
        let Some(variable) = found else { return Err(self.unknown_variable(&full, expr)) };
        if !variable.places.contains(&self.place) {
            let error =
                ExprError::NotHere { name: full, place: self.place.phrase(), why: self.place.reason() };
            return Err(Located { error, span: range(expr) });
        }
        Ok(match variable.read {
            Read::Claims => self.claim(steps, names, expr),
            Read::Attributes => {
                let name = full.strip_prefix("account.attributes.").unwrap_or_default().to_owned();
                Typed::Text(Text::Attribute(name), Domain::Any)
            }
            Read::Text(read) => Typed::Text(Text::Variable { name: variable.name, read }, variable.domain),
            Read::List(read) => Typed::List(List::Variable(read)),
            Read::Flag(read) => Typed::Flag(Flag::Variable(read)),
            Read::Address(read) => Typed::Address { name: variable.name, read },
        })
    }

    fn claim(&self, steps: &[Step<'_>], mut names: Vec<&str>, expr: &Expr<'_>) -> Typed {
        // `.all` asks for the list; a claim of that name within another is reached by `['all']`.
        let all = steps.len() > 1 && matches!(steps.last(), Some(Step::Attribute("all")));
        if all {
            names.pop();
        }
        let name = names.join(".");
        self.claims.borrow_mut().insert(name.clone());
        let parts = names.into_iter().map(str::to_owned).collect();
        let path = ClaimPath { shown: self.shown(expr), name, parts, lenient: false };
        if all { Typed::List(List::Claim(path)) } else { Typed::Claim(path) }
    }

    fn unknown_variable(&self, full: &str, expr: &Expr<'_>) -> Located {
        let usable = || VARIABLES.iter().filter(|variable| variable.places.contains(&self.place));
        let near = nearest(full, usable().map(|variable| variable.name)).map(str::to_owned).or_else(|| {
            // A slip in the first part only: `claim.groups`.
            let (root, rest) = full.split_once('.')?;
            let roots = usable().filter_map(|variable| variable.name.split_once('.')).map(|(root, _)| root);
            nearest(root, roots).map(|root| format!("{root}.{rest}"))
        });
        // The last part alone: `role`, `ip`.
        let near = near.or_else(|| {
            let mut usable = usable().map(|variable| variable.name);
            usable.find(|name| name.rsplit_once('.').is_some_and(|(_, last)| last == full)).map(str::to_owned)
        });
        let error = ExprError::Unknown { kind: "variable", name: full.to_owned(), nearest: near };
        Located { error, span: range(expr) }
    }
}
