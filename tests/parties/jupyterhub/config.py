# The configuration of the JupyterHub party; `start jupyterhub` sets the environment.
import os

from jupyterhub.auth import Authenticator
from jupyterhub.handlers import BaseHandler
from jupyterhub.spawner import Spawner
from tornado import web

env = os.environ
c = get_config()  # noqa: F821


class HeaderLogin(BaseHandler):
    """Signs in whom the header names, if the hub knows them."""

    async def get(self):
        name = self.request.headers.get(env["USER_HEADER"], "")
        if not name:
            raise web.HTTPError(401, "no user header")
        user = await self.login_user({"name": name})
        if user is None:
            raise web.HTTPError(403, "not known to this hub")
        self.redirect(self.get_next_url(user))


class HeaderAuthenticator(Authenticator):
    auto_login = True
    allow_existing_users = True
    manage_groups = False  # groups come from the admin API

    def get_handlers(self, app):
        return [(r"/login", HeaderLogin)]

    def login_url(self, base_url):
        return base_url + "login"

    async def authenticate(self, handler, data):
        return data["name"]


class NoSpawner(Spawner):
    """Starts nothing: these tests end at the hub."""

    async def start(self):
        return "http://127.0.0.1:9"

    async def stop(self, now=False):
        pass

    async def poll(self):
        return 0


c.JupyterHub.authenticator_class = HeaderAuthenticator
c.JupyterHub.spawner_class = NoSpawner
c.JupyterHub.bind_url = env["HUB_URL"]
c.JupyterHub.hub_bind_url = "http://127.0.0.1:" + env["HUB_PORT"]
c.JupyterHub.db_url = "sqlite:///hub.sqlite"
c.JupyterHub.cookie_secret_file = "cookie_secret"
c.JupyterHub.pid_file = ""
c.JupyterHub.redirect_to_server = False
c.JupyterHub.cleanup_servers = False
c.JupyterHub.last_activity_interval = 3600
c.JupyterHub.log_level = env.get("JUPYTERHUB_LOG_LEVEL", "INFO")
c.ConfigurableHTTPProxy.should_start = False  # see `start`
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:" + env["PROXY_API_PORT"]
c.ConfigurableHTTPProxy.auth_token = env["CONFIGPROXY_AUTH_TOKEN"]

# admin = True: only an admin may grant admin, whatever its scopes.
c.JupyterHub.services = [
    {"name": "narthex", "api_token": env["NARTHEX_TOKEN"], "admin": True},
]
