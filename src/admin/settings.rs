//! The provisioning settings through the API: seen, previewed, changed, exported (PROVISIONING.md M1, M2, M4, L5).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Admin;
use super::answer::{Answer, Page, Wanted};
use super::call::Call;
use super::error::AdminError;
use super::live::{Change, InForce, changes};
use super::routes::Example;
use super::sessions::store_error;
use crate::config::settings::SettingsSource;
use crate::config::written::Sound;
use crate::config::{ConfigErrors, Report};
use crate::observe::audit::Event;
use crate::store::lists::StoredSettings;

/// The settings that hold.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SettingsView {
    /// 0: those of the file. The ETag is made of it.
    pub version: i64,
    /// "store": they can be changed here; "file": only there.
    pub source: String,
    /// Who gave them; absent where they are the file's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
    /// RFC 3339, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<String>,
    /// `[provisioning]` as it was given.
    pub given: Value,
    /// The same with every default filled in.
    pub provisioning: Value,
    /// Where the file says something else: before is the file's, after is what holds.
    pub drift: Vec<ChangeView>,
}

/// One key that is another one.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChangeView {
    /// A key of `[provisioning]`.
    pub key: String,
    /// Absent: it was not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// Absent: it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    pub effect: Effect,
}

/// Whom a change reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Whoever becomes a member from now on.
    NewMembers,
    /// Everybody, at their next sign-in.
    EveryLogin,
    /// Nobody before narthex is started again.
    Restart,
}

/// Keys that do not reach everybody at their next sign-in.
const EFFECTS: &[(&str, Effect)] = &[
    ("default_role", Effect::NewMembers),
    ("onboarding", Effect::NewMembers),
    ("attributes", Effect::NewMembers),
    ("on_existing", Effect::NewMembers),
    ("match_username", Effect::NewMembers),
    ("delete_at_session_end", Effect::NewMembers),
    ("call_timeout", Effect::Restart),
    ("connect_timeout", Effect::Restart),
];

impl Effect {
    /// What a change of `key` reaches under settings that are `synced` with every login or not.
    fn of(key: &str, synced: bool) -> Self {
        let known = EFFECTS.iter().find(|(name, _)| *name == key).map_or(Self::EveryLogin, |(_, one)| *one);
        match known {
            // Sync makes accounts follow at every login what otherwise only their creation looks at (L3).
            Self::NewMembers if synced && matches!(key, "default_role" | "attributes") => Self::EveryLogin,
            known => known,
        }
    }
}

fn is_synced(whole: &Value) -> bool {
    whole.get("sync").is_some_and(|sync| sync != "create_only")
}

fn viewed(change: Change, synced: bool) -> ChangeView {
    let effect = Effect::of(&change.key, synced);
    ChangeView { key: change.key, before: change.before, after: change.after, effect }
}

impl Example for SettingsView {
    fn example() -> Self {
        Self {
            version: 3,
            source: "store".to_owned(),
            changed_by: Some("anna".to_owned()),
            changed_at: Some("2026-01-31T12:00:00Z".to_owned()),
            given: json!({ "mode": "jit", "default_role": "user" }),
            provisioning: json!({ "mode": "jit", "default_role": "user", "unknown_role": "default" }),
            drift: vec![ChangeView {
                key: "mode".to_owned(),
                before: Some(json!("off")),
                after: Some(json!("jit")),
                effect: Effect::EveryLogin,
            }],
        }
    }
}

/// Settings that are thought of.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// The whole of `[provisioning]` as it shall be; what is left out has its default.
    pub provisioning: Value,
}

impl Example for Proposal {
    fn example() -> Self {
        Self { provisioning: json!({ "mode": "jit", "default_role": "user" }) }
    }
}

/// What would change.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Preview {
    /// The version that it would follow.
    pub version: i64,
    /// Empty: nothing would change.
    pub changes: Vec<ChangeView>,
    /// How many members there are.
    pub members: u64,
    /// How many of them their next sign-in may treat otherwise.
    pub members_touched: u64,
    /// What is most probably not meant, as `narthex check` warns of it.
    pub warnings: Vec<String>,
    /// For the change itself: holds for who asked, for this version and for just these settings.
    pub confirmation: String,
    /// RFC 3339, UTC: until then the confirmation is good.
    pub expires_at: String,
}

impl Example for Preview {
    fn example() -> Self {
        let change = ChangeView {
            key: "mode".to_owned(),
            before: Some(json!("off")),
            after: Some(json!("jit")),
            effect: Effect::EveryLogin,
        };
        Self {
            version: 3,
            changes: vec![change],
            members: 120,
            members_touched: 120,
            warnings: Vec::new(),
            confirmation: "eyJieSI6….zGk1u0t9s8rXlRZkYhJ0rA".to_owned(),
            expires_at: "2026-01-31T12:10:00Z".to_owned(),
        }
    }
}

/// A change.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Changing {
    /// As previewed.
    pub provisioning: Value,
    /// As the preview gave it.
    pub confirmation: String,
    /// End all sessions, so that everybody signs in under the new settings. Else they go on as they are.
    #[serde(default)]
    pub end_sessions: bool,
}

impl Example for Changing {
    fn example() -> Self {
        let confirmation = "eyJieSI6….zGk1u0t9s8rXlRZkYhJ0rA".to_owned();
        Self { provisioning: Proposal::example().provisioning, confirmation, end_sessions: false }
    }
}

/// One version of the settings.
#[derive(Debug, Serialize, JsonSchema)]
pub struct VersionView {
    pub version: i64,
    pub changed_by: String,
    /// RFC 3339, UTC.
    pub changed_at: String,
    /// `[provisioning]` as it was given.
    pub given: Value,
}

impl Example for Page<VersionView> {
    fn example() -> Self {
        let version = VersionView {
            version: 3,
            changed_by: "anna".to_owned(),
            changed_at: "2026-01-31T12:00:00Z".to_owned(),
            given: Proposal::example().provisioning,
        };
        Self { items: vec![version], next: None }
    }
}

pub(super) fn show(admin: &Admin) -> Result<Answer, AdminError> {
    shown(admin, &admin.live.now())
}

fn shown(admin: &Admin, now: &InForce) -> Result<Answer, AdminError> {
    let synced = is_synced(&now.whole);
    let view = SettingsView {
        version: now.version.0,
        source: match admin.live.source() {
            SettingsSource::Store => "store".to_owned(),
            SettingsSource::File => "file".to_owned(),
        },
        changed_by: now.changed.as_ref().map(|(by, _)| by.clone()),
        changed_at: now.changed.as_ref().map(|(_, at)| at.to_string()),
        given: now.section.clone(),
        provisioning: now.whole.clone(),
        drift: admin.live.drift().into_iter().map(|change| viewed(change, synced)).collect(),
    };
    Ok(Answer::json(&view)?.of_version(now.version))
}

pub(super) async fn history(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    let wanted = Wanted::of(call)?;
    let rows = admin.store.newest_settings(wanted.after()?, wanted.and_one()).await?;
    let view = |row: StoredSettings| VersionView {
        version: row.version,
        changed_by: row.changed_by,
        changed_at: row.changed_at.to_string(),
        given: serde_json::from_str(&row.section).unwrap_or_default(),
    };
    Answer::json(&wanted.page(rows, |row| row.version.to_string(), view))
}

/// What holds, as it would stand in proxy.toml.
pub(super) fn export(admin: &Admin) -> Result<Answer, AdminError> {
    let now = admin.live.now();
    let text = exported(&now.section).map_err(AdminError::Conflict)?;
    Ok(Answer::text("application/toml", text))
}

/// `[provisioning]` as TOML.
///
/// # Errors
/// What cannot be said in TOML.
pub fn exported(section: &Value) -> Result<String, String> {
    toml::to_string(&json!({ "provisioning": section })).map_err(|error| error.to_string())
}

pub(super) async fn preview(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    let Proposal { provisioning } = call.body()?;
    changeable(admin)?;
    // What others changed a moment ago counts.
    refresh(admin).await?;
    let now = admin.live.now();
    let sound = admissible(admin, &now, &provisioning)?;
    let synced = is_synced(&now.whole) || is_synced(&sound.whole);
    let changes: Vec<ChangeView> =
        changes(&now.whole, &sound.whole).into_iter().map(|change| viewed(change, synced)).collect();
    let members = admin.store.count_members().await?;
    let touches = changes.iter().any(|change| change.effect == Effect::EveryLogin);
    let by = call.by()?.name();
    let at = admin.platform.clock.now();
    let (confirmation, until) = admin.confirmations.issue(by, now.version, &provisioning, at);
    Answer::json(&Preview {
        version: now.version.0,
        changes,
        members,
        members_touched: if touches { members } else { 0 },
        warnings: sound.warnings.problems.into_iter().map(|problem| problem.message).collect(),
        confirmation,
        expires_at: until.to_string(),
    })
}

pub(super) async fn change(admin: &Admin, call: &Call) -> Result<Answer, AdminError> {
    let Changing { provisioning, confirmation, end_sessions } = call.body()?;
    changeable(admin)?;
    refresh(admin).await?;
    let now = admin.live.now();
    call.expects(&now.version)?;
    let by = call.by()?.name();
    let at = admin.platform.clock.now();
    if !admin.confirmations.holds(&confirmation, by, now.version, &provisioning, at) {
        return Err(AdminError::Unconfirmed);
    }
    let sound = admissible(admin, &now, &provisioning)?;
    if !admin.live.put(now.version, &provisioning, by, at).await? {
        refresh(admin).await?;
        return Err(AdminError::VersionChanged { current: admin.live.now().version.tag() });
    }
    let mut entry = call.entry(Event::SettingsChanged);
    for change in changes(&now.whole, &sound.whole) {
        entry = entry.setting(&change.key, change.before.as_ref(), change.after.as_ref());
    }
    admin.audit.record(entry);
    match (mode(&now.whole), mode(&sound.whole)) {
        ("jit", "jit") => {}
        (_, "jit") => admin.audit.record(call.entry(Event::JitEnabled)),
        ("jit", _) => admin.audit.record(call.entry(Event::JitDisabled)),
        _ => {}
    }
    refresh(admin).await?;
    // L5.
    if end_sessions {
        let sessions = admin.sessions.end_all().await.map_err(store_error)?;
        admin.audit.record(call.entry(Event::SessionsEnded).field("sessions", sessions).field("all", true));
    }
    shown(admin, &admin.live.now())
}

/// M4: with `settings.source = "file"` the API only reads.
fn changeable(admin: &Admin) -> Result<(), AdminError> {
    match admin.live.source() {
        SettingsSource::Store => Ok(()),
        SettingsSource::File => Err(AdminError::Conflict(
            "settings.source is \"file\": the settings are changed in the configuration file".to_owned(),
        )),
    }
}

async fn refresh(admin: &Admin) -> Result<(), AdminError> {
    match admin.live.refresh().await {
        Ok(_) => Ok(()),
        Err(super::live::LiveError::Store(error)) => Err(error.into()),
        Err(error) => Err(AdminError::Conflict(error.to_string())),
    }
}

/// The proposed settings, if they are sound and may follow those that hold.
fn admissible(admin: &Admin, now: &InForce, provisioning: &Value) -> Result<Sound, AdminError> {
    let sound = admin.live.sound(provisioning).map_err(unsound)?;
    let (from, to) = (mode(&now.whole), mode(&sound.whole));
    // Its listener and tokens are in the file.
    if (from == "scim") != (to == "scim") {
        let text = "provisioning.mode \"scim\" is switched on and off in the configuration file, with [scim]";
        return Err(AdminError::Conflict(text.to_owned()));
    }
    // M1
    if from != "off" && to != "off" && from != to {
        return Err(AdminError::Conflict(format!(
            "provisioning.mode is {from:?}, which excludes {to:?}: disable it first (mode = \"off\")"
        )));
    }
    // M2
    if from != "jit" && to == "jit" && !admin.providers.iter().any(super::Provider::is_ready) {
        let text =
            "no identity provider's metadata or discovery document has been read yet: nobody could sign in";
        return Err(AdminError::Conflict(text.to_owned()));
    }
    Ok(sound)
}

fn mode(whole: &Value) -> &str {
    whole.get("mode").and_then(Value::as_str).unwrap_or("off")
}

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn unsound(errors: ConfigErrors) -> AdminError {
    AdminError::Unsound { problems: problems(&errors.report) }
}

fn problems(report: &Report) -> Vec<Value> {
    report.json_lines().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
