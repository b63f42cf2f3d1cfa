"""Which packets a path loses: one object with `lost()` for each model, asked once per packet, in order."""

from random import Random
from typing import Protocol

from netstack.lab.scenario import Bursts, Link


class Loss(Protocol):
    """A model of loss, with its own random numbers."""

    def lost(self) -> bool:
        """Is the next packet lost?"""
        ...


class Independent:
    """Every packet with the same probability (Bernoulli)."""

    __slots__ = ("_probability", "_random")

    def __init__(self, probability: float, rng: Random) -> None:
        self._probability = probability
        self._random = rng.random

    def lost(self) -> bool:
        """One throw."""
        return self._random() < self._probability


class Periodic:
    """Exactly every n-th packet: what response functions assume (RFC 9438 5.1). No chance in it."""

    __slots__ = ("_every", "_left")

    def __init__(self, every: int) -> None:
        self._every = self._left = every

    def lost(self) -> bool:
        """Count down."""
        self._left -= 1
        if self._left:
            return False
        self._left = self._every
        return True


class GilbertElliott:
    """Two states that packets find the path in (E. N. Gilbert 1960, E. O. Elliott 1963): loss comes in bursts."""

    __slots__ = ("_bad", "_model", "_random")

    def __init__(self, model: Bursts, rng: Random) -> None:
        self._model = model
        self._random = rng.random
        self._bad = False

    def lost(self) -> bool:
        """The state first moves, then decides."""
        model, random = self._model, self._random
        if random() < (model.to_good if self._bad else model.to_bad):
            self._bad = not self._bad
        chance = model.loss_bad if self._bad else model.loss_good
        return chance > 0 and random() < chance


class Any:
    """Several models at work on one path. Each is asked about every packet, so that none depends on another."""

    __slots__ = ("_models",)

    def __init__(self, models: list[Loss]) -> None:
        self._models = models

    def lost(self) -> bool:
        """Lost to any of them."""
        verdicts = [model.lost() for model in self._models]
        return any(verdicts)


def of_data(link: Link, rng: Random) -> Loss | None:
    """What befalls data on `link`; None: nothing."""
    models: list[Loss] = []
    if link.loss:
        models.append(Independent(link.loss, rng))
    if link.loss_every:
        models.append(Periodic(link.loss_every))
    if link.bursts is not None:
        models.append(GilbertElliott(link.bursts, rng))
    return models[0] if len(models) == 1 else Any(models) if models else None


def of_acks(link: Link, rng: Random) -> Loss | None:
    """What befalls ACKs on their way back; None: nothing."""
    return Independent(link.ack_loss, rng) if link.ack_loss else None
