"""What the charts have to say twice: is it the same? `--bless` writes it anew where that can be done.

Versions are Cargo's. `config` in the schemas of the values is docs/proxy.schema.json. The application chart's values
are the library's and more. A key that holds a secret is one that the library's check knows.
"""

import json
import re
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
LIBRARY, CHART, EXAMPLE = (ROOT / "helm" / name for name in ("narthex-sidecar", "narthex", "examples/sidecar"))
# Defaults by which the charts differ, and why.
OWN_DEFAULTS = {"preStopSleepSeconds": "a sidecar ends after the application, standalone has to leave the Service first"}

bless = sys.argv[1:] == ["--bless"]
problems = []


def text(path, new):
    """The file is to have this content."""
    if path.read_text() == new:
        return
    if bless:
        path.write_text(new)
    else:
        problems.append(f"{path.relative_to(ROOT)} is stale: tests/helm/run --bless")


def config_schema():
    """The configuration's schema, without what the whole must have: with configToml `config` is empty."""
    schema = json.loads((ROOT / "docs/proxy.schema.json").read_text())
    del schema["required"], schema["$schema"]
    # The same, said so that what is wrong with one kind is not told of the other.
    kinds = schema["properties"]["idp"]["items"].pop("anyOf")
    schema["properties"]["idp"]["items"].update(
        type="object",
        required=["type"],
        properties={"type": {"enum": [kind for one in kinds for kind in one["properties"]["type"]["enum"]]}},
        allOf=[{"if": {"required": ["type"], "properties": {"type": one["properties"]["type"]}}, "then": one} for one in kinds],
    )
    schema["description"] = "The configuration, as docs/config.md has it: it becomes proxy.toml."
    return schema


def written(schema):
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


library = json.loads((LIBRARY / "values.schema.json").read_text())
library["properties"]["config"] = config_schema()
text(LIBRARY / "values.schema.json", written(library))
chart = json.loads((CHART / "values.schema.json").read_text())
chart["properties"].update(library["properties"])
text(CHART / "values.schema.json", written(chart))

library_values = yaml.safe_load((LIBRARY / "values.yaml").read_text())
chart_values = yaml.safe_load((CHART / "values.yaml").read_text())
for name, value in library_values.items():
    if name not in OWN_DEFAULTS and chart_values.get(name, "absent") != value:
        problems.append(f"helm/narthex/values.yaml: {name} is {chart_values.get(name, 'absent')}, in the library {value}")


def undocumented(values, schema, at):
    """Every value is in the schema with a description, and every property with a fixed shape has a default."""
    for name, value in values.items():
        property = schema["properties"].get(name)
        if property is None or not property.get("description"):
            problems.append(f"{at}.{name} is not described in the schema")
        elif isinstance(value, dict) and "properties" in property and name != "config":
            undocumented(value, property, f"{at}.{name}")


for name, values, schema in (("narthex-sidecar", library_values, library), ("narthex", chart_values, chart)):
    undocumented(values, schema, name)
    for absent in sorted(set(schema["properties"]) - set(values) - {"global", "narthex-sidecar"}):
        problems.append(f"{name}: {absent} is in the schema, not in values.yaml")

version = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
for folder in (LIBRARY, CHART):
    metadata = yaml.safe_load((folder / "Chart.yaml").read_text())
    for key in ("version", "appVersion"):
        if metadata[key] != version:
            problems.append(f"{folder.relative_to(ROOT)}/Chart.yaml: {key} is {metadata[key]}, Cargo.toml has {version}")
# What Artifact Hub reads of a chart; a name that it does not know it passes over without a word.
HUB = {
    "category": {"networking", "security"},  # of its own eight
    "license": {tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["license"]},
    "operator": {"false"},
    "prerelease": {"true" if version.startswith("0.") else "false"},
}
for folder in (LIBRARY, CHART):
    for key, value in yaml.safe_load((folder / "Chart.yaml").read_text()).get("annotations", {}).items():
        if value not in HUB.get(key.removeprefix("artifacthub.io/"), set()):
            problems.append(f"{folder.relative_to(ROOT)}/Chart.yaml: {key} is {value!r}")
for folder in (CHART, EXAMPLE):
    for dependency in yaml.safe_load((folder / "Chart.yaml").read_text())["dependencies"]:
        if dependency["version"] != version:
            problems.append(f"{folder.relative_to(ROOT)}/Chart.yaml: wants {dependency['name']} {dependency['version']}, Cargo.toml has {version}")
if f'"narthex-sidecar.version" -}}}}{version}{{{{- end' not in (LIBRARY / "templates/_config.tpl").read_text():
    problems.append(f"helm/narthex-sidecar/templates/_config.tpl: narthex-sidecar.version is not {version}")

# A secret may stand in the configuration itself; in a ConfigMap it must not.
KNOWN = set(re.search(r"has \$key \(list ([^)]*)\)", (LIBRARY / "templates/_checks.tpl").read_text())[1].replace('"', "").split())
BY_CONTENT = {"key"}  # private keys, which the check knows by their first line
BY_PLACE = {"value", "tokens"}


def secrets(schema, name):
    if isinstance(schema, dict):
        if str(schema.get("description", "")).startswith("The secret itself"):
            yield name
        for key, inner in schema.items():
            yield from secrets(inner, name if key in ("anyOf", "items", "additionalProperties", "properties") else key)
    elif isinstance(schema, list):
        for inner in schema:
            yield from secrets(inner, name)


found = set(secrets(config_schema(), ""))
if not found:
    problems.append("docs/proxy.schema.json does not say any more which keys hold secrets")
for name in sorted(found - KNOWN - BY_CONTENT - BY_PLACE):
    problems.append(f"helm/narthex-sidecar/templates/_checks.tpl does not know that {name} holds a secret")

for problem in problems:
    print(f"tests/helm/same.py: {problem}", file=sys.stderr)
sys.exit(1 if problems else 0)
