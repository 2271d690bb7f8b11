//! From minijinja's syntax tree to the typed tree: every name known, every part of a type that fits, and no
//! comparison that could only ever come out one way.

mod compare;
mod names;
mod operations;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;

use minijinja::machinery::ast::{Expr, IfExpr, Stmt, UnaryOpKind};
use minijinja::machinery::{Span, parse, parse_expr};
use minijinja::value::ValueKind;

use super::engine::{MAX_DEPTH, MAX_SOURCE};
use super::typed::{ClaimPath, Flag, List, Number, Piece, ReadAddress, Text};
use super::variables::Domain;
use super::{ExprError, Located, Place};

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

/// Checks the source of a condition; gives the names of its claims too.
pub fn condition(source: &str, place: Place) -> Checked<(Flag, Vec<String>)> {
    fits(source)?;
    let tree = parse_expr(source).map_err(|error| syntax(source, &error))?;
    let checker = Checker { source, place, claims: RefCell::default() };
    let flag = checker.flag(&tree, 0)?;
    Ok((flag, checker.claims.into_inner().into_iter().collect()))
}

/// Checks the source of a template; gives the names of its claims too.
pub fn template(source: &str, place: Place) -> Checked<(Vec<Piece>, Vec<String>)> {
    fits(source)?;
    let tree = parse(source, "template", minijinja::syntax::SyntaxConfig::default())
        .map_err(|error| syntax(source, &error))?;
    let Stmt::Template(root) = &tree else { return Ok((Vec::new(), Vec::new())) };
    let checker = Checker { source, place, claims: RefCell::default() };
    let pieces = checker.pieces(&root.children, 0)?;
    Ok((pieces, checker.claims.into_inner().into_iter().collect()))
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
    let text = match foreign(source).filter(|_| detail.starts_with("unexpected")) {
        Some(instead) => format!("{detail}; {instead}"),
        None if lone => format!("{detail}; to compare, write `==`"),
        None => detail,
    };
    Located { error: ExprError::Syntax(text), span: 0..source.len() }
}

/// Words of other languages, with what is written here instead.
fn foreign(source: &str) -> Option<String> {
    let words: Vec<&str> = source.split_whitespace().collect();
    let at = words.iter().position(|word| FOREIGN.contains(word))?;
    let (word, left) = (words.get(at)?, words.get(at.checked_sub(1)?)?.trim_start_matches('('));
    let right = words.get(at + 1)?.trim_matches(['\'', '"', ')', '%', '*']);
    Some(match *word {
        "like" | "matches" => format!(
            "there is no `{word}`: write `{left} is startingwith('{right}')`, `is endingwith(…)` or \
             `is containing(…)` for a text, `'{right}' in {left}` for membership in a list"
        ),
        _ => format!("there is no `{word}`: membership is written `'{right}' in {left}`"),
    })
}

const FOREIGN: [&str; 7] = ["contains", "contain", "includes", "include", "has", "like", "matches"];

struct Checker<'s> {
    source: &'s str,
    place: Place,
    /// The names of the claims that were met.
    claims: RefCell<BTreeSet<String>>,
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
