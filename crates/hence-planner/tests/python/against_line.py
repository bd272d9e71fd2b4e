"""Solves a few models with LINE and prints name and value as JSON.

An independent oracle for the planner's simulator: matrix-analytic and product-form solvers by other
people. Only solvers that are exact for the model are asked. Run by tests/it/line.rs; by hand:
python3 against_line.py
"""

import contextlib
import io
import json
import sys

import line_solver
from line_solver import *


def single(arrivals, service, servers):
    model = Network("single")
    source, sink = Source(model, "source"), Sink(model, "sink")
    queue = Queue(model, "q", SchedStrategy.FCFS)
    queue.setNumberOfServers(servers)
    events = OpenClass(model, "events")
    source.setArrival(events, arrivals)
    queue.setService(events, service)
    routes = model.initRoutingMatrix()
    routes.set(events, events, source, queue, 1.0)
    routes.set(events, events, queue, sink, 1.0)
    model.link(routes)
    return model


def jackson():
    """V14 with single servers: 10/s into the first, feedback from the third."""
    model = Network("jackson")
    source, sink = Source(model, "source"), Sink(model, "sink")
    queues = [Queue(model, f"q{i}", SchedStrategy.FCFS) for i in range(3)]
    events = OpenClass(model, "events")
    source.setArrival(events, Exp(10.0))
    for queue, rate in zip(queues, (16.0, 12.0, 15.0)):
        queue.setService(events, Exp(rate))
    routes = model.initRoutingMatrix()
    for start, end, p in (
        (source, queues[0], 1.0),
        (queues[0], queues[1], 0.7),
        (queues[0], queues[2], 0.3),
        (queues[1], queues[2], 1.0),
        (queues[2], queues[0], 0.05),
        (queues[2], sink, 0.95),
    ):
        routes.set(events, events, start, end, p)
    model.link(routes)
    return model


def responses(solver):
    with contextlib.redirect_stdout(io.StringIO()):
        table = solver.avg_table()
    frame = getattr(table, "data", table)
    return {row["Station"]: float(row["RespT"]) for _, row in frame.iterrows()}


def main():
    rows = []
    for station, value in responses(SolverMVA(jackson(), method="exact")).items():
        if station != "source":
            rows.append({"name": f"Jackson {station}", "value": value})
    bursty = single(MMPP2(30.0, 2.0, 1.0, 0.25), Exp(20.0), 1)
    rows.append({"name": "MMPP/M/1", "value": responses(SolverMAM(bursty))["q"]})
    h2 = single(Exp(3.2), HyperExp(0.8872983346207417, 1.7745966692414834, 0.2254033307585166), 4)
    rows.append({"name": "M/H2/4", "value": responses(SolverMAM(h2))["q"]})
    json.dump({"line": getattr(line_solver, "__version__", ""), "rows": rows}, sys.stdout)


if __name__ == "__main__":
    main()
