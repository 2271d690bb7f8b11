//! What an attribute is (RFC 7643, 2.2 and 7), and how one is found by its name.

use crate::model::scim::ScimKind;

/// One attribute or sub-attribute.
#[derive(Debug)]
pub struct Attribute {
    pub name: &'static str,
    pub kind: Type,
    pub multi_valued: bool,
    pub required: bool,
    pub case_exact: bool,
    pub mutability: Mutability,
    pub returned: Returned,
    pub uniqueness: Uniqueness,
    pub canonical_values: &'static [&'static str],
    pub reference_types: &'static [&'static str],
    pub sub_attributes: &'static [Attribute],
    pub description: &'static str,
}

/// Data types (RFC 7643, 2.3), those that our attributes have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    String,
    Boolean,
    DateTime,
    Reference,
    Binary,
    Complex,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutability {
    ReadOnly,
    ReadWrite,
    Immutable,
    WriteOnly,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Returned {
    Always,
    Never,
    Default,
    Request,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uniqueness {
    None,
    Server,
}

/// A set of attributes under one URN.
#[derive(Debug)]
pub struct Schema {
    pub id: &'static str,
    pub name: &'static str,
    pub description: &'static str,
    pub attributes: &'static [Attribute],
}

/// What lies at one endpoint.
#[derive(Debug)]
pub struct ResourceType {
    pub kind: ScimKind,
    pub endpoint: &'static str,
    pub description: &'static str,
    pub schema: &'static Schema,
    pub extensions: &'static [&'static Schema],
    /// Beside those of the schemas (RFC 7643, 3.1).
    pub common: &'static [Attribute],
}

impl Attribute {
    /// A single string, read and written, compared without regard to case.
    pub const fn text(name: &'static str, description: &'static str) -> Self {
        Self {
            name,
            kind: Type::String,
            multi_valued: false,
            required: false,
            case_exact: false,
            mutability: Mutability::ReadWrite,
            returned: Returned::Default,
            uniqueness: Uniqueness::None,
            canonical_values: &[],
            reference_types: &[],
            sub_attributes: &[],
            description,
        }
    }

    pub const fn boolean(name: &'static str, description: &'static str) -> Self {
        Self { kind: Type::Boolean, ..Self::text(name, description) }
    }

    pub const fn date_time(name: &'static str, description: &'static str) -> Self {
        Self { kind: Type::DateTime, ..Self::text(name, description) }
    }

    /// RFC 7643, 2.3.7: a reference is case exact.
    pub const fn reference(
        name: &'static str,
        reference_types: &'static [&'static str],
        description: &'static str,
    ) -> Self {
        Self { kind: Type::Reference, case_exact: true, reference_types, ..Self::text(name, description) }
    }

    /// RFC 7643, 2.3.6: binary is case exact.
    pub const fn binary(name: &'static str, description: &'static str) -> Self {
        Self { kind: Type::Binary, case_exact: true, ..Self::text(name, description) }
    }

    pub const fn complex(
        name: &'static str,
        sub_attributes: &'static [Attribute],
        description: &'static str,
    ) -> Self {
        Self { kind: Type::Complex, sub_attributes, ..Self::text(name, description) }
    }

    #[must_use]
    pub const fn many(self) -> Self {
        Self { multi_valued: true, ..self }
    }

    #[must_use]
    pub const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    #[must_use]
    pub const fn exact(self) -> Self {
        Self { case_exact: true, ..self }
    }

    #[must_use]
    pub const fn unique(self) -> Self {
        Self { uniqueness: Uniqueness::Server, ..self }
    }

    #[must_use]
    pub const fn read_only(self) -> Self {
        Self { mutability: Mutability::ReadOnly, ..self }
    }

    #[must_use]
    pub const fn immutable(self) -> Self {
        Self { mutability: Mutability::Immutable, ..self }
    }

    /// Taken and never given back; narthex does not even keep it.
    #[must_use]
    pub const fn secret(self) -> Self {
        Self { mutability: Mutability::WriteOnly, returned: Returned::Never, ..self }
    }

    #[must_use]
    pub const fn always(self) -> Self {
        Self { returned: Returned::Always, ..self }
    }

    #[must_use]
    pub const fn canonical(self, canonical_values: &'static [&'static str]) -> Self {
        Self { canonical_values, ..self }
    }

    pub fn is_complex(&self) -> bool {
        self.kind == Type::Complex
    }

    pub fn is_read_only(&self) -> bool {
        self.mutability == Mutability::ReadOnly
    }

    /// RFC 7643, 2.1: names of attributes are case-insensitive.
    pub fn sub(&self, name: &str) -> Option<&'static Attribute> {
        named(self.sub_attributes, name)
    }

    /// The sub-attribute that stands for the whole where none is named (RFC 7644, 3.4.2.2: `emails co "x"`).
    pub fn value(&self) -> Option<&'static Attribute> {
        self.sub("value")
    }
}

impl ResourceType {
    /// An attribute of the core schema, or a common one.
    pub fn attribute(&self, name: &str) -> Option<&'static Attribute> {
        named(self.common, name).or_else(|| named(self.schema.attributes, name))
    }

    pub fn extension(&self, urn: &str) -> Option<&'static Schema> {
        self.extensions.iter().copied().find(|schema| schema.id.eq_ignore_ascii_case(urn))
    }

    /// Common ones first, then those of the core schema.
    pub fn attributes(&self) -> impl Iterator<Item = &'static Attribute> {
        self.common.iter().chain(self.schema.attributes)
    }
}

impl Schema {
    pub fn attribute(&self, name: &str) -> Option<&'static Attribute> {
        named(self.attributes, name)
    }
}

fn named(attributes: &'static [Attribute], name: &str) -> Option<&'static Attribute> {
    attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
}
