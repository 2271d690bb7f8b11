//! THE table of variable names: what templates and expressions may say, with their meaning.

/// One variable.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Dotted; a last part of `*` stands for any name.
    pub name: &'static str,
    pub meaning: &'static str,
}

/// Every variable there is; `docs/variables.md` is made from it.
pub const VARIABLES: &[Variable] = &[];
