//! What answers on the admin listener: requests are read under the same limits as on every other listener, and worked
//! on apart from it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Request, Response};
use hyper::body::Incoming;
use tower_service::Service as _;

use super::{Admin, AdminError, refused};
use crate::listen::accept::Serve;
use crate::platform::Tasks;

/// The admin API on a listener.
pub struct AdminServer {
    router: Router,
    cold: Tasks,
}

impl AdminServer {
    /// The work is done on `cold`.
    #[must_use]
    pub fn new(admin: Arc<Admin>, cold: Tasks) -> Self {
        Self { router: admin.router(), cold }
    }
}

impl Serve for AdminServer {
    type Body = Body;

    async fn serve(self: Arc<Self>, mut request: Request<Incoming>, peer: IpAddr) -> Response<Body> {
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer, 0)));
        let mut router = self.router.clone();
        // A change that has begun is made even where the client goes away meanwhile.
        let work = self.cold.spawn(async move { router.call(request).await });
        match work.await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(error) => {
                tracing::error!(%error, "an admin call ended by a panic");
                refused(&AdminError::Broken)
            }
        }
    }

    fn prune(&self) {}
}
