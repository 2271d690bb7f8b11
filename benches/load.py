"""The load benchmark: contenders in turn on one machine, the figure is the CPU time that a request costs.

Started by `benches/run`, which sees to what it needs. See docs/performance.md for what the figures mean.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from contenders import HERE, Contender, Narthex, Nginx, OAuth2Proxy, Server, Unusable, claim_ports, fill
from idp import Provider

FILES = {"1k": 1024, "64k": 64 * 1024, "10m": 10 * 1024 * 1024}


@dataclass(frozen=True)
class Work:
    """One kind of load."""

    key: str
    title: str
    path: str = "/1k"
    connections: int = 32
    tls: bool = False
    signed_in: bool = True
    close: bool = False


WORKS = [
    Work("keepalive-c32", "signed in, 1 KiB, keep-alive, c=32"),
    Work("keepalive-c2", "signed in, 1 KiB, keep-alive, c=2", connections=2),
    Work("redirect", "anonymous, redirected to the login, c=32", signed_in=False),
    Work("64k", "signed in, 64 KiB, c=32", path="/64k"),
    Work("10m", "signed in, 10 MiB, c=4", path="/10m", connections=4),
    Work("new-connection", "signed in, 1 KiB, new connection each, c=32", close=True),
    Work("tls-c32", "TLS, signed in, 1 KiB, keep-alive, c=32", tls=True),
    Work("tls-new-connection", "TLS, signed in, 1 KiB, new connection each, c=32", tls=True, close=True),
]
QUICK = ["keepalive-c32", "keepalive-c2", "redirect"]


@dataclass
class Sample:
    """One contender under one load, once."""

    micros_cpu: float
    per_second: float
    p50_ms: float
    p99_ms: float
    others: float
    """Share of the machine that went to neither contender, application nor load generator."""


def machine_busy() -> float:
    """Seconds that all cores together were not idle."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def measure(contender: Contender, work: Work, seconds: int, origin: Server) -> Sample:
    server = contender.server(work.tls)
    base = contender.tls_base if work.tls else contender.base
    path = work.path if work.signed_in else contender.anonymous_path
    threads = min(work.connections, 2, os.cpu_count() or 1)
    command = ["wrk", f"-t{threads}", f"-c{work.connections}", f"-d{seconds}s", "--timeout", "5s"]
    command += ["-s", str(HERE / "wrk.lua")]
    if work.signed_in:
        cookie = contender.tls_cookie if work.tls else contender.cookie
        command += ["-H", f"Cookie: {cookie}"] if cookie else []
    else:
        command += ["-H", "Accept: text/html"]
    if work.close:
        command += ["-H", "Connection: close"]
    began, busy, cpu, ours = time.perf_counter(), machine_busy(), server.cpu(), origin.cpu() + sum(os.times()[:4])
    run = subprocess.run([*command, base + path], capture_output=True, text=True, timeout=seconds + 30)
    spent = server.cpu() - cpu
    ours = origin.cpu() + sum(os.times()[:4]) - ours
    took = time.perf_counter() - began
    if run.returncode != 0:
        raise Unusable(f"wrk ended with {run.returncode}: {run.stdout.strip()} {run.stderr.strip()}")
    told = json.loads(run.stderr.strip().splitlines()[-1])
    wrong = {kind: told[kind] for kind in ("connect", "read", "write", "status", "timeout") if told[kind]}
    # A connection that is closed in the middle of the last request of a run counts as a read error.
    if told["requests"] == 0 or sum(wrong.values()) > max(64, told["requests"] // 1000) * work.close:
        raise Unusable(f"{contender.name}, {work.title}: {told['requests']} requests, wrong {wrong}")
    others = (machine_busy() - busy - spent - ours) / (took * (os.cpu_count() or 1))
    return Sample(
        micros_cpu=spent * 1e6 / told["requests"],
        per_second=told["requests"] * 1e6 / told["micros"],
        p50_ms=told["p50"] / 1000,
        p99_ms=told["p99"] / 1000,
        others=max(0.0, others),
    )


def check_answers(contender: Contender, works: list[Work]) -> None:
    """One request of each kind, since a benchmark of refusals is quickly made."""
    for work in works:
        base = contender.tls_base if work.tls else contender.base
        command = ["curl", "-sk", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code} %{size_download}"]
        if work.signed_in:
            cookie = contender.tls_cookie if work.tls else contender.cookie
            command += ["-H", f"Cookie: {cookie}", base + work.path]
        else:
            command += ["-H", "Accept: text/html", base + contender.anonymous_path]
        got = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        fits = got == ["200", str(FILES[work.path[1:]])] if work.signed_in else got[0] in ("302", "303")
        if not fits:
            raise Unusable(f"{contender.name}, {work.title}: answered {got}")


def starts(contender: Contender, times: int) -> dict:
    """How long until the first answer: with nothing on disk, and again with what the last run left."""
    fresh, again = [], []
    for _ in range(times):
        contender.forget()
        fresh.append(contender.start())
        contender.stop()
        again.append(contender.start())
        contender.stop()
    return {"fresh": statistics.median(fresh), "again": statistics.median(again)}


def machine() -> str:
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{os.cpu_count()} cores ({model}), Linux {platform.release()}"


def quiet(samples: dict) -> str:
    shares = sorted(s.others for by_work in samples.values() for many in by_work.values() for s in many)
    return f"others had {statistics.median(shares):.0%} of the machine in the median, {shares[-1]:.0%} at most"


def medians(samples: list[Sample]) -> Sample:
    return Sample(*(statistics.median(getattr(s, name) for s in samples) for name in Sample.__dataclass_fields__))


def report(contenders: list[Contender], works: list[Work], samples: dict, facts: dict, rounds: str) -> str:
    names = [contender.name for contender in contenders]
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    versions = ", ".join(f"{contender.name} {contender.version()}" for contender in contenders)
    lines = [f"{date}; {machine()}; {rounds}; {quiet(samples)}.", "", f"Versions: {versions}.", ""]

    def table(first: str, rows: list[tuple[str, list[str]]], columns: list[str]) -> None:
        lines.append(f"| {first} | " + " | ".join(columns) + " |")
        lines.append("|---|" + "---|" * len(columns))
        lines.extend(f"| {title} | " + " | ".join(cells) + " |" for title, cells in rows)
        lines.append("")

    rows, walls = [], []
    for work in works:
        by_name = {name: medians(samples[work.key][name]) for name in names}
        floor = by_name[names[0]].micros_cpu
        rows.append(
            (work.title, [f"{by_name[n].micros_cpu:.1f} ({by_name[n].micros_cpu / floor:.2f})" for n in names])
        )
        walls.append(
            (
                work.title,
                [f"{s.per_second:,.0f}; {s.p50_ms:.2f} / {s.p99_ms:.2f}" for s in map(by_name.get, names)],
            )
        )
    table(f"CPU µs per request (× {names[0]})", rows, names)
    table("requests/s; p50 / p99 in ms", walls, names)
    rows = [
        (title, [f"{facts[name][key]:.1f}" for name in names])
        for key, title in [
            ("fresh", "exec to first answer, nothing on disk, ms"),
            ("again", "exec to first answer, started before, ms"),
            ("idle", "resident when idle, MiB"),
            ("loaded", "resident after the load, MiB"),
        ]
    ]
    table("start and memory", rows, names)
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benches/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three kinds of load, short: about a minute")
    parser.add_argument("--rounds", type=int, help="how often each contender has its turn; at least 3")
    parser.add_argument("--seconds", type=int, help="how long a turn lasts")
    parser.add_argument("--work", action="append", choices=[w.key for w in WORKS], help="only this; may be repeated")
    parser.add_argument("--without", action="append", default=[], choices=["oauth2-proxy", "nginx"])
    parser.add_argument(
        "--also", action="append", default=[], metavar="NAME=BINARY", help="another narthex beside it, to compare two"
    )
    parser.add_argument("--port-base", type=int, default=19400, help="the first of the ports on loopback")
    parser.add_argument("--binary", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--oauth2-proxy", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def site(folder: Path, origin_port: int, provider: Provider) -> dict:
    """What all contenders are told."""
    certificate, key = folder / "tls.crt", folder / "tls.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        + ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    return {
        "ORIGIN": origin_port,
        "ISSUER": provider.issuer,
        "SECRET": provider.secret,
        "CERTIFICATE": certificate,
        "KEY": key,
    }


def origin_server(folder: Path, port: int) -> Server:
    www = folder / "www"
    www.mkdir()
    (folder / "tmp").mkdir()
    # nginx's workers run as another user where the benchmark runs as root.
    folder.chmod(0o755)
    for name, size in FILES.items():
        (www / name).write_bytes(os.urandom(size))
    conf = fill(HERE / "conf/origin.conf", folder / "origin.conf", {"DIR": folder, "WWW": www, "PORT": port})
    return Server("origin", ["nginx", "-e", folder / "origin.log", "-c", conf], folder)


def chosen_contenders(options: argparse.Namespace, folder: Path, values: dict) -> list[Contender]:
    base = options.port_base
    found: list[Contender] = []
    if "nginx" not in options.without:
        found.append(Nginx("nginx", folder, base + 10, values))
    if options.oauth2_proxy and "oauth2-proxy" not in options.without:
        binary, _, version = options.oauth2_proxy.partition("@")
        found.append(OAuth2Proxy(Path(binary), version, "oauth2-proxy", folder, base + 20, values))
    found.append(Narthex(options.binary.resolve(), "narthex", folder, base + 30, values))
    for number, also in enumerate(options.also):
        name, _, binary = also.partition("=")
        found.append(Narthex(Path(binary).resolve(), name, folder, base + 40 + 10 * number, values))
    return found


def run(options: argparse.Namespace, folder: Path, stack: list) -> str:
    keys = options.work or (QUICK if options.quick else [work.key for work in WORKS])
    works = [work for work in WORKS if work.key in keys]
    rounds = max(3, options.rounds or (3 if options.quick else 5))
    seconds = options.seconds or (1 if options.quick else 3)
    origin_port, idp_port = options.port_base, options.port_base + 1
    claim_ports([origin_port, idp_port])
    provider = Provider(idp_port, folder)
    stack.append(provider.close)
    origin = origin_server(folder, origin_port)
    stack.append(origin.stop)
    origin.start(origin_port)
    contenders = chosen_contenders(options, folder, site(folder, origin_port, provider))
    claim_ports([port for contender in contenders for port in contender.ports()])

    facts: dict[str, dict] = {}
    for contender in contenders:
        stack.append(contender.stop)
        facts[contender.name] = starts(contender, 3 if options.quick else 7)
    for contender in contenders:
        contender.start()
    time.sleep(2)
    for contender in contenders:
        facts[contender.name]["idle"] = contender.server(tls=False).resident()
    for contender in contenders:
        contender.sign_in(tls=False)
        if any(work.tls for work in works):
            contender.start_tls()
            contender.sign_in(tls=True)
        check_answers(contender, works)
        measure(contender, works[0], 1, origin)

    samples: dict = {work.key: {contender.name: [] for contender in contenders} for work in works}
    for number in range(rounds):
        for work in works:
            for contender in contenders:
                sample = measure(contender, work, seconds, origin)
                samples[work.key][contender.name].append(sample)
                print(
                    f"round {number + 1}/{rounds}  {work.key:20} {contender.name:14} "
                    f"{sample.micros_cpu:9.1f} µs  {sample.per_second:9,.0f}/s  others {sample.others:.0%}",
                    file=sys.stderr,
                )
    for contender in contenders:
        facts[contender.name]["loaded"] = contender.server(tls=False).resident()
    raw = {key: {name: [vars(s) for s in many] for name, many in by.items()} for key, by in samples.items()}
    (options.folder / "last.json").write_text(json.dumps({"facts": facts, "samples": raw}, indent=1))
    return report(contenders, works, samples, facts, f"medians of {rounds} rounds of {seconds} s in turn")


def main() -> int:
    options = arguments()
    options.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=options.folder)).resolve()
    stack: list = []
    failed = False
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        print(run(options, folder, stack))
    except Unusable as error:
        failed = True
        print(f"benches/run: {error}", file=sys.stderr)
    except BaseException:
        failed = True
        raise
    finally:
        for end in reversed(stack):
            end()
        if failed:
            print(f"benches/run: logs are in {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
