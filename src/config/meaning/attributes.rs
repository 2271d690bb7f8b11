//! `[provisioning.attributes]`.

use std::collections::BTreeMap;

use super::{Meaning, below};
use crate::config::document::{Step, steps};
use crate::config::raw;
use crate::config::settings::{Attribute, AttributeSource};
use crate::expr::{Place, Template};
use crate::provision::connector::Features;

impl Meaning<'_> {
    pub(super) fn attributes(
        &mut self,
        written: &raw::Provisioning,
        features: Option<&Features>,
    ) -> Option<BTreeMap<String, Attribute>> {
        let all = written.attributes.as_ref()?;
        let mut attributes = BTreeMap::new();
        for (name, attribute) in all {
            let at = steps!["provisioning", "attributes", name];
            if let Some(features) = features {
                let known: Vec<&str> = features.attributes.keys().map(String::as_str).collect();
                if !known.is_empty() && !self.one_of("attribute", name, &known, at) {
                    continue;
                }
                let required = features.attributes.get(name).is_some_and(|spec| spec.required);
                if required && attribute.enabled == Some(false) {
                    let message = format!(
                        "{} needs the attribute {name:?}, and it is switched off (F2)",
                        features.title
                    );
                    self.warn(at, message, "without it, accounts may be refused or be of no use");
                }
            }
            let source = self.attribute_source(attribute, at);
            if let (Some(source), Some(enabled)) = (source, attribute.enabled) {
                attributes.insert(name.clone(), Attribute { source, required: attribute.required, enabled });
            }
        }
        (attributes.len() == all.len()).then_some(attributes)
    }

    fn attribute_source(&mut self, attribute: &raw::Attribute, at: &[Step]) -> Option<AttributeSource> {
        match (&attribute.claim, &attribute.constant, &attribute.template) {
            (None, None, None) => Some(AttributeSource::Connector),
            (Some(claims), None, None) => {
                self.claims(Some(claims), &below(at, "claim")).map(AttributeSource::Claims)
            }
            (None, Some(constant), None) => {
                self.name(Some(constant), &below(at, "constant")).map(AttributeSource::Constant)
            }
            (None, None, Some(source)) => match Template::compile_located(source, Place::Attribute) {
                Ok(template) => Some(AttributeSource::Template(template)),
                Err(located) => {
                    self.refuse_expression(&below(at, "template"), source, &located);
                    None
                }
            },
            _ => {
                let message = "an attribute comes from one of `claim`, `constant` and `template`";
                self.refuse(at, message, "leave the others out");
                None
            }
        }
    }
}
