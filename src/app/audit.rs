//! The audit log of the store that the settings name, for the command line.

use super::OpenStore;
use crate::config::Settings;
use crate::model::AuditHead;
use crate::model::audit::AuditQuery;
use crate::observe::audit::export::{self, ExportError, Format};
use crate::observe::audit::verify::{self, Report};
use crate::store::StoreError;

/// Reads the whole log against itself and what was noted of it.
///
/// # Errors
/// Where the store cannot be read.
pub async fn verify(settings: &Settings, noted: &[AuditHead]) -> Result<Report, StoreError> {
    let opened = OpenStore::open(settings).await?;
    let report = verify::verify(opened.store().as_ref(), noted).await;
    opened.close().await;
    report
}

/// Writes the entries that `query` wants, one line each; returns how many.
///
/// # Errors
/// Where the store cannot be read or `write` fails.
pub async fn export(
    settings: &Settings,
    query: AuditQuery,
    format: Format,
    write: &mut (dyn FnMut(&str) -> std::io::Result<()> + Send),
) -> Result<u64, ExportError> {
    let opened = OpenStore::open(settings).await?;
    let written = export::export(opened.store().as_ref(), query, format, write).await;
    opened.close().await;
    written
}
