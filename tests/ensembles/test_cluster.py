"""A real cluster of two processes, one killed in the middle: the same table, to the bit, and every mistake is a sentence."""

from __future__ import annotations

import logging
import os
import signal
import socket

import pytest
from dask.distributed import Client, LocalCluster

import aitimestepper as ats
from aitimestepper.ensembles import cluster as module
from aitimestepper.errors import ConfigError, UserError
from aitimestepper.initial.suites import make_suite

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries under Dask
QUIET = {"dashboard_address": None, "silence_logs": logging.CRITICAL}
N, TOL = 240, 1e-4


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=logging.CRITICAL
    ) as made:
        yield made


@pytest.fixture
def client(cluster):
    with Client(cluster, set_as_default=False) as made:
        made.wait_for_workers(2)
        yield made


@pytest.fixture(scope="module")
def alone():
    return ats.ensemble(f"triple:0-{N}", tol=TOL).to_pandas()


def test_one_process_killed_in_the_middle_costs_no_row_and_no_bit(client, alone, tmp_path):
    """Run while one of both workers dies; then everything is there once, and the folder is that of one process."""
    processes, done = client.run(os.getpid), []

    def watch(status):
        done.append(status.done)
        if len(done) == 3:
            os.kill(next(iter(processes.values())), signal.SIGKILL)

    found = ats.ensemble(f"triple:0-{N}", tol=TOL, chunk=10, client=client, out=tmp_path / "t", progress=watch)
    assert done == list(range(10, N + 1, 10))
    assert found.finished
    assert found.to_pandas().equals(alone)  # where NaN equals NaN
    assert len(list((tmp_path / "t").glob("part-*"))) == N // 10
    client.wait_for_workers(2)
    assert not set(client.run(os.getpid).values()) >= set(processes.values())


def test_every_kind_of_source_goes_there(client):
    suite = make_suite(("triple",), "train", 12)
    start, ends = suite.batch()
    columns = ["number", "max_energy_error", "closest_distance"]
    wanted = ats.ensemble(suite, tol=TOL).table(columns)
    for source, end in ((suite, None), (start, ends), (((start.select(k), ends[k]) for k in range(12)), None)):
        assert ats.ensemble(source, t_end=end, tol=TOL, chunk=5, client=client).table(columns).equals(wanted)


def test_a_mistake_on_a_worker_is_its_sentence_and_is_not_tried_again(client, tmp_path):
    def outcomes(start, result):
        return {"x": [1.0]}

    with pytest.raises(ConfigError, match=r"column 'x' has the shape \(1,\).*0 of 12 systems are in"):
        ats.ensemble("triple:0-12", tol=TOL, outcomes=outcomes, client=client, out=tmp_path / "t")

    def broken(start, result):
        return {"x": 1 / 0}

    with pytest.raises(UserError, match="ZeroDivisionError"):
        ats.ensemble("triple:0-12", tol=TOL, outcomes=broken, client=client)


def test_a_worker_of_another_version_is_refused(client, monkeypatch):
    monkeypatch.setattr(module, "__version__", "99.0")
    with pytest.raises(ConfigError, match=r"has version '0\.\d.*' of aitimestepper, this is 99\.0: install the same"):
        ats.ensemble("triple:0-12", tol=TOL, client=client)


def test_no_scheduler_there_is_one_sentence(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    for wrong in (address, "nonsense://nowhere"):
        with pytest.raises(ConfigError, match=f"no scheduler of Dask answers at '{wrong}'"):
            ats.ensemble("triple:0-12", tol=TOL, client=wrong)


def test_a_cluster_without_workers_says_so():
    with LocalCluster(n_workers=0, **QUIET) as empty, pytest.raises(ConfigError, match="has no workers: start some"):
        ats.ensemble("triple:0-12", tol=TOL, client=empty.scheduler_address)
