"""Validates the manifests against the API schemas and compares them with the settings in Settings.md, the session budget
and the duration of a shutdown. scripts/manifest-check calls it."""

import glob
import re
import sys

import kubernetes_validate
import yaml

FOLDER = "scripts/kubernetes"
# The oldest release in use, one in the middle, and the newest one with schemas.
VERSIONS = ["1.29", "1.31", kubernetes_validate.latest_version()]

problems = []


def require(holds, text):
    if not holds:
        problems.append(text)


def finish():
    for problem in problems:
        print(f"      {problem}")
    sys.exit(1 if problems else 0)


def seconds(text):
    number, unit = re.fullmatch(r"([0-9.]+)(ms|s|m|h|min)?", str(text)).groups()
    return float(number) * {"ms": 0.001, "s": 1, None: 1, "m": 60, "min": 60, "h": 3600}[unit]


# The defaults of the settings, by environment variable.
settings = {}
for line in open("Sources/Service/DarumaService/DarumaService.docc/Settings.md", encoding="utf-8"):
    row = re.match(r"\| `--[a-z-]+` \| `([A-Z_]+)` \| ([^|]*) \|", line)
    if row:
        settings[row[1]] = row[2].strip()
require(len(settings) > 20, "cannot read the settings from Settings.md")

# The schemas.
manifests = {}
for path in sorted(glob.glob(f"{FOLDER}/*.yaml")):
    for manifest in yaml.safe_load_all(open(path, encoding="utf-8")):
        manifests[manifest["kind"]] = manifest
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(manifest, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                problems.append(f"{path}: Kubernetes {version}: {'.'.join(map(str, error.path))}: {error.message}")
            except (kubernetes_validate.SchemaNotFoundError, kubernetes_validate.VersionNotSupportedError) as error:
                problems.append(f"{path}: Kubernetes {version}: {error}")
print(f"      {len(manifests)} manifests against Kubernetes {', '.join(VERSIONS)}")
if problems:
    finish()  # The following checks need valid manifests.

deployment, scaler = manifests["Deployment"], manifests["HorizontalPodAutoscaler"]
pod = deployment["spec"]["template"]["spec"]
[container] = pod["containers"]

# Settings: they exist, and secrets are in a Secret.
environment = {entry["name"]: entry for entry in container["env"]}
for name in environment:
    require(name in settings, f"{name} in the Deployment is no setting")


def setting(name):
    return environment[name]["value"] if name in environment else settings.get(name, "0s")


require("secretKeyRef" in environment["DATABASE_URL"].get("valueFrom", {}), "DATABASE_URL is not from a Secret")

# The session budget.
notes = deployment["metadata"]["annotations"]
pods = scaler["spec"]["maxReplicas"] + deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
sessions = pods * int(setting("DARUMA_POOL_MAX"))
budget = int(notes["daruma/max-connections"]) - int(notes["daruma/reserved-connections"])
print(f"      session budget: {pods} pods × {setting('DARUMA_POOL_MAX')} = {sessions} of {budget}")
require(
    sessions <= budget,
    f"{pods} pods × {setting('DARUMA_POOL_MAX')} connections are {sessions}, and the database has {budget} to give:"
    " fewer replicas, a smaller DARUMA_POOL_MAX, or PgBouncer in between",
)

# The shutdown.
shutdown = seconds(setting("DARUMA_DRAIN_DELAY")) + seconds(setting("DARUMA_SHUTDOWN_TIMEOUT"))
require(
    pod.get("terminationGracePeriodSeconds", 30) >= shutdown + 5,
    f"the grace period is too short: a shutdown takes {shutdown} s",
)

# Probes: the right paths and ports.
ports = {port["name"]: port["containerPort"] for port in container["ports"]}
for probe, path in [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]:
    target = container[probe]["httpGet"]
    require(target["path"] == path and target["port"] in ports, f"{probe} asks {target}")
require(ports["http"] == int(settings["PORT"]), "the port is not the default")
require(ports["admin"] == int(setting("DARUMA_ADMIN_PORT")), "the admin port is not DARUMA_ADMIN_PORT")
[published] = manifests["Service"]["spec"]["ports"]
require(published["targetPort"] == "http", "the Service does not publish the main port")

# Selectors.
labels = deployment["spec"]["template"]["metadata"]["labels"]
for kind, selector in [
    ("Deployment", deployment["spec"]["selector"]["matchLabels"]),
    ("Service", manifests["Service"]["spec"]["selector"]),
    ("PodDisruptionBudget", manifests["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]),
    ("NetworkPolicy", manifests["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]),
]:
    require(selector.items() <= labels.items(), f"the {kind} does not select the pods")
require(scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"], "the scaler does not scale the Deployment")
require(scaler["spec"]["minReplicas"] > 1, "a single replica is gone while its node is drained")

# Least privilege: the profile `restricted` of the pod security standards, and a read-only root.
own = container["securityContext"]
require(pod["securityContext"]["runAsNonRoot"] is True, "may run as root")
require(pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", "no seccomp profile")
require(own.get("allowPrivilegeEscalation") is False, "may gain privileges")
require(own.get("readOnlyRootFilesystem") is True, "may write to its root")
require(own.get("capabilities") == {"drop": ["ALL"]}, "has capabilities")
require(pod.get("automountServiceAccountToken") is False, "has a token for the API")
for kind in ["requests", "limits"]:
    require({"cpu", "memory"} <= container["resources"][kind].keys(), f"no {kind}")

# The pod has the image's user.
dockerfile = open("Dockerfile", encoding="utf-8").read()
user = re.search(r"^USER (\d+):(\d+)$", dockerfile, re.MULTILINE)
require(
    user and [int(user[1]), int(user[2])] == [pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"]],
    "the pod's user is not the image's",
)

# The systemd units.
default_shutdown = seconds(settings["DARUMA_SHUTDOWN_TIMEOUT"]) + seconds(settings["DARUMA_DRAIN_DELAY"])
for path in glob.glob("scripts/systemd/*.service"):
    unit = dict(re.findall(r"^(\w+)=(.*)$", open(path, encoding="utf-8").read(), re.MULTILINE))
    require(seconds(unit["TimeoutStopSec"]) >= default_shutdown + 5, f"{path}: TimeoutStopSec is too short")
    # DARUMA_ADMIN_PORT in the environment file adds a second server.
    descriptors = 2 * int(settings["DARUMA_HTTP_MAX_CONNECTIONS"]) + int(settings["DARUMA_POOL_MAX"])
    require(int(unit["LimitNOFILE"]) >= descriptors + 100, f"{path}: LimitNOFILE is too low")
    for assignment in re.findall(r"^Environment=(\w+)=", open(path, encoding="utf-8").read(), re.MULTILINE):
        require(assignment in settings, f"{path}: {assignment} is no setting")

# Docker Compose.
compose = yaml.safe_load(open("docker-compose.yml", encoding="utf-8"))
service = compose["services"]["daruma"]
for name in service["environment"]:
    require(name in settings, f"{name} in docker-compose.yml is no setting")
require(seconds(service["stop_grace_period"]) >= default_shutdown + 5, "docker-compose.yml: stop_grace_period is too short")
require("depends_on" not in service, "docker-compose.yml: the service waits for its database")
require(service["read_only"] is True and service["cap_drop"] == ["ALL"], "docker-compose.yml: too many privileges")
require("healthcheck" in compose["services"]["postgres"], "docker-compose.yml: the database has no health check")
for name, entry in compose["services"].items():
    for port in entry.get("ports", []):
        require(port.startswith("127.0.0.1:"), f"docker-compose.yml: {name} is open to the network")

finish()
