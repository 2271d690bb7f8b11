//! Settings that administrators gave at run time, version by version.

use async_trait::async_trait;

use super::{Database, Lasting, sql};
use crate::model::UnixTime;
use crate::store::StoreError;
use crate::store::feed::Changed;
use crate::store::lists::{SettingsStore, StoredSettings};

/// version, section, changed_by, changed_at
type Row = (i64, String, String, i64);

#[async_trait]
impl SettingsStore for Database {
    async fn settings_version(&self) -> Result<i64, StoreError> {
        sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM settings")
            .fetch_one(&self.readers)
            .await
            .map_err(self.fails("settings_version"))
    }

    async fn newest_settings(
        &self,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<StoredSettings>, StoreError> {
        let act = "newest_settings";
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT version, section, changed_by, changed_at FROM settings WHERE version < $1 \
             ORDER BY version DESC LIMIT $2",
        )
        .bind(before.unwrap_or(i64::MAX))
        .bind(sql(limit))
        .fetch_all(&self.readers)
        .await
        .map_err(self.fails(act))?;
        let settings = |(version, section, changed_by, changed_at)| StoredSettings {
            version,
            section,
            changed_by,
            changed_at: UnixTime(changed_at),
        };
        Ok(rows.into_iter().map(settings).collect())
    }

    async fn put_settings(&self, settings: &StoredSettings) -> Result<bool, StoreError> {
        let act = "put_settings";
        let mut tx = self.write(act, Lasting::PowerCut).await?;
        // Only directly after the newest: of two at once the later one finds its place taken.
        let put = sqlx::query(
            "INSERT INTO settings (version, section, changed_by, changed_at) \
             SELECT $1, $2, $3, $4 WHERE $1 = (SELECT COALESCE(MAX(version), 0) + 1 FROM settings) \
             ON CONFLICT (version) DO NOTHING",
        )
        .bind(settings.version)
        .bind(&settings.section)
        .bind(&settings.changed_by)
        .bind(settings.changed_at.0)
        .execute(&mut *tx)
        .await
        .map_err(self.fails(act))?;
        if put.rows_affected() > 0 {
            sqlx::query("DELETE FROM settings WHERE version <= $1")
                .bind(settings.version.saturating_sub(sql(crate::store::lists::MAX_VERSIONS)))
                .execute(&mut *tx)
                .await
                .map_err(self.fails(act))?;
        }
        if put.rows_affected() > 0 {
            self.note_changes(act, &mut tx, Changed::Settings, &[settings.version.to_string()]).await?;
        }
        self.commit(act, tx).await?;
        Ok(put.rows_affected() > 0)
    }
}
