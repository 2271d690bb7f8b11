"""Strict JSON schemas for kubeconform, from what Kubernetes and the operators publish.

    schemas.py FOLDER MODULE...

MODULE is the unpacked Go module of k8s.io/kubernetes (api/openapi-spec/swagger.json), of the Gateway API or of the
Prometheus operator (custom resource definitions). Unknown fields are refused, as the API server does with
fieldValidation=Strict; it does so for nested objects too, which kubeconform's own -strict would leave to the schema.
"""

import json
import re
import sys
from pathlib import Path

import yaml

class Loader(yaml.CSafeLoader):
    """YAML as Go reads it, to which a lone = is a text."""


Loader.add_constructor("tag:yaml.org,2002:value", Loader.construct_yaml_str)

# Which the charts make.
KINDS = {
    "ConfigMap", "Deployment", "HorizontalPodAutoscaler", "Ingress", "NetworkPolicy", "PersistentVolumeClaim", "Pod",
    "PodDisruptionBudget", "Secret", "Service", "ServiceAccount",
}
CUSTOM = {"HTTPRoute", "PodMonitor", "PrometheusRule", "ServiceMonitor"}


def strict(node):
    """The schema, with every object closed, and integers that may be texts."""
    if isinstance(node, list):
        return [strict(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    if node.get("x-kubernetes-int-or-string") or node.get("format") == "int-or-string":
        return {"type": ["string", "integer"]}
    node = {name: strict(inner) for name, inner in node.items() if not name.startswith("x-kubernetes-") or name == "x-kubernetes-preserve-unknown-fields"}
    node.pop("format", None)  # those of OpenAPI (int32, double) are not JSON Schema's
    open_to_all = node.pop("x-kubernetes-preserve-unknown-fields", False)
    if isinstance(node.get("properties"), dict) and "additionalProperties" not in node and not open_to_all:
        node["additionalProperties"] = False
    return node


def references(node):
    if isinstance(node, dict):
        for name, inner in node.items():
            if name == "$ref":
                yield inner.removeprefix("#/definitions/")
            else:
                yield from references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from references(inner)


def write(folder, kind, group, version, schema):
    folder.mkdir(parents=True, exist_ok=True)
    schema["properties"]["apiVersion"] = {"const": f"{group}/{version}" if group else version}
    schema["properties"]["kind"] = {"const": kind}
    schema["required"] = sorted({"apiVersion", "kind", "metadata"} | set(schema.get("required", [])))
    # Of a group kubeconform knows the first part only.
    name = "-".join(filter(None, [kind.lower(), group.split(".")[0], version]))
    (folder / f"{name}.json").write_text(json.dumps(schema))


def kubernetes(folder, module):
    version = re.search(r"@(v[0-9.]+)$", module.name)[1]
    definitions = json.loads((module / "api/openapi-spec/swagger.json").read_text())["definitions"]
    # A number or a text, whatever swagger says.
    definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"] = {"type": ["string", "number"]}
    closed = {name: strict(definition) for name, definition in definitions.items()}
    made = set()
    for name, definition in definitions.items():
        for known in definition.get("x-kubernetes-group-version-kind", []):
            if known["kind"] not in KINDS or len(definition["x-kubernetes-group-version-kind"]) > 1:
                continue
            wanted, reached = list(references(closed[name])), {}
            while wanted:
                reference = wanted.pop()
                if reference not in reached:
                    reached[reference] = closed[reference]
                    wanted.extend(references(closed[reference]))
            schema = json.loads(json.dumps(closed[name]))
            schema["definitions"] = reached
            write(folder / version, known["kind"], known["group"], known["version"], schema)
            made.add(known["kind"])
    if made != KINDS:
        sys.exit(f"{module.name} does not know {sorted(KINDS - made)}")
    return made


def custom(folder, files):
    made = set()
    for file in files:
        for crd in yaml.load_all(file.read_text(), Loader=Loader):
            if not crd or crd["kind"] != "CustomResourceDefinition" or crd["spec"]["names"]["kind"] not in CUSTOM:
                continue
            kind = crd["spec"]["names"]["kind"]
            for version in crd["spec"]["versions"]:
                schema = strict(version["schema"]["openAPIV3Schema"])
                schema["properties"]["metadata"] = {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["name"],
                    "properties": {
                        "name": {"type": "string"},
                        "namespace": {"type": "string"},
                        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
                    },
                }
                write(folder / "custom", kind, crd["spec"]["group"], version["name"], schema)
            made.add(kind)
    return made


folder, modules = Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]]
made = set()
for module in modules:
    if (module / "api/openapi-spec/swagger.json").exists():
        made |= kubernetes(folder, module)
    else:
        made |= custom(folder, sorted(module.glob("config/crd/standard/*.yaml")) or sorted(module.glob("example/prometheus-operator-crd/*.yaml")))
if made != KINDS | CUSTOM:
    sys.exit(f"no schema for {sorted((KINDS | CUSTOM) - made)}")
