"""One pool for all kernels: ranges cover everything once, errors arrive when nobody works any more."""

from __future__ import annotations

import multiprocessing
import threading
import time

import pytest

from hxtorch._kernels.threads import get_num_threads, run_chunks, set_num_threads, share


@pytest.mark.parametrize("total", [1, 2, 7, 64, 1000])
@pytest.mark.parametrize("threads", [1, 2, 3, 16])
@pytest.mark.parametrize("multiple", [1, 8])
def test_ranges_cover_everything_once(total: int, threads: int, multiple: int) -> None:
    ranges: list[tuple[int, int]] = []
    share(lambda begin, end: ranges.append((begin, end)), total, threads, multiple)
    ranges.sort()
    assert [begin for begin, _ in ranges] == [0, *(end for _, end in ranges[:-1])]
    assert ranges[-1][1] == total
    assert all(begin % multiple == 0 and begin < end for begin, end in ranges)
    assert len(ranges) == min(threads, -(-total // multiple))


def test_ranges_are_worked_on_at_the_same_time() -> None:
    together = threading.Barrier(6, timeout=30)
    share(lambda begin, end: together.wait(), 6, 6)
    assert not together.broken


@pytest.mark.parametrize("bad", [0, 3])
def test_an_error_arrives_when_all_have_ended(bad: int) -> None:
    ended: list[int] = []

    def work(begin: int, end: int) -> None:
        if begin == bad:
            raise ValueError(f"in {begin}")
        time.sleep(0.05)
        ended.append(begin)

    with pytest.raises(ValueError, match=f"in {bad}"):
        share(work, 4, 4)
    assert sorted(ended) == [n for n in range(4) if n != bad]


def test_the_number_of_threads_is_that_of_the_twin() -> None:
    before, ranges = get_num_threads(), []
    set_num_threads(3)
    try:
        run_chunks(lambda begin, end: ranges.append((begin, end)), 10)
    finally:
        set_num_threads(before)
    assert len(ranges) == 3


def _in_child(queue: multiprocessing.Queue[int]) -> None:
    share(lambda begin, end: queue.put(begin), 4, 4)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_forked_process_has_a_pool_of_its_own() -> None:
    share(lambda begin, end: None, 4, 4)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(queue,), daemon=True)
    child.start()
    try:
        assert sorted(queue.get(timeout=60) for _ in range(4)) == [0, 1, 2, 3]
    finally:
        child.kill()
