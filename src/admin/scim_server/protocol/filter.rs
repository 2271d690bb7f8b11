//! Filters and PATCH paths as text (RFC 7644, 3.4.2.2 and 3.5.2, figures 1 and 7) become trees.

use serde_json::Value as Json;

use super::error::ScimError;

/// Bytes of one filter.
const MAX_TEXT: usize = 16 * 1024;
/// Parentheses, brackets and `not` within one another.
const MAX_DEPTH: usize = 16;
/// Comparisons in one filter.
const MAX_TERMS: usize = 256;

/// A filter as written: names are not looked up yet.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
    Present(String),
    Compare {
        path: String,
        operator: Operator,
        value: Json,
    },
    /// `emails[type eq "work"]`
    Within {
        path: String,
        filter: Box<Filter>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Eq,
    Ne,
    Co,
    Sw,
    Ew,
    Gt,
    Ge,
    Lt,
    Le,
}

impl Operator {
    const ALL: [(&str, Self); 9] = [
        ("eq", Self::Eq),
        ("ne", Self::Ne),
        ("co", Self::Co),
        ("sw", Self::Sw),
        ("ew", Self::Ew),
        ("gt", Self::Gt),
        ("ge", Self::Ge),
        ("lt", Self::Lt),
        ("le", Self::Le),
    ];

    /// RFC 7644, 3.4.2.2: operators are case-insensitive.
    fn named(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, operator)| *operator)
    }

    /// As filters write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, operator)| *operator == self).map_or("", |(name, _)| *name)
    }
}

/// The path of a PATCH operation: `name.givenName`, `emails[type eq "work"]`, `emails[type eq "work"].value`.
#[derive(Debug, Clone, PartialEq)]
pub struct PatchPath {
    pub path: String,
    pub filter: Option<Filter>,
    /// After the brackets.
    pub sub: Option<String>,
}

impl Filter {
    /// Reads a whole filter.
    ///
    /// # Errors
    /// [`ScimError::InvalidFilter`] with the place.
    pub fn parse(text: &str) -> Result<Self, ScimError> {
        let mut parser = Parser::new(text);
        let read = parser.too_long().and_then(|()| {
            let filter = parser.any_of(false)?;
            parser.end()?;
            Ok(filter)
        });
        read.map_err(ScimError::InvalidFilter)
    }
}

impl PatchPath {
    /// Reads a whole path.
    ///
    /// # Errors
    /// [`ScimError::InvalidPath`]; [`ScimError::InvalidFilter`] where the brackets hold no filter.
    pub fn parse(text: &str) -> Result<Self, ScimError> {
        let mut parser = Parser::new(text);
        parser.too_long().map_err(ScimError::InvalidPath)?;
        let path = parser.name().map_err(ScimError::InvalidPath)?;
        if !parser.take("[") {
            parser.end().map_err(ScimError::InvalidPath)?;
            return Ok(Self { path, filter: None, sub: None });
        }
        let filter = parser.bracketed().map_err(ScimError::InvalidFilter)?;
        let sub = if parser.take(".") { Some(parser.name().map_err(ScimError::InvalidPath)?) } else { None };
        parser.end().map_err(ScimError::InvalidPath)?;
        Ok(Self { path, filter: Some(filter), sub })
    }
}

type Read<T> = Result<T, String>;

struct Parser<'a> {
    whole: &'a str,
    rest: &'a str,
    depth: usize,
    terms: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        let text = text.trim_matches(' ');
        Self { whole: text, rest: text, depth: 0, terms: 0 }
    }

    fn too_long(&self) -> Read<()> {
        if self.whole.len() > MAX_TEXT {
            return Err(format!("it is longer than {MAX_TEXT} bytes"));
        }
        Ok(())
    }

    fn fail<T>(&self, what: &str) -> Read<T> {
        Err(format!("{what} at character {}", self.whole.len() - self.rest.len() + 1))
    }

    fn blanks(&mut self) -> bool {
        let rest = self.rest.trim_start_matches(' ');
        let some = rest.len() < self.rest.len();
        self.rest = rest;
        some
    }

    fn take(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn end(&mut self) -> Read<()> {
        self.blanks();
        if self.rest.is_empty() { Ok(()) } else { self.fail("and, or, or the end was expected") }
    }

    /// A run of characters that names consist of; URNs with their colons and dots among them.
    fn word(&self) -> &'a str {
        let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-_$:.".contains(c)));
        self.rest.get(..end.unwrap_or(self.rest.len())).unwrap_or_default()
    }

    fn advance(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn name(&mut self) -> Read<String> {
        let word = self.word();
        if !word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$') {
            return self.fail("the name of an attribute was expected");
        }
        self.advance(word.len());
        Ok(word.to_owned())
    }

    /// Takes the keyword where it stands alone.
    fn keyword(&mut self, keyword: &str) -> bool {
        let word = self.word();
        let found = word.eq_ignore_ascii_case(keyword);
        if found {
            self.advance(word.len());
        }
        found
    }

    /// RFC 7644, 3.4.2.2: `not` before `and` before `or`.
    fn any_of(&mut self, within: bool) -> Read<Filter> {
        let mut all = vec![self.all_of(within)?];
        while self.joined("or") {
            all.push(self.all_of(within)?);
        }
        Ok(one_or(all, Filter::Or))
    }

    fn all_of(&mut self, within: bool) -> Read<Filter> {
        let mut all = vec![self.one(within)?];
        while self.joined("and") {
            all.push(self.one(within)?);
        }
        Ok(one_or(all, Filter::And))
    }

    /// RFC 7644 wants blanks around the keyword; after a bracket or a string none is missed.
    fn joined(&mut self, keyword: &str) -> bool {
        let before = self.rest;
        let read = self.whole.get(..self.whole.len() - before.len()).unwrap_or_default();
        let apart = self.blanks() || read.ends_with([')', ']', '"']);
        if apart && self.keyword(keyword) && (self.blanks() || self.rest.starts_with('(')) {
            return true;
        }
        self.rest = before;
        false
    }

    fn one(&mut self, within: bool) -> Read<Filter> {
        self.blanks();
        let before = self.rest;
        if self.keyword("not") {
            self.blanks();
            if self.rest.starts_with('(') {
                return Ok(Filter::Not(Box::new(self.grouped(within)?)));
            }
            self.rest = before;
        }
        if self.rest.starts_with('(') {
            return self.grouped(within);
        }
        let path = self.name()?;
        if self.take("[") {
            if within {
                return self.fail("brackets within brackets are not possible");
            }
            let filter = Box::new(self.bracketed()?);
            return Ok(Filter::Within { path, filter });
        }
        self.compared(path)
    }

    fn grouped(&mut self, within: bool) -> Read<Filter> {
        self.take("(");
        self.deeper()?;
        let filter = self.any_of(within)?;
        self.blanks();
        if !self.take(")") {
            return self.fail("a closing parenthesis was expected");
        }
        self.depth -= 1;
        Ok(filter)
    }

    fn bracketed(&mut self) -> Read<Filter> {
        self.deeper()?;
        let filter = self.any_of(true)?;
        self.blanks();
        if !self.take("]") {
            return self.fail("a closing bracket was expected");
        }
        self.depth -= 1;
        Ok(filter)
    }

    /// SECURITY: the parser calls itself, and so does everything that walks the tree; a filter of thousands of
    /// parentheses would end the process.
    fn deeper(&mut self) -> Read<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { self.fail("it is nested too deeply") } else { Ok(()) }
    }

    fn compared(&mut self, path: String) -> Read<Filter> {
        self.terms += 1;
        if self.terms > MAX_TERMS {
            return Err(format!("it has more than {MAX_TERMS} comparisons"));
        }
        if !self.blanks() {
            return self.fail("a blank and an operator were expected");
        }
        let word = self.word();
        if word.eq_ignore_ascii_case("pr") {
            self.advance(word.len());
            return Ok(Filter::Present(path));
        }
        let Some(operator) = Operator::named(word) else {
            return self.fail("an operator (eq, ne, co, sw, ew, gt, ge, lt, le, pr) was expected");
        };
        self.advance(word.len());
        if !self.blanks() {
            return self.fail("a blank and a value were expected");
        }
        let value = self.value()?;
        Ok(Filter::Compare { path, operator, value })
    }

    /// A JSON literal (RFC 7644, 3.4.2.2: compValue).
    fn value(&mut self) -> Read<Json> {
        let end = match self.rest.strip_prefix('"') {
            Some(text) => end_of_string(text).map(|end| end + 1),
            None => Some(self.rest.find([' ', ')', ']']).unwrap_or(self.rest.len())),
        };
        let Some(literal) = end.and_then(|end| self.rest.get(..end)) else {
            return self.fail("a string without end begins");
        };
        // Entra and others write True and False.
        let folded = literal.to_ascii_lowercase();
        let literal_or_folded =
            if ["true", "false", "null"].contains(&folded.as_str()) { &folded } else { literal };
        let value: Option<Json> = serde_json::from_str(literal_or_folded).ok();
        let Some(value) = value.filter(|value| !value.is_array() && !value.is_object()) else {
            return self.fail("a string in double quotes, a number, true, false or null was expected");
        };
        self.advance(literal.len());
        Ok(value)
    }
}

fn one_or(mut all: Vec<Filter>, several: impl Fn(Vec<Filter>) -> Filter) -> Filter {
    if all.len() == 1
        && let Some(one) = all.pop()
    {
        return one;
    }
    several(all)
}

/// Where the string ends that `text` begins within; after its quote.
fn end_of_string(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}
