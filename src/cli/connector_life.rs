//! The whole life of a throw-away user, for `connector test` (X2): every operation, seen to have taken
//! effect, and cleaned up whatever happens.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::model::{Account, AccountProfile, EmailAddress, Entitlements};
use crate::platform::Platform;
use crate::provision::connector::{
    AttributeShape, Connector, ConnectorError, EntitlementChange, FindBy, Kind,
};

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
        let name = format!("narthex-test-{random}");
        let attributes = &connector.features().attributes;
        let has = |name: &str| attributes.contains_key(name);
        let email = format!("{name}@{}", options.email_domain);
        let known_by_email =
            attributes.get("username").is_some_and(|spec| spec.shape == AttributeShape::Email);
        let username = if known_by_email { email.clone() } else { name };
        let others = attributes.iter().filter(|(name, spec)| {
            spec.required && !["username", "email", "display_name"].contains(&name.as_str())
        });
        let profile = AccountProfile {
            email: has("email").then_some(email),
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
        match self.renaming() {
            Some(change) => self.rename(change).await?,
            None => self.skip("update the account", "its accounts have nothing to update"),
        }
        if features.can_deactivate {
            let begun = Instant::now();
            let done = self.deactivated().await;
            self.note("deactivate the account", begun, done)?;
        } else {
            self.skip("deactivate the account", "this application cannot");
        }
        if features.can_reactivate {
            let begun = Instant::now();
            let done = self.reactivated().await;
            self.note("reactivate the account", begun, done)?;
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

    /// A change of the display name; of another text where there is none.
    fn renaming(&self) -> Option<AccountProfile> {
        let name = "narthex test, renamed".to_owned();
        let mut change = AccountProfile::default();
        if self.profile.display_name.is_some() {
            change.display_name = Some(name);
            return Some(change);
        }
        let texts = &self.connector.features().attributes;
        let (text, _) = texts.iter().find(|(_, spec)| spec.shape == AttributeShape::Text)?;
        change.attributes.insert(text.clone(), name);
        Some(change)
    }

    async fn rename(&mut self, change: AccountProfile) -> Result<(), Stopped> {
        let begun = Instant::now();
        let done = self.renamed(change).await;
        self.note("update the account", begun, done)
    }

    async fn renamed(&self, change: AccountProfile) -> Result<(), Failure> {
        let before = self.now().await?;
        self.connector.update(&before, &change).await?;
        let after = self.now().await?;
        let mut expected = before;
        expected.profile.display_name = change.display_name.or(expected.profile.display_name);
        expected.profile.attributes.extend(change.attributes);
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

    /// Twice, since a job that lost its answer does it again; and nothing else of the account may differ from
    /// before it was deactivated.
    async fn reactivated(&self) -> Result<(), Failure> {
        let before = self.now().await?;
        self.connector.reactivate(&before).await?;
        self.connector.reactivate(&before).await?;
        let now = self.now().await?;
        if now == (Account { active: true, ..before }) {
            Ok(())
        } else {
            Err(Failure::NotSo("the account is not active again with what it had".to_owned()))
        }
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::model::AccountId;
    use crate::provision::connector::{AttributeSpec, Checked, Features, Named};

    /// An application with one account at most, and one thing that it does wrong.
    struct Small {
        features: Features,
        wrong: &'static str,
        account: Mutex<Option<Account>>,
        deleted: Mutex<usize>,
    }

    fn refused() -> ConnectorError {
        ConnectorError::Refused { operation: "do it", status: 500, excerpt: "broken".to_owned() }
    }

    #[async_trait]
    impl Connector for Small {
        fn features(&self) -> &Features {
            &self.features
        }

        async fn find(&self, by: FindBy<'_>) -> Result<Vec<Account>, ConnectorError> {
            let account = self.account.lock().unwrap().clone();
            if matches!(by, FindBy::Id(_)) && self.wrong == "find by id" {
                return Ok(Vec::new());
            }
            Ok(account.into_iter().collect())
        }

        async fn create(&self, wanted: &AccountProfile, _: Option<&str>) -> Result<Account, ConnectorError> {
            let account = Account {
                id: AccountId("1".to_owned()),
                profile: wanted.clone(),
                active: true,
                privileged: false,
                entitlements: Entitlements::default(),
            };
            *self.account.lock().unwrap() = Some(account.clone());
            if self.wrong == "create" { Err(refused()) } else { Ok(account) }
        }

        async fn update(&self, _: &Account, profile: &AccountProfile) -> Result<(), ConnectorError> {
            if let Some(account) = self.account.lock().unwrap().as_mut() {
                account.profile.display_name.clone_from(&profile.display_name);
                account.active = self.wrong != "update";
            }
            Ok(())
        }

        async fn set_entitlements(
            &self,
            _: &Account,
            change: &EntitlementChange,
        ) -> Result<(), ConnectorError> {
            if let Some(account) = self.account.lock().unwrap().as_mut() {
                let held = &mut account.entitlements;
                if let Some(role) = change.role.clone().filter(|_| self.wrong != "role") {
                    account.privileged = role == "admin";
                    held.role = Some(role);
                }
                held.teams.extend(change.add.teams.clone());
                held.teams.retain(|team, _| !change.remove.teams.contains_key(team) || self.wrong == "team");
            }
            Ok(())
        }

        async fn create_team(&self, _: &str) -> Result<(), ConnectorError> {
            Err(refused())
        }

        async fn deactivate(&self, _: &Account) -> Result<(), ConnectorError> {
            if let Some(account) = self.account.lock().unwrap().as_mut() {
                account.active = self.wrong == "deactivate";
            }
            Ok(())
        }

        async fn reactivate(&self, _: &Account) -> Result<(), ConnectorError> {
            if let Some(account) = self.account.lock().unwrap().as_mut() {
                account.active = self.wrong != "reactivate";
            }
            Ok(())
        }

        async fn transfer(&self, _: &Account, _: &Account) -> Result<(), ConnectorError> {
            Err(refused())
        }

        async fn delete(&self, _: &Account) -> Result<(), ConnectorError> {
            *self.deleted.lock().unwrap() += 1;
            if self.wrong != "delete" {
                *self.account.lock().unwrap() = None;
            }
            Ok(())
        }

        async fn list(&self, kind: Kind) -> Result<Option<Vec<Named>>, ConnectorError> {
            let named = |name: &str| Named { name: name.to_owned(), privileged: name == "admin" };
            Ok(match kind {
                Kind::Role => Some(vec![named("user"), named("admin")]),
                Kind::Team => Some(vec![named("admin"), named("readers")]),
                Kind::TeamRole | Kind::AppGroup | Kind::Permission => None,
            })
        }

        async fn check(&self) -> Result<Checked, ConnectorError> {
            if self.wrong == "check" {
                return Err(refused());
            }
            Ok(Checked { version: Some("1.2".to_owned()), own_account: None })
        }
    }

    async fn lead(wrong: &'static str, privileged: bool) -> (Life, Small) {
        let attribute = AttributeSpec { required: true, claims: Vec::new(), shape: AttributeShape::Text };
        let features = Features {
            roles: true,
            teams: true,
            can_deactivate: true,
            can_reactivate: true,
            can_delete: true,
            attributes: ["username", "email", "display_name"]
                .map(|name| (name.to_owned(), attribute.clone()))
                .into(),
            ..Features::default()
        };
        let small = Small { features, wrong, account: Mutex::default(), deleted: Mutex::default() };
        let options = Options {
            team: None,
            app_group: None,
            permission: None,
            role: None,
            email_domain: "example.com".to_owned(),
            privileged,
        };
        let life = Life::lead(&small, &options, &Platform::system()).await;
        (life, small)
    }

    #[tokio::test]
    async fn x2_a_whole_life_passes_and_leaves_nothing() {
        let (life, small) = lead("nothing", true).await;
        assert_eq!(life.exit(), FINE, "{}", life.text());
        assert!(small.account.lock().unwrap().is_none());
        let json = life.json();
        assert_eq!((&json["passed"], &json["version"]), (&json!(true), &json!("1.2")));
        assert!(json["username"].as_str().unwrap().starts_with("narthex-test-"));
        assert!(json["steps"].as_array().unwrap().iter().any(|step| step["step"] == "set the role admin"));
        assert!(life.text().contains("add the team readers, twice"), "{}", life.text());
    }

    #[tokio::test]
    async fn x2_a_privileged_role_is_tried_only_on_demand() {
        let (life, _) = lead("nothing", false).await;
        assert!(life.text().contains("skipped      0 ms  set the role admin"), "{}", life.text());
        assert_eq!(life.exit(), FINE);
    }

    #[tokio::test]
    async fn x2_what_did_not_take_effect_fails_and_is_cleaned_up() {
        for wrong in ["create", "find by id", "role", "team", "update", "deactivate", "reactivate"] {
            let (life, small) = lead(wrong, false).await;
            assert_eq!(life.exit(), NOT_SO, "{wrong}: {}", life.text());
            assert!(small.account.lock().unwrap().is_none(), "{wrong}");
            assert_eq!(*small.deleted.lock().unwrap(), 1, "{wrong}");
            assert!(life.text().contains("clean up"), "{wrong}: {}", life.text());
        }
        let (life, _) = lead("delete", false).await;
        assert_eq!(life.exit(), NOT_SO);
        assert!(life.text().contains("find nobody after: somebody is found"), "{}", life.text());
    }

    #[tokio::test]
    async fn x2_an_api_that_cannot_be_asked_makes_nothing() {
        let (life, small) = lead("check", false).await;
        assert_eq!(life.exit(), CANNOT);
        assert!(small.account.lock().unwrap().is_none());
        assert_eq!(life.steps.len(), 1);
    }
}
