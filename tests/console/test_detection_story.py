"""An attack from its first call to its release, on a whole node, as an operator sees it in a browser (R7, E4).

One node, one browser: a detection is deployed with contain, the attack starts, its alert appears by itself, the number
is listed with an end, calls are refused, the operator releases it, calls pass again; then the mediation is killed in
the middle of another attack.
"""

from __future__ import annotations

import threading

from tests.system.running_node import RunningNode

from ringfence.demo.enum_line import EnumLine
from ringfence.demo.limits import traffic
from ringfence.demo.outcome import Outcome
from ringfence.demo.player import Lines, play
from ringfence.detection.attacks.call import Pace, Scene
from ringfence.detection.attacks.kinds import kind_of

KIND = "tdos-number"
SCENE = Scene()
RATE = 150
POLICY = """
lists:
  under-attack: {dynamic: true}
rules:
  - {name: attack, destinations: ["list:under-attack"], action: terminate}
"""


class Attack:
    """The player in a thread, until it is over or told to end."""

    def __init__(self, node: RunningNode, scene: Scene, seconds: float) -> None:
        self._line = EnumLine(node.enum_address(), "e164.internal")
        self._scene, self._seconds = scene, seconds
        self._ends = threading.Event()
        self.outcome = Outcome()
        self._thread = threading.Thread(target=self._play)
        self._thread.start()

    def _play(self) -> None:
        calls = traffic(kind_of(KIND), self._scene, Pace(RATE, self._seconds), 5, seed=1)
        self.outcome = play(
            (call for call in calls if not self._ends.is_set()), Lines(self._line), lambda _, now: self._look(now)
        )

    def _look(self, now: Outcome) -> None:
        self.outcome = now

    @property
    def is_refused(self) -> bool:
        """Whether any call of the attack has been refused."""
        return self.outcome.first_refused_s is not None

    def end(self) -> Outcome:
        """No further call; what came back."""
        self._ends.set()
        self._thread.join(30)
        self._line.close()
        return self.outcome
