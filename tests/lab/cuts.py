"""What is cut off, killed and frozen in the middle of calls, and what must become of them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from calls import CALLS, NAME, OFFICE, VIP
from harness.sip import keys, wait
from lab import HOSTS, Lab

VIP_PHONE = ("201", "Jansen & Zn")
RECEPTION = ("100", NAME)
# The office's telephone with the web server's name for the caller, and without it: the fallback.
OFFICE_PHONE, OFFICE_ALONE = ("201", "Bakery Example"), ("201", NAME)
# The caller hesitates for so long: the cut is made meanwhile. It is behind the first prompt's time, in the second prompt.
_HESITATE = wait(8)
# How long a call may take until a telephone rings: the longest waits for the dialplan's guard, 15 s.
_RINGS = 40
_LOSS = 0.05
# From the call's beginning to the prompt in which the caller types: what is typed before it is lost.
_TO_THE_PROMPT = 1.5


@dataclass(frozen=True)
class Cut:
    name: str
    run: Callable[[Lab], Iterator[str]]


def _expect(lab: Lab, caller: str, what: str, *wanted: tuple[str, str]) -> Iterator[str]:
    """What is wrong with where a call went: one telephone must ring, one of these."""
    rang = lab.wait_reached(caller, _RINGS)
    if len(rang) != 1 or rang[0] not in wanted:
        yield f"{what} ({caller}) reached {rang or 'nobody'}, expected {' or '.join(map(str, wanted))}"


def _well_again(lab: Lab) -> Iterator[str]:
    """The next call finds everything as it was."""
    yield from _expect(lab, lab.call(VIP, wait(1), keys("0042")), "the call afterwards", VIP_PHONE)


def web_off(lab: Lab) -> Iterator[str]:
    typing = lab.call(VIP, _HESITATE, keys("0042"))
    lab.wait_told(typing, "call")
    lab.take_off("web", "web")
    while_off = lab.call(OFFICE)
    yield from _expect(lab, while_off, "a call while the web server is off", OFFICE_ALONE)
    yield from _expect(lab, typing, "the call in which it was cut off", RECEPTION)
    lab.put_back("web", "web")
    yield from _well_again(lab)


def killed(lab: Lab) -> Iterator[str]:
    typing = lab.call(VIP, _HESITATE, keys("0042"))
    lab.wait_told(typing, "call")
    lab.docker("kill", "switchhook")
    yield from _expect(lab, typing, "the call in which Switchhook was killed", RECEPTION)
    # It goes on until Switchhook is back: a call that nobody could see is told to nobody.
    talking = lab.call(OFFICE, talk=15)
    yield from _expect(lab, talking, "a call without Switchhook", OFFICE_ALONE)
    lab.docker("start", "switchhook")
    lab.wait_well("switchhook")
    yield from _well_again(lab)


def frozen(lab: Lab) -> Iterator[str]:
    typing = lab.call(VIP, wait(4), keys("0042"))
    lab.wait_told(typing, "call")
    time.sleep(_TO_THE_PROMPT)
    lab.docker("pause", "switchhook")
    held = lab.call(OFFICE)
    yield from _expect(lab, held, "a call while Switchhook is frozen", OFFICE_ALONE)
    lab.docker("unpause", "switchhook")
    yield from _expect(lab, typing, "the call that typed its code meanwhile", VIP_PHONE)
    lab.wait_well("switchhook")
    yield from _well_again(lab)


def restarted(lab: Lab) -> Iterator[str]:
    talking = lab.call(OFFICE, talk=20)
    typing = lab.call(VIP, _HESITATE, keys("0042"))
    lab.wait_told(talking, "connected")
    lab.wait_told(typing, "call")
    lab.docker("restart", "switchhook", "-t", "40")
    yield from _expect(lab, typing, "the call that was open when Switchhook was told to stop", VIP_PHONE)
    yield from _expect(lab, talking, "the call that talked meanwhile", OFFICE_PHONE)
    lab.wait_well("switchhook")
    yield from _well_again(lab)


def asterisk_restarted(lab: Lab) -> Iterator[str]:
    talking = [lab.call(OFFICE, talk=60) for _ in range(3)]
    for caller in talking:
        lab.wait_told(caller, "connected")
    lab.docker("kill", "asterisk")
    lab.docker("start", "asterisk")
    lab.wait_well("asterisk")
    for caller in talking:
        lab.wait_told(caller, "disconnected", 40)
        yield from _expect(lab, caller, "a call that Asterisk lost", OFFICE_PHONE)
    yield from _well_again(lab)


def packets_lost(lab: Lab) -> Iterator[str]:
    # Between the hosts: a host's own names are asked for over its loopback.
    rule = ("INPUT", "!", "-i", "lo", "-m", "statistic", "--mode", "random", "--probability", str(_LOSS), "-j", "DROP")
    for host in HOSTS:
        lab.iptables(host, "-A", *rule)
    made = [(call, lab.call(call.number, *call.steps)) for call in CALLS]
    for call, caller in made:
        yield from _expect(lab, caller, call.about, (call.reaches, call.shows), RECEPTION, (call.reaches, NAME))
    for _, caller in made:
        lab.wait_told(caller, "disconnected", 60)
    lost = 0
    for host in HOSTS:
        dropped = re.search(r"^ *(\d+) .*DROP ", lab.iptables(host, "-L", "INPUT", "-vnx"), re.M)
        lost += int(dropped[1]) if dropped else 0
        lab.iptables(host, "-D", *rule)
    if lost == 0:
        yield "no packet was lost"
    yield from _well_again(lab)


def switchhook_off(lab: Lab) -> Iterator[str]:
    talking = lab.call(OFFICE, talk=8)
    lab.wait_told(talking, "connected")
    lab.take_off("switchhook", "pbx")
    while_off = lab.call(OFFICE, talk=20)
    yield from _expect(lab, while_off, "a call while Switchhook is off", OFFICE_ALONE)
    yield from _expect(lab, talking, "the call that ended meanwhile", OFFICE_PHONE)
    lab.wait_ended(talking)
    lab.put_back("switchhook", "pbx")
    yield from _well_again(lab)


def softphone(lab: Lab) -> Iterator[str]:
    phone = lab.softphone(VIP)
    yield from _expect(lab, phone, "the softphone's call", VIP_PHONE)
    lab.wait_ended(phone)


CUTS = [
    Cut("a softphone registers and calls, nothing is cut", softphone),
    Cut("the web server off its network in the middle of a call", web_off),
    Cut("Switchhook killed", killed),
    Cut("Switchhook frozen", frozen),
    Cut("Switchhook restarted", restarted),
    Cut("Asterisk killed and started while its calls are followed", asterisk_restarted),
    Cut("5 % of all packets lost", packets_lost),
    Cut("Switchhook off Asterisk's network and put back", switchhook_off),
]


def one_end_each(lab: Lab) -> Iterator[str]:
    """Each call of the whole test had its `disconnected`, once, and nothing of it is missing or came after."""
    for caller in lab.callers():
        lab.until(lambda: lab.told(caller, "disconnected") != [], 60)
        told = lab.told(caller)
        names = [event["event"] for event in told]
        numbers = [int(event["seq"]) for event in told]
        if names.count("disconnected") != 1 or names[-1] != "disconnected" or names[0] != "call":
            yield f"{caller} was told as {names}"
        if numbers != list(range(1, len(told) + 1)):
            yield f"{caller}'s events have the numbers {numbers}"
