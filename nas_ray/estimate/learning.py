"""Many configs of one space: what their networks consist of, without building most of them.

Networks of a space are alike: what stands at a place, and each number there, depends on a few
choices. A few hundred networks are built and traced; from them tables are learned (`tables`), and
the rest is looked up. What is sure, and what is not:

- Every pair of values that occurs among the configs asked about occurs in a network that was
  built, and so does every combination of three values among `_SAMPLE` of them. With more than 30
  choices only pairs are covered, and choices of too many combinations (`covering`) not together.
- An entry of a table is used only if a network has shown it, and one that puts a rare skeleton
  somewhere if three have (as far as the sample has so many).
- `_HELD_OUT` configs drawn from those asked about, and not used for learning, are built as well
  and agree in every subgraph; where one does not, learning goes on with it.

This is evidence, not proof. A dependence on four or more choices together may not have been seen
at all, one on fewer may have been seen and put down to the wrong choices. With 95 % confidence
either would concern less than about 3 in `_HELD_OUT` of the configs asked about. The same holds
for a config that cannot be built, and for weights shared, only at such a combination. Whoever
must be certain about one config asks for it alone: then it is built.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from nas_ray.estimate.codes import Codebook, Codes, combined
from nas_ray.estimate.composition import Composition, compose, entry_lines
from nas_ray.estimate.covering import combination_lines, occurrences, worth_seeing
from nas_ray.estimate.dependence import NoFunctionError
from nas_ray.estimate.position_order import NoOrderError, PositionOrder
from nas_ray.estimate.tables import Learner, Network, TooWideError

_SAMPLE = 2048
_HELD_OUT = 60
#: Networks are checked again at each request; so many at least.
_FEWEST_HELD_OUT = 20
#: Networks built a second time at each request, and the configs they and the held-out are among.
_AGAIN = 5
_LOOKED_AT = 5000
_BATCH = 32
#: Of the configs asked about at most this share is built.
_LARGEST_SHARE = 0.5
_ROUNDS = 50
#: Choices with more combinations than this are not looked at in pairs.
_MOST_PAIRS = 4096


class NotLearnedError(Exception):
    """The networks of a space cannot be told without building them, or not for much less."""


class LearnedSpace:
    """Tables of a space, which grow with what is asked.

    `look` builds a config and says what its network consists of; it raises NotLearnedError for a
    network that is not the sum of its subgraphs.
    """

    def __init__(self, look: Callable[[Mapping[str, Any]], Network]) -> None:
        self._look = look
        self._codebook = Codebook()
        self._learner = Learner()
        self._networks: dict[bytes, Network] = {}
        self._order = PositionOrder()
        self._codes: list[Codes] = []
        self._held_out = 0

    def __len__(self) -> int:
        """How many networks were built."""
        return len(self._networks)

    def compositions(self, configs: Sequence[Mapping[str, Any]]) -> Composition:
        """What the networks of `configs` consist of.

        Raises NotLearnedError, and whatever building one of them raises.
        """
        try:
            return self._learned(configs, self._codebook.encode(configs))
        except TypeError as error:
            raise NotLearnedError("a value that cannot be told from others") from error
        except NoFunctionError as error:
            raise NotLearnedError("one config, two networks") from error
        except NoOrderError as error:
            raise NotLearnedError("positions in too many orders") from error
        except TooWideError as error:
            raise NotLearnedError("a number that depends on too much") from error

    def _learned(self, configs: Sequence[Mapping[str, Any]], codes: Codes) -> Composition:
        sizes, rng = self._codebook.sizes, np.random.default_rng(0)
        limit = len(self) + int(len(configs) * _LARGEST_SHARE)
        sample = _sampled(codes, sizes, rng)
        self._cover(configs, codes, sizes, sample, limit)
        for _ in range(_ROUNDS):
            self._support(configs, codes, sizes, sample, limit)
            composition = compose(self._tables(sizes), codes, sizes)
            if composition.missing:
                self._see(configs, codes, composition.missing[: 2 * _BATCH], limit)
            elif self._agrees(configs, codes, composition, rng, limit):
                return composition
        raise NotLearnedError("tables that never agree with new networks")

    def _cover(
        self,
        configs: Sequence[Mapping[str, Any]],
        codes: Codes,
        sizes: Codes,
        sample: Sequence[int],
        limit: int,
    ) -> None:
        """Build until the sample has no combination of three values that was not seen."""
        seen = self._seen_codes(len(codes))
        lines = combination_lines(np.concatenate([codes[:, sample], seen], axis=1), sizes)
        total = int(lines.max(initial=0)) + 1
        need = np.minimum(occurrences(lines[:, : len(sample)], total), 1)
        need[occurrences(lines[:, len(sample) :], total) > 0] = 0
        lines = lines[:, : len(sample)]
        while chosen := worth_seeing(lines, need, _BATCH):
            self._see(configs, codes, [sample[n] for n in chosen], limit)

    def _support(
        self,
        configs: Sequence[Mapping[str, Any]],
        codes: Codes,
        sizes: Codes,
        sample: Sequence[int],
        limit: int,
    ) -> None:
        """Build until every table entry that the sample uses was seen often enough."""
        for _ in range(_ROUNDS):
            free = [n for n in sample if _key(codes[:, n]) not in self._networks]
            lines, need = entry_lines(self._tables(sizes), codes[:, free], sizes)
            chosen = worth_seeing(lines, need, _BATCH)
            if not chosen:
                return
            self._see(configs, codes, [free[n] for n in chosen], limit)

    def _agrees(
        self,
        configs: Sequence[Mapping[str, Any]],
        codes: Codes,
        composition: Composition,
        rng: np.random.Generator,
        limit: int,
    ) -> bool:
        """Whether networks that were not used for learning are what the tables say.

        Some that were used are built again too, perhaps after a while: the space may have changed.
        """
        drawn = [int(n) for n in rng.permutation(len(configs))]
        known = [n for n in drawn[:_LOOKED_AT] if _key(codes[:, n]) in self._networks]
        for n in known[:_AGAIN]:
            if self._order.placed(self._look(configs[n])) != self._networks[_key(codes[:, n])]:
                raise NotLearnedError("one config, two networks")
        count = max(_FEWEST_HELD_OUT, _HELD_OUT - self._held_out)
        rows = [n for n in drawn[:_LOOKED_AT] if _key(codes[:, n]) not in self._networks][:count]
        self._see(configs, codes, rows, limit)
        if not all(_same(self._networks[_key(codes[:, n])], composition.network(n)) for n in rows):
            self._held_out = 0
            return False
        self._held_out += len(rows)
        return True

    def _see(
        self, configs: Sequence[Mapping[str, Any]], codes: Codes, rows: Sequence[int], limit: int
    ) -> None:
        """Build the networks of `rows`, if they were not."""
        for n in rows:
            key = _key(codes[:, n])
            if key in self._networks:
                continue
            if len(self) >= limit:
                raise NotLearnedError(f"more than {limit} networks to build")
            self._networks[key] = self._order.placed(self._look(configs[n]))
            self._codes.append(codes[:, n].copy())

    def _tables(self, sizes: Codes) -> dict[Any, Any]:
        networks = list(self._networks.values())
        found = self._learner.position_tables(self._seen_codes(len(sizes)), sizes, networks)
        return {position: found[position] for position in self._order if position in found}

    def _seen_codes(self, choices: int) -> Codes:
        """`(K, B)`; a choice that came later is absent from the networks before it."""
        seen = np.zeros((choices, len(self._codes)), dtype=np.int32)
        for n, row in enumerate(self._codes):
            seen[: len(row), n] = row
        return seen


def _same(network: Network, other: Network) -> bool:
    """The same pieces in the same order."""
    return list(network.items()) == list(other.items())


def _key(row: Codes) -> bytes:
    """The same for a config before and after other configs brought new choices."""
    return row.tobytes().rstrip(b"\0")


def _sampled(codes: Codes, sizes: Codes, rng: np.random.Generator) -> list[int]:
    """Configs at random, and one for each pair of values that occurs."""
    rows = set(rng.permutation(codes.shape[1])[:_SAMPLE].tolist())
    for choices in combinations(range(len(codes)), min(2, len(codes))):
        size = int(np.prod(sizes[list(choices)], dtype=np.int64))
        if size <= _MOST_PAIRS:
            first = np.full(size, -1, dtype=np.intp)
            first[combined(codes, sizes, choices)[::-1]] = np.arange(codes.shape[1])[::-1]
            rows.update(first[first >= 0].tolist())
    return sorted(rows)
