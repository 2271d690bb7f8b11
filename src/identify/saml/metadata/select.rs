//! Finds one entity in a metadata document in one pass, however many there are: federations publish tens of MB.

use std::borrow::Cow;
use std::ops::Range;

use uppsala::PullParser;
use uppsala::pull::PullEvent;

use super::MetadataError;
use crate::identify::saml::xml::{MAX_DEPTH, METADATA, XmlError};
use crate::identify::shown::shown;

/// Larger documents are not read. The largest federation there is publishes some 100 MB.
pub const MAX_DOCUMENT: usize = 128 * 1024 * 1024;

/// One entity out of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// The EntityDescriptor as a document of its own: the very text of it, with the namespaces that were declared
    /// around it.
    pub entity: String,
    /// What the EntitiesDescriptors around it say, outermost first.
    pub around: Vec<Around>,
}

/// The attributes of an EntitiesDescriptor (Metadata 2.3.1) that hold for what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Around {
    pub valid_until: Option<String>,
    pub cache_duration: Option<String>,
}

/// The text of a document without its comments.
///
/// Comments are legal in metadata, and people who write it by hand do write some; in messages they are refused
/// (lesson 28). SECURITY: they are gone before anything is looked at, so all reading and verifying is of one and
/// the same text; and they never were part of what a signature covers (Exclusive XML Canonicalization 1.0, 1.3).
///
/// # Errors
/// Where it is no XML, or has in it what no SAML document has.
pub fn text_of(bytes: &[u8]) -> Result<Cow<'_, str>, MetadataError> {
    if bytes.len() > MAX_DOCUMENT {
        return Err(XmlError::TooLong { found: bytes.len(), limit: MAX_DOCUMENT }.into());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| XmlError::NotUtf8)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !text.contains("<!--") {
        return Ok(Cow::Borrowed(text));
    }
    let mut without = String::with_capacity(text.len());
    let mut from = 0;
    let mut events = Events::of(text);
    while let Some(event) = events.next()? {
        if let PullEvent::Comment { byte_start, byte_end, .. } = event {
            without.push_str(text.get(from..byte_start).unwrap_or_default());
            from = byte_end;
        }
    }
    without.push_str(text.get(from..).unwrap_or_default());
    Ok(Cow::Owned(without))
}

/// The entity `wanted`, or the only one that there is.
///
/// # Errors
/// Where there is none, or more than one to choose from.
pub fn entity(text: &str, wanted: Option<&str>) -> Result<Selected, MetadataError> {
    let mut events = Events::of(text);
    let mut search =
        Search { wanted, aggregates: Vec::new(), entities: 0, other: String::new(), found: None };
    // The elements that are open in an entity.
    let mut within = 0_usize;
    while let Some(event) = events.next()? {
        match event {
            PullEvent::StartElement { .. } if within > 0 => within += 1,
            PullEvent::StartElement {
                name,
                attributes,
                namespace_declarations,
                byte_start,
                byte_end,
                depth,
            } => {
                let attribute = |wanted: &str| {
                    let found = attributes.iter().find(|attribute| attribute.name.matches(None, wanted));
                    found.map(|attribute| attribute.value.to_string())
                };
                if name.matches(Some(METADATA), "EntitiesDescriptor") {
                    let around = Around {
                        valid_until: attribute("validUntil"),
                        cache_duration: attribute("cacheDuration"),
                    };
                    let namespaces = namespace_declarations
                        .into_iter()
                        .map(|(prefix, uri)| (prefix.into_owned(), uri.into_owned()))
                        .collect();
                    search.aggregates.push((around, namespaces));
                } else if name.matches(Some(METADATA), "EntityDescriptor") {
                    within = 1;
                    let own: Vec<&str> =
                        namespace_declarations.iter().map(|(prefix, _)| prefix.as_ref()).collect();
                    search.entity(&attribute("entityID").unwrap_or_default(), byte_start..byte_end, &own)?;
                } else if depth == 0 {
                    return Err(MetadataError::NotMetadata { found: shown(&name.local_name) });
                } else {
                    // A signature, extensions: whatever it is, no entity is in it.
                    within = 1;
                }
            }
            PullEvent::EndElement { .. } if within > 1 => within -= 1,
            PullEvent::EndElement { byte_end, .. } if within == 1 => {
                within = 0;
                if let Some(found) = &mut search.found
                    && found.end.is_none()
                {
                    found.end = Some(byte_end);
                }
            }
            PullEvent::EndElement { .. } => drop(search.aggregates.pop()),
            _ => {}
        }
    }
    search.outcome(text)
}

/// Prefix and URI of declarations.
type Namespaces = Vec<(String, String)>;

struct Search<'w> {
    wanted: Option<&'w str>,
    /// The EntitiesDescriptors that are open.
    aggregates: Vec<(Around, Namespaces)>,
    entities: usize,
    /// Some entity that was not wanted, to be told.
    other: String,
    found: Option<Found>,
}

struct Found {
    id: String,
    start_tag: Range<usize>,
    end: Option<usize>,
    around: Vec<Around>,
    /// Declarations around it that it does not replace.
    inherited: Namespaces,
}

impl Search<'_> {
    fn entity(&mut self, id: &str, start_tag: Range<usize>, own: &[&str]) -> Result<(), MetadataError> {
        self.entities += 1;
        if self.wanted.is_some_and(|wanted| wanted != id) {
            if self.other.is_empty() {
                self.other = shown(id);
            }
            return Ok(());
        }
        if let Some(found) = &self.found {
            return match self.wanted {
                Some(_) => Err(MetadataError::EntityTwice(shown(&found.id))),
                // Counted on, to be told.
                None => Ok(()),
            };
        }
        let mut inherited = Namespaces::new();
        // The innermost declaration of a prefix is the one that holds.
        for (prefix, uri) in self.aggregates.iter().rev().flat_map(|(_, namespaces)| namespaces) {
            if !own.contains(&prefix.as_str()) && !inherited.iter().any(|(known, _)| known == prefix) {
                inherited.push((prefix.clone(), uri.clone()));
            }
        }
        let around = self.aggregates.iter().map(|(around, _)| around.clone()).collect();
        self.found = Some(Found { id: id.to_owned(), start_tag, end: None, around, inherited });
        Ok(())
    }

    fn outcome(self, text: &str) -> Result<Selected, MetadataError> {
        if self.wanted.is_none() && self.entities > 1 {
            return Err(MetadataError::EntityAmbiguous { entities: self.entities });
        }
        let Some(found) = self.found else {
            let wanted = shown(self.wanted.unwrap_or_default());
            return Err(MetadataError::EntityNotFound { wanted, entities: self.entities, other: self.other });
        };
        let whole = found.end.and_then(|end| text.get(found.start_tag.start..end)).unwrap_or_default();
        // "<", the name, then what ends a name.
        let name_end = whole.find([' ', '\t', '\r', '\n', '/', '>']).unwrap_or_default();
        let (name, rest) = whole.split_at_checked(name_end).unwrap_or_default();
        let mut entity = String::with_capacity(whole.len() + 1024);
        entity.push_str(name);
        for (prefix, uri) in &found.inherited {
            entity.push_str(if prefix.is_empty() { " xmlns" } else { " xmlns:" });
            entity.push_str(prefix);
            entity.push_str("=\"");
            push_escaped(&mut entity, uri);
            entity.push('"');
        }
        entity.push_str(rest);
        Ok(Selected { entity, around: found.around })
    }
}

/// For a value between double quotes.
fn push_escaped(out: &mut String, value: &str) {
    use std::fmt::Write as _;
    for c in value.chars() {
        match c {
            '&' | '<' | '>' | '"' | '\t' | '\r' | '\n' => {
                // Writing to a String does not fail.
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
}

/// What the parser finds, without what SAML has no use for.
struct Events<'a> {
    parser: PullParser<'a>,
    text: &'a str,
}

impl<'a> Events<'a> {
    fn of(text: &'a str) -> Self {
        let parser =
            PullParser::new(text).with_forbid_dtd(true).with_forbid_entities(true).with_max_depth(MAX_DEPTH);
        Self { parser, text }
    }

    fn next(&mut self) -> Result<Option<PullEvent<'a>>, MetadataError> {
        let event = self.parser.next_event().map_err(|error| {
            if error.to_string().contains("DOCTYPE") && self.text.contains("<!DOCTYPE") {
                XmlError::DocumentType
            } else {
                XmlError::Malformed(shown(&error.to_string()))
            }
        })?;
        match &event {
            Some(PullEvent::Doctype(_)) => Err(XmlError::DocumentType.into()),
            Some(PullEvent::ProcessingInstruction { .. }) => Err(XmlError::ProcessingInstruction.into()),
            Some(PullEvent::XmlDeclaration(declaration)) => {
                let encoding = declaration.encoding.as_deref().unwrap_or("UTF-8");
                if declaration.version == "1.0" && encoding.eq_ignore_ascii_case("UTF-8") {
                    return Ok(event);
                }
                let found = format!("{} {encoding}", declaration.version);
                Err(XmlError::Declaration(shown(&found)).into())
            }
            _ => Ok(event),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::super::super::xml::Tree;
    use super::*;

    fn refused(text: &str) -> MetadataError {
        entity(text, Some("urn:a")).unwrap_err()
    }

    const MD: &str = "xmlns='urn:oasis:names:tc:SAML:2.0:metadata'";

    #[test]
    fn the_one_entity_needs_no_name() {
        let text = format!(
            "<?xml version='1.0' encoding='utf-8'?>\n<EntityDescriptor {MD} entityID='urn:a'><b/></EntityDescriptor>\n"
        );
        let alone = entity(&text, None).unwrap();
        assert_eq!(alone.entity, format!("<EntityDescriptor {MD} entityID='urn:a'><b/></EntityDescriptor>"));
        assert_eq!(alone.around, []);
        assert_eq!(entity(&text, Some("urn:a")).unwrap(), alone);
        let wrapped =
            format!("<EntitiesDescriptor {MD}><EntityDescriptor entityID='urn:a'/></EntitiesDescriptor>");
        assert!(entity(&wrapped, None).is_ok());
    }

    #[test]
    fn an_entity_is_found_in_nested_aggregates_with_the_namespaces_around_it() {
        let text = format!(
            "<m:EntitiesDescriptor xmlns:m='{METADATA}' xmlns:x='urn:x' xmlns:y='urn:outer' validUntil='1'>
               <Signature xmlns='{METADATA}'><EntityDescriptor entityID='urn:b'/></Signature>
               <m:EntityDescriptor entityID='urn:a'/>
               <m:EntitiesDescriptor xmlns:y='urn:&amp;inner' xmlns='urn:z' validUntil='2' cacheDuration='3'>
                 <m:EntityDescriptor x:a='1' entityID='urn:b' xmlns:x='urn:own'><y:b/><c/><m:EntityDescriptor entityID='urn:b'/></m:EntityDescriptor>
               </m:EntitiesDescriptor>
             </m:EntitiesDescriptor>"
        );
        let found = entity(&text, Some("urn:b")).unwrap();
        let around: Vec<_> = found
            .around
            .iter()
            .map(|around| (around.valid_until.as_deref(), around.cache_duration.as_deref()))
            .collect();
        assert_eq!(around, [(Some("1"), None), (Some("2"), Some("3"))]);
        let tree = Tree::parse(found.entity.as_bytes(), 10_000).unwrap();
        let root = tree.root().unwrap();
        assert!(root.is(METADATA, "EntityDescriptor"));
        assert_eq!(root.attribute_in(Some("urn:own"), "a"), Some("1"));
        assert!(root.required("urn:&inner", "b").is_ok());
        assert!(root.required("urn:z", "c").is_ok());
    }

    #[test]
    fn there_is_one_entity_to_take_or_none_is_taken() {
        let with = |inner: &str| format!("<EntitiesDescriptor {MD}>{inner}</EntitiesDescriptor>");
        let a = "<EntityDescriptor entityID='urn:a'/>";
        let b = "<EntityDescriptor entityID='urn:b'/>";
        assert_eq!(refused(&with(&format!("{a}{a}"))), MetadataError::EntityTwice("urn:a".to_owned()));
        assert_eq!(
            refused(&with(&format!("{b}{b}"))),
            MetadataError::EntityNotFound { wanted: "urn:a".into(), entities: 2, other: "urn:b".into() }
        );
        assert_eq!(
            entity(&with(&format!("{a}{b}")), None).unwrap_err(),
            MetadataError::EntityAmbiguous { entities: 2 }
        );
        assert!(matches!(entity(&with(""), None), Err(MetadataError::EntityNotFound { entities: 0, .. })));
        // Exactly: no case folding, no white space.
        assert!(matches!(entity(&with(a), Some("urn:A")), Err(MetadataError::EntityNotFound { .. })));
    }

    #[test]
    fn what_is_no_metadata_is_refused() {
        assert_eq!(refused("<html/>"), MetadataError::NotMetadata { found: "html".to_owned() });
        assert_eq!(
            refused("<EntityDescriptor entityID='urn:a'/>"),
            MetadataError::NotMetadata { found: "EntityDescriptor".to_owned() }
        );
        assert!(matches!(refused("{}"), MetadataError::Xml(XmlError::Malformed(_))));
        assert!(matches!(refused(""), MetadataError::Xml(XmlError::Malformed(_))));
        let open = format!("<EntityDescriptor {MD} entityID='urn:a'>");
        assert!(matches!(refused(&open), MetadataError::Xml(XmlError::Malformed(_))));
    }

    #[test]
    fn document_types_instructions_and_other_encodings_are_refused() {
        let good = format!("<EntityDescriptor {MD} entityID='urn:a'/>");
        assert_eq!(refused(&format!("<!DOCTYPE a>{good}")), XmlError::DocumentType.into());
        assert_eq!(refused(&format!("<?x y?>{good}")), XmlError::ProcessingInstruction.into());
        assert!(matches!(
            refused(&format!("<?xml version='1.0' encoding='ISO-8859-1'?>{good}")),
            MetadataError::Xml(XmlError::Declaration(_))
        ));
        let instruction = format!("<EntityDescriptor {MD} entityID='urn:a'><?x y?></EntityDescriptor>");
        assert_eq!(refused(&instruction), XmlError::ProcessingInstruction.into());
    }

    #[test]
    fn comments_are_gone_and_nothing_else_is() {
        let text = "\u{feff}<!-- a --><a x='1'>b<!-- <c> -->d<![CDATA[<!-- e -->]]></a><!-- f -->";
        assert_eq!(text_of(text.as_bytes()).unwrap(), "<a x='1'>bd<![CDATA[<!-- e -->]]></a>");
        assert!(matches!(text_of(b"<a>\n</a>"), Ok(Cow::Borrowed("<a>\n</a>"))));
        assert_eq!(text_of(b"\xff"), Err(XmlError::NotUtf8.into()));
        assert!(matches!(text_of(b"<a><!-- </a>"), Err(MetadataError::Xml(XmlError::Malformed(_)))));
    }

    #[test]
    fn one_of_ten_thousand_is_found() {
        let mut text = format!("<EntitiesDescriptor {MD}>");
        for n in 0..10_000 {
            write!(text, "<EntityDescriptor entityID='urn:{n}'><a b='c'/></EntityDescriptor>").unwrap();
        }
        text.push_str("</EntitiesDescriptor>");
        let found = entity(&text, Some("urn:9999")).unwrap();
        assert!(found.entity.contains("urn:9999"));
    }
}
