"""Texts are streams of tokens whose parts share no document."""

from __future__ import annotations

import numpy as np
import pytest

from hpo_env.datasets import is_named, load_dataset, load_text, text_names
from hpo_env.datasets.documents import topics
from hpo_env.datasets.texts import MAX_VOCABULARY, TEXTS, Text, tokenized
from hpo_env.errors import DatasetError, UnknownNameError

LONG = "ab" * 10_000


@pytest.mark.parametrize("name", TEXTS)
def test_named_texts_use_their_whole_vocabulary_and_little_is_left_out_of_it(name: str) -> None:
    text = load_text(name)
    assert load_text(name) is text
    assert text.num_tokens <= TEXTS[name].num_tokens <= MAX_VOCABULARY
    for part in (text.train, text.validation, text.test):
        assert part.dtype == np.uint8
        assert part.max() < text.num_tokens
        assert not part.flags.writeable
        assert np.mean(part == text.num_tokens - 1) < 0.06
    present = np.unique(text.train)
    assert present.tolist()[: text.num_tokens - 1] == list(range(text.num_tokens - 1))
    # Documents of one hand have some passages in common, docstrings most.
    train = bytes(text.train)
    passages = [bytes(text.validation[i : i + 200]) for i in range(0, 16_000, 400)]
    assert np.mean([passage in train for passage in passages]) < 0.3


def test_chapters_that_stand_in_longer_ones_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)

    def prose(length: int) -> str:
        return "".join(rng.choice(list("abcdefgh "), length))

    shared, own = prose(2_000), prose(3_000)
    chapters = {
        "part": shared,
        "mostly": prose(300) + shared[:1_700],
        "half": own[:1_500] + shared[:1_000],
        "whole": prose(1_000) + shared + prose(1_000),
    }
    monkeypatch.setattr("pydoc_data.topics.topics", chapters)
    assert list(topics()) == ["000 whole", "001 half"]


def test_every_side_has_texts_of_its_own() -> None:
    sides = [set(text_names(split=split)) for split in ("train", "validation", "test")]
    assert all(sides)
    assert set.union(*sides) == set(text_names())
    assert sum(map(len, sides)) == len(text_names())


def test_tokens_are_ranked_by_frequency_and_rare_characters_are_one_token() -> None:
    text = tokenized(
        "toy",
        {"train": "aab" * 9000 + "xyé", "validation": LONG + "€A", "test": LONG},
        3,
        folds_case=True,
    )
    assert (text.vocabulary, text.num_tokens) == ("ab", 3)
    assert text.train[:3].tolist() == [0, 0, 1]
    assert text.train[-3:].tolist() == [2, 2, 2]
    assert text.validation[-2:].tolist() == [2, 0]
    assert text.fingerprint != load_text("python_docs").fingerprint


def test_a_text_that_is_too_short_or_has_too_many_characters_is_refused() -> None:
    with pytest.raises(DatasetError, match="part for validation must have at least 12288"):
        tokenized("toy", {"train": LONG, "validation": "ab", "test": LONG}, 3, folds_case=False)
    stream = np.zeros(20_000, dtype=np.uint8)
    with pytest.raises(DatasetError, match="1 to 95 characters must be told apart; got 96"):
        Text(name="toy", train=stream, validation=stream, test=stream, vocabulary="a" * 96)


def test_a_text_is_no_table() -> None:
    assert is_named("python_docs")
    with pytest.raises(DatasetError, match="'python_docs' is a text, which has tokens"):
        load_dataset("python_docs")
    with pytest.raises(UnknownNameError, match="did you mean 'python_docs'"):
        load_text("python_doc")
    with pytest.raises(UnknownNameError, match="did you mean 'python_docs'"):
        load_dataset("python_doc")
