"""The rules by which a way to carry out a run is chosen from what its steps take.

One thing is changed at a time, and a change is kept if it saves a twentieth of a step. All timing
together may cost a fiftieth of the run; a short run takes what is likely to be best, at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from neocog.engine import machine
from neocog.engine.hardware import FEW_PIXELS, UNMEASURED, Hardware, Wanted, fitted, plain
from neocog.engine.precision import TRIES

SHORT = 20.0  # seconds in all, below which there is little to gain
SHARE = 0.02  # of the remaining run, for all timing together
ROUNDS = 3  # steps of each candidate that count, after one that makes ready
GAIN = 0.05  # of a step: what a change must save, or noise would choose
HOPELESS = 1.5  # times as slow as the other in the first round: no further round
# Threads may wait for each other more than they work: in steps shorter than so many seconds, and,
# where there are but two, in any step while something else computes on one of their cores.
TINY, FEW_THREADS = 0.005, 2
MAYBE_NATIVE = 8 * FEW_PIXELS  # pixels a step up to which kernels without oneDNN are tried
TOLD = 5.0  # seconds of timing that are announced
# Seconds that torch.compile takes, times a factor once it was measured here. LeNet's 12 layers, one
# core beside other work, 2026-11-22: 33 s.
COMPILE_START, COMPILE_A_LAYER = 20.0, 1.0
PAYS = 3  # times: how often the time saved must pay for compiling
KEPT_ANSWERS = 200
ALONE = {UNMEASURED: "there is no other way here"}

Seconds = Callable[[Hardware], float]  # of one step
Hold = Callable[[Hardware, bool], Hardware]  # with the layers that bf16 does not suit; timed?
Agrees = Callable[[Hardware], bool]  # whether compiled it computes what it computes uncompiled
Fit = Callable[[Hardware], Hardware]  # with the ways that suit its precision and layout
Tell = Callable[[str], None]


@dataclass(eq=False)
class Search:
    """The choosing of one run's hardware, whichever way its steps are timed."""

    wanted: Wanted
    default: Hardware  # what is taken unmeasured
    steps: int  # of the run that remain
    pixels: int  # of a step
    seconds: Seconds
    hold: Hold
    agrees: Agrees
    tell: Tell | None = None
    limit: float | None = None  # seconds the run takes, however many steps they are
    spent: float = 0.0
    fit: Fit = fitted
    best: dict[Hardware, float] = field(default_factory=dict)
    tried: set[Hardware] = field(default_factory=set)  # without what was held in each

    def answer(self, answers: dict[str, Any], key: str, *, layers: int) -> Hardware:
        """What is remembered under `key`, or found now; then whether to compile its `layers`."""
        found = remembered(answers, key, self.default)
        if found is None:
            found, whole = self.found()
            if whole:
                remember(answers, key, {"hardware": found.to_json(), "compiled": None})
        if self.wanted.compile == "auto" and str(found) in found.measured:
            return self._with_compiling(found, answers, key, layers)
        if self.wanted.compile == "yes":
            compiled = replace(found, compile=True)
            return compiled if self._is_sound(compiled) else found
        return found

    def found(self) -> tuple[Hardware, bool]:
        """The fastest way that is not compiled, and whether all there is was tried."""
        default = replace(self.default, compile=False)
        step = 1.0 if self.limit is None else self._once(self.hold(default, False))
        if SHARE * self._run(step) < (2 + ROUNDS) * step:
            return self.hold(default, False), False
        first = self.hold(plain(default, self.wanted), False)
        self._once(first)
        self._time(first)
        if self._run(self.best[first]) < SHORT:
            return self.hold(default, False), False
        now, whole = self._changed(first)
        if len(self.best) == 1 and not whole:
            return self.hold(default, False), False
        why = "measured" if len(self.best) > 1 else ALONE.get(default.why, default.why)
        return replace(now, why=why, measured=self._measured(first)), whole

    def _changed(self, now: Hardware) -> tuple[Hardware, bool]:
        whole = True
        self.tried.add(replace(now, held=()))
        for change in _CHANGES:
            rival = change(self, now)
            if rival is None or replace(rival, held=()) in self.tried:
                continue
            cost = self._cost(now, rival)
            if self.spent + cost > SHARE * self._run(min(self.best.values())):
                whole = False
                continue
            if self.tell and len(self.best) == 1 and len(_CHANGES) * cost > TOLD:
                self.tell("timing a few steps, to choose how to carry them out")
            self.tried.add(replace(rival, held=()))
            now = self._faster(now, self._with_held(rival))
        return now, whole

    def _faster(self, now: Hardware, rival: Hardware) -> Hardware:
        """The rival if it saves enough, else `now`; their steps are interleaved."""
        self._once(rival)
        for _ in range(ROUNDS):
            self._time(now)
            self._time(rival)
            slow, quick = sorted((self.best[now], self.best[rival]), reverse=True)
            if slow > HOPELESS * quick:
                break
        return rival if self.best[rival] <= (1 - GAIN) * self.best[now] else now

    def _with_compiling(
        self, found: Hardware, answers: dict[str, Any], key: str, layers: int
    ) -> Hardware:
        """`found`, compiled if that pays: measured once, then remembered."""
        step = found.measured[str(found)] / 1000
        known = _known_of_compiling(answers, key)
        if known is None and self._may_compile(step, layers, answers):
            known = self._compiled(found, layers, answers)
            if key in answers:
                remember(answers, key, {**answers[key], "compiled": known})
        if not known or not known["works"]:
            return found
        compiled = replace(found, compile=True)
        times = {**found.measured, str(compiled): round(1000 * known["step"], 3)}
        saved = step - known["step"]
        in_all = saved / step * self._run(step)
        pays = saved >= GAIN * step and in_all >= PAYS * known["to_compile"]
        return replace(compiled if pays else found, measured=times)

    def _may_compile(self, step: float, layers: int, answers: Mapping[str, Any]) -> bool:
        factor = answers.get("compile_factor")
        cost = compiling(layers) * (factor if isinstance(factor, float) else 1.0)
        cost += 2 * ROUNDS * step
        affordable = self.spent + cost <= SHARE * self._run(step)
        return affordable and machine.can_compile(self.default.device)

    def _compiled(self, found: Hardware, layers: int, answers: dict[str, Any]) -> dict[str, Any]:
        """What compiling took, and what a step takes then."""
        if self.tell:
            self.tell("compiling the network once, to see whether it pays (--compile no: never)")
        compiled = replace(found, compile=True)
        try:
            to_compile = self._once(compiled)
            sound = self._is_sound(compiled)
        except Exception:  # a compiler can fail in any way
            sound = False
        if not sound:
            return {"works": False}
        answers["compile_factor"] = to_compile / compiling(layers)
        for _ in range(ROUNDS):
            self._time(compiled)
        return {"works": True, "to_compile": to_compile, "step": self.best[compiled]}

    def _is_sound(self, compiled: Hardware) -> bool:
        try:
            found = "" if self.agrees(compiled) else "has other gradients than it should"
        except Exception as error:  # what torch compiles may also refuse to run
            found = f"fails: {(str(error).splitlines() or [type(error).__name__])[0]}"
        if found and self.tell:
            self.tell(f"compiled by torch, this network {found}; it is trained uncompiled")
        return not found

    def _with_held(self, rival: Hardware) -> Hardware:
        begin = time.perf_counter()
        held = self.hold(rival, True)
        self.spent += time.perf_counter() - begin
        return held

    def _run(self, step: float) -> float:
        """Seconds of the run, if a step takes so many."""
        return self.steps * step if self.limit is None else self.limit

    def _cost(self, now: Hardware, rival: Hardware) -> float:
        """Seconds, if the rival is as slow as what there is."""
        tries = 2 + 2 * TRIES if rival.precision == "bf16" else 0
        return self.best[now] * (1 + 2 * ROUNDS + tries)

    def _once(self, candidate: Hardware) -> float:
        seconds = self.seconds(candidate)
        self.spent += seconds
        return seconds

    def _time(self, candidate: Hardware) -> None:
        seconds = self._once(candidate)
        self.best[candidate] = min(seconds, self.best.get(candidate, seconds))

    def _measured(self, first: Hardware) -> dict[str, float]:
        times = {str(candidate): round(1000 * s, 3) for candidate, s in self.best.items()}
        return {str(first): times[str(first)], **times}


def _default(search: Search, now: Hardware) -> Hardware | None:
    return replace(search.default, compile=False)


def _layout(search: Search, now: Hardware) -> Hardware | None:
    if search.wanted.layout != "auto":
        return None
    other = "contiguous" if now.layout == "channels_last" else "channels_last"
    return search.fit(replace(now, layout=other, held=()))


def _precision(search: Search, now: Hardware) -> Hardware | None:
    if search.wanted.precision != "auto" or not machine.has_bf16(now.device):
        return None
    other = "fp32" if now.precision == "bf16" else "bf16"
    return search.fit(replace(now, precision=other, held=()))


def _threads(search: Search, now: Hardware) -> Hardware | None:
    may_wait = search.best[now] < TINY or now.threads <= FEW_THREADS
    if search.wanted.threads is not None or now.device != "cpu" or now.threads == 1:
        return None
    if not may_wait:
        return None
    return replace(now, threads=1)


def _kernels(search: Search, now: Hardware) -> Hardware | None:
    if now.device != "cpu" or search.pixels > MAYBE_NATIVE or now.precision == "bf16":
        return None
    other = "default" if now.kernels == "native" else "native"
    return replace(now, kernels=other)


def _convolutions(search: Search, now: Hardware) -> Hardware | None:
    best = search.fit(now).convolutions
    return replace(now, convolutions="plain" if now.convolutions == best else best)


def _norms(search: Search, now: Hardware) -> Hardware | None:
    best = search.fit(now).norms
    return replace(now, norms="plain" if now.norms == best else best)


def _stages(search: Search, now: Hardware) -> Hardware | None:
    if search.default.stages == "plain":
        return None
    return replace(now, stages="plain" if now.stages == "fused" else "fused")


# In this order, each from what the one before left
_CHANGES = (_default, _layout, _precision, _convolutions, _norms, _stages, _threads, _kernels)


def compiling(layers: int) -> float:
    """Seconds it may take to compile so many layers."""
    return COMPILE_START + COMPILE_A_LAYER * layers


def remembered(answers: Mapping[str, Any], key: str, default: Hardware) -> Hardware | None:
    """The answer of an earlier run; None where there is none, or none that can be read."""
    try:
        found = Hardware.from_json(answers[key]["hardware"])
    except (KeyError, TypeError, ValueError):
        return None
    return replace(found, memory=default.memory, why="remembered")


def remember(answers: dict[str, Any], key: str, answer: dict[str, Any]) -> None:
    """Add an answer; the oldest go when there are too many."""
    answers.pop(key, None)
    answers[key] = answer
    keys = [k for k in answers if k != "compile_factor"]
    for old in keys[: max(len(keys) - KEPT_ANSWERS, 0)]:
        del answers[old]


def _known_of_compiling(answers: Mapping[str, Any], key: str) -> dict[str, Any] | None:
    known = answers.get(key, {}).get("compiled")
    if not isinstance(known, dict) or known.get("works") is not True:
        return {"works": False} if known == {"works": False} else None
    sound = isinstance(known.get("step"), float) and isinstance(known.get("to_compile"), float)
    return known if sound else None
