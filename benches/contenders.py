"""What is measured: how each contender is started, what signs in at it, what it costs, how it is ended."""

import base64
import os
import secrets
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from string import ascii_uppercase

HERE = Path(__file__).resolve().parent
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")

# Nothing checks the certificate that the benchmark made for itself a minute ago.
UNCHECKED = ssl.create_default_context()
UNCHECKED.check_hostname = False
UNCHECKED.verify_mode = ssl.CERT_NONE


class Unusable(Exception):
    """The benchmark cannot say anything; its text says why."""


def fill(template: Path, target: Path, values: dict) -> Path:
    """Writes `template` with its @NAMES@ replaced."""
    text = template.read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    for line in text.splitlines():
        for word in line.split("@")[1::2]:
            if word and all(c in ascii_uppercase + "_" for c in word):
                raise Unusable(f"{template.name}: nothing is known for @{word}@")
    target.write_text(text)
    return target


def claim_ports(ports: list[int]) -> None:
    """Refuses where somebody listens already: a left-over process would share the port, and the load, unseen."""
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise Unusable(f"port {port} is taken ({error}): end what listens there, or use --port-base") from None


class Server:
    """A process that this benchmark started, with all that it started in turn."""

    def __init__(self, name: str, command: list, folder: Path):
        self.name = name
        self._command = [str(part) for part in command]
        self._log = folder / f"{name}.out"
        self._process: subprocess.Popen | None = None

    def start(self, port: int) -> float:
        """Starts it and waits for its first HTTP answer on `port`; milliseconds from exec to that."""
        with self._log.open("ab") as log:
            began = time.perf_counter()
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        while time.perf_counter() - began < 20:
            if self._process.poll() is not None:
                raise Unusable(f"{self.name} ended at once; see {self._log}:\n{self._log.read_text()[-2000:]}")
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                    host = f"127.0.0.1:{port}"
                    connection.sendall(f"GET /1k HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                    if connection.recv(5) == b"HTTP/":
                        return (time.perf_counter() - began) * 1000
            except OSError:
                pass
            time.sleep(0.0005)
        raise Unusable(f"{self.name} does not answer on port {port}; see {self._log}")

    def processes(self) -> list[int]:
        """The process and its descendants."""
        found, at = [self._process.pid], 0
        while at < len(found):
            for task in Path(f"/proc/{found[at]}/task").glob("*"):
                found.extend(int(child) for child in (task / "children").read_text().split())
            at += 1
        return found

    def cpu(self) -> float:
        """Seconds of CPU, user and system, that the whole tree has had."""
        ticks = 0
        for pid in self.processes():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            # utime, stime, cutime, cstime: fields 14 to 17 of proc(5), counted from the state, which is field 3.
            ticks += sum(int(field) for field in fields[11:15])
        return ticks / TICK

    def resident(self) -> float:
        """MiB resident, summed over the tree; pages that its processes share count in each."""
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.processes())
        return pages * PAGE / 2**20

    def stop(self) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None


class Browser:
    """Follows redirects and keeps cookies, as a person's browser does while signing in."""

    def __init__(self):
        self._jar = CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPCookieProcessor(self._jar),
            urllib.request.HTTPSHandler(context=UNCHECKED),
        )

    def read(self, url: str) -> tuple[int, bytes, str]:
        request = urllib.request.Request(url, headers={"Accept": "text/html", "User-Agent": "bench"})
        try:
            with self._opener.open(request, timeout=10) as answer:
                return answer.status, answer.read(), answer.url
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.url

    def cookies(self, url: str) -> str:
        request = urllib.request.Request(url)
        self._jar.add_cookie_header(request)
        return request.get_header("Cookie", "")


class Contender:
    """One proxy: `base` and `tls_base` are where it is reached, the rest is per kind."""

    needs_login = True
    anonymous_path = "/1k"

    def __init__(self, name: str, folder: Path, port: int, site: dict):
        self.name, self.port, self.tls_port = name, port, port + 1
        self.folder = folder / name
        self.folder.mkdir()
        (self.folder / "tmp").mkdir()
        self.values = site | {"DIR": self.folder, "PORT": port, "TLS_PORT": port + 1}
        self.base, self.tls_base = f"http://127.0.0.1:{port}", f"https://127.0.0.1:{port + 1}"
        self.cookie, self.tls_cookie = "", ""

    def ports(self) -> list[int]:
        return [self.port, self.tls_port]

    def server(self, tls: bool) -> Server:
        """What answers plain requests, or TLS ones; often the same."""
        return self._server

    def start(self) -> float:
        return self._server.start(self.port)

    def start_tls(self) -> None:
        """Where one process cannot do both."""

    def forget(self) -> None:
        """Drops what a former start left on disk."""

    def stop(self) -> None:
        self._server.stop()

    def sign_in(self, tls: bool) -> None:
        """A real login through the identity provider, and the proof that the application was told who it is."""
        if not self.needs_login:
            return
        base = self.tls_base if tls else self.base
        browser = Browser()
        status, body, url = browser.read(self.login_url(base))
        status, body, url = browser.read(f"{base}/who")
        if status != 200 or b"ada" not in body or not url.startswith(base):
            raise Unusable(f"{self.name}: signing in ended with {status} at {url}: {body[:500]!r}")
        if tls:
            self.tls_cookie = browser.cookies(base)
        else:
            self.cookie = browser.cookies(base)

    def login_url(self, base: str) -> str:
        return f"{base}/who"


class Nginx(Contender):
    needs_login = False
    anonymous_path = "/anonymous"

    def __init__(self, *arguments):
        super().__init__(*arguments)
        conf = fill(HERE / "conf/nginx.conf", self.folder / "nginx.conf", self.values)
        self._server = Server(self.name, ["nginx", "-e", self.folder / "nginx.log", "-c", conf], self.folder)

    def version(self) -> str:
        text = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr
        return text.strip().rpartition("/")[2]


class OAuth2Proxy(Contender):
    """Two processes: given a certificate, it listens for nothing but TLS. They share the cookie secret."""

    def __init__(self, binary: Path, version: str, *arguments):
        super().__init__(*arguments)
        self._version = version
        self.values["COOKIE_SECRET"] = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        plain = f'http_address = "127.0.0.1:{self.port}"'
        over_tls = (
            f'https_address = "127.0.0.1:{self.tls_port}"\n'
            f'tls_cert_file = "{self.values["CERTIFICATE"]}"\ntls_key_file = "{self.values["KEY"]}"'
        )
        conf = fill(HERE / "conf/oauth2-proxy.cfg", self.folder / "plain.cfg", self.values | {"LISTEN": plain})
        self._server = Server(self.name, [binary, f"--config={conf}"], self.folder)
        conf = fill(HERE / "conf/oauth2-proxy.cfg", self.folder / "tls.cfg", self.values | {"LISTEN": over_tls})
        self._tls_server = Server(f"{self.name}-tls", [binary, f"--config={conf}"], self.folder)

    def version(self) -> str:
        return self._version

    def server(self, tls: bool) -> Server:
        return self._tls_server if tls else self._server

    def start_tls(self) -> None:
        self._tls_server.start(self.tls_port)

    def stop(self) -> None:
        super().stop()
        self._tls_server.stop()

    def sign_in(self, tls: bool) -> None:
        # The cookie of one login is good at both.
        if tls:
            self.tls_cookie = self.cookie
        else:
            super().sign_in(tls)


class Narthex(Contender):
    """Two processes, since one process has one public URL."""

    def __init__(self, binary: Path, *arguments):
        super().__init__(*arguments)
        self._binary = binary
        plain = self.values | {"SCHEME": "http", "TLS": "", "HEALTH": self.port + 2, "ADMIN": self.port + 4}
        conf = fill(HERE / "conf/narthex.toml", self.folder / "narthex.toml", plain)
        self._server = Server(self.name, [binary, "serve", "--config", conf], self.folder)
        tls_folder = self.folder / "tls"
        tls_folder.mkdir()
        files = f'tls = {{ certificate = "{self.values["CERTIFICATE"]}", key = "{self.values["KEY"]}" }}'
        ports = {"PORT": self.tls_port, "HEALTH": self.port + 3, "ADMIN": self.port + 5}
        over_tls = {"SCHEME": "https", "TLS": files, "DIR": tls_folder} | ports
        conf = fill(HERE / "conf/narthex.toml", tls_folder / "narthex.toml", self.values | over_tls)
        self._tls_server = Server(f"{self.name}-tls", [binary, "serve", "--config", conf], tls_folder)

    def ports(self) -> list[int]:
        return [self.port + number for number in range(6)]

    def version(self) -> str:
        text = subprocess.run([self._binary, "--version"], capture_output=True, text=True, check=True).stdout
        return text.split()[-1]

    def server(self, tls: bool) -> Server:
        return self._tls_server if tls else self._server

    def start_tls(self) -> None:
        # A listener that speaks TLS answers a plain request with an alert, which is no HTTP: ask its health.
        self._tls_server.start(self.port + 3)

    def forget(self) -> None:
        for file in self.folder.glob("narthex.db*"):
            file.unlink()

    def stop(self) -> None:
        super().stop()
        self._tls_server.stop()
