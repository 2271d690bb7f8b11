//! The provisioning settings that hold now: the file's, or those that administrators gave at run time
//! (PROVISIONING.md M4).

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use serde_json::{Map, Value};

use super::answer::Version;
use crate::config::settings::{Provisioning, SettingsSource};
use crate::config::written::Sound;
use crate::config::{ConfigErrors, Settings, Written};
use crate::model::UnixTime;
use crate::provision::connector::Features;
use crate::store::lists::StoredSettings;
use crate::store::{Store, StoreError};

/// What a connector can do, by its name.
pub type FeaturesOf = dyn Fn(&str) -> Option<Features> + Send + Sync;

/// What is done with settings that begin to hold.
pub type Apply = dyn Fn(&Provisioning) + Send + Sync;

/// The settings that hold, and how they came about.
#[derive(Debug, Clone)]
pub struct InForce {
    /// 0: those of the file.
    pub version: Version,
    pub settings: Provisioning,
    /// `[provisioning]` as given.
    pub section: Value,
    /// With every default filled in.
    pub whole: Value,
    /// Who gave them, where they are not the file's.
    pub changed: Option<(String, UnixTime)>,
}

/// The stored settings cannot hold.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// They were sound when they were put; the file around them, or narthex, is another one now.
    #[error(
        "the settings in the store (version {version}) do not fit this configuration; correct it, or write \
         source = \"file\" in [settings] to go by the file: {errors}"
    )]
    Unsound { version: i64, errors: ConfigErrors },
    #[error("the settings in the store (version {version}) are no JSON: {reason}")]
    Unreadable { version: i64, reason: String },
}

/// The settings that hold, picked up from the store when they change there.
pub struct Live {
    written: Written,
    source: SettingsSource,
    features: Box<FeaturesOf>,
    store: Arc<dyn Store>,
    now: ArcSwap<InForce>,
    /// A version that cannot hold, so that it is told once.
    refused: AtomicI64,
    apply: OnceLock<Box<Apply>>,
}

impl Live {
    /// The store's settings where it has any and is the source, else the file's.
    ///
    /// # Errors
    /// Where the store cannot be read, or what it holds does not fit.
    pub async fn open(
        settings: &Settings,
        features: Box<FeaturesOf>,
        store: Arc<dyn Store>,
    ) -> Result<Self, LiveError> {
        let written = settings.written.clone();
        let file = InForce {
            version: Version(0),
            settings: settings.provisioning.clone(),
            section: written.section(),
            whole: written.whole().clone(),
            changed: None,
        };
        let live = Self {
            written,
            source: settings.settings_source,
            features,
            store,
            now: ArcSwap::from_pointee(file),
            refused: AtomicI64::new(0),
            apply: OnceLock::new(),
        };
        live.take().await?;
        Ok(live)
    }

    /// What is done with settings that begin to hold from now on. Said once.
    pub fn on_change(&self, apply: Box<Apply>) {
        if self.apply.set(apply).is_err() {
            tracing::error!("two would apply the settings; the first does");
        }
    }

    #[must_use]
    pub fn now(&self) -> Arc<InForce> {
        self.now.load_full()
    }

    #[must_use]
    pub fn source(&self) -> SettingsSource {
        self.source
    }

    /// Picks up what was put into the store; called every second and after every change. `true`: others hold now.
    ///
    /// # Errors
    /// Where the store cannot be read. Settings that do not fit are told once, and those from before go on.
    pub async fn refresh(&self) -> Result<bool, LiveError> {
        match self.take().await {
            Ok(taken) => Ok(taken),
            Err(LiveError::Store(error)) => Err(error.into()),
            Err(error) => {
                let (LiveError::Unsound { version, .. } | LiveError::Unreadable { version, .. }) = &error
                else {
                    return Err(error);
                };
                if self.refused.swap(*version, Ordering::Relaxed) != *version {
                    tracing::error!(%error, "new settings cannot hold; those from before go on");
                }
                Ok(false)
            }
        }
    }

    async fn take(&self) -> Result<bool, LiveError> {
        if self.source == SettingsSource::File {
            return Ok(false);
        }
        let version = self.store.settings_version().await?;
        if version == self.now.load().version.0 {
            return Ok(false);
        }
        let Some(stored) = self.store.newest_settings(None, 1).await?.into_iter().next() else {
            return Ok(false);
        };
        let StoredSettings { version, section, changed_by, changed_at } = stored;
        let section: Value = serde_json::from_str(&section)
            .map_err(|error| LiveError::Unreadable { version, reason: error.to_string() })?;
        let sound = self.sound(&section).map_err(|errors| LiveError::Unsound { version, errors })?;
        self.now.store(Arc::new(InForce {
            version: Version(version),
            settings: sound.settings.clone(),
            section: sound.section,
            whole: sound.whole,
            changed: Some((changed_by, changed_at)),
        }));
        if let Some(apply) = self.apply.get() {
            apply(&sound.settings);
            tracing::info!(version, "new provisioning settings hold from the next sign-in on");
        }
        Ok(true)
    }

    /// Reads `[provisioning]` by the code that reads the file.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn sound(&self, section: &Value) -> Result<Sound, ConfigErrors> {
        self.written.with_section(section, self.features.as_ref())
    }

    /// Puts the settings after `version`; `false` where that is not the newest any more.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub async fn put(
        &self,
        after: Version,
        section: &Value,
        by: &str,
        at: UnixTime,
    ) -> Result<bool, StoreError> {
        let stored = StoredSettings {
            version: after.0.saturating_add(1),
            section: section.to_string(),
            changed_by: by.to_owned(),
            changed_at: at,
        };
        self.store.put_settings(&stored).await
    }

    /// Where what holds differs from what the file says.
    #[must_use]
    pub fn drift(&self) -> Vec<Change> {
        changes(self.written.whole(), &self.now.load().whole)
    }
}

/// One key of `[provisioning]` that is another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub key: String,
    /// `None`: not there.
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// The keys in which two sections, with every default filled in, differ.
#[must_use]
pub fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let none = Map::new();
    let (before, after) = (before.as_object().unwrap_or(&none), after.as_object().unwrap_or(&none));
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort();
    keys.dedup();
    let change = |key: &String| {
        let (before, after) = (before.get(key), after.get(key));
        (before != after).then(|| Change { key: key.clone(), before: before.cloned(), after: after.cloned() })
    };
    keys.into_iter().filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn m4_changes_are_told_key_by_key() {
        let before = json!({ "mode": "off", "same": [1], "gone": "x", "table": { "a": 1, "b": 2 } });
        let after = json!({ "same": [1], "mode": "jit", "new": true, "table": { "b": 2, "a": 1 } });
        let told: Vec<(String, Option<Value>, Option<Value>)> =
            changes(&before, &after).into_iter().map(|one| (one.key, one.before, one.after)).collect();
        assert_eq!(
            told,
            [
                ("gone".to_owned(), Some(json!("x")), None),
                ("mode".to_owned(), Some(json!("off")), Some(json!("jit"))),
                ("new".to_owned(), None, Some(json!(true))),
            ]
        );
    }
}
