"""Renders each file of values in tests/helm/values and holds the outcome against what it must satisfy.

    cases.py NARTHEX

- the API's schemas, strictly: kubeconform for the oldest and the newest Kubernetes and the custom resources,
  kubernetes-validate for all from 1.29 on; each has to have looked at every object
- each proxy.toml: `narthex check` with the container's environment, and the same content as the values
- what every pod must be (PodSecurity "restricted" and more)

A file's first line says the chart and the objects that have to come of it: `# narthex: Deployment Service …`.
"""

import functools
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import kubernetes_validate.utils as validate
import yaml

HERE = Path(__file__).resolve().parent
HELM = HERE.parents[1] / "helm"
TOOLS = Path(sys.executable).parents[2]
NARTHEX = Path(sys.argv[1]).resolve()
CUSTOM = {"HTTPRoute", "PodMonitor", "PrometheusRule", "ServiceMonitor"}
# What narthex may complain of here: its files are not there, and plain HTTP on the pod's address is meant.
EXPECTED = re.compile(
    r"there is no folder /var/lib/narthex|there is no file /etc/narthex/(secrets|ca|tls)/|there is no file /run/secrets/|: /etc/narthex/(secrets|ca|tls)/\S+ cannot be read: No such file"
    r"|the admin API can be reached from elsewhere|`scim.listen` is not on loopback"
)

validate.schema_contents = functools.lru_cache(None)(validate.schema_contents)
validate.all_versions = functools.lru_cache(None)(validate.all_versions)
OLDEST = 29
VERSIONS = sorted({validate.major_minor(version) for version in validate.all_versions()}, key=lambda version: int(version.split(".")[1]))
VERSIONS = [version for version in VERSIONS if int(version.split(".")[1]) >= OLDEST]
BUILT = sorted(path.name for path in (TOOLS / "schemas").glob("v*"))


class Wrong(Exception):
    pass


def expect(condition, what):
    if not condition:
        raise Wrong(what)


def run(*command, stdin=None, env=None):
    return subprocess.run(command, input=stdin, capture_output=True, text=True, env=env, check=False)


def render(chart, namespace, values, kubernetes):
    done = run(TOOLS / "bin/helm", "template", "case", HELM / chart, "--namespace", namespace, "--values", values, "--kube-version", kubernetes)
    expect(done.returncode == 0, "".join(re.findall(r"(?ms)^Error.*?(?=^Use --debug|\Z)", done.stderr)) or "helm template failed")
    return done.stdout


def conforms(rendered, count, version):
    done = run(
        TOOLS / "bin/kubeconform", "-strict", "-summary", "-output", "json", "-kubernetes-version", version.removeprefix("v"),
        "-schema-location", f"{TOOLS}/schemas/{version}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json",
        "-schema-location", f"{TOOLS}/schemas/custom/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json",
        "-", stdin=rendered,
    )
    report = json.loads(done.stdout)
    wrong = [f"{one['kind']} {one['name']}: {one['msg']}" for one in report.get("resources") or [] if one["status"] != "statusValid"]
    expect(done.returncode == 0 and not wrong, f"kubeconform {version}: {wrong}")
    expect(report["summary"]["valid"] == count, f"kubeconform {version} looked at {report['summary']['valid']} of {count} objects")


def valid(objects):
    for version in VERSIONS:
        for one in objects:
            if one["kind"] in CUSTOM:
                continue
            try:
                used = validate.validate(one, version, strict=True)
            except validate.ValidationError as error:
                raise Wrong(f"kubernetes-validate {version}: {one['kind']} {one['metadata']['name']}: {error.message}") from None
            expect(used == version, f"kubernetes-validate has no {version}")


def pod_specs(objects):
    for one in objects:
        if one["kind"] == "Pod":
            yield one, one["spec"]
        elif one["kind"] == "Deployment":
            yield one, one["spec"]["template"]["spec"]


def is_locked_down(one, pod, values):
    name = f"{one['kind']} {one['metadata']['name']}"
    expect(pod["automountServiceAccountToken"] is False, f"{name} has a token")
    expect(pod["enableServiceLinks"] is False, f"{name} has service links")
    expect(not pod.get("hostNetwork") and not pod.get("hostPID") and not pod.get("hostIPC"), f"{name} shares with the host")
    expect(all("hostPath" not in volume for volume in pod.get("volumes", [])), f"{name} mounts the host")
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        if container["name"] not in ("narthex", "wget"):
            continue
        security = container["securityContext"]
        where = f"{name}, {container['name']}"
        expect(security["allowPrivilegeEscalation"] is False, f"{where}: privilege escalation")
        expect(security["readOnlyRootFilesystem"] is True, f"{where}: writable root")
        expect(security["runAsNonRoot"] is True and security["runAsUser"] == 65532, f"{where}: user")
        expect(security["capabilities"] == {"drop": ["ALL"]}, f"{where}: capabilities")
        expect(security["seccompProfile"] == {"type": "RuntimeDefault"}, f"{where}: seccomp")
        mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
        there = {volume["name"] for volume in pod.get("volumes", [])}
        expect(mounted <= there, f"{where}: mounts {mounted - there}, which is not there")
        expect(all("subPath" not in mount for mount in container.get("volumeMounts", []) if mount["name"].startswith("narthex-")), f"{where}: a subPath is never updated")
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if one["kind"] == "Deployment":
                expect(container[probe]["httpGet"]["port"] == "narthex-health", f"{where}: {probe}")
    for volume in pod.get("volumes", []):
        if volume["name"] == "narthex-secrets":
            expect(volume["projected"]["defaultMode"] & 0o007 == 0, f"{name}: secrets are readable for all")


def without_nulls(value):
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [without_nulls(inner) for inner in value]
    return value


def contained(wanted, found, at):
    """What the values say is in the file as they say it; the chart may add keys to tables."""
    if isinstance(wanted, dict):
        for key, value in wanted.items():
            expect(key in found, f"proxy.toml lacks {at}.{key}")
            contained(value, found[key], f"{at}.{key}")
    elif at == "config.admin.hosts":
        expect(set(wanted) <= set(found), f"proxy.toml: {at} is {found}")
    elif isinstance(wanted, list) and wanted and isinstance(wanted[0], dict):
        expect(isinstance(found, list) and len(found) == len(wanted), f"proxy.toml: {at} is {found!r}")
        for index, (one, other) in enumerate(zip(wanted, found)):
            expect(one.keys() == other.keys(), f"proxy.toml: {at}[{index}] has {sorted(other)}")
            contained(one, other, f"{at}[{index}]")
    else:
        expect(type(wanted) is type(found) and wanted == found, f"proxy.toml: {at} is {found!r}, not {wanted!r}")


def checked(objects, values, folder):
    """narthex takes every proxy.toml, with the environment that the container gives it."""
    pods = [pod for one, pod in pod_specs(objects) if one["kind"] == "Deployment"]
    containers = [container for pod in pods for container in [*pod.get("initContainers", []), *pod["containers"]] if container["name"] == "narthex"]
    expect(len(containers) == 1, "there is not one container narthex")
    count = 0
    for one in objects:
        if one["kind"] != "ConfigMap" or "proxy.toml" not in one["data"]:
            continue
        count += 1
        for name, content in one["data"].items():
            (folder / name).write_text(content)
        contained(without_nulls(values.get("config") or {}), tomllib.loads(one["data"]["proxy.toml"]), "config")
        env = {"PATH": os.environ["PATH"]}
        if "verify.toml" in one["data"]:
            is_in_order(folder / "verify.toml", env)
        env |= {variable["name"]: variable["value"] for variable in containers[0]["env"] if variable["name"].startswith("NARTHEX__") and "value" in variable}
        is_in_order(folder / "proxy.toml", env)
    return count


def is_in_order(file, env):
    done = run(NARTHEX, "check", "--json", "--config", file, env=env)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    unexpected = [f"{one['severity']}: {one['message']}" for one in said if one["severity"] == "error" or not EXPECTED.search(one["message"])]
    expect(done.returncode == 0 and not unexpected, f"narthex check, {file.name}: {unexpected or done.stderr}")


@functools.lru_cache(None)
def understood(arguments):
    """The program has these arguments: with one that it has not, it does not come to --help."""
    return run(NARTHEX, *arguments, "--help").returncode == 0


def asks(objects):
    """What the tests' pods ask, the program can be asked."""
    for one in objects:
        if one["kind"] == "Pod":
            for container in one["spec"]["containers"]:
                if container["name"] == "narthex":
                    expect(understood(tuple(container["args"])), f"{one['metadata']['name']}: narthex has not all of {container['args']}")


def case(file):
    first = file.read_text().splitlines()[0]
    chart, namespace, wanted = re.fullmatch(r"# ([a-z/-]+)(?: in ([a-z]+))?: (.*)", first).groups()
    namespace = namespace or "apps"
    values = yaml.safe_load(file.read_text())
    for kubernetes in BUILT:
        rendered = render(chart, namespace, file, kubernetes)
        objects = [one for one in yaml.safe_load_all(rendered) if one]
        kinds = sorted(one["kind"] for one in objects)
        expect(kinds == sorted(wanted.split()), f"{kubernetes}: there are {' '.join(kinds)}")
        for one in objects:
            expect(one["metadata"].get("namespace", namespace) in (namespace, "monitoring", "git"), f"{one['kind']} is in no namespace of the release")
        conforms(rendered, len(objects), kubernetes)
    valid(objects)
    for one, pod in pod_specs(objects):
        is_locked_down(one, pod, values)
    asks(objects)
    with tempfile.TemporaryDirectory() as folder:
        files = checked(objects, values.get("narthex", values) if chart != "narthex" else values, Path(folder))
    expect(files == (0 if values.get("existingConfigMap") else 1), f"{files} files proxy.toml")
    return len(objects), files


def judged(file):
    try:
        return file, case(file), None
    except Wrong as wrong:
        return file, None, wrong


def shipped(folder):
    """The complete example at the root, as values: every table that it has goes through YAML and back."""
    config = tomllib.loads((HELM.parent / "proxy.toml").read_text())
    for listener in ("server", "admin", "health"):
        del config[listener]["listen"]
    del config["store"]  # a path of its own machine
    values = {"image": {"repository": "registry.example.com/narthex"}, "config": config}
    file = Path(folder) / "shipped.yaml"
    file.write_text("# narthex: ConfigMap Deployment NetworkPolicy PersistentVolumeClaim Pod Service ServiceAccount\n" + yaml.safe_dump(values))
    return file


def documented(folder):
    """What docs/kubernetes.md has in front of an existing Service, where it says that it is installed."""
    text = (HELM.parent / "docs/kubernetes.md").read_text()
    values = re.search(r"(?s)```yaml\n# values.yaml\n(.*?)```", text)[1]
    namespace = re.search(r"helm install git-sso helm/narthex --namespace ([a-z]+) ", text)[1]
    file = Path(folder) / "documented.yaml"
    file.write_text(
        f"# narthex in {namespace}: ConfigMap Deployment Ingress NetworkPolicy NetworkPolicy PersistentVolumeClaim Pod Service ServiceAccount\n{values}"
    )
    return file


def of_the_page(folder):
    """A chart of the parts that docs/kubernetes.md has for a sidecar, each in the file that it names, renders."""
    text = (HELM.parent / "docs/kubernetes.md").read_text()
    text = text[text.index("\n## Sidecar\n") : text.index("\n## Standalone\n")]
    parts = {}
    for name, body in re.findall(r"(?s)```yaml\n# ([\w./]+)(?:[:,][^\n]*)?\n(.*?)```", text):
        parts[name] = body
    shared = parts["templates/narthex.yaml"].splitlines()[0]
    own = {
        "templates/deployment.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: git }\nspec:\n"
        '  selector:\n    matchLabels:\n      {{- include "git.selector" . | nindent 6 }}\n  template:\n',
        "templates/service.yaml": "apiVersion: v1\nkind: Service\nmetadata: { name: git }\nspec:\n"
        '  selector:\n    {{- include "git.selector" . | nindent 4 }}\n',
    }
    parts["templates/deployment.yaml"] += "      containers: [{ name: git, image: git }]\n"
    labels = '    metadata:\n      labels:\n        {{- include "git.selector" . | nindent 8 }}\n'
    parts["templates/deployment.yaml"] = parts["templates/deployment.yaml"].replace("    metadata:\n", labels, 1)
    for name, head in own.items():
        parts[name] = f"{shared}\n{head}{parts[name]}"
    values = yaml.safe_load(parts["values.yaml"])
    example = yaml.safe_load((HELM / "examples/sidecar/values.yaml").read_text())["narthex"]["config"]
    values["narthex"]["config"] |= {key: example[key] for key in ("idp", "headers", "application", "provisioning")}
    parts["values.yaml"] = yaml.safe_dump(values)
    parts["Chart.yaml"] = "apiVersion: v2\nname: git\nversion: 0.1.0\n" + parts["Chart.yaml"]
    chart = Path(folder) / "git"
    for name, body in parts.items():
        (chart / name).parent.mkdir(parents=True, exist_ok=True)
        (chart / name).write_text(body)
    (Path(folder) / "narthex-sidecar").symlink_to(HELM / "narthex-sidecar")
    for command in (["dependency", "update", chart], ["lint", "--strict", chart], ["template", "git", chart]):
        done = run(TOOLS / "bin/helm", *command)
        expect(done.returncode == 0, f"docs/kubernetes.md, sidecar: helm {command[0]}: {done.stdout}{done.stderr}")
    kinds = sorted(one["kind"] for one in yaml.safe_load_all(done.stdout) if one)
    expect(kinds == ["ConfigMap", "Deployment", "NetworkPolicy", "PersistentVolumeClaim", "Pod", "Service"], f"docs/kubernetes.md, sidecar: {kinds}")


scratch = tempfile.TemporaryDirectory()
of_the_page(scratch.name)
files = [*sorted((HERE / "values").glob("*.yaml")), shipped(scratch.name), documented(scratch.name)]
if len(files) < 2 or len(BUILT) < 2:
    sys.exit("tests/helm/cases.py: nothing to look at")
failed, objects, tomls = 0, 0, 0
with ThreadPoolExecutor(2) as pool:
    for file, counts, wrong in pool.map(judged, files):
        if wrong is not None:
            failed += 1
            print(f"tests/helm/cases.py: {file.name}: {wrong}", file=sys.stderr)
        else:
            objects, tomls = objects + counts[0], tomls + counts[1]
if failed:
    sys.exit(1)
print(f"{len(files)} cases, {objects} objects for {' and '.join(BUILT)} (kubeconform) and {VERSIONS[0]} to {VERSIONS[-1]} (kubernetes-validate), {tomls} times proxy.toml")
