//! The people of the demo, as its identity provider knows them.

use serde_json::{Map, Value};

/// One person. Tests and the provider's page change them between two logins.
#[derive(Debug, Clone, PartialEq)]
pub struct Person {
    /// What the chooser and `login_hint` call them; not a claim by itself.
    pub login: String,
    /// The `sub` claim: stable and without meaning, so that nobody takes it for a username.
    pub subject: String,
    pub given_name: String,
    pub family_name: String,
    pub email: Option<String>,
    /// `None`: the provider does not say.
    pub email_verified: Option<bool>,
    /// `None`: no groups claim at all, which is not the same as an empty one (PROVISIONING.md L7).
    pub groups: Option<Vec<String>>,
    /// The `role` claim.
    pub role: Option<String>,
    /// What to watch for when signing in as this person.
    pub hint: String,
    /// Further claims, or other values for those above; null leaves a claim out.
    pub claims: Map<String, Value>,
}

impl Person {
    /// Somebody in no group, with a verified address at example.com.
    #[must_use]
    pub fn new(login: &str) -> Self {
        let mut name = login.to_owned();
        if let Some(first) = name.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Self {
            login: login.to_owned(),
            subject: format!("10769150350006150715113082{login}"),
            given_name: name,
            family_name: "Example".to_owned(),
            email: Some(format!("{login}@example.com")),
            email_verified: Some(true),
            groups: Some(Vec::new()),
            role: None,
            hint: String::new(),
            claims: Map::new(),
        }
    }

    pub(super) fn display_name(&self) -> String {
        format!("{} {}", self.given_name, self.family_name).trim().to_owned()
    }

    fn of(login: &str, family_name: &str, groups: &[&str], role: Option<&str>, hint: &str) -> Self {
        Self {
            family_name: family_name.to_owned(),
            groups: Some(groups.iter().map(|&group| group.to_owned()).collect()),
            role: role.map(str::to_owned),
            hint: hint.to_owned(),
            ..Self::new(login)
        }
    }

    /// The claims about this person (OIDC Core 5.1, 5.4) that `scope` asks for. Groups and role come with
    /// every scope, as with providers where an administrator mapped them to the client.
    pub(super) fn claims(&self, scope: &str) -> Map<String, Value> {
        let asked = |name| scope.split(' ').any(|one| one == name);
        let mut claims = Map::new();
        claims.insert("sub".into(), self.subject.clone().into());
        if asked("profile") {
            claims.insert("name".into(), self.display_name().into());
            claims.insert("given_name".into(), self.given_name.clone().into());
            claims.insert("family_name".into(), self.family_name.clone().into());
            claims.insert("preferred_username".into(), self.login.clone().into());
        }
        if asked("email") {
            if let Some(email) = &self.email {
                claims.insert("email".into(), email.clone().into());
            }
            if let Some(verified) = self.email_verified {
                claims.insert("email_verified".into(), verified.into());
            }
        }
        if let Some(groups) = &self.groups {
            claims.insert("groups".into(), groups.clone().into());
        }
        if let Some(role) = &self.role {
            claims.insert("role".into(), role.clone().into());
        }
        for (name, value) in &self.claims {
            if value.is_null() {
                claims.remove(name);
            } else {
                claims.insert(name.clone(), value.clone());
            }
        }
        claims
    }
}

/// The four of the demo.
pub(super) fn everybody() -> Vec<Person> {
    vec![
        Person::of(
            "ada",
            "Example",
            &["engineers"],
            None,
            "New to the application: her account is created when she first signs in, and found the next time.",
        ),
        Person::of(
            "bob",
            "Example",
            &["engineers", "platform-admins"],
            None,
            "Also new. His group “platform-admins” is mapped to the application's role “admin”, which opens the admin page.",
        ),
        Person::of(
            "carol",
            "Example",
            &["support"],
            Some("editor"),
            "Has an account already, with the role “user”. Her role here is “editor”: it holds for the session, and her account stays as it is.",
        ),
        Person::of(
            "dave",
            "Example",
            &[],
            None,
            "Has an account that an administrator of the application deactivated. Nothing said here lets him in.",
        ),
    ]
}
