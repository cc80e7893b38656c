from __future__ import annotations

from jangada.ids import id_within, new_id


def test_parts_of_a_whole_have_the_same_ids_each_time_and_sort_by_their_index() -> None:
    whole, other = new_id("bat"), new_id("bat")
    parts = [id_within("job", whole, index) for index in range(2000)]
    assert parts == [id_within("job", whole, index) for index in range(2000)] == sorted(set(parts))
    assert not set(parts) & {id_within("job", other, index) for index in range(2000)}
    assert {len(part) for part in parts} == {len(new_id("job"))}


def test_parts_are_of_the_time_of_their_whole() -> None:
    whole = new_id("job")
    assert id_within("job", whole, 7)[:14] == whole[:14]
