//! What the settings take over from the file as written.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SamlBinding {
    Redirect,
    Post,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Exact,
    Minimum,
    Maximum,
    Better,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequireSigned {
    Either,
    Assertion,
    Response,
    Both,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotifyEvent {
    AccountCreated,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpSecurity {
    Starttls,
    Tls,
    None,
}
