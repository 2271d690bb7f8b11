//! Reading a recipe's TOML with the place of every key and value, so that a fault points at its line.

use std::cell::RefCell;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::error::{RecipeError, RecipeFault, Source, nearest};

/// One value and where it stands.
#[derive(Clone)]
pub(super) struct Node<'s, 'i> {
    source: &'s Source<'i>,
    pub(super) key: String,
    pub(super) span: Range<usize>,
    value: &'s DeValue<'i>,
}

/// A table whose keys are all known; what was not asked for is refused by [`Section::finish`].
pub(super) struct Section<'s, 'i> {
    source: &'s Source<'i>,
    span: Range<usize>,
    table: &'s DeTable<'i>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'s, 'i> Section<'s, 'i> {
    pub(super) fn root(source: &'s Source<'i>, table: &'s toml::Spanned<DeTable<'i>>) -> Self {
        Self { source, span: 0..0, table: table.get_ref(), asked: RefCell::default() }
    }

    pub(super) fn get(&self, key: &'static str) -> Option<Node<'s, 'i>> {
        self.asked.borrow_mut().push(key);
        self.table.iter().find(|(name, _)| name.get_ref().as_ref() == key).map(|(_, value)| Node {
            source: self.source,
            key: key.to_owned(),
            span: value.span(),
            value: value.get_ref(),
        })
    }

    pub(super) fn need(&self, key: &'static str) -> Result<Node<'s, 'i>, RecipeError> {
        self.get(key).ok_or_else(|| self.fault(RecipeFault::MissingKey(key.to_owned())))
    }

    pub(super) fn fault(&self, fault: RecipeFault) -> RecipeError {
        self.source.fault(&self.span, fault)
    }

    /// Refuses every key that nobody asked for.
    pub(super) fn finish(self) -> Result<(), RecipeError> {
        let asked = self.asked.borrow();
        match self.table.keys().find(|key| !asked.contains(&key.get_ref().as_ref())) {
            None => Ok(()),
            Some(key) => Err(self.source.fault(
                &key.span(),
                RecipeFault::UnknownKey {
                    key: key.get_ref().to_string(),
                    nearest: nearest(key.get_ref(), asked.iter().copied()),
                },
            )),
        }
    }
}

impl<'s, 'i> Node<'s, 'i> {
    pub(super) fn fault(&self, fault: RecipeFault) -> RecipeError {
        self.source.fault(&self.span, fault)
    }

    fn wrong(&self, expected: &'static str) -> RecipeError {
        self.fault(RecipeFault::WrongType { key: self.key.clone(), expected })
    }

    pub(super) fn is_text(&self) -> bool {
        self.value.is_str()
    }

    pub(super) fn is_array(&self) -> bool {
        matches!(self.value, DeValue::Array(_))
    }

    pub(super) fn text(&self) -> Result<&'s str, RecipeError> {
        self.value.as_str().ok_or_else(|| self.wrong("a text"))
    }

    pub(super) fn flag(&self) -> Result<bool, RecipeError> {
        self.value.as_bool().ok_or_else(|| self.wrong("true or false"))
    }

    pub(super) fn count(&self) -> Result<usize, RecipeError> {
        let number = self.value.as_integer().filter(|number| number.radix() == 10);
        number.and_then(|number| number.as_str().parse().ok()).ok_or_else(|| self.wrong("a whole number"))
    }

    pub(super) fn texts(&self) -> Result<Vec<String>, RecipeError> {
        self.nodes()?.iter().map(|node| node.text().map(ToOwned::to_owned)).collect()
    }

    /// The members of a list.
    pub(super) fn nodes(&self) -> Result<Vec<Self>, RecipeError> {
        let DeValue::Array(array) = self.value else { return Err(self.wrong("a list")) };
        Ok(array
            .iter()
            .map(|value| Node {
                source: self.source,
                key: self.key.clone(),
                span: value.span(),
                value: value.get_ref(),
            })
            .collect())
    }

    /// A table with known keys.
    pub(super) fn section(&self) -> Result<Section<'s, 'i>, RecipeError> {
        let DeValue::Table(table) = self.value else { return Err(self.wrong("a table")) };
        Ok(Section { source: self.source, span: self.span.clone(), table, asked: RefCell::default() })
    }

    /// A table with keys of the recipe author's choosing.
    pub(super) fn entries(&self) -> Result<Vec<(String, Self)>, RecipeError> {
        let DeValue::Table(table) = self.value else { return Err(self.wrong("a table")) };
        Ok(table
            .iter()
            .map(|(key, value)| {
                let key = key.get_ref().to_string();
                let node = Node {
                    source: self.source,
                    key: key.clone(),
                    span: value.span(),
                    value: value.get_ref(),
                };
                (key, node)
            })
            .collect())
    }

    /// One of `choices`, by name.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T, RecipeError> {
        let text = self.text()?;
        choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
            let names = choices.iter().map(|(name, _)| *name);
            self.fault(RecipeFault::UnknownValue {
                key: self.key.clone(),
                value: text.to_owned(),
                nearest: nearest(text, names.clone()),
                known: names.collect::<Vec<_>>().join(", "),
            })
        })
    }

    /// As JSON; texts are handed to `leaf` first.
    pub(super) fn scalar(&self) -> Result<serde_json::Value, RecipeError> {
        match self.value {
            DeValue::String(text) => Ok(serde_json::Value::from(text.as_ref())),
            DeValue::Boolean(flag) => Ok(serde_json::Value::from(*flag)),
            DeValue::Integer(number) if number.radix() == 10 => number
                .as_str()
                .parse::<i64>()
                .map(serde_json::Value::from)
                .map_err(|_| self.wrong("a whole number of 64 bits")),
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => Err(self.wrong("a text, a whole number, true or false")),
        }
    }

    pub(super) fn is_table(&self) -> bool {
        matches!(self.value, DeValue::Table(_))
    }
}
