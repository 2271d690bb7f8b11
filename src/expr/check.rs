//! From minijinja's syntax tree to the typed tree: every name known, every part of a type that fits, and no
//! comparison that could only ever come out one way.

use std::ops::Range;

use minijinja::machinery::ast::{
    BinOp, BinOpKind, Call, CallArg, Compare, CompareOpKind, Expr, Filter, IfExpr, Stmt, Test, UnaryOpKind,
};
use minijinja::machinery::{Span, parse, parse_expr};
use minijinja::value::ValueKind;

use super::engine::{MAX_DEPTH, MAX_SOURCE};
use super::typed::{ClaimPath, Flag, List, Number, Order, Piece, ReadAddress, Text};
use super::variables::{Domain, Read, VARIABLES, Variable};
use super::{ExprError, Located, Place, nearest};

type Checked<T> = Result<T, Located>;

/// An expression of any type.
pub(super) enum Typed {
    /// A list where a list is wanted, its first value where a text is.
    Claim(ClaimPath),
    Text(Text, Domain),
    List(List),
    Flag(Flag),
    Number(Number),
    Address {
        name: &'static str,
        read: ReadAddress,
    },
}

impl Typed {
    fn kind(&self) -> &'static str {
        match self {
            Self::Claim(_) => "a claim",
            Self::Text(..) => "a text",
            Self::List(_) => "a list",
            Self::Flag(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Address { .. } => "an address",
        }
    }

    fn constant(&self) -> Option<&str> {
        match self {
            Self::Text(Text::Const(text), _) => Some(text),
            _ => None,
        }
    }
}

/// Checks the source of a condition.
pub fn condition(source: &str, place: Place) -> Checked<Flag> {
    fits(source)?;
    let tree = parse_expr(source).map_err(|error| syntax(source, &error))?;
    Checker { source, place }.flag(&tree, 0)
}

/// Checks the source of a template.
pub fn template(source: &str, place: Place) -> Checked<Vec<Piece>> {
    fits(source)?;
    let tree = parse(source, "template", minijinja::syntax::SyntaxConfig::default())
        .map_err(|error| syntax(source, &error))?;
    let Stmt::Template(root) = &tree else { return Ok(Vec::new()) };
    Checker { source, place }.pieces(&root.children, 0)
}

fn fits(source: &str) -> Checked<()> {
    if source.len() > MAX_SOURCE {
        return Err(Located { error: ExprError::TooLong { limit: MAX_SOURCE }, span: 0..source.len() });
    }
    Ok(())
}

fn syntax(source: &str, error: &minijinja::Error) -> Located {
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    // A lone `=` is the usual slip; the parser's own words do not say so.
    let lone = source.contains('=') && !["==", "!=", "<=", ">="].iter().any(|sign| source.contains(sign));
    let text = if lone { format!("{detail}; to compare, write `==`") } else { detail };
    Located { error: ExprError::Syntax(text), span: 0..source.len() }
}

/// One step from a name into what it holds.
enum Step<'e> {
    Attribute(&'e str),
    Key(String),
}

struct Checker<'s> {
    source: &'s str,
    place: Place,
}

impl Checker<'_> {
    fn pieces(&self, statements: &[Stmt<'_>], depth: usize) -> Checked<Vec<Piece>> {
        let mut pieces = Vec::new();
        for statement in statements {
            pieces.push(match statement {
                Stmt::EmitRaw(raw) => Piece::Raw(raw.raw.to_owned()),
                Stmt::EmitExpr(emitted) => Piece::Value(self.rendered(&emitted.expr, depth)?),
                Stmt::IfCond(branch) => {
                    self.deep(branch.span(), depth)?;
                    Piece::If {
                        test: self.flag(&branch.expr, depth + 1)?,
                        then: self.pieces(&branch.true_body, depth + 1)?,
                        otherwise: self.pieces(&branch.false_body, depth + 1)?,
                    }
                }
                other => {
                    let instead = if matches!(other, Stmt::ForLoop(_)) {
                        "to write a list, use `{{ grant.teams | join(',') }}`"
                    } else {
                        "write `{{ expression }}` or `{% if condition %}…{% endif %}`"
                    };
                    let what = "a template knows only `{{ … }}` and `{% if %}`";
                    return Err(self.mistaken(0..self.source.len(), what, instead));
                }
            });
        }
        Ok(pieces)
    }

    /// What `{{ }}` writes.
    fn rendered(&self, expr: &Expr<'_>, depth: usize) -> Checked<Text> {
        match self.expr(expr, depth)? {
            Typed::List(_) => Err(self.mistaken(
                range(expr),
                "a list has no one way to be written as text",
                "say how: `| join(',')` (a value that contains the separator is refused), or `| first`",
            )),
            Typed::Flag(flag) => Ok(Text::Flag(Box::new(flag))),
            Typed::Number(number) => Ok(Text::Number(Box::new(number))),
            other => self.as_text(other, expr),
        }
    }

    fn flag(&self, expr: &Expr<'_>, depth: usize) -> Checked<Flag> {
        let typed = self.expr(expr, depth)?;
        let shown = self.shown(expr);
        let instead = match &typed {
            Typed::Flag(_) => String::new(),
            Typed::Claim(_) => format!(
                "write `{shown} is defined`, `{shown} == 'some value'`, `'some value' in {shown}` or `{shown} | bool`"
            ),
            Typed::Text(..) => format!("compare it: `{shown} == 'some value'`"),
            Typed::List(_) => format!("write `'some value' in {shown}` or `{shown} | length > 0`"),
            Typed::Number(_) => format!("compare it: `{shown} > 0`"),
            Typed::Address { .. } => format!("write `{shown} is within('10.0.0.0/8')`"),
        };
        match typed {
            Typed::Flag(flag) => Ok(flag),
            other => Err(self.mistaken(
                range(expr),
                format!("`{shown}` is {}, not true or false", other.kind()),
                instead,
            )),
        }
    }

    fn text(&self, expr: &Expr<'_>, depth: usize) -> Checked<Text> {
        let typed = self.expr(expr, depth)?;
        self.as_text(typed, expr)
    }

    fn as_text(&self, typed: Typed, expr: &Expr<'_>) -> Checked<Text> {
        match typed {
            Typed::Claim(path) => Ok(Text::Claim(path)),
            Typed::Text(text, _) => Ok(text),
            Typed::Address { name, read } => Ok(Text::Address { name, read }),
            other @ (Typed::List(_) | Typed::Flag(_) | Typed::Number(_)) => {
                let instead = match other {
                    Typed::List(_) => "use `| first` or `| join(',')`",
                    Typed::Number(_) => "write it in quotes",
                    _ => "use `'yes' if … else 'no'`",
                };
                let what = format!("`{}` is {}, where a text is wanted", self.shown(expr), other.kind());
                Err(self.mistaken(range(expr), what, instead))
            }
        }
    }

    fn list(&self, expr: &Expr<'_>, depth: usize) -> Checked<List> {
        match self.expr(expr, depth)? {
            Typed::Claim(path) => Ok(List::Claim(path)),
            Typed::List(list) => Ok(list),
            other => Err(self.mistaken(
                range(expr),
                format!("`{}` is {}, where a list is wanted", self.shown(expr), other.kind()),
                "a list is a claim, grant.teams, grant.app_groups, grant.permissions, `['a', 'b']` or `… | split(',')`",
            )),
        }
    }

    fn expr(&self, expr: &Expr<'_>, depth: usize) -> Checked<Typed> {
        self.deep(expr.span(), depth)?;
        let next = depth + 1;
        match expr {
            Expr::Var(_) | Expr::GetAttr(_) | Expr::GetItem(_) => self.path(expr),
            Expr::Const(constant) => self.constant(&constant.value, expr),
            Expr::List(list) => self.literal(&list.items, next),
            Expr::Tuple(tuple) => self.literal(&tuple.items, next),
            Expr::UnaryOp(unary) => match unary.op {
                UnaryOpKind::Not => Ok(Typed::Flag(Flag::Not(Box::new(self.flag(&unary.expr, next)?)))),
                UnaryOpKind::Neg => match self.expr(&unary.expr, next)? {
                    Typed::Number(Number::Const(number)) => {
                        Ok(Typed::Number(Number::Const(number.saturating_neg())))
                    }
                    _ => Err(self.no_arithmetic(expr)),
                },
            },
            Expr::BinOp(binary) => self.binary(binary, expr, next),
            Expr::Compare(compare) => self.chain(compare, expr, next),
            Expr::IfExpr(branch) => self.branch(branch, expr, next),
            Expr::Filter(filter) => self.filter(filter, expr, next),
            Expr::Test(test) => self.test(test, expr, next),
            Expr::Call(call) => self.call(call, expr),
            Expr::Slice(_) => {
                Err(self.mistaken(range(expr), "slices are not known here", "use `| first` or `| last`"))
            }
            Expr::Map(_) => {
                Err(self.mistaken(range(expr), "maps are not known here", "use a list: `['a', 'b']`"))
            }
        }
    }

    fn constant(&self, value: &minijinja::Value, expr: &Expr<'_>) -> Checked<Typed> {
        match value.kind() {
            ValueKind::String => Ok(constant_text(value.as_str().unwrap_or_default())),
            ValueKind::Bool => Ok(Typed::Flag(Flag::Const(value.is_true()))),
            ValueKind::Number => match value.as_i64() {
                Some(number) => Ok(Typed::Number(Number::Const(number))),
                None => {
                    Err(self.mistaken(range(expr), "only whole numbers are known", "write a whole number"))
                }
            },
            _ => Err(self.mistaken(
                range(expr),
                "there is no `none` here: what is absent has no value at all",
                "write `claims.x is defined` or `claims.x is undefined`",
            )),
        }
    }

    fn literal(&self, items: &[Expr<'_>], depth: usize) -> Checked<Typed> {
        let items = items.iter().map(|item| self.text(item, depth)).collect::<Checked<_>>()?;
        Ok(Typed::List(List::Const(items)))
    }

    fn binary(&self, binary: &BinOp<'_>, expr: &Expr<'_>, depth: usize) -> Checked<Typed> {
        let (left, right) = (&binary.left, &binary.right);
        let order = match binary.op {
            BinOpKind::ScAnd | BinOpKind::ScOr => {
                let (left, right) = (Box::new(self.flag(left, depth)?), Box::new(self.flag(right, depth)?));
                return Ok(Typed::Flag(match binary.op {
                    BinOpKind::ScAnd => Flag::And(left, right),
                    _ => Flag::Or(left, right),
                }));
            }
            BinOpKind::In => return self.membership(left, right, expr, depth),
            BinOpKind::Concat => {
                let (left, right) = (self.rendered(left, depth)?, self.rendered(right, depth)?);
                return Ok(Typed::Text(Text::Concat(Box::new(left), Box::new(right)), Domain::Any));
            }
            BinOpKind::Eq => return self.equality(left, right, expr, depth),
            BinOpKind::Ne => return self.inequality(left, right, expr, depth),
            BinOpKind::Lt => Order::Less,
            BinOpKind::Lte => Order::LessOrSame,
            BinOpKind::Gt => Order::Greater,
            BinOpKind::Gte => Order::GreaterOrSame,
            BinOpKind::Add
            | BinOpKind::Sub
            | BinOpKind::Mul
            | BinOpKind::Div
            | BinOpKind::FloorDiv
            | BinOpKind::Rem
            | BinOpKind::Pow => return Err(self.no_arithmetic(expr)),
        };
        match (self.expr(left, depth)?, self.expr(right, depth)?) {
            (Typed::Number(a), Typed::Number(b)) => {
                self.not_constant(matches!((&a, &b), (Number::Const(_), Number::Const(_))), expr)?;
                Ok(Typed::Flag(Flag::Compare(a, order, b)))
            }
            (a, b) => Err(self.mistaken(
                range(expr),
                format!("only numbers have an order, and this compares {} with {}", a.kind(), b.kind()),
                "turn a claim into a number with `| int`, a list with `| length`",
            )),
        }
    }

    /// `a < b < c`, which reads differently in different languages.
    fn chain(&self, compare: &Compare<'_>, expr: &Expr<'_>, depth: usize) -> Checked<Typed> {
        // The parser also puts a single `not in` here.
        if let [one] = compare.ops.as_slice()
            && matches!(one.op, CompareOpKind::NotIn)
        {
            let Typed::Flag(flag) = self.membership(&compare.expr, &one.expr, expr, depth)? else {
                return Err(self.no_arithmetic(expr));
            };
            return Ok(Typed::Flag(Flag::Not(Box::new(flag))));
        }
        Err(self.mistaken(range(expr), "comparisons cannot be chained", "write `a < b and b < c`"))
    }

    fn equality(&self, left: &Expr<'_>, right: &Expr<'_>, expr: &Expr<'_>, depth: usize) -> Checked<Typed> {
        if self.shown(left) == self.shown(right) {
            let what = "this compares a value with itself, so that it is always the same";
            return Err(self.mistaken(range(expr), what, "compare it with something else"));
        }
        let (a, b) = (self.expr(left, depth)?, self.expr(right, depth)?);
        Ok(Typed::Flag(match (a, b) {
            (Typed::Number(a), Typed::Number(b)) => {
                self.not_constant(matches!((&a, &b), (Number::Const(_), Number::Const(_))), expr)?;
                Flag::Compare(a, Order::Same, b)
            }
            (Typed::Address { name, read }, other) => self.same_address(name, read, &other, right)?,
            (other, Typed::Address { name, read }) => self.same_address(name, read, &other, left)?,
            (Typed::Text(..) | Typed::Claim(_), Typed::Number(_))
            | (Typed::Number(_), Typed::Text(..) | Typed::Claim(_)) => {
                return Err(self.mistaken(
                    range(expr),
                    "this compares a text with a number, which are never the same",
                    "write the number in quotes, or turn the text into a number with `| int`",
                ));
            }
            (Typed::Claim(_), Typed::Flag(_)) | (Typed::Flag(_), Typed::Claim(_)) => {
                return Err(self.mistaken(
                    range(expr),
                    "this compares a claim, which is text, with true or false",
                    "write `claims.x == 'true'` or `claims.x | bool`",
                ));
            }
            (Typed::List(_), _) | (_, Typed::List(_)) => {
                return Err(self.mistaken(
                    range(expr),
                    "a list is not compared as a whole",
                    "write `'some value' in the_list`, or `the_list | first == 'some value'`",
                ));
            }
            (Typed::Flag(_), _) | (_, Typed::Flag(_)) => {
                return Err(self.mistaken(
                    range(expr),
                    "true and false are not compared",
                    "write the condition itself, or `not (condition)`",
                ));
            }
            (a, b) => {
                self.not_constant(a.constant().is_some() && b.constant().is_some(), expr)?;
                self.possible(&a, &b, right)?;
                self.possible(&b, &a, left)?;
                let idp = |one: &Typed, other: &Typed| match (one, other.constant()) {
                    (Typed::Text(_, Domain::Idp), Some(id)) => Some(id.to_owned()),
                    _ => None,
                };
                match idp(&a, &b).or_else(|| idp(&b, &a)) {
                    Some(id) => Flag::SameIdp(id),
                    None => Flag::Same(self.as_text(a, left)?, self.as_text(b, right)?),
                }
            }
        }))
    }

    fn inequality(&self, left: &Expr<'_>, right: &Expr<'_>, expr: &Expr<'_>, depth: usize) -> Checked<Typed> {
        for (side, other) in [(left, right), (right, left)] {
            if matches!(self.expr(side, depth)?, Typed::Claim(_)) {
                // SECURITY: a claim may hold several values; a rule that bars one of them must look at all.
                return Err(self.mistaken(
                    range(expr),
                    "`!=` would look at the claim's first value only, and pass where a later one is meant to be barred",
                    format!("write `{} not in {}`", self.shown(other), self.shown(side)),
                ));
            }
        }
        match self.equality(left, right, expr, depth)? {
            Typed::Flag(flag) => Ok(Typed::Flag(Flag::Not(Box::new(flag)))),
            other => Ok(other),
        }
    }

    fn same_address(
        &self,
        name: &'static str,
        read: ReadAddress,
        other: &Typed,
        at: &Expr<'_>,
    ) -> Checked<Flag> {
        let address = other.constant().and_then(|text| text.parse::<std::net::IpAddr>().ok());
        match address {
            Some(address) => {
                Ok(Flag::Within { name, read, networks: vec![ipnet::IpNet::from(address.to_canonical())] })
            }
            None => Err(self.mistaken(
                range(at),
                format!("`{name}` is compared with something that is no address"),
                "write an address in quotes, or `is within('10.0.0.0/8')` for a network",
            )),
        }
    }

    /// Refuses a constant that `variable` can never be.
    fn possible(&self, variable: &Typed, constant: &Typed, at: &Expr<'_>) -> Checked<()> {
        let (Typed::Text(_, domain), Some(text)) = (variable, constant.constant()) else { return Ok(()) };
        let (fits, instead) = match domain {
            Domain::Any => (true, String::new()),
            Domain::OneOf(all) => (
                all.contains(&text),
                format!(
                    "it is one of {}",
                    all.iter().map(|one| format!("`{one}`")).collect::<Vec<_>>().join(", ")
                ),
            ),
            Domain::Method => (
                !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_lowercase()),
                "a method is upper-case".to_owned(),
            ),
            Domain::Path => (text.starts_with('/'), "a path starts with `/`".to_owned()),
            Domain::Idp => (
                text.parse::<crate::model::IdpId>().is_ok(),
                "an identity provider's id is 1 to 32 characters of a-z, 0-9 and '-'".to_owned(),
            ),
            Domain::Lower => {
                (text.to_lowercase() == text, "what went through `lower` has no capitals".to_owned())
            }
            Domain::Upper => {
                (text.to_uppercase() == text, "what went through `upper` has only capitals".to_owned())
            }
        };
        if fits {
            return Ok(());
        }
        Err(self.mistaken(range(at), format!("this can never be {text:?}"), instead))
    }

    fn membership(&self, left: &Expr<'_>, right: &Expr<'_>, expr: &Expr<'_>, depth: usize) -> Checked<Typed> {
        let (item, container) = (self.expr(left, depth)?, self.expr(right, depth)?);
        let list = match container {
            Typed::Claim(path) => List::Claim(path),
            Typed::List(list) => list,
            Typed::Address { .. } | Typed::Text(..) => {
                let shown = self.shown(right);
                return Err(self.mistaken(
                    range(right),
                    "`in` looks for a member of a list, and this is one text",
                    format!("write `{shown} == …`, or `{shown} is containing('part')` if a part of the text is meant"),
                ));
            }
            other @ (Typed::Flag(_) | Typed::Number(_)) => {
                let what = format!("`in` looks for a member of a list, and this is {}", other.kind());
                return Err(self.mistaken(range(right), what, "put a list on the right"));
            }
        };
        if let List::Const(items) = &list {
            if items.is_empty() {
                return Err(self.mistaken(range(right), "nothing is in an empty list", "name its members"));
            }
            self.not_constant(
                item.constant().is_some() && items.iter().all(|item| matches!(item, Text::Const(_))),
                expr,
            )?;
            for member in items {
                if let Text::Const(text) = member {
                    self.possible(&item, &constant_text(text), right)?;
                }
            }
        }
        Ok(Typed::Flag(match item {
            // All values of the claim count, so that `not in` cannot be passed by a second value.
            Typed::Claim(path) => Flag::AnyIn(List::Claim(path), list),
            Typed::Text(text, Domain::Idp) => match idp_ids(&list) {
                Some(ids) => any(ids.into_iter().map(Flag::SameIdp)),
                None => Flag::In(text, list),
            },
            Typed::Text(text, _) => Flag::In(text, list),
            Typed::Address { name, read } => {
                let List::Const(items) = &list else {
                    let what = format!("`{name}` is looked for in a list that is not written out");
                    return Err(self.mistaken(range(right), what, "write the addresses, or `is within(…)`"));
                };
                any(items
                    .iter()
                    .map(|item| self.same_address(name, read, &Typed::Text(item.clone(), Domain::Any), right))
                    .collect::<Checked<Vec<_>>>()?
                    .into_iter())
            }
            other @ (Typed::List(_) | Typed::Flag(_) | Typed::Number(_)) => {
                let what = format!("`{}` is {}, and a list holds texts", self.shown(left), other.kind());
                return Err(self.mistaken(range(left), what, "put a text in quotes on the left"));
            }
        }))
    }

    fn branch(&self, branch: &IfExpr<'_>, expr: &Expr<'_>, depth: usize) -> Checked<Typed> {
        let test = Box::new(self.flag(&branch.test_expr, depth)?);
        let then = self.expr(&branch.true_expr, depth)?;
        let Some(otherwise) = &branch.false_expr else {
            let then = Box::new(self.as_text(then, &branch.true_expr)?);
            return Ok(Typed::Text(Text::If { test, then, otherwise: None }, Domain::Any));
        };
        match (then, self.expr(otherwise, depth)?) {
            (Typed::Flag(then), Typed::Flag(otherwise)) => {
                Ok(Typed::Flag(Flag::If { test, then: Box::new(then), otherwise: Box::new(otherwise) }))
            }
            (Typed::List(then), Typed::List(otherwise)) => {
                Ok(Typed::List(List::If { test, then: Box::new(then), otherwise: Box::new(otherwise) }))
            }
            (then @ (Typed::Claim(_) | Typed::Text(..)), other @ (Typed::Claim(_) | Typed::Text(..))) => {
                let then = Box::new(self.as_text(then, &branch.true_expr)?);
                let otherwise = Some(Box::new(self.as_text(other, otherwise)?));
                Ok(Typed::Text(Text::If { test, then, otherwise }, Domain::Any))
            }
            (then, other) => {
                let what = format!("the branches are {} and {}", then.kind(), other.kind());
                Err(self.mistaken(range(expr), what, "give both the same type"))
            }
        }
    }

    fn call(&self, call: &Call<'_>, expr: &Expr<'_>) -> Checked<Typed> {
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
    fn path(&self, expr: &Expr<'_>) -> Checked<Typed> {
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
            Read::Claims => self.claim(steps, names, expr)?,
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

    fn claim(&self, steps: &[Step<'_>], mut names: Vec<&str>, expr: &Expr<'_>) -> Checked<Typed> {
        // `.all` asks for the list; a claim of that name within another is reached by `['all']`.
        let all = steps.len() > 1 && matches!(steps.last(), Some(Step::Attribute("all")));
        if all {
            names.pop();
        }
        let name = names.join(".");
        let parts = names.into_iter().map(str::to_owned).collect();
        let path = ClaimPath { shown: self.shown(expr), name, parts, lenient: false };
        Ok(if all { Typed::List(List::Claim(path)) } else { Typed::Claim(path) })
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

    fn filter(&self, filter: &Filter<'_>, expr: &Expr<'_>, depth: usize) -> Checked<Typed> {
        let Some(inner) = &filter.expr else {
            return Err(self.mistaken(range(expr), "a filter needs a value", "write `value | filter`"));
        };
        let arguments = self.arguments(&filter.args, expr)?;
        let text = |this: &Self| this.text(inner, depth).map(Box::new);
        let list = |this: &Self| this.list(inner, depth).map(Box::new);
        let plain = |text: Text| Typed::Text(text, Domain::Any);
        let usage = |usage: &str| {
            Err(self.mistaken(
                range(expr),
                format!("`{}` is used differently", filter.name),
                format!("write `{usage}`"),
            ))
        };
        Ok(match (filter.name, arguments.as_slice()) {
            ("lower", []) => Typed::Text(Text::Lower(text(self)?), Domain::Lower),
            ("upper", []) => Typed::Text(Text::Upper(text(self)?), Domain::Upper),
            ("trim", []) => plain(Text::Trim(text(self)?)),
            ("replace", [from, to]) => {
                let from = self.quoted(from, depth)?;
                plain(Text::Replace { text: text(self)?, from, to: Box::new(self.text(to, depth)?) })
            }
            ("split", [separator]) => {
                Typed::List(List::Split { text: text(self)?, separator: self.quoted(separator, depth)? })
            }
            ("join", [separator]) => {
                plain(Text::Join { list: list(self)?, separator: self.quoted(separator, depth)? })
            }
            ("first", []) => plain(Text::First(list(self)?)),
            ("last", []) => plain(Text::Last(list(self)?)),
            ("sort", []) => Typed::List(List::Sort(list(self)?)),
            ("length", []) => Typed::Number(Number::Length(list(self)?)),
            ("int", []) => Typed::Number(Number::Int(text(self)?)),
            ("bool", []) => Typed::Flag(Flag::Bool(*text(self)?)),
            ("default", [fallback]) => self.default(inner, fallback, expr, depth)?,
            ("lower" | "upper" | "trim" | "first" | "last" | "sort" | "length" | "int" | "bool", _) => {
                return usage(&format!("value | {}", filter.name));
            }
            ("replace", _) => return usage("text | replace('from', 'to')"),
            ("split" | "join", _) => return usage(&format!("value | {}(',')", filter.name)),
            ("default", _) => return usage("value | default('fallback')"),
            (name, _) => return Err(self.unknown("filter", name, super::docs::FILTERS, expr)),
        })
    }

    fn default(
        &self,
        inner: &Expr<'_>,
        fallback: &Expr<'_>,
        expr: &Expr<'_>,
        depth: usize,
    ) -> Checked<Typed> {
        match (self.expr(inner, depth)?, self.expr(fallback, depth)?) {
            (Typed::Claim(path), Typed::List(fallback)) => {
                Ok(Typed::List(List::Default(Box::new(List::Claim(path)), Box::new(fallback))))
            }
            (Typed::List(list), Typed::List(fallback)) => {
                Ok(Typed::List(List::Default(Box::new(list), Box::new(fallback))))
            }
            (value @ (Typed::Claim(_) | Typed::Text(..)), other @ (Typed::Claim(_) | Typed::Text(..))) => {
                let (value, other) = (self.as_text(value, inner)?, self.as_text(other, fallback)?);
                Ok(Typed::Text(Text::Default(Box::new(value), Box::new(other)), Domain::Any))
            }
            (value, other) => Err(self.mistaken(
                range(expr),
                format!("the default of {} cannot be {}", value.kind(), other.kind()),
                "write `| default('text')` for a text, `| default([])` for a list",
            )),
        }
    }

    fn test(&self, test: &Test<'_>, expr: &Expr<'_>, depth: usize) -> Checked<Typed> {
        let arguments = self.arguments(&test.args, expr)?;
        let text = || self.text(&test.expr, depth);
        let flag = match (test.name, arguments.as_slice()) {
            ("defined", []) => self.defined(&test.expr, expr, depth)?,
            ("undefined", []) => Flag::Not(Box::new(self.defined(&test.expr, expr, depth)?)),
            ("startingwith", [part]) => {
                let subject = self.expr(&test.expr, depth)?;
                let part_text = self.part(part, depth)?;
                // SECURITY: "/admin" also starts "/administrators".
                if matches!(&subject, Typed::Text(_, Domain::Path))
                    && !matches!(&part_text, Text::Const(text) if text.ends_with('/') && text.starts_with('/'))
                {
                    return Err(self.mistaken(
                        range(expr),
                        "the start of a path ends in the middle of a segment",
                        "write `is under('/admin')`, which goes by whole segments, or end the text with `/`",
                    ));
                }
                Flag::StartsWith(self.as_text(subject, &test.expr)?, part_text)
            }
            ("endingwith", [part]) => Flag::EndsWith(text()?, self.part(part, depth)?),
            ("containing", [part]) => Flag::Containing(text()?, self.part(part, depth)?),
            ("under", [base]) => {
                let Typed::Text(path, Domain::Path) = self.expr(&test.expr, depth)? else {
                    let instead = "write `request.path is under('/admin')`";
                    return Err(self.mistaken(range(expr), "`under` is for paths", instead));
                };
                let base = self.quoted(base, depth)?;
                if !base.starts_with('/') || (base.len() > 1 && base.ends_with('/')) {
                    let instead = "start it with `/` and leave the last `/` away";
                    return Err(self.mistaken(range(expr), format!("{base:?} is no path"), instead));
                }
                Flag::Under { path, base }
            }
            ("within", networks @ [_, ..]) => {
                let Typed::Address { name, read } = self.expr(&test.expr, depth)? else {
                    let instead = "write `request.ip is within('10.0.0.0/8')`";
                    return Err(self.mistaken(range(expr), "`within` is for addresses", instead));
                };
                let networks = networks.iter().map(|n| self.network(n, depth)).collect::<Checked<_>>()?;
                Flag::Within { name, read, networks }
            }
            ("in", [list]) => return self.membership(&test.expr, list, expr, depth),
            (name @ ("eq" | "equalto" | "==" | "ne" | "!=" | "lt" | "<" | "gt" | ">" | "le" | "ge"), _) => {
                let what = format!("`is {name}` is not known here");
                return Err(self.mistaken(range(expr), what, "write `==`, `!=`, `<` or `>`"));
            }
            (name @ ("startingwith" | "endingwith" | "containing"), _) => {
                let what = format!("`{name}` takes one text");
                return Err(self.mistaken(range(expr), what, format!("write `value is {name}('text')`")));
            }
            (name @ ("under" | "within" | "defined" | "undefined" | "in"), _) => {
                let what = format!("`{name}` is used differently");
                let instead = "see the tests in docs/variables.md";
                return Err(self.mistaken(range(expr), what, instead));
            }
            (name, _) => return Err(self.unknown("test", name, super::docs::TESTS, expr)),
        };
        Ok(Typed::Flag(flag))
    }

    fn defined(&self, inner: &Expr<'_>, expr: &Expr<'_>, depth: usize) -> Checked<Flag> {
        let always = |name: &str| {
            let what = format!("`{name}` always has a value, so that this is always the same");
            Err(self.mistaken(range(expr), what, "compare the value itself"))
        };
        match self.expr(inner, depth)? {
            Typed::Claim(path) | Typed::List(List::Claim(path)) if !path.lenient => {
                Ok(Flag::ClaimDefined(path))
            }
            Typed::Text(Text::Variable { name, read }, _) => {
                let absent = VARIABLES.iter().find(|v| v.name == name).and_then(|v: &Variable| v.absent);
                if absent.is_none() {
                    return always(name);
                }
                Ok(Flag::Defined(Text::Variable { name, read }))
            }
            Typed::Text(text @ Text::Attribute(_), _) => Ok(Flag::Defined(text)),
            _ => always(&self.shown(inner)),
        }
    }

    fn network(&self, expr: &Expr<'_>, depth: usize) -> Checked<ipnet::IpNet> {
        let text = self.quoted(expr, depth)?;
        let network = text
            .parse::<ipnet::IpNet>()
            .ok()
            .or_else(|| text.parse::<std::net::IpAddr>().ok().map(ipnet::IpNet::from));
        match network {
            Some(network) if network.addr() == network.network() => Ok(network),
            Some(network) => {
                let what = format!("{text:?} has bits set behind its prefix");
                Err(self.mistaken(range(expr), what, format!("write '{}'", network.trunc())))
            }
            None => Err(self.mistaken(
                range(expr),
                format!("{text:?} is no network"),
                "write one like '10.0.0.0/8' or 'fd00::/8'",
            )),
        }
    }

    fn arguments<'e, 's>(&self, arguments: &'e [CallArg<'s>], expr: &Expr<'_>) -> Checked<Vec<&'e Expr<'s>>> {
        let positional = arguments.iter().map(|argument| match argument {
            CallArg::Pos(argument) => Ok(argument),
            CallArg::Kwarg(..) | CallArg::PosSplat(_) | CallArg::KwargSplat(_) => {
                let instead = "write the values one after another";
                Err(self.mistaken(range(expr), "named arguments are not known here", instead))
            }
        });
        positional.collect()
    }

    /// A part to look for; an empty one would be found everywhere.
    fn part(&self, expr: &Expr<'_>, depth: usize) -> Checked<Text> {
        match self.text(expr, depth)? {
            Text::Const(text) if text.is_empty() => {
                Err(self.mistaken(range(expr), "every text contains the empty one", "write what to look for"))
            }
            text => Ok(text),
        }
    }

    /// A non-empty text that is written out.
    fn quoted(&self, expr: &Expr<'_>, depth: usize) -> Checked<String> {
        match self.expr(expr, depth)?.constant() {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            _ => Err(self.mistaken(range(expr), "this must be a text in quotes", "write it out: `','`")),
        }
    }

    fn not_constant(&self, both: bool, expr: &Expr<'_>) -> Checked<()> {
        if both {
            let what = "this compares two fixed values, so that it is always the same";
            return Err(self.mistaken(range(expr), what, "compare a variable"));
        }
        Ok(())
    }

    fn no_arithmetic(&self, expr: &Expr<'_>) -> Located {
        self.mistaken(range(expr), "there is no arithmetic here", "to join texts, write `a ~ b`")
    }

    fn unknown(
        &self,
        kind: &'static str,
        name: &str,
        all: &[super::docs::Operation],
        expr: &Expr<'_>,
    ) -> Located {
        let near = nearest(name, all.iter().map(|operation| operation.name)).map(str::to_owned);
        let error = ExprError::Unknown { kind, name: name.to_owned(), nearest: near };
        Located { error, span: range(expr) }
    }

    #[expect(clippy::unused_self, reason = "reads like its neighbours")]
    fn mistaken(&self, span: Range<usize>, what: impl Into<String>, instead: impl Into<String>) -> Located {
        Located { error: ExprError::Mistaken { what: what.into(), instead: instead.into() }, span }
    }

    fn deep(&self, span: Span, depth: usize) -> Checked<()> {
        if depth > MAX_DEPTH {
            let what = format!("this nests deeper than {MAX_DEPTH} levels");
            let instead = "use a list and `in` for long alternatives";
            return Err(self.mistaken(bytes(span), what, instead));
        }
        Ok(())
    }

    fn shown(&self, expr: &Expr<'_>) -> String {
        self.source.get(range(expr)).unwrap_or("the value").trim().to_owned()
    }
}

fn constant_text(text: &str) -> Typed {
    Typed::Text(Text::Const(text.to_owned()), Domain::Any)
}

fn any(flags: impl Iterator<Item = Flag>) -> Flag {
    flags.reduce(|left, right| Flag::Or(Box::new(left), Box::new(right))).unwrap_or(Flag::Const(false))
}

fn idp_ids(list: &List) -> Option<Vec<String>> {
    let List::Const(items) = list else { return None };
    let ids = items.iter().map(|item| match item {
        Text::Const(id) => Some(id.clone()),
        _ => None,
    });
    ids.collect()
}

/// From the leftmost part on: the parser's own spans of filters, tests and subscripts start at their names.
fn range(expr: &Expr<'_>) -> Range<usize> {
    let whole = bytes(expr.span());
    let mut left = expr;
    loop {
        left = match left {
            Expr::GetAttr(inner) => &inner.expr,
            Expr::GetItem(inner) => &inner.expr,
            Expr::Slice(inner) => &inner.expr,
            Expr::Call(inner) => &inner.expr,
            Expr::Test(inner) => &inner.expr,
            Expr::Compare(inner) => &inner.expr,
            Expr::BinOp(inner) => &inner.left,
            Expr::IfExpr(inner) => &inner.true_expr,
            Expr::Filter(inner) => match &inner.expr {
                Some(inner) => inner,
                None => break,
            },
            Expr::Var(_)
            | Expr::Const(_)
            | Expr::UnaryOp(_)
            | Expr::List(_)
            | Expr::Tuple(_)
            | Expr::Map(_) => break,
        };
    }
    whole.start.min(bytes(left.span()).start)..whole.end
}

fn bytes(span: Span) -> Range<usize> {
    let at = |offset: u32| usize::try_from(offset).unwrap_or(usize::MAX);
    at(span.start_offset)..at(span.end_offset)
}
