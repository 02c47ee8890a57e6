"""A version's values never change: other values are another version."""

from __future__ import annotations

import json

import pytest

from tests.golden.frozen import FOLDER, VECTORS, current, digest, extended, recorded
from tritoninit import STREAM_VERSION


def test_the_vectors_are_the_frozen_ones() -> None:
    assert recorded()[str(STREAM_VERSION)] == current(), (
        "values of a frozen stream changed: undo that, or raise STREAM_VERSION, make new vectors"
        " and run python -m tests.golden.frozen"
    )


def test_every_version_until_this_one_is_recorded_and_another() -> None:
    record = recorded()
    assert list(record) == [str(version) for version in range(1, STREAM_VERSION + 1)]
    assert len({json.dumps(digests) for digests in record.values()}) == len(record)


@pytest.mark.parametrize("name", VECTORS)
def test_one_changed_value_is_another_digest(name: str) -> None:
    text = (FOLDER / name).read_text()
    document = json.loads(text)
    at = text.rindex('"')
    old = text[text.rindex('"', 0, at) + 1 : at]
    changed = json.loads(text.replace(f'"{old}"', f'"{old[:-1]}{"0" if old[-1] != "0" else "1"}"'))
    assert digest(changed) != digest(document)
    assert digest({**document, "source": "elsewhere"}) == digest(document)


def test_a_frozen_version_is_not_replaced() -> None:
    record = {"1": {"stream.json": "a"}}
    assert extended(record, 1, {"stream.json": "a"}) == record
    with pytest.raises(ValueError, match="raise STREAM_VERSION"):
        extended(record, 1, {"stream.json": "b"})
    with pytest.raises(ValueError, match="does not follow 1"):
        extended(record, 3, {"stream.json": "b"})
    assert list(extended(record, 2, {"stream.json": "b"})) == ["1", "2"]
    with pytest.raises(ValueError, match="provisional"):
        extended({}, 0, {})
