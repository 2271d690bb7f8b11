//! What the configuration holds of expressions; no sign-in evaluates one.

#[derive(Debug, Clone)]
pub struct Condition;

#[derive(Debug, Clone)]
pub struct Template;

impl Condition {
    pub fn source(&self) -> &str {
        ""
    }
}
