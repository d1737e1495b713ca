"""Texts that come with Python and with the packages that are needed anyway, as streams of tokens.

A token is a character, or "another one" for those that are too rare. Whole documents (files,
chapters, docstrings) lie on one of a text's three parts, so that the validation stream holds
nothing that was trained on. The texts follow the versions of Python and of the packages, and so do
numbers that are measured on them.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from hpo_env.datasets.base import Split
from hpo_env.datasets.documents import docstrings, sources, topics
from hpo_env.errors import DatasetError, unknown_name

MAX_VOCABULARY = 96
_FEWEST_TOKENS = 12_288
"""Of every part: what a validation has to read, several times over."""
_PARTS = 5
"""Of every five documents the fourth is for validation, the fifth for tests."""

Tokens = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class Text:
    """Three streams of tokens over one vocabulary.

    Args:
        name: Name in the registry.
        train: Tokens `[L]`, uint8, all below the size of the vocabulary.
        validation: The same of other documents.
        test: The same of others again.
        vocabulary: The characters of the tokens 0, 1, …, from the most frequent on; the token
            after them is any other character.

    Raises:
        DatasetError: A part is too short, or the vocabulary too large.
    """

    name: str
    train: Tokens
    validation: Tokens
    test: Tokens
    vocabulary: str

    def __post_init__(self) -> None:
        """Check sizes."""
        if not 1 <= len(self.vocabulary) < MAX_VOCABULARY:
            raise DatasetError(
                f"text {self.name!r}: 1 to {MAX_VOCABULARY - 1} characters must be told apart; "
                f"got {len(self.vocabulary)}"
            )
        for part in ("train", "validation", "test"):
            length = len(getattr(self, part))
            if length < _FEWEST_TOKENS:
                raise DatasetError(
                    f"text {self.name!r}: its part for {part} must have at least {_FEWEST_TOKENS} "
                    f"characters; it has {length}"
                )

    @property
    def num_tokens(self) -> int:
        """Size of the vocabulary."""
        return len(self.vocabulary) + 1

    @cached_property
    def fingerprint(self) -> str:
        """Hash of what a task sees of it: all but its name; 64 hexadecimal digits."""
        content = hashlib.sha256(json.dumps(self.vocabulary).encode())
        for part in (self.train, self.validation, self.test):
            content.update(f"{len(part)} ".encode())
            content.update(np.ascontiguousarray(part).data)
        return content.hexdigest()

    def __deepcopy__(self, memo: dict[int, object]) -> Text:
        """Return itself: nothing in it changes, and copies of environments need not copy data."""
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class TextInfo:
    """What is known of a named text before it is loaded.

    Args:
        name: Its key.
        split: The side of meta-training that it lies on.
        source: Where it comes from, for people.
        licence: Terms of use.
        description: One line.
        documents: Makes its documents anew, by name.
        num_tokens: Size of the vocabulary.
        folds_case: Whether capitals are read as small letters.
    """

    name: str
    split: Split
    source: str
    licence: str
    description: str
    documents: Callable[[], Mapping[str, str]]
    num_tokens: int
    folds_case: bool

    def load(self) -> Text:
        """Make the text anew."""
        documents = self.documents()
        names = sorted(documents)
        chosen = {
            "train": [name for i, name in enumerate(names) if i % _PARTS < _PARTS - 2],
            "validation": names[_PARTS - 2 :: _PARTS],
            "test": names[_PARTS - 1 :: _PARTS],
        }
        parts = {
            part: "\n".join(documents[name] for name in within) for part, within in chosen.items()
        }
        return tokenized(self.name, parts, self.num_tokens, folds_case=self.folds_case)


def tokenized(name: str, parts: Mapping[str, str], num_tokens: int, *, folds_case: bool) -> Text:
    """Make a text of the characters of its parts "train", "validation" and "test".

    Args:
        name: Its name.
        parts: What it is made of.
        num_tokens: Size of the vocabulary, "another character" included; fewer where the training
            part has fewer characters.
        folds_case: Whether capitals are read as small letters.
    """
    if folds_case:
        parts = {part: content.lower() for part, content in parts.items()}
    # Among characters that are as frequent, the order of their codes decides.
    ranked = sorted(Counter(parts["train"]).items(), key=lambda item: (-item[1], item[0]))
    vocabulary = "".join(character for character, _ in ranked[: num_tokens - 1])
    return Text(
        name=name,
        vocabulary=vocabulary,
        **{part: _tokens(content, vocabulary) for part, content in parts.items()},
    )


def _tokens(content: str, vocabulary: str) -> Tokens:
    codes = np.frombuffer(content.encode("utf-32-le", errors="replace"), dtype=np.uint32)
    characters = np.array([ord(character) for character in vocabulary], dtype=np.uint32)
    order = np.argsort(characters)
    place = np.minimum(np.searchsorted(characters[order], codes), len(characters) - 1)
    is_known = characters[order][place] == codes
    tokens: Tokens = np.where(is_known, order[place], len(vocabulary)).astype(np.uint8)
    tokens.setflags(write=False)
    return tokens


_USUAL = TextInfo(
    name="",
    split="train",
    source="Python's standard library",
    licence="PSF-2.0",
    description="",
    documents=dict,
    num_tokens=48,
    folds_case=True,
)

TEXTS: dict[str, TextInfo] = {
    info.name: info
    for info in (
        replace(
            _USUAL,
            name="python_asyncio",
            description="source code of asyncio and concurrent",
            documents=lambda: sources("asyncio", "concurrent"),
        ),
        replace(
            _USUAL,
            name="python_docs",
            description="English: the language reference that help() shows",
            documents=topics,
            num_tokens=36,
        ),
        replace(
            _USUAL,
            name="python_email",
            description="source code of email and http",
            documents=lambda: sources("email", "http"),
            num_tokens=64,
        ),
        replace(
            _USUAL,
            name="python_library",
            description="source code of multiprocessing, importlib, logging and urllib",
            documents=lambda: sources("multiprocessing", "importlib", "logging", "urllib"),
            num_tokens=40,
        ),
        replace(
            _USUAL,
            name="numpy_docs",
            split="validation",
            source="NumPy",
            licence="BSD-3-Clause",
            description="English and examples: docstrings of functions",
            documents=lambda: docstrings("numpy"),
        ),
        replace(
            _USUAL,
            name="python_unittest",
            split="validation",
            description="source code of unittest",
            documents=lambda: sources("unittest"),
        ),
        replace(
            _USUAL,
            name="python_xml",
            split="test",
            description="source code of xml and xmlrpc, with capitals",
            documents=lambda: sources("xml", "xmlrpc"),
            num_tokens=MAX_VOCABULARY,
            folds_case=False,
        ),
        replace(
            _USUAL,
            name="torch_docs",
            split="test",
            source="PyTorch",
            licence="BSD-3-Clause",
            description="English and formulas: docstrings of functions, with capitals",
            documents=lambda: docstrings("torch"),
            num_tokens=80,
            folds_case=False,
        ),
    )
}
"""By name."""


def text_names(*, split: Split | None = None) -> tuple[str, ...]:
    """List the named texts in alphabetical order.

    Args:
        split: Only this side; None for all.

    Example:
        >>> text_names(split="validation")
        ('numpy_docs', 'python_unittest')
    """
    return tuple(sorted(name for name, info in TEXTS.items() if split in (None, info.split)))


def is_text(name: str) -> bool:
    """Say whether `load_text` knows a name."""
    return name in TEXTS


@cache
def load_text(name: str) -> Text:
    """Load a named text; the second call in a process returns the same object.

    Raises:
        UnknownNameError: There is none of that name.

    Example:
        >>> load_text("python_docs").vocabulary[:4]
        ' eta'
    """
    if name not in TEXTS:
        raise unknown_name("text", name, TEXTS)
    return TEXTS[name].load()
