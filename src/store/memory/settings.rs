//! Settings that administrators gave at run time.

use async_trait::async_trait;

use super::Memory;
use crate::store::StoreError;
use crate::store::feed::Changed;
use crate::store::lists::{MAX_VERSIONS, SettingsStore, StoredSettings};

#[async_trait]
impl SettingsStore for Memory {
    async fn settings_version(&self) -> Result<i64, StoreError> {
        Ok(self.tables().settings.last().map_or(0, |newest| newest.version))
    }

    async fn newest_settings(
        &self,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<StoredSettings>, StoreError> {
        let tables = self.tables();
        let older =
            tables.settings.iter().rev().filter(|one| before.is_none_or(|before| one.version < before));
        Ok(older.take(limit).cloned().collect())
    }

    async fn put_settings(&self, settings: &StoredSettings) -> Result<bool, StoreError> {
        let tables = &mut *self.tables();
        let versions = &mut tables.settings;
        let next = versions.last().map_or(0, |newest| newest.version) + 1;
        if settings.version != next {
            return Ok(false);
        }
        versions.push(settings.clone());
        if versions.len() > MAX_VERSIONS {
            versions.remove(0);
        }
        tables.sessions.changes.note(Changed::Settings, settings.version.to_string());
        Ok(true)
    }
}
