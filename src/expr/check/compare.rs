//! Comparisons and membership: what may be held against what.

use minijinja::machinery::ast::{BinOp, BinOpKind, Compare, CompareOpKind, Expr};

use super::{Checked, Checker, Typed, any, constant_text, idp_ids, range};
use crate::expr::Located;
use crate::expr::typed::{Flag, List, Number, Order, ReadAddress, Text};
use crate::expr::variables::Domain;

impl Checker<'_> {
    pub(super) fn binary(&self, binary: &BinOp<'_>, expr: &Expr<'_>, depth: usize) -> Checked<Typed> {
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
    pub(super) fn chain(&self, compare: &Compare<'_>, expr: &Expr<'_>, depth: usize) -> Checked<Typed> {
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

    pub(super) fn equality(
        &self,
        left: &Expr<'_>,
        right: &Expr<'_>,
        expr: &Expr<'_>,
        depth: usize,
    ) -> Checked<Typed> {
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

    pub(super) fn inequality(
        &self,
        left: &Expr<'_>,
        right: &Expr<'_>,
        expr: &Expr<'_>,
        depth: usize,
    ) -> Checked<Typed> {
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

    pub(super) fn same_address(
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
    pub(super) fn possible(&self, variable: &Typed, constant: &Typed, at: &Expr<'_>) -> Checked<()> {
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

    pub(super) fn membership(
        &self,
        left: &Expr<'_>,
        right: &Expr<'_>,
        expr: &Expr<'_>,
        depth: usize,
    ) -> Checked<Typed> {
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

    pub(super) fn not_constant(&self, both: bool, expr: &Expr<'_>) -> Checked<()> {
        if both {
            let what = "this compares two fixed values, so that it is always the same";
            return Err(self.mistaken(range(expr), what, "compare a variable"));
        }
        Ok(())
    }

    pub(super) fn no_arithmetic(&self, expr: &Expr<'_>) -> Located {
        self.mistaken(range(expr), "there is no arithmetic here", "to join texts, write `a ~ b`")
    }
}
