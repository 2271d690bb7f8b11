//! Filters and tests.

use minijinja::machinery::ast::{CallArg, Expr, Filter, Test};

use super::{Checked, Checker, Typed, range};
use crate::expr::typed::{Flag, List, Number, Text};
use crate::expr::variables::{Domain, VARIABLES, Variable};
use crate::expr::{ExprError, Located, docs, nearest};

impl Checker<'_> {
    pub(super) fn filter(&self, filter: &Filter<'_>, expr: &Expr<'_>, depth: usize) -> Checked<Typed> {
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
            (name, _) => return Err(self.unknown("filter", name, docs::FILTERS, expr)),
        })
    }

    pub(super) fn default(
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

    pub(super) fn test(&self, asked: &Test<'_>, expr: &Expr<'_>, depth: usize) -> Checked<Typed> {
        let arguments = self.arguments(&asked.args, expr)?;
        let text = || self.text(&asked.expr, depth);
        let flag = match (asked.name, arguments.as_slice()) {
            ("defined", []) => self.defined(&asked.expr, expr, depth)?,
            ("undefined", []) => Flag::Not(Box::new(self.defined(&asked.expr, expr, depth)?)),
            ("startingwith", [part]) => {
                let subject = self.expr(&asked.expr, depth)?;
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
                Flag::StartsWith(self.as_text(subject, &asked.expr)?, part_text)
            }
            ("endingwith", [part]) => Flag::EndsWith(text()?, self.part(part, depth)?),
            ("containing", [part]) => Flag::Containing(text()?, self.part(part, depth)?),
            ("under", [base]) => {
                let Typed::Text(path, Domain::Path) = self.expr(&asked.expr, depth)? else {
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
                let Typed::Address { name, read } = self.expr(&asked.expr, depth)? else {
                    let instead = "write `request.ip is within('10.0.0.0/8')`";
                    return Err(self.mistaken(range(expr), "`within` is for addresses", instead));
                };
                let networks = networks.iter().map(|n| self.network(n, depth)).collect::<Checked<_>>()?;
                Flag::Within { name, read, networks }
            }
            ("in", [list]) => return self.membership(&asked.expr, list, expr, depth),
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
            (name, _) => return Err(self.unknown("test", name, docs::TESTS, expr)),
        };
        Ok(Typed::Flag(flag))
    }

    pub(super) fn defined(&self, inner: &Expr<'_>, expr: &Expr<'_>, depth: usize) -> Checked<Flag> {
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

    pub(super) fn network(&self, expr: &Expr<'_>, depth: usize) -> Checked<ipnet::IpNet> {
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

    pub(super) fn arguments<'e, 's>(
        &self,
        arguments: &'e [CallArg<'s>],
        expr: &Expr<'_>,
    ) -> Checked<Vec<&'e Expr<'s>>> {
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
    pub(super) fn part(&self, expr: &Expr<'_>, depth: usize) -> Checked<Text> {
        match self.text(expr, depth)? {
            Text::Const(text) if text.is_empty() => {
                Err(self.mistaken(range(expr), "every text contains the empty one", "write what to look for"))
            }
            text => Ok(text),
        }
    }

    /// A non-empty text that is written out.
    pub(super) fn quoted(&self, expr: &Expr<'_>, depth: usize) -> Checked<String> {
        match self.expr(expr, depth)?.constant() {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            _ => Err(self.mistaken(range(expr), "this must be a text in quotes", "write it out: `','`")),
        }
    }

    #[expect(clippy::unused_self, reason = "reads like its neighbours")]
    pub(super) fn unknown(
        &self,
        kind: &'static str,
        name: &str,
        all: &[docs::Operation],
        expr: &Expr<'_>,
    ) -> Located {
        let near = nearest(name, all.iter().map(|operation| operation.name)).map(str::to_owned);
        let error = ExprError::Unknown { kind, name: name.to_owned(), nearest: near };
        Located { error, span: range(expr) }
    }
}
