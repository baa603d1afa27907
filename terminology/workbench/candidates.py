"""Candidate targets of a local name by shared characters and pairs of characters (BM25 over 1- and 2-grams).

Approved pairs teach it which characters stand for which (Ca → 恶性肿瘤): a query is widened by the grams that its own
grams were mapped to before.
"""

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terminology.workbench.likeness import grams, normalise

K1, B = 1.2, 0.5
"""BM25: names are short and rarely repeat a gram, so length counts for half (terminology bench, drugs and diagnoses)."""

EXPANSIONS = 4
"""Learned grams that one gram of a query may bring."""

EXPANSION_WEIGHT = 0.6
MIN_PAIRS = 2
"""A learned association needs two approvals: one may be a slip."""


class Candidates:
    """An index over names; several names may lead to one target."""

    def __init__(self, names: Iterable[tuple[int, str]]) -> None:
        """`names`: (target number, name as written)."""
        targets: list[int] = []
        lengths: list[int] = []
        postings: dict[str, list[int]] = {}
        counts: dict[str, list[int]] = {}
        for number, (target, name) in enumerate(names):
            found = Counter(grams(normalise(name)))
            targets.append(target)
            lengths.append(sum(found.values()))
            for gram, count in found.items():
                postings.setdefault(gram, []).append(number)
                counts.setdefault(gram, []).append(count)
        self._targets = np.array(targets, np.uint32)
        length = np.array(lengths, np.float32)
        norm = K1 * (1 - B + B * length / max(float(length.mean()) if len(length) else 1.0, 1.0))
        self._postings: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}
        for gram, holders in postings.items():
            at = np.array(holders, np.uint32)
            often: NDArray[np.float32] = np.array(counts[gram], np.float32)
            idf = math.log(1 + (len(targets) - len(holders) + 0.5) / (len(holders) + 0.5))
            self._postings[gram] = at, (idf * often * (K1 + 1) / (often + norm[at])).astype(np.float32)
        self._learned: dict[str, list[tuple[str, float]]] = {}

    def learn(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Take approved (local name, target name) pairs: what the target says and the local name does not."""
        together: dict[str, Counter[str]] = {}
        seen: Counter[str] = Counter()
        for local, target in pairs:
            own, other = set(grams(normalise(local))), set(grams(normalise(target)))
            for gram in own - other:
                seen[gram] += 1
                together.setdefault(gram, Counter()).update(other - own)
        for gram, others in together.items():
            likely = [
                (other, count / seen[gram])
                for other, count in others.most_common(EXPANSIONS)
                if count >= MIN_PAIRS
            ]
            if likely:
                self._learned[gram] = likely

    def find(self, name: str, limit: int = 50) -> list[tuple[int, float]]:
        """Return up to `limit` (target number, score) pairs, best first."""
        weights = self._query(normalise(name))
        scores = np.zeros(len(self._targets), np.float32)
        for gram, weight in weights.items():
            posting = self._postings.get(gram)
            if posting is not None:
                scores[posting[0]] += weight * posting[1]
        wanted = min(limit * 2, len(scores))
        if not wanted:
            return []
        rows = np.argpartition(scores, -wanted)[-wanted:]
        rows = rows[np.argsort(-scores[rows], kind="stable")]
        best: dict[int, float] = {}
        for row in rows.tolist():
            if scores[row] > 0:
                best.setdefault(int(self._targets[row]), float(scores[row]))
        return list(best.items())[:limit]

    def _query(self, name: str) -> dict[str, float]:
        weights: dict[str, float] = dict(Counter(grams(name)))
        for gram in tuple(weights):
            for other, share in self._learned.get(gram, ()):
                weights[other] = max(weights.get(other, 0.0), EXPANSION_WEIGHT * share)
        return weights
