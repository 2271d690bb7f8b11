//! `narthex demo`: identity provider, application and proxy on loopback, until Ctrl-C.

use super::{CANNOT, FINE, asked_to_end, block_on, complain, serve};
use crate::app::{App, Sockets};
use crate::demo::run::{Prepared, Running, run as run_demo};
use crate::platform::Platform;

/// Runs until asked to end.
pub(super) fn run(port: Option<u16>) -> u8 {
    block_on(async move {
        let stop = async {
            if let Err(error) = asked_to_end().await {
                complain(&format!("signals cannot be waited for: {error}"));
            }
        };
        let mut out = std::io::stdout();
        let ran = run_demo(port, &Platform::system(), &std::env::temp_dir(), &mut out, start, stop).await;
        match ran {
            Ok(()) => FINE,
            Err(error) => {
                complain(&error.to_string());
                CANNOT
            }
        }
    })
}

async fn start(prepared: Prepared) -> Result<Running, String> {
    let settings = serve::settings(&prepared.config)
        .map_err(|_| format!("{} cannot be used", prepared.config.display()))?;
    let sockets = Sockets {
        public: Some(prepared.public),
        health: Some(prepared.health),
        admin: Some(prepared.admin),
        ..Sockets::default()
    };
    let app = App::start(settings, Platform::system(), sockets).await.map_err(|error| error.to_string())?;
    Ok(Running { shut_down: Box::pin(app.shut_down()) })
}
