//! The whole life of a throw-away user, for `connector test` (X2): every operation, seen to have taken
//! effect, and cleaned up whatever happens.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::model::{Account, AccountProfile, EmailAddress, Entitlements};
use crate::platform::Platform;
use crate::provision::connector::{Connector, ConnectorError, EntitlementChange, FindBy, Kind};

use super::{CANNOT, FINE, NOT_SO};

/// What to try.
pub(super) struct Options {
    pub(super) team: Option<String>,
    pub(super) app_group: Option<String>,
    pub(super) permission: Option<String>,
    pub(super) role: Option<String>,
    pub(super) email_domain: String,
    pub(super) privileged: bool,
}

/// What was done and what came of it.
pub(super) struct Life {
    connector: String,
    username: String,
    version: Option<String>,
    steps: Vec<Step>,
    cannot_run: bool,
}

struct Step {
    name: String,
    took: Duration,
    outcome: Outcome,
}

enum Outcome {
    Passed,
    Skipped(String),
    Failed(String),
}

/// Why a step failed.
enum Failure {
    Connector(ConnectorError),
    /// The call was answered as it should, but what it should have changed is not so.
    NotSo(String),
}

impl From<ConnectorError> for Failure {
    fn from(error: ConnectorError) -> Self {
        Self::Connector(error)
    }
}

/// The first failure was noted; nothing further is tried.
struct Stopped;

/// One life while it is led.
struct Leading<'l> {
    connector: &'l dyn Connector,
    options: &'l Options,
    profile: AccountProfile,
    steps: Vec<Step>,
    version: Option<String>,
    made: bool,
}

impl Life {
    pub(super) async fn lead(connector: &dyn Connector, options: &Options, platform: &Platform) -> Self {
        let random = platform.entropy.error_id();
        let username = format!("narthex-test-{random}");
        let attributes = &connector.features().attributes;
        let has = |name: &str| attributes.contains_key(name);
        let others = attributes.iter().filter(|(name, spec)| {
            spec.required && !["username", "email", "display_name"].contains(&name.as_str())
        });
        let profile = AccountProfile {
            email: has("email").then(|| format!("{username}@{}", options.email_domain)),
            display_name: has("display_name").then(|| "narthex test".to_owned()),
            attributes: others.map(|(name, _)| (name.clone(), "narthex test".to_owned())).collect(),
            username: username.clone(),
        };
        let mut leading =
            Leading { connector, options, profile, steps: Vec::new(), version: None, made: false };
        let checked = leading.check().await;
        let cannot_run = checked.is_err();
        if checked.is_ok() {
            let ended = leading.live().await;
            if ended.is_err() {
                leading.clean_up().await;
            }
        }
        let Leading { steps, version, .. } = leading;
        Self { connector: connector.features().name.clone(), username, version, steps, cannot_run }
    }

    pub(super) fn exit(&self) -> u8 {
        match (self.cannot_run, self.passed()) {
            (true, _) => CANNOT,
            (false, false) => NOT_SO,
            (false, true) => FINE,
        }
    }

    fn passed(&self) -> bool {
        !self.steps.iter().any(|step| matches!(step.outcome, Outcome::Failed(_)))
    }

    pub(super) fn json(&self) -> Json {
        let steps = self.steps.iter().map(|step| {
            let (outcome, detail) = step.outcome.words();
            json!({ "step": step.name, "outcome": outcome, "ms": millis(step.took), "detail": detail })
        });
        json!({
            "connector": self.connector,
            "version": self.version,
            "username": self.username,
            "passed": self.passed(),
            "steps": steps.collect::<Vec<_>>(),
        })
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let version = self.version.as_deref().unwrap_or("version unknown");
        let _ = writeln!(text, "{} ({version}), throw-away user {}", self.connector, self.username);
        for step in &self.steps {
            let (outcome, detail) = step.outcome.words();
            let detail = detail.map(|detail| format!(": {detail}")).unwrap_or_default();
            let _ = writeln!(text, "{outcome:<8} {:>5} ms  {}{detail}", millis(step.took), step.name);
        }
        let last = if self.passed() { "everything works" } else { "something does not work" };
        let _ = writeln!(text, "{last}");
        text
    }
}

impl Outcome {
    fn words(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Passed => ("ok", None),
            Self::Skipped(why) => ("skipped", Some(why)),
            Self::Failed(why) => ("FAILED", Some(why)),
        }
    }
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

impl Leading<'_> {
    /// Notes how a step went and gives what it came to.
    fn note<T>(&mut self, name: &str, begun: Instant, result: Result<T, Failure>) -> Result<T, Stopped> {
        let (outcome, result) = match result {
            Ok(value) => (Outcome::Passed, Ok(value)),
            Err(Failure::Connector(error)) => (Outcome::Failed(error.to_string()), Err(Stopped)),
            Err(Failure::NotSo(what)) => (Outcome::Failed(what), Err(Stopped)),
        };
        self.steps.push(Step { name: name.to_owned(), took: begun.elapsed(), outcome });
        result
    }

    fn skip(&mut self, name: &str, why: &str) {
        let outcome = Outcome::Skipped(why.to_owned());
        self.steps.push(Step { name: name.to_owned(), took: Duration::ZERO, outcome });
    }

    async fn check(&mut self) -> Result<(), Stopped> {
        let begun = Instant::now();
        let checked = self.connector.check().await.map_err(Failure::from);
        self.version = self.note("reach the API with the credential", begun, checked)?.version;
        Ok(())
    }

    async fn live(&mut self) -> Result<(), Stopped> {
        let features = self.connector.features().clone();
        self.nobody("find nobody before").await?;
        let begun = Instant::now();
        self.made = true;
        let made = self.connector.create(&self.profile, None).await.map_err(Failure::from);
        let made = self.note("create the account", begun, made)?;
        self.found(&made).await?;
        if features.roles {
            self.roles().await?;
        }
        for kind in [Kind::Team, Kind::AppGroup, Kind::Permission] {
            self.membership(kind).await?;
        }
        if features.owner {
            self.skip("ownership", "there may be one owner only, so it is not tried on a throw-away user");
        }
        if self.profile.display_name.is_some() {
            self.rename().await?;
        } else {
            self.skip("update the account", "its accounts have nothing to update");
        }
        if features.can_deactivate {
            let begun = Instant::now();
            let done = self.deactivated().await;
            self.note("deactivate the account", begun, done)?;
        } else {
            self.skip("deactivate the account", "this application cannot");
        }
        if features.can_delete {
            let begun = Instant::now();
            let done = self.deleted().await;
            self.note("delete the account, twice", begun, done)?;
            self.nobody("find nobody after").await?;
        } else {
            self.skip("delete the account", "this application cannot; please remove it by hand");
        }
        Ok(())
    }

    async fn nobody(&mut self, step: &str) -> Result<(), Stopped> {
        let begun = Instant::now();
        let found = self.by_username().await;
        let result = match found {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(Failure::NotSo("somebody is found".to_owned())),
            Err(failure) => Err(failure),
        };
        self.note(step, begun, result)
    }

    async fn by_username(&self) -> Result<Option<Account>, Failure> {
        Ok(self.connector.find(FindBy::Username(&self.profile.username)).await?.pop())
    }

    /// The account as it is now.
    async fn now(&self) -> Result<Account, Failure> {
        self.by_username().await?.ok_or_else(|| Failure::NotSo("the account is not found".to_owned()))
    }

    async fn found(&mut self, made: &Account) -> Result<(), Stopped> {
        let same = |found: Vec<Account>| match found.as_slice() {
            [one] if one.id == made.id => Ok(()),
            found => Err(Failure::NotSo(format!("{} accounts are found, or another one", found.len()))),
        };
        let begun = Instant::now();
        let found = self.connector.find(FindBy::Username(&self.profile.username)).await;
        self.note("find it by username", begun, found.map_err(Failure::from).and_then(same))?;
        let begun = Instant::now();
        let found = self.connector.find(FindBy::Id(&made.id)).await;
        self.note("find it by id", begun, found.map_err(Failure::from).and_then(same))?;
        if let Some(email) = self.profile.email.as_deref().and_then(|text| EmailAddress::parse(text).ok()) {
            let begun = Instant::now();
            let found = self.connector.find(FindBy::Email(&email)).await;
            self.note("find it by e-mail", begun, found.map_err(Failure::from).and_then(same))?;
        }
        Ok(())
    }

    async fn roles(&mut self) -> Result<(), Stopped> {
        let begun = Instant::now();
        let listed = self.connector.list(Kind::Role).await.map_err(Failure::from);
        let listed = self.note("list the roles", begun, listed)?;
        let mut roles: Vec<(String, bool)> = match listed {
            Some(named) => named.into_iter().map(|role| (role.name, role.privileged)).collect(),
            None => self.options.role.iter().map(|role| (role.clone(), false)).collect(),
        };
        if roles.is_empty() {
            self.skip("set a role", "the application lists none; say one with --role");
        }
        // The plain ones last, so that the user goes on without privilege.
        roles.sort_by_key(|(_, privileged)| !privileged);
        for (role, privileged) in roles {
            let name = format!("set the role {role}");
            if privileged && !self.options.privileged {
                self.skip(&name, "it is privileged; --privileged tries it");
                continue;
            }
            let begun = Instant::now();
            let done = self.role_set(&role, privileged).await;
            self.note(&name, begun, done)?;
        }
        Ok(())
    }

    async fn role_set(&self, role: &str, privileged: bool) -> Result<(), Failure> {
        let change = EntitlementChange { role: Some(role.to_owned()), ..EntitlementChange::default() };
        self.connector.set_entitlements(&self.now().await?, &change).await?;
        let now = self.now().await?;
        if now.entitlements.role.as_deref() != Some(role) {
            return Err(Failure::NotSo(format!("the application says {:?}", now.entitlements.role)));
        }
        if !privileged {
            return Ok(());
        }
        let listed = self.connector.find(FindBy::Privileged).await?;
        let there = now.privileged && listed.iter().any(|account| account.id == now.id);
        if there { Ok(()) } else { Err(Failure::NotSo("it is not among the privileged accounts".to_owned())) }
    }

    async fn membership(&mut self, kind: Kind) -> Result<(), Stopped> {
        let features = self.connector.features();
        let (word, has, wanted) = match kind {
            Kind::Team => ("team", features.teams, &self.options.team),
            Kind::AppGroup => ("group", features.app_groups, &self.options.app_group),
            Kind::Permission => ("permission", features.permissions, &self.options.permission),
            Kind::Role | Kind::TeamRole => return Ok(()),
        };
        if !has {
            return Ok(());
        }
        let wanted = wanted.clone();
        let begun = Instant::now();
        let listed = self.connector.list(kind).await.map_err(Failure::from);
        let listed = self.note(&format!("list the {word}s"), begun, listed)?;
        let first = listed.into_iter().flatten().find(|named| !named.privileged).map(|named| named.name);
        let Some(name) = wanted.or(first) else {
            self.skip(
                &format!("add a {word}"),
                &format!("the application lists none; say one with --{}", option(kind)),
            );
            return Ok(());
        };
        for adding in [true, false] {
            let step =
                if adding { format!("add the {word} {name}") } else { format!("remove the {word} {name}") };
            let begun = Instant::now();
            let done = self.member_set(kind, &name, adding).await;
            self.note(&format!("{step}, twice"), begun, done)?;
        }
        // Once more, so that deleting meets an account that holds something.
        let begun = Instant::now();
        let done = self.member_set(kind, &name, true).await;
        self.note(&format!("add the {word} {name} again"), begun, done)
    }

    async fn member_set(&self, kind: Kind, name: &str, adding: bool) -> Result<(), Failure> {
        let mut held = Entitlements::default();
        match kind {
            Kind::Team => drop(held.teams.insert(name.to_owned(), None)),
            Kind::AppGroup => drop(held.app_groups.insert(name.to_owned())),
            Kind::Permission => drop(held.permissions.insert(name.to_owned())),
            Kind::Role | Kind::TeamRole => {}
        }
        let mut change = EntitlementChange::default();
        *(if adding { &mut change.add } else { &mut change.remove }) = held;
        let account = self.now().await?;
        // Both are idempotent.
        self.connector.set_entitlements(&account, &change).await?;
        self.connector.set_entitlements(&account, &change).await?;
        let now = self.now().await?.entitlements;
        let holds = match kind {
            Kind::Team => now.teams.contains_key(name),
            Kind::AppGroup => now.app_groups.contains(name),
            Kind::Permission => now.permissions.contains(name),
            Kind::Role | Kind::TeamRole => adding,
        };
        if holds == adding {
            return Ok(());
        }
        Err(Failure::NotSo(format!(
            "the application {} it",
            if holds { "still shows" } else { "does not show" }
        )))
    }

    async fn rename(&mut self) -> Result<(), Stopped> {
        let begun = Instant::now();
        let done = self.renamed().await;
        self.note("update the account", begun, done)
    }

    async fn renamed(&self) -> Result<(), Failure> {
        let name = Some("narthex test, renamed".to_owned());
        let before = self.now().await?;
        let change = AccountProfile { display_name: name.clone(), ..AccountProfile::default() };
        self.connector.update(&before, &change).await?;
        let after = self.now().await?;
        let mut expected = before;
        expected.profile.display_name = name;
        if after == expected {
            Ok(())
        } else {
            Err(Failure::NotSo("not just the name is different now".to_owned()))
        }
    }

    async fn deactivated(&self) -> Result<(), Failure> {
        self.connector.deactivate(&self.now().await?).await?;
        let now = self.now().await?;
        if now.active { Err(Failure::NotSo("the account is still active".to_owned())) } else { Ok(()) }
    }

    async fn deleted(&self) -> Result<(), Failure> {
        let account = self.now().await?;
        self.connector.delete(&account).await?;
        self.connector.delete(&account).await?;
        Ok(())
    }

    /// Removes what was made. A create that failed without an answer may have made it all the same.
    async fn clean_up(&mut self) {
        if !self.made || !self.connector.features().can_delete {
            return;
        }
        let begun = Instant::now();
        let done = match self.by_username().await {
            Ok(Some(account)) => self.connector.delete(&account).await.map_err(Failure::from),
            Ok(None) => Ok(()),
            Err(failure) => Err(failure),
        };
        let _ = self.note("clean up", begun, done);
    }
}

fn option(kind: Kind) -> &'static str {
    match kind {
        Kind::Team => "team",
        Kind::AppGroup => "app-group",
        Kind::Permission => "permission",
        Kind::Role | Kind::TeamRole => "role",
    }
}
