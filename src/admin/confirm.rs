//! The confirmation of a change: a token from the preview, for this person, this version and just this change
//! (PROVISIONING.md M4).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::Version;
use crate::model::UnixTime;
use crate::platform::KeyRing;
use crate::platform::crypto::{Mac, Purpose, sha256};

/// How long a preview may be looked at.
pub const WAITS: Duration = Duration::from_mins(10);

/// Makes and checks confirmations; nothing is stored.
pub struct Confirmations {
    mac: Mac,
}

#[derive(Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Said {
    by: String,
    version: i64,
    /// Of what is to be put, in one spelling.
    digest: String,
    until: UnixTime,
}

impl Confirmations {
    #[must_use]
    pub fn new(keys: &KeyRing) -> Self {
        Self { mac: keys.mac(Purpose::Confirmation) }
    }

    /// For `by` to put `section` in the place of `version`, until [`WAITS`] from `now`.
    #[must_use]
    pub fn issue(&self, by: &str, version: Version, section: &Value, now: UnixTime) -> (String, UnixTime) {
        let until = now.after(WAITS);
        let said = Said { by: by.to_owned(), version: version.0, digest: digest(section), until };
        let said = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&said).unwrap_or_default());
        let tag = URL_SAFE_NO_PAD.encode(self.mac.tag(said.as_bytes()));
        (format!("{said}.{tag}"), until)
    }

    /// Whether `token` is for exactly this.
    #[must_use]
    pub fn holds(&self, token: &str, by: &str, version: Version, section: &Value, now: UnixTime) -> bool {
        let read = || {
            let (said, tag) = token.split_once('.')?;
            let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
            if !self.mac.verify(said.as_bytes(), &tag) {
                return None;
            }
            serde_json::from_slice::<Said>(&URL_SAFE_NO_PAD.decode(said).ok()?).ok()
        };
        read().is_some_and(|said| {
            said.by == by && said.version == version.0 && said.digest == digest(section) && now < said.until
        })
    }
}

/// The same for one value however its keys are ordered.
fn digest(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(sha256(sorted(value).to_string().as_bytes()))
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Object(map) => {
            let mut pairs: Vec<(&String, &Value)> = map.iter().collect();
            pairs.sort_by_key(|(key, _)| *key);
            Value::Object(pairs.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: UnixTime = UnixTime(1_800_000_000);

    #[test]
    fn m4_a_confirmation_is_for_one_person_one_version_one_change_and_ten_minutes() {
        let confirmations = Confirmations::new(&KeyRing::new(&[1; 32]));
        let section = json!({ "mode": "jit", "onboarding": { "teams": ["a"], "app_groups": [] } });
        let (token, until) = confirmations.issue("anna", Version(3), &section, NOW);
        assert_eq!(until, NOW.after(WAITS));
        let reordered = json!({ "onboarding": { "app_groups": [], "teams": ["a"] }, "mode": "jit" });
        assert!(confirmations.holds(&token, "anna", Version(3), &section, NOW));
        assert!(confirmations.holds(&token, "anna", Version(3), &reordered, NOW));
        let other = json!({ "mode": "jit", "onboarding": { "teams": ["b"], "app_groups": [] } });
        assert!(!confirmations.holds(&token, "berta", Version(3), &section, NOW));
        assert!(!confirmations.holds(&token, "anna", Version(4), &section, NOW));
        assert!(!confirmations.holds(&token, "anna", Version(3), &other, NOW));
        assert!(!confirmations.holds(&token, "anna", Version(3), &section, until));
        let foreign = Confirmations::new(&KeyRing::new(&[2; 32]));
        assert!(!foreign.holds(&token, "anna", Version(3), &section, NOW));
        for wrong in ["", ".", "x.y", token.split_once('.').unwrap().0] {
            assert!(!confirmations.holds(wrong, "anna", Version(3), &section, NOW), "{wrong}");
        }
    }
}
