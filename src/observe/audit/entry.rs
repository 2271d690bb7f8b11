//! One entry in the making. What is said of a person and what is not go through different doors, and neither takes a
//! secret: `Secret` is no text and has no way to become one here.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::event::Event;
use crate::model::audit::Whose;
use crate::model::{Account, Entitlements, ErrorId, IdpId, MemberId, Subject, UnixTime};

/// A single text is cut there.
const MAX_TEXT: usize = 2 * 1024;
/// What an entry says beyond this, apart from who and what it is about, is left out of it.
const MAX_BODY: usize = 64 * 1024;

/// Who did it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Actor {
    /// narthex itself, by its rules.
    #[default]
    Narthex,
    /// Somebody, by way of an identity provider.
    Person { idp: IdpId, subject: Subject },
    /// An identity provider, of its own accord.
    Provider(IdpId),
    /// A person or program with a console role, by the name that the console knows; with the identity, where that
    /// is how the person came in.
    Administrator { name: String, identity: Option<(IdpId, Subject)> },
    /// Whoever can run `narthex` on the machine.
    CommandLine,
}

impl Actor {
    fn kind(&self) -> &'static str {
        match self {
            Self::Narthex => "narthex",
            Self::Person { .. } => "person",
            Self::Provider(_) => "identity_provider",
            Self::Administrator { .. } => "administrator",
            Self::CommandLine => "command_line",
        }
    }
}

/// What may stand in an entry's open part: nothing that is a person's.
#[derive(Debug, Clone, PartialEq)]
pub struct Plain(Value);

impl Plain {
    /// A name that comes from the configuration or from the application's own lists: a team, a role, a header, a
    /// key's id. Never a person's.
    #[must_use]
    pub fn name(text: &str) -> Self {
        Self(Value::String(tidy(text)))
    }

    /// Several of them.
    #[must_use]
    pub fn names<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        Self(texts.into_iter().map(|text| Value::String(tidy(text))).collect())
    }
}

impl From<&'static str> for Plain {
    fn from(text: &'static str) -> Self {
        Self(Value::String(text.to_owned()))
    }
}

impl From<&IdpId> for Plain {
    fn from(id: &IdpId) -> Self {
        Self(Value::String(id.as_str().to_owned()))
    }
}

impl From<MemberId> for Plain {
    fn from(id: MemberId) -> Self {
        Self(Value::String(id.to_string()))
    }
}

impl From<UnixTime> for Plain {
    fn from(time: UnixTime) -> Self {
        Self(Value::String(time.to_string()))
    }
}

macro_rules! plain_from {
    ($($kind:ty),*) => {$(
        impl From<$kind> for Plain {
            fn from(value: $kind) -> Self {
                Self(json!(value))
            }
        }
    )*};
}
plain_from!(u16, u32, u64, usize, bool);

/// An entry, until it is recorded.
#[derive(Debug, Clone)]
#[must_use = "an entry is in the log once `Audit::record` has it"]
pub struct Entry {
    pub(in crate::observe) event: Event,
    pub(in crate::observe) actor: Actor,
    pub(in crate::observe) member: Option<MemberId>,
    pub(in crate::observe) about: Option<(IdpId, Subject)>,
    pub(in crate::observe) source: Option<IpAddr>,
    pub(in crate::observe) error_id: Option<ErrorId>,
    pub(in crate::observe) code: Option<&'static str>,
    /// Of nobody.
    pub(in crate::observe) fields: Map<String, Value>,
    /// Of the person that it is about.
    pub(in crate::observe) personal: Map<String, Value>,
}

impl Entry {
    /// Something that narthex did by itself, until [`Entry::by`] says otherwise.
    pub fn new(event: Event) -> Self {
        Self {
            event,
            actor: Actor::default(),
            member: None,
            about: None,
            source: None,
            error_id: None,
            code: None,
            fields: Map::new(),
            personal: Map::new(),
        }
    }

    /// Who did it.
    pub fn by(mut self, actor: Actor) -> Self {
        self.actor = actor;
        self
    }

    /// The person who did it, and whom it is about.
    pub fn by_person(self, idp: &IdpId, subject: &Subject) -> Self {
        self.by(Actor::Person { idp: idp.clone(), subject: subject.clone() })
    }

    /// The identity that it is about, where that is not who did it.
    pub fn about(mut self, idp: &IdpId, subject: &Subject) -> Self {
        self.about = Some((idp.clone(), subject.clone()));
        self
    }

    /// The member that it is about.
    pub fn member(mut self, member: MemberId) -> Self {
        self.member = Some(member);
        self
    }

    /// From where who did it did it.
    pub fn from(mut self, source: IpAddr) -> Self {
        self.source = Some(source);
        self
    }

    /// What the person was told, and `narthex explain --error` takes.
    pub fn error_id(mut self, id: &ErrorId) -> Self {
        self.error_id = Some(id.clone());
        self
    }

    /// The code of an error.
    pub fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// Something that is nobody's.
    pub fn field(mut self, name: &'static str, value: impl Into<Plain>) -> Self {
        self.fields.insert(name.to_owned(), value.into().0);
        self
    }

    /// Something that is, or may be, the person's: erased with them. Free text is always this.
    pub fn personal(mut self, name: &'static str, text: &str) -> Self {
        self.personal.insert(name.to_owned(), Value::String(tidy(text)));
        self
    }

    /// The account that it is about, by the application's id and username.
    pub fn account(mut self, account: &Account) -> Self {
        let named = json!({ "id": tidy(&account.id.0), "username": tidy(&account.profile.username) });
        self.personal.insert("account".to_owned(), named);
        self
    }

    /// The account as it was.
    pub fn before(self, account: &Account) -> Self {
        self.state("before", account)
    }

    /// The account as it is now.
    pub fn after(self, account: &Account) -> Self {
        self.state("after", account)
    }

    /// What the account held before and holds now, where nothing else changed.
    pub fn entitlements(mut self, before: &Entitlements, after: &Entitlements) -> Self {
        self.fields.insert("before".to_owned(), json!({ "entitlements": before }));
        self.fields.insert("after".to_owned(), json!({ "entitlements": after }));
        self
    }

    /// A setting's value before and after, as it is written in the configuration (secrets are references there, and
    /// those that are not must be left out by the caller's type).
    pub fn setting(mut self, key: &str, before: Option<&Value>, after: Option<&Value>) -> Self {
        let changes = self.fields.entry("settings").or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(changes) = changes {
            changes.insert(tidy(key), json!({ "before": before, "after": after }));
        }
        self
    }

    /// What the account may do stays when the person is erased, who it is goes.
    fn state(mut self, when: &'static str, account: &Account) -> Self {
        let open = json!({
            "active": account.active, "privileged": account.privileged, "entitlements": account.entitlements,
        });
        self.fields.insert(when.to_owned(), open);
        self.personal.insert(when.to_owned(), json!({ "id": account.id, "profile": account.profile }));
        if !self.personal.contains_key("account") {
            return self.account(account);
        }
        self
    }

    /// The open part, as it is kept.
    pub(super) fn body(&self) -> String {
        let mut actor = Map::new();
        actor.insert("kind".to_owned(), self.actor.kind().into());
        match &self.actor {
            Actor::Person { idp, .. } | Actor::Provider(idp) => {
                actor.insert("idp".to_owned(), idp.as_str().into());
            }
            Actor::Narthex | Actor::Administrator { .. } | Actor::CommandLine => {}
        }
        let mut body = Map::new();
        body.insert("actor".to_owned(), actor.into());
        if let Some((idp, _)) = &self.about {
            body.insert("idp".to_owned(), idp.as_str().into());
        }
        if let Some(id) = &self.error_id {
            body.insert("error_id".to_owned(), id.as_str().into());
        }
        if let Some(code) = self.code {
            body.insert("code".to_owned(), code.into());
        }
        with_room(body, &self.fields)
    }

    /// What is said of who did it, and whose that is.
    pub(super) fn actor_part(&self) -> Option<(Whose, String)> {
        let mut said = Map::new();
        let mut whose = Whose::default();
        match &self.actor {
            Actor::Person { idp, subject } => {
                said.insert("subject".to_owned(), subject.as_str().into());
                whose.identity = Some((idp.clone(), subject.clone()));
                // What is about nobody else is about whoever did it.
                whose.member = self.member.filter(|_| self.about.is_none());
            }
            Actor::Administrator { name, identity } => {
                said.insert("name".to_owned(), tidy(name).into());
                whose.identity.clone_from(identity);
            }
            Actor::Narthex | Actor::Provider(_) | Actor::CommandLine => {}
        }
        if let Some(source) = self.source {
            said.insert("source".to_owned(), source.to_string().into());
        }
        (!said.is_empty()).then(|| (whose, Value::Object(said).to_string()))
    }

    /// What is said of whom it is about, and whose that is.
    pub(super) fn about_part(&self) -> Option<(Whose, String)> {
        if self.personal.is_empty() && self.about.is_none() {
            return None;
        }
        let mut said = Map::new();
        if let Some((_, subject)) = &self.about {
            said.insert("subject".to_owned(), subject.as_str().into());
        }
        let of_actor = match &self.actor {
            Actor::Person { idp, subject } => Some((idp.clone(), subject.clone())),
            Actor::Narthex | Actor::Provider(_) | Actor::Administrator { .. } | Actor::CommandLine => None,
        };
        let whose = Whose { member: self.member, identity: self.about.clone().or(of_actor) };
        Some((whose, with_room(said, &self.personal)))
    }

    /// Writes it to the process log too, where it is whole for whoever collects that.
    pub(super) fn log(&self) {
        use super::event::Weight;
        let (idp, subject) = match (&self.about, &self.actor) {
            (Some((idp, subject)), _) | (None, Actor::Person { idp, subject }) => {
                (Some(idp.as_str()), Some(subject.as_str()))
            }
            (None, Actor::Provider(idp)) => (Some(idp.as_str()), None),
            (None, Actor::Narthex | Actor::Administrator { .. } | Actor::CommandLine) => (None, None),
        };
        let administrator = match &self.actor {
            Actor::Administrator { name, .. } => Some(name.as_str()),
            Actor::Narthex | Actor::Person { .. } | Actor::Provider(_) | Actor::CommandLine => None,
        };
        let details =
            |map: &Map<String, Value>| (!map.is_empty()).then(|| Value::from(map.clone()).to_string());
        macro_rules! write_at {
            ($level:ident) => {
                tracing::$level!(
                    target: "narthex::audit",
                    event = self.event.name(),
                    actor = self.actor.kind(),
                    administrator,
                    idp,
                    subject,
                    member = self.member.map(tracing::field::display),
                    source = self.source.map(tracing::field::display),
                    error_id = self.error_id.as_ref().map(tracing::field::display),
                    code = self.code,
                    details = details(&self.fields),
                    personal = details(&self.personal),
                )
            };
        }
        match self.event.weight() {
            Weight::Usual => write_at!(info),
            Weight::Notable | Weight::Alarming => write_at!(warn),
        }
    }
}

/// `first` and then `more`, as long as there is room: what is too long for the log must not keep the entry out.
fn with_room(first: Map<String, Value>, more: &Map<String, Value>) -> String {
    let mut whole = first;
    let mut room = MAX_BODY;
    let mut left_out = Vec::new();
    for (name, value) in more {
        let size = name.len() + value.to_string().len();
        if size > room {
            left_out.push(Value::String(name.clone()));
            continue;
        }
        room -= size;
        whole.insert(name.clone(), value.clone());
    }
    if !left_out.is_empty() {
        whole.insert("too_long".to_owned(), left_out.into());
    }
    Value::Object(whole).to_string()
}

/// A text of bearable length.
fn tidy(text: &str) -> String {
    if text.len() <= MAX_TEXT {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(MAX_TEXT);
    format!("{}…", text.get(..end).unwrap_or_default())
}
