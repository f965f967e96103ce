"""Checks packaging/docker/compose.yaml and packaging/kubernetes/orleanscache.yaml as far as no engine is needed: shape, references, and that what they promise is there."""
import pathlib
import sys

import yaml

folder = pathlib.Path(sys.argv[1])


def check(condition, text):
    if not condition:
        sys.exit(f"check-yaml: {text}")


compose = yaml.safe_load((folder / "docker" / "compose.yaml").read_text())
services = compose["services"]
check(sorted(services) == ["silo1", "silo2", "silo3"], "compose: three silos")
for name, service in services.items():
    command = service["command"].split()
    check(command[0] == "serve" and "--cluster-secret-file" in command, f"compose: {name} serves with a secret")
    check(command[command.index("--advertise") + 1] == name, f"compose: {name} advertises its own name")
    check(command[command.index("--join") + 1] == "silo1:11111,silo2:11111,silo3:11111", f"compose: {name} joins all three")
    check(all(secret in compose["secrets"] for secret in service["secrets"]), f"compose: {name} has its secrets")
    check(service["environment"]["ORLEANSCACHE_DATA_DIR"] == "/state" and service["volumes"] == [f"state{name[-1]}:/state"], f"compose: {name} keeps its state")
    check(service["stop_grace_period"] == "90s", f"compose: {name} has time to hand over")
ports = [port for service in services.values() for port in service["ports"]]
check(len(set(ports)) == 3 and all(port.startswith("127.0.0.1:") for port in ports), "compose: ports differ and stay on this machine")

documents = list(yaml.safe_load_all((folder / "kubernetes" / "orleanscache.yaml").read_text()))
check([document["kind"] for document in documents] == ["Service", "Service", "PodDisruptionBudget", "StatefulSet"], "kubernetes: kinds")
check(all("apiVersion" in document and "name" in document["metadata"] for document in documents), "kubernetes: each has a version and a name")
client, headless, _, stateful = documents
spec = stateful["spec"]
pod = spec["template"]["spec"]
container = pod["containers"][0]
named = {port["name"]: port["containerPort"] for port in container["ports"]}
check(headless["spec"]["clusterIP"] in (None, "None") and headless["spec"]["publishNotReadyAddresses"], "kubernetes: the silos' service is headless")
check(spec["serviceName"] == headless["metadata"]["name"], "kubernetes: the StatefulSet uses it")
for document in (client, headless):
    check(document["spec"]["selector"] == spec["template"]["metadata"]["labels"] == spec["selector"]["matchLabels"], "kubernetes: selectors match the pods")
    check(all(port["targetPort"] in named for port in document["spec"]["ports"]), "kubernetes: ports of services are ports of the container")
for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
    check(container[probe]["httpGet"]["port"] in named, f"kubernetes: {probe} asks a port that is there")
check(container["readinessProbe"]["httpGet"]["path"] == "/health/ready", "kubernetes: ready means /health/ready")
arguments = dict(argument.removeprefix("--").split("=", 1) for argument in container["args"] if "=" in argument)
check(arguments["http"].endswith(f":{named['http']}") and int(arguments["silo-port"]) == named["silo"], "kubernetes: options and ports agree")
stop = container["lifecycle"]["preStop"]["sleep"]["seconds"] + int(arguments["drain-timeout"]) + 10
check(pod["terminationGracePeriodSeconds"] >= stop, f"kubernetes: a stop may take {stop} s")
memory = int(arguments["memory-limit"])
limit = int(container["resources"]["limits"]["memory"].removesuffix("Mi"))
check(limit >= memory * 1.1 + 150, "kubernetes: the memory limit holds -m, a tenth more and 150 MB")
mounts = {mount["name"] for mount in container["volumeMounts"]}
claims = {claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]}
check(mounts == {volume["name"] for volume in pod["volumes"]} | claims, "kubernetes: volumes are mounted")
check({"name": "state", "mountPath": arguments["data-dir"]} in container["volumeMounts"] and "state" in claims, "kubernetes: a pod keeps its state")
seeds = arguments["join"].split(",")
check([seed.split(".")[0] for seed in seeds] == [f"{stateful['metadata']['name']}-{number}" for number in range(3)], "kubernetes: pods are joined by name")
check(all(seed.split(".", 1)[1] == arguments["advertise"].split(".", 1)[1] + f":{named['silo']}" for seed in seeds), "kubernetes: names agree")
check(named["membership"] == named["silo"] + 2000, "kubernetes: the port of the membership")
check(not pod["enableServiceLinks"], "kubernetes: no variables of services")
print("compose and kubernetes: ok")
