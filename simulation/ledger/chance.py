"""What happens next, chosen from the seed: steps for a world, each written down before it is taken."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.writer.requests import Append, ReadUnderLock
from simulation.dice import Dice
from simulation.ledger.steps import (
    Crash,
    Crowd,
    Die,
    Fate,
    Fly,
    Follow,
    Foreign,
    Give,
    Jump,
    Look,
    Pass,
    Restart,
    Step,
    Turn,
)
from simulation.ledger.wishes.about import About
from simulation.ledger.wishes.asking import Wishes
from simulation.ledger.world import World

_TROUBLES = {"turn": 12, "crash": 4, "restart": 2, "jump": 2, "foreign": 1, "slow": 2, "die": 4, "crowd": 1}
_WITHIN_S = (0.001, 0.05, 0.2)
_BETWEEN_S = (0.001, 0.3, 1.0, 7.0, 60.0, 60.0, 600.0, 600.0, 3_600.0)


@dataclass(frozen=True, slots=True)
class Weather:
    """How much goes wrong in a run; chances per step. ``narrow``: bounds lie where they are reached."""

    trouble: float
    writers: int
    accounts: int
    remembered: int
    narrow: bool = False


def weather(dice: Dice) -> Weather:
    """A run's weather: every third is calm, and every fourth narrow."""
    return Weather(
        trouble=dice.choose((0.0, 0.02, 0.06)),
        writers=1 + dice.below(3),
        accounts=2 + dice.below(4),
        remembered=dice.choose((1_000, 1_000, 1, 2)),
        narrow=dice.happens(0.25),
    )


class Chance:
    """Makes the steps of one run."""

    def __init__(self, dice: Dice, world: World, sky: Weather) -> None:
        self._dice = dice
        self._world = world
        self._sky = sky
        self._about = About(dice, world.model, world.clock, sky.accounts)
        self._wishes = Wishes(self._about)
        self._waiting: list[Step] = [Give(0, tuple(self._wishes.opening())), Turn(0), Turn(0), Turn(0)]

    def next(self) -> Step:
        """The next step."""
        if self._waiting:
            return self._waiting.pop(0)
        dice = self._dice
        if dice.happens(self._sky.trouble):
            return self._trouble()
        if dice.happens(0.12):
            return Follow(dice.below(2), dice.below(4), dice.choose((1, 2, 3, 7, 40)))
        flying = [writer.number for writer in self._world.writers if writer.flights]
        if flying and dice.happens(0.35):
            return Fly(dice.choose(flying))
        busy = self._able()
        if busy and dice.happens(0.72):
            return Turn(dice.choose(busy))
        if dice.happens(0.2):
            return Pass(dice.choose(_WITHIN_S if self._world.server.owner else _BETWEEN_S))
        if dice.happens(0.12):
            return self._look()
        return self._give()

    def _able(self) -> list[int]:
        """Writers that can go on; one that waits for the lock is woken now and then, to see whether its time is up."""
        owner = self._world.server.owner
        patient = owner is None or self._dice.happens(0.05)
        return [
            writer.number
            for writer in self._world.writers
            if writer.busy and (patient or writer is owner or not isinstance(writer.asked, ReadUnderLock))
        ]

    def _give(self) -> Give:
        dice, unknown = self._dice, self._world.unknown
        writer = dice.below(self._sky.writers)
        if unknown and dice.happens(0.5):
            return Give(writer, unknown.pop(dice.below(len(unknown))))
        size = dice.choose((1, 1, 1, 2, 3, 8))
        return Give(writer, tuple(self._wishes.next() for _ in range(size)))

    def _look(self) -> Look:
        dice, book = self._dice, self._world.model.book
        back = dice.below(200) if dice.happens(0.4) else None
        back_s = dice.choose((0.0, 1.0, 60.0, 4_000.0, 90_000.0)) if back is None and dice.happens(0.5) else None
        account_id = dice.choose(self._about.account_ids)
        if dice.happens(0.15):
            return Look("effective", account_id, back_s=back_s or 0.0)
        if book.holds and dice.happens(0.4):
            return Look("hold", dice.choose(list(book.holds)), back, back_s)
        return Look(dice.choose(("balance", "holds")), account_id, back, back_s)

    def _trouble(self) -> Step:
        dice = self._dice
        writer = dice.below(self._sky.writers)
        kind = dice.weighted(_TROUBLES)
        match kind:
            case "crash":
                return Crash(writer)
            case "die":
                return Die(dice.below(2))
            case "crowd":
                return Crowd(dice.choose(self._about.account_ids))
            case "restart":
                return Restart()
            case "jump":
                return self._jump(writer)
            case "foreign":
                return Foreign(dice.choose(self._about.account_ids))
            case "slow":
                return Pass(dice.choose((1.5, 2.5, 6.0)))
            case _:
                return self._cut(writer)

    def _cut(self, writer: int) -> Turn | Fly:
        """A connection breaks; best where an append has taken effect and nobody knows."""
        fates: tuple[Fate, ...] = ("cut", "lost", "lost", "refused")
        for one in self._world.writers:
            if one.flights and self._dice.happens(0.5):
                return Fly(one.number, self._dice.choose(fates))
        for one in self._world.writers:
            if one.told is not None and isinstance(one.asked, Append) and self._dice.happens(0.7):
                return Turn(one.number, "lost")
        return Turn(writer, self._dice.choose(fates))

    def _jump(self, writer: int) -> Jump:
        """A clock is set; one that is set far from the others is set back a little later."""
        dice = self._dice
        whose = None if dice.happens(0.5) else writer
        seconds = dice.choose((-3.0, -8.0, 4.0, 40.0, -40.0))
        self._waiting += [self._give(), Turn(writer), Turn(writer), Jump(whose, -seconds)]
        return Jump(whose, seconds)
