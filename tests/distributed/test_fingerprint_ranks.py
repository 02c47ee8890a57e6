"""The fingerprint over four gloo processes: the number of one, and every failure on every rank."""

from __future__ import annotations

from typing import Any

import pytest

from tests.distributed.fingerprint_ranks import TWO_MESHES, check, whole
from tests.distributed.launch import run
from tritoninit import fingerprint, fingerprints

WORLD = 4


@pytest.fixture(scope="module")
def ranks() -> list[dict[str, Any]]:
    """What every rank's checks returned."""
    return run(check, WORLD)


def test_every_rank_has_the_number_of_one_process(ranks: list[dict[str, Any]]) -> None:
    expected = [fingerprint(whole()), fingerprints(whole())]
    assert [found["numbers"] for found in ranks] == [expected] * WORLD


def test_every_placement_alone(ranks: list[dict[str, Any]]) -> None:
    """Also over meshes of which none spans the world."""
    expected = {name: fingerprint({name: tensor}) for name, tensor in whole().items()}
    expected["two meshes"] = fingerprint({name: whole()[name] for name in TWO_MESHES})
    assert [found["each_alone"] for found in ranks] == [expected] * WORLD


def test_one_message_a_rank(ranks: list[dict[str, Any]]) -> None:
    assert [found["messages"] for found in ranks] == [[["all_gather"], []]] * WORLD


@pytest.mark.parametrize(
    ("name", "rank", "others"),
    [
        ("replicated", 3, [0, 1, 2]),
        ("rows", 3, [1]),
        ("plain", 1, [0, 2, 3]),
        ("of one dimension", 3, [2]),
    ],
)
def test_a_corrupted_replica_is_named_everywhere(
    ranks: list[dict[str, Any]], name: str, rank: int, others: list[int]
) -> None:
    pair = sorted([[rank], others]) if len(others) == 1 else [others, [rank]]
    text = f"{name} has other values on ranks {pair[1]} than on ranks {pair[0]}"
    for found in ranks:
        kind, message = found["corrupted"][name]
        assert kind == "ReplicaError"
        assert message == f"the ranks do not hold the same model: {text}"


def test_an_element_of_one_rank_changes_the_number_of_all(ranks: list[dict[str, Any]]) -> None:
    changed = {found["flipped"] for found in ranks}
    assert len(changed) == 1
    assert changed != {fingerprint(whole())}


def test_models_that_are_not_the_same(ranks: list[dict[str, Any]]) -> None:
    for found in ranks:
        missing, recast, moved = found["unlike"]
        assert [kind for kind, _ in (missing, recast, moved)] == ["ReplicaError"] * 3
        assert missing[1].endswith("uneven is missing on ranks [1]")
        assert (
            "plain is float32 [11] on ranks [0, 2, 3], but float64 [11] on ranks [1]" in recast[1]
        )
        assert "both is float32 [8, 12] Sharding" in moved[1]
        assert moved[1].endswith("on ranks [1]")


def test_a_rank_that_fails_ends_all(ranks: list[dict[str, Any]]) -> None:
    own = ["ValueError", "TypeError", "ValueError"]
    texts = ["plain is on meta", "'plain' (int)", "pending Partial"]
    for rank, found in enumerate(ranks):
        *failures, then = found["failing"]
        for i, (kind, text) in enumerate(failures):
            assert texts[i // 2] in text
            if rank == 2:
                assert kind == own[i // 2]
            else:
                assert kind == "RuntimeError"
                assert text.startswith(f"no fingerprint, because rank 2: {own[i // 2]}: ")
        assert then == ["then", fingerprint(whole())]


def test_stages_of_a_pipeline_add_up(ranks: list[dict[str, Any]]) -> None:
    for rank, found in enumerate(ranks):
        together, plain, (kind, text) = found["stages"]
        assert together == plain == fingerprint(whole())
        assert kind == ("ValueError" if rank == 3 else "RuntimeError")
        assert ("meta is on meta" in text) == (rank in (2, 3))
        if rank in (0, 1):
            assert text == (
                "no fingerprint, because of errors on ranks"
                f" {[2] if rank == 0 else [3]} of the group"
            )


def test_a_sharded_module_has_the_number_of_the_unsharded(ranks: list[dict[str, Any]]) -> None:
    numbers = {number for found in ranks for number in found["modules"]}
    assert len(numbers) == 1
