//! Members from the command line: the same registry as the admin API's, at the store of a narthex that runs elsewhere.

use super::administration::{Beside, live};
use crate::admin::AdminError;
use crate::admin::members::registry::Registry;
use crate::admin::principal::Principal;
use crate::config::Settings;
use crate::observe::Audit;
use crate::observe::audit::AuditWriter;
use crate::platform::{Platform, Tasks};
use crate::provision::Provisioner;

/// What has to do with members, until [`People::close`].
pub struct People<'a> {
    beside: &'a Beside,
    provisioner: Provisioner,
    audit: Audit,
    writer: AuditWriter,
    by: Principal,
}

impl Beside {
    /// By the settings that hold, which may have been changed at run time.
    ///
    /// # Errors
    /// Where the store cannot be read, or the connector cannot be made.
    pub async fn people(&self, settings: &Settings, platform: &Platform) -> Result<People<'_>, AdminError> {
        let conflict = |text: String| AdminError::Conflict(text);
        let live = live(settings, self.store()).await.map_err(|error| conflict(error.to_string()))?;
        let connector = super::connector(settings, platform).map_err(|error| conflict(error.to_string()))?;
        let runtime = tokio::runtime::Handle::current();
        let (audit, writer) = Audit::start(self.store().clone(), platform.clone(), runtime.clone());
        let tasks = Tasks::on(runtime);
        let provisioner =
            Provisioner::new(settings, connector, self.store().clone(), platform.clone(), tasks)
                .auditing(&audit);
        provisioner.change(&live.now().settings);
        Ok(People { beside: self, provisioner, audit, writer, by: Principal::command_line() })
    }
}

impl People<'_> {
    /// Whoever can run commands here may do everything; sessions that end in the store end at every narthex that serves
    /// from it.
    #[must_use]
    pub fn registry(&self) -> Registry<'_> {
        Registry {
            store: self.beside.store(),
            provisioner: &self.provisioner,
            audit: &self.audit,
            by: &self.by,
            from: None,
            on_ended: &|_| {},
        }
    }

    /// Writes what waits for the audit log.
    pub async fn close(self) {
        self.writer.finish().await;
    }
}
