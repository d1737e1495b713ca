"""Infos of shards become one info."""

from __future__ import annotations

from typing import Any

import numpy as np

from hpo_env.sharding.merging import masked_out, merge, put_lanes, with_final, without_final


def info(*losses: float) -> dict[str, Any]:
    mask = np.ones(len(losses), dtype=bool)
    values = {"rate": np.array(losses) * 10, "_rate": mask.copy()}
    return {"loss": np.array(losses), "_loss": mask, "values": values}


def test_values_and_masks_go_to_their_lanes_at_every_depth() -> None:
    merged = merge([(np.array([0, 2]), info(1.0, 3.0)), (np.array([1]), info(2.0))], 3)
    assert merged["loss"].tolist() == [1.0, 2.0, 3.0]
    assert merged["values"]["rate"].tolist() == [10.0, 20.0, 30.0]
    assert merged["_loss"].all()


def test_what_a_shard_does_not_have_is_masked_out_there() -> None:
    closing = {
        "task": np.array(["a"], dtype=object),
        "_task": np.array([True]),
        "end": {"x": np.array([1.5]), "_x": np.array([True])},
    }
    merged = merge([(np.array([1]), closing), (np.array([0]), {})], 2)
    assert merged["task"].tolist() == [None, "a"]
    assert merged["_task"].tolist() == [False, True]
    assert merged["end"]["_x"].tolist() == [False, True]


def test_lanes_are_overwritten_in_place_and_new_keys_are_masked_out_elsewhere() -> None:
    target, source = info(1.0, 2.0), info(8.0, 9.0)
    source |= {"lost": np.array([True, True]), "_lost": np.array([True, True])}
    put_lanes(target, source, np.array([1]))
    assert target["loss"].tolist() == [1.0, 9.0]
    assert target["values"]["rate"].tolist() == [10.0, 90.0]
    assert target["_lost"].tolist() == [False, True]


def test_lanes_without_an_end_report_a_final_info_that_is_masked_out() -> None:
    plain, observations = info(1.0, 2.0), np.zeros((2, 3), np.float32)
    final = with_final(plain, observations)
    assert not final["_final_obs"].any()
    assert not final["final_info"]["_loss"].any()
    assert not final["final_info"]["values"]["_rate"].any()
    assert final["final_info"]["loss"].tolist() == [1.0, 2.0]
    assert plain["_loss"].all()
    assert without_final(final).keys() == plain.keys()
    assert with_final(final, observations) is final


def test_masking_out_keeps_the_values() -> None:
    masked = masked_out(info(1.0))
    assert masked["loss"].tolist() == [1.0]
    assert not masked["_loss"].any()
