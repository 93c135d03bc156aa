"""The lab of contrib/lab, brought up for a test: its hosts, networks and what they saw."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from harness.asterisk import Missing
from harness.sip import Caller, Step
from telephones import MESSAGES, rung

ROOT = Path(__file__).resolve().parent.parent.parent
COMPOSE = ROOT / "contrib" / "lab" / "compose.yaml"
PROJECT = "switchhook-lab-test"
# Nobody's softphone: another lab on this machine keeps its ports.
_ADDRESS = "127.0.7.73"
# The rest is as in contrib/lab/.env, whatever this machine's own lab is set to.
_ENVIRONMENT = {
    "COMPOSE_PROJECT_NAME": PROJECT,
    "LAB_ADDRESS": _ADDRESS,
    "LAB_SIP_PORT": "5070",
    "LAB_PHONE_PASSWORD": "only-for-the-lab",
}
HOSTS = ("asterisk", "switchhook", "web", "callee")

Told = dict[str, str]


def require_docker() -> list[str]:
    """The command that is Docker Compose here; raises Missing without it or without an engine."""
    ways = "on Debian: apt-get install docker.io docker-compose, and be root or in the group docker"
    if shutil.which("docker") is None:
        raise Missing(f"docker is not installed; {ways}")
    engine = subprocess.run(["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True)
    if engine.returncode != 0:
        raise Missing(f"no Docker engine answers: {engine.stderr.strip()}; {ways}")
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and subprocess.run([*command, "version"], capture_output=True).returncode == 0:
            return command
    raise Missing(f"there is no Docker Compose; {ways}")


class Lab:
    """The whole lab. `calls` are made from this machine, which stands in the trunk's network beside SIPp's host."""

    def __init__(self, compose: list[str], logs: Path) -> None:
        self._compose = [*compose, "-f", str(COMPOSE)]
        self._logs = logs
        self._made: dict[str, Caller] = {}
        # What a run before this one could not take down.
        self.down()

    def up(self) -> None:
        """Brings up everything but the callers."""
        self.compose("up", "-d", *HOSTS)
        self.wait(lambda: all(self._health(host) == "healthy" for host in HOSTS), 60, "the lab's hosts are not well")
        self._asterisk = self._address("asterisk", "trunk")
        self._own = self._gateway("trunk")

    def down(self) -> None:
        """Removes everything: containers, networks, volumes."""
        self.compose("down", "-v", "--remove-orphans", "-t", "0")

    def save_logs(self) -> None:
        self._logs.mkdir(parents=True, exist_ok=True)
        (self._logs / "hosts.log").write_text(self.compose("logs", "--no-color", "-t"))

    def compose(self, *arguments: str) -> str:
        """Runs Docker Compose; what it says."""
        return self._run([*self._compose, *arguments])

    def table(self) -> tuple[bool, str]:
        """The calls that a user of the lab sees: whether all were right, and what was printed."""
        done = subprocess.run([*self._compose, "run", "--rm", "-T", "caller"], env=self._env(), capture_output=True, text=True)
        return done.returncode == 0, done.stdout

    # ---- Calls ----

    def call(self, number: str, *steps: Step, talk: int = 2) -> str:
        """Makes a call, which is on its way then; the caller's number, which no other call has."""
        caller = f"02076550{len(self._made) + 1:02}"
        who = f'"Alice Example" <sip:{caller}@{self._own}>'
        folder = self._logs / "callers" / caller
        hosts = (self._own, self._asterisk)
        self._made[caller] = Caller(folder, 5060, number, steps, who, f"X-Talk: {talk}", hosts)
        return caller

    def softphone(self, number: str) -> str:
        """A softphone outside registers, calls through the published ports and types its code; its number."""
        scenario, hosts = Path(__file__).parent / "softphone.xml", ("127.0.0.1", _ADDRESS)
        self._made["301"] = Caller(self._logs / "callers" / "301", 5070, number, (), hosts=hosts, scenario=scenario)
        return "301"

    def callers(self) -> list[str]:
        """The numbers of all calls until now."""
        return list(self._made)

    def wait_ended(self, caller: str) -> None:
        """Until the caller's side of a call is over."""
        if not self._made[caller].ended_well(60):
            raise AssertionError(f"the caller's side of {caller} did not go as written")

    def hang_up(self) -> None:
        """Ends what is left of the callers, without a word to the PBX."""
        for caller in self._made.values():
            caller.ended_well(0)

    def reached(self, caller: str) -> list[tuple[str, str]]:
        """Which telephones rang for a call, and the name that they showed."""
        text = self.execute("callee", "cat", str(MESSAGES))
        return [(telephone, name) for telephone, number, name in rung(text) if number == caller]

    def wait_reached(self, caller: str, seconds: float) -> list[tuple[str, str]]:
        """The same, once there is one."""
        self.until(lambda: self.reached(caller) != [], seconds)
        return self.reached(caller)

    def told(self, caller: str, event: str = "") -> list[Told]:
        """The events of a call, in their order; one that came twice counts once."""
        lines = map(json.loads, self.execute("web", "cat", "/seen/told").splitlines())
        events = {(told["calluniqueid"], told["seq"]): told for told in lines if told["callfrom"] == caller}
        return sorted((told for told in events.values() if event in ("", told["event"])), key=lambda told: int(told["seq"]))

    def wait_told(self, caller: str, event: str, seconds: float = 15) -> None:
        """Until the web server was told this of a call."""
        self.wait(lambda: self.told(caller, event) != [], seconds, f"no {event} of {caller} was told")

    # ---- What is done to hosts ----

    def docker(self, action: str, host: str, *options: str) -> None:
        """kill, start, restart, pause or unpause."""
        self._run(["docker", action, *options, self.container(host)])

    def take_off(self, host: str, network: str) -> None:
        self._run(["docker", "network", "disconnect", f"{PROJECT}_{network}", self.container(host)])

    def put_back(self, host: str, network: str) -> None:
        self._run(["docker", "network", "connect", "--alias", host, f"{PROJECT}_{network}", self.container(host)])

    def iptables(self, host: str, *rule: str) -> str:
        """In a host's network, from a container beside it: the lab's hosts may not change their own."""
        beside = ["docker", "run", "--rm", "--network", f"container:{self.container(host)}", "--cap-add", "NET_ADMIN"]
        return self._run([*beside, "switchhook-lab-sipp", "iptables", *rule])

    def wait_well(self, host: str, seconds: float = 30) -> None:
        self.wait(lambda: self._health(host) == "healthy", seconds, f"{host} is not well again")

    def execute(self, host: str, *command: str) -> str:
        return self._run(["docker", "exec", self.container(host), *command])

    def container(self, host: str) -> str:
        found = self._run(
            ["docker", "ps", "-aq", "-f", f"label=com.docker.compose.project={PROJECT}", "-f", f"label=com.docker.compose.service={host}"]
        )
        return found.split()[0]

    # ---- Waiting ----

    def until(self, done: Callable[[], bool], seconds: float) -> bool:
        """Whether it came in time."""
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                return False
            time.sleep(0.2)
        return True

    def wait(self, done: Callable[[], bool], seconds: float, otherwise: str) -> None:
        if not self.until(done, seconds):
            raise AssertionError(otherwise)

    def _health(self, host: str) -> str:
        return self._run(["docker", "inspect", "-f", "{{.State.Health.Status}}", self.container(host)]).strip()

    def _address(self, host: str, network: str) -> str:
        shown = self._run(["docker", "inspect", "-f", "{{json .NetworkSettings.Networks}}", self.container(host)])
        return str(json.loads(shown)[f"{PROJECT}_{network}"]["IPAddress"])

    def _gateway(self, network: str) -> str:
        shown = self._run(["docker", "network", "inspect", "-f", "{{json .IPAM.Config}}", f"{PROJECT}_{network}"])
        return str(json.loads(shown)[0]["Gateway"])

    def _env(self) -> dict[str, str]:
        return {**os.environ, **_ENVIRONMENT}

    def _run(self, command: list[str]) -> str:
        done = subprocess.run(command, env=self._env(), capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise Missing(f"{' '.join(command)}: {done.stderr.strip()[-1000:]}")
        return done.stdout
