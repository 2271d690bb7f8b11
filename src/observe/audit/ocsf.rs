//! An entry as an event of the Open Cybersecurity Schema Framework (<https://schema.ocsf.io>, 1.3.0).

use serde_json::{Map, Value, json};

use super::event::{Event, Weight};
use crate::model::AuditRecord;
use crate::model::audit::PartRole;

/// The schema's version that the events follow.
const SCHEMA: &str = "1.3.0";
/// Every class's activity for what it has no name for.
const OTHER: u64 = 99;

/// The event classes in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    DetectionFinding,
    AccountChange,
    Authentication,
    EntityManagement,
    UserAccess,
    ApplicationLifecycle,
    ApiActivity,
}

impl Class {
    /// `class_uid`, whose thousands are `category_uid`.
    fn uid(self) -> u64 {
        match self {
            Self::DetectionFinding => 2004,
            Self::AccountChange => 3001,
            Self::Authentication => 3002,
            Self::EntityManagement => 3004,
            Self::UserAccess => 3005,
            Self::ApplicationLifecycle => 6002,
            Self::ApiActivity => 6003,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::DetectionFinding => "Detection Finding",
            Self::AccountChange => "Account Change",
            Self::Authentication => "Authentication",
            Self::EntityManagement => "Entity Management",
            Self::UserAccess => "User Access Management",
            Self::ApplicationLifecycle => "Application Lifecycle",
            Self::ApiActivity => "API Activity",
        }
    }

    fn category(self) -> &'static str {
        match self {
            Self::DetectionFinding => "Findings",
            Self::AccountChange | Self::Authentication | Self::EntityManagement | Self::UserAccess => {
                "Identity & Access Management"
            }
            Self::ApplicationLifecycle | Self::ApiActivity => "Application Activity",
        }
    }
}

/// What an event is in the schema: class, `activity_id` and its caption, and whether it came off.
type Kind = (Class, u64, &'static str, bool);

fn kind(event: Event) -> Kind {
    use Class::{
        AccountChange, ApiActivity, ApplicationLifecycle, Authentication, DetectionFinding, EntityManagement,
        UserAccess,
    };
    match event {
        Event::Login | Event::AdmittedOnRecord | Event::AdministratorLogin => {
            (Authentication, 1, "Logon", true)
        }
        Event::LoginRefused | Event::LoginsRefused | Event::BlockedEmail => {
            (Authentication, 1, "Logon", false)
        }
        Event::Logout | Event::SessionsEnded => (Authentication, 2, "Logoff", true),

        Event::AccountCreated | Event::AccountRecreated => (AccountChange, 1, "Create", true),
        Event::AccountReactivated | Event::MemberUnblocked => (AccountChange, 2, "Enable", true),
        Event::AccountDeactivated | Event::AccessRevoked => (AccountChange, 5, "Disable", true),
        Event::AccountDeleted => (AccountChange, 6, "Delete", true),
        Event::MemberBlocked => (AccountChange, 9, "Lock", true),
        Event::AccountCompleted
        | Event::AccountAdopted
        | Event::AccountUpdated
        | Event::AccountTransferred
        | Event::AccountVanished
        | Event::MemberLinked
        | Event::MemberChanged
        | Event::MemberErased
        | Event::MemberAbsent
        | Event::ShadowOutcome => (AccountChange, OTHER, "Other", true),
        Event::ProvisioningRefused | Event::ProfileKept => (AccountChange, OTHER, "Other", false),

        Event::RoleBorrowed => (UserAccess, 1, "Assign Privileges", true),
        Event::EntitlementSkipped => (UserAccess, 1, "Assign Privileges", false),
        Event::RoleRestored => (UserAccess, 2, "Revoke Privileges", true),
        Event::RoleKept | Event::RemovalRefused => (UserAccess, 2, "Revoke Privileges", false),
        Event::DriftFound | Event::DriftRepaired => (UserAccess, OTHER, "Other", true),

        Event::TeamCreated
        | Event::CaseOpened
        | Event::InviteCreated
        | Event::TokenMade
        | Event::SigningKeyMade => (EntityManagement, 1, "Create", true),
        Event::CaseDecided
        | Event::InviteChanged
        | Event::InviteSent
        | Event::InviteUsed
        | Event::SettingsChanged
        | Event::ConfigurationReloaded
        | Event::JitEnabled
        | Event::JitDisabled
        | Event::JobDecided
        | Event::ScimChanged => (EntityManagement, 3, "Update", true),
        Event::JobStuck | Event::ConfigurationRefused => (EntityManagement, 3, "Update", false),
        Event::InviteRevoked | Event::TokenRevoked | Event::ScimDeleted => {
            (EntityManagement, 4, "Delete", true)
        }

        Event::AdministratorRefused | Event::ScimRefused => (ApiActivity, OTHER, "Other", false),

        Event::RequestsRefused | Event::HeaderAliasRemoved | Event::HeaderValueRefused => {
            (DetectionFinding, 1, "Create", true)
        }

        Event::ChainBegan => (ApplicationLifecycle, 3, "Start", true),
        Event::ChainEnded => (ApplicationLifecycle, 4, "Stop", true),
        Event::HeadsNoted | Event::RemovalsPaused | Event::RemovalsResumed => {
            (ApplicationLifecycle, OTHER, "Other", true)
        }
        Event::Gap | Event::NotificationLost => (ApplicationLifecycle, OTHER, "Other", false),
    }
}

/// What kind of thing an entity event is about.
fn entity_type(event: Event) -> &'static str {
    match event {
        Event::TeamCreated => "team",
        Event::CaseOpened | Event::CaseDecided => "case",
        Event::InviteCreated
        | Event::InviteChanged
        | Event::InviteSent
        | Event::InviteUsed
        | Event::InviteRevoked => "invite",
        Event::TokenMade | Event::TokenRevoked => "token",
        Event::SigningKeyMade => "signing key",
        Event::JobStuck | Event::JobDecided => "job",
        Event::ScimChanged | Event::ScimDeleted => "SCIM resource",
        _ => "settings",
    }
}

/// The entry as an OCSF event. What the schema has no place for is under `unmapped`.
#[must_use]
pub fn event(record: &AuditRecord) -> Value {
    let body: Map<String, Value> = serde_json::from_str(&record.body).unwrap_or_default();
    let known: Option<Event> = record.event.parse().ok();
    // An entry of a newer version.
    let (class, activity, activity_name, success) =
        known.map_or((Class::ApplicationLifecycle, OTHER, "Other", true), kind);
    let severity = match known.map(Event::weight) {
        Some(Weight::Alarming) => (4, "High"),
        Some(Weight::Notable) => (2, "Low"),
        Some(Weight::Usual) | None => (1, "Informational"),
    };
    let product =
        json!({ "name": "narthex", "vendor_name": "narthex", "version": env!("CARGO_PKG_VERSION") });
    let meaning = match known {
        Some(known) => known.meaning(),
        None => record.event.as_str(),
    };
    let mut whole = Map::new();
    let mut put = |name: &str, value: Value| drop(whole.insert(name.to_owned(), value));
    put("class_uid", json!(class.uid()));
    put("class_name", json!(class.name()));
    put("category_uid", json!(class.uid() / 1000));
    put("category_name", json!(class.category()));
    put("activity_id", json!(activity));
    put("activity_name", json!(activity_name));
    put("type_uid", json!(class.uid() * 100 + activity));
    put("type_name", json!(format!("{}: {activity_name}", class.name())));
    put("severity_id", json!(severity.0));
    put("severity", json!(severity.1));
    put("status_id", json!(if success { 1 } else { 2 }));
    put("status", json!(if success { "Success" } else { "Failure" }));
    put("time", json!(record.at.0.saturating_mul(1000)));
    put("message", json!(meaning));
    put(
        "metadata",
        json!({
            "version": SCHEMA,
            "product": product,
            "uid": format!("{}:{}", record.chain, record.sequence),
            "sequence": record.sequence,
            "log_name": "audit",
            "event_code": record.event,
        }),
    );
    if let Some(code) = body.get("code") {
        put("status_code", code.clone());
    }
    if let Some(count) = body.get("count") {
        put("count", count.clone());
    }
    put("actor", actor(record, &body));
    let source = said(record, PartRole::Actor).and_then(|said| said.get("source").cloned());
    if let Some(ip) = &source {
        put("src_endpoint", json!({ "ip": ip }));
    }
    match class {
        Class::Authentication => {
            put("user", user(record, &body));
            put("service", json!({ "name": "narthex" }));
            put("is_remote", json!(true));
        }
        Class::AccountChange => put("user", user(record, &body)),
        Class::UserAccess => {
            put("user", user(record, &body));
            put("privileges", privileges(&body));
        }
        Class::EntityManagement => {
            let kind = known.map_or("settings", entity_type);
            let named = ["name", "team", "kid", "job", "invite", "id"].iter().find_map(|key| body.get(*key));
            let name = named.and_then(Value::as_str).unwrap_or(kind);
            put("entity", json!({ "name": name, "type": kind, "data": body.get("settings") }));
        }
        Class::ApplicationLifecycle => put("app", product),
        Class::ApiActivity => {
            let operation = body.get("operation").and_then(Value::as_str).unwrap_or("admin API");
            put("api", json!({ "operation": operation }));
            if source.is_none() {
                put("src_endpoint", json!({ "name": "unknown" }));
            }
        }
        Class::DetectionFinding => {
            let uid = format!("{}:{}", record.chain, record.sequence);
            put("finding_info", json!({ "title": meaning, "uid": uid }));
        }
    }
    let mut unmapped = Map::new();
    unmapped.insert("body".to_owned(), Value::Object(body));
    for role in PartRole::ALL {
        if let Some(said) = said(record, role) {
            unmapped.insert(role.as_str().to_owned(), Value::Object(said));
        }
    }
    put("unmapped", Value::Object(unmapped));
    Value::Object(whole)
}

fn said(record: &AuditRecord, role: PartRole) -> Option<Map<String, Value>> {
    serde_json::from_str(&record.part(role)?.said.as_ref()?.text).ok()
}

fn actor(record: &AuditRecord, body: &Map<String, Value>) -> Value {
    let actor = body.get("actor").and_then(Value::as_object);
    let text = |key: &str| actor.and_then(|actor| actor.get(key)).and_then(Value::as_str);
    let said = said(record, PartRole::Actor).unwrap_or_default();
    let words = |key: &str| said.get(key).and_then(Value::as_str);
    match text("kind") {
        Some("person") => {
            let idp = text("idp").unwrap_or("unknown");
            json!({ "user": { "uid": words("subject").unwrap_or("erased") }, "idp": { "uid": idp, "name": idp } })
        }
        Some("administrator") => {
            json!({ "user": { "name": words("name").unwrap_or("erased"), "type_id": 2 } })
        }
        Some("identity_provider") => {
            let idp = text("idp").unwrap_or("unknown");
            json!({ "app_name": idp, "idp": { "uid": idp, "name": idp } })
        }
        Some("command_line") => json!({ "app_name": "narthex command line" }),
        Some(_) | None => json!({ "app_name": "narthex" }),
    }
}

/// Whom it is about: whoever did it, where it is about nobody else.
fn user(record: &AuditRecord, body: &Map<String, Value>) -> Value {
    let about = said(record, PartRole::About).unwrap_or_default();
    let actor = said(record, PartRole::Actor).unwrap_or_default();
    let mut user = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value.filter(|value| !value.is_null()) {
            user.insert(key.to_owned(), value);
        }
    };
    put("uid", record.member.map(|member| member.to_string().into()));
    put("uid_alt", about.get("subject").or_else(|| actor.get("subject")).cloned());
    let account = about.get("account");
    put("name", account.and_then(|account| account.get("username")).cloned());
    let after = about.get("after").or_else(|| about.get("before"));
    put("email_addr", after.and_then(|state| state.get("profile")?.get("email")).cloned());
    let account = account.and_then(|account| account.get("id")).map(|id| json!({ "uid": id }));
    put("account", account);
    let idp = body.get("idp").or_else(|| body.get("actor")?.get("idp"));
    put("domain", idp.cloned());
    if !(user.contains_key("uid") || user.contains_key("name")) {
        // The schema wants one of them.
        let name = user.get("uid_alt").cloned().unwrap_or_else(|| "unknown".into());
        user.insert("name".to_owned(), name);
    }
    Value::Object(user)
}

/// Role, teams and the like, as texts; the schema wants at least one.
fn privileges(body: &Map<String, Value>) -> Value {
    let mut found = Vec::new();
    for key in ["entitlement", "role", "team"] {
        if let Some(text) = body.get(key).and_then(Value::as_str) {
            found.push(format!("{key}: {text}"));
        }
    }
    let held = body.get("after").and_then(|after| after.get("entitlements"));
    if let Some(role) = held.and_then(|held| held.get("role")).and_then(Value::as_str) {
        found.push(format!("role: {role}"));
    }
    if let Some(teams) = held.and_then(|held| held.get("teams")).and_then(Value::as_object) {
        found.extend(teams.keys().map(|team| format!("team: {team}")));
    }
    if found.is_empty() {
        found.push("none named".to_owned());
    }
    json!(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::audit::{AuditPart, Said, Whose};
    use crate::model::{ChainId, MemberId, UnixTime};

    fn record(event: &str, body: &str, actor: Option<&str>, about: Option<&str>) -> AuditRecord {
        let part = |text: &str| AuditPart {
            digest: [0; 32],
            said: Some(Said { whose: Whose::default(), salt: [0; 32], text: text.to_owned() }),
        };
        AuditRecord {
            chain: ChainId(uuid::Uuid::from_bytes([7; 16])),
            sequence: 3,
            at: UnixTime(1_800_000_000),
            event: event.to_owned(),
            member: Some(MemberId(uuid::Uuid::from_bytes([1; 16]))),
            body: body.to_owned(),
            actor: actor.map(part),
            about: about.map(part),
            previous: [0; 32],
            hash: [0; 32],
        }
    }

    /// What the schema says is required of a class, and that at least one of each group must be there.
    fn required(class: u64) -> (Vec<&'static str>, Vec<[&'static str; 2]>) {
        let mut always =
            vec!["activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"];
        let mut one_of = Vec::new();
        match class {
            2004 => always.push("finding_info"),
            3001 => always.push("user"),
            3002 => {
                always.push("user");
                one_of.push(["service", "dst_endpoint"]);
            }
            3004 => always.push("entity"),
            3005 => always.extend(["user", "privileges"]),
            6002 => always.push("app"),
            6003 => always.extend(["actor", "api", "src_endpoint"]),
            other => panic!("class {other}"),
        }
        (always, one_of)
    }

    /// The activities that each class of 1.3.0 names.
    fn activities(class: u64) -> std::ops::RangeInclusive<u64> {
        match class {
            2004 => 1..=3,
            3001 => 1..=11,
            3002 => 1..=6,
            3005 => 1..=2,
            6002 => 1..=8,
            3004 | 6003 => 1..=4,
            other => panic!("class {other}"),
        }
    }

    #[test]
    fn s3_every_event_has_what_its_class_requires() {
        let erased = |part: Option<AuditPart>| part.map(|part| AuditPart { said: None, ..part });
        for known in Event::ALL {
            let whole = record(
                known.name(),
                r#"{"actor":{"kind":"person","idp":"corp"},"count":2}"#,
                Some(r#"{"subject":"ada","source":"192.0.2.1"}"#),
                Some(r#"{"account":{"id":"1","username":"ada"}}"#),
            );
            let bare = AuditRecord {
                member: None,
                body: "no json".to_owned(),
                actor: erased(whole.actor.clone()),
                about: None,
                ..whole.clone()
            };
            for record in [whole, bare] {
                let event = event(&record);
                let number = |key: &str| event[key].as_u64().unwrap_or_else(|| panic!("{known}: {key}"));
                let class = number("class_uid");
                let (always, one_of) = required(class);
                for key in always {
                    assert!(event.get(key).is_some_and(|value| !value.is_null()), "{known}: {key}");
                }
                for group in one_of {
                    assert!(group.iter().any(|key| event.get(key).is_some()), "{known}: one of {group:?}");
                }
                assert_eq!(number("category_uid"), class / 1000, "{known}");
                assert_eq!(number("type_uid"), class * 100 + number("activity_id"), "{known}");
                assert!(
                    number("activity_id") == 99 || activities(class).contains(&number("activity_id")),
                    "{known}"
                );
                assert!((1..=6).contains(&number("severity_id")) && (1..=2).contains(&number("status_id")));
                assert_eq!(number("time"), 1_800_000_000_000);
                assert!(
                    event["metadata"]["version"].is_string()
                        && event["metadata"]["product"]["vendor_name"].is_string()
                );
                if let Some(user) = event.get("user") {
                    assert!(
                        user.get("uid").or(user.get("name")).is_some_and(Value::is_string),
                        "{known}: {user}"
                    );
                }
                if let Some(list) = event.get("privileges") {
                    assert!(!list.as_array().unwrap().is_empty(), "{known}");
                }
            }
        }
    }

    #[test]
    fn s3_a_sign_in_is_an_authentication_of_the_person() {
        let login = event(&record(
            "login",
            r#"{"actor":{"kind":"person","idp":"corp"}}"#,
            Some(r#"{"subject":"ada","source":"192.0.2.1"}"#),
            None,
        ));
        assert_eq!(login["type_uid"], 300_201);
        assert_eq!(login["user"]["uid"], "01010101-0101-0101-0101-010101010101");
        assert_eq!((&login["user"]["uid_alt"], &login["user"]["domain"]), (&json!("ada"), &json!("corp")));
        assert_eq!(login["src_endpoint"], json!({ "ip": "192.0.2.1" }));
        assert_eq!(login["actor"]["user"]["uid"], "ada");
        assert_eq!(login["metadata"]["uid"], "07070707-0707-0707-0707-070707070707:3");
    }

    #[test]
    fn s3_an_entry_of_a_newer_version_is_exported_all_the_same() {
        let event = event(&record("invented_later", "{}", None, None));
        assert_eq!((&event["class_uid"], &event["message"]), (&json!(6002), &json!("invented_later")));
    }
}
