"""`Similarity`: which of the texts in a store are most like a query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from ...errors import KeyNotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ...store import Store

    Embed: TypeAlias = Callable[[list[str]], Sequence[Any]]

__all__ = ["Similarity"]

_MODEL = "all-MiniLM-L6-v2"


class Similarity:
    """Compares vectors that a model makes of texts. It keeps those of texts that have not changed since.

    Args:
        embed: Makes a vector of each text; None is a model of sentence-transformers, if that is installed.
    """

    def __init__(self, embed: Embed | None) -> None:
        self._embed = embed
        self._asked = embed is not None
        self._known: dict[str, tuple[int, Any]] = {}  # by key: the version, and the vector of that

    def search(self, store: Store, keys: Iterable[str], query: str, top_k: int) -> list[tuple[str, float]]:
        """Those of the keys whose texts are most like the query, each with the cosine, best first."""
        embed = self._model()
        if embed is None or top_k <= 0:
            return []
        vectors = self._vectors(store, keys, embed)
        if not vectors:
            return []
        wanted = _unit(embed([query])[0])
        scores = [(key, float(vector @ wanted)) for key, vector in vectors.items()]
        return sorted(scores, key=lambda found: (-found[1], found[0]))[:top_k]

    def _vectors(self, store: Store, keys: Iterable[str], embed: Embed) -> dict[str, Any]:
        known = self._known  # threads may search at once: each makes its own new dict of it
        found: dict[str, tuple[int, Any]] = {}
        new: dict[str, tuple[int, str]] = {}
        for key in keys:
            try:
                value, version = store.get_versioned(key)
            except KeyNotFound:
                continue
            if not isinstance(value, str):
                continue
            if known.get(key, (0,))[0] == version:
                found[key] = known[key]
            else:
                new[key] = version, value
        if new:
            vectors = embed([text for _, text in new.values()])
            for (key, (version, _)), vector in zip(new.items(), vectors, strict=True):
                found[key] = version, _unit(vector)
        self._known = found
        return {key: vector for key, (_, vector) in found.items()}

    def _model(self) -> Embed | None:
        if not self._asked:
            self._asked = True
            from importlib import import_module  # there are no types for it

            try:
                models = import_module("sentence_transformers")
            except ImportError:
                return None
            self._embed = models.SentenceTransformer(_MODEL).encode
        return self._embed


def _unit(vector: Any) -> Any:
    import numpy as np

    array = np.asarray(vector, dtype=float)
    length = np.linalg.norm(array)
    return array / length if length else array
