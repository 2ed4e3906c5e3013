"""Malformed files end with a sentence or with a result that opens: never with a signal, a hang or a traceback."""

from __future__ import annotations

import pytest

from benchmarks.fuzz import COMMANDS, CONTAINERS, Commands, faults, make_case, sound_file


@pytest.mark.slow
def test_malformed_files_end_with_a_sentence_or_a_result(tmp_path):
    assert faults(range(100), tmp_path) == []


def test_sound_files_are_taken_by_every_command(tmp_path):
    source = sound_file(CONTAINERS[0], tmp_path)
    with Commands() as commands:
        for words in COMMANDS.values():
            outcome = commands.run([word.format(source=source, target=tmp_path / "out.h5ad") for word in words])
            assert outcome.code == 0, outcome.said


@pytest.mark.parametrize("seed", [0, 1])
def test_seed_decides_what_is_wrong(seed, tmp_path):
    found = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        found.append(make_case(seed, tmp_path / name))
    assert found[0].done == found[1].done
