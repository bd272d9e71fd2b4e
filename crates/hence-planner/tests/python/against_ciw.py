"""Simulates a few models with Ciw and prints name, mean and standard error as JSON.

An independent oracle for the planner's simulator: another language, another author, another
random-number generator. Run by tests/it/ciw.rs; by hand: python3 against_ciw.py
"""

import json
import statistics
import sys

import ciw

REPLICATIONS = 8


def measure(name, network, horizon, value, **options):
    """Mean and standard error of `value(records)` over replications."""
    values = []
    for seed in range(REPLICATIONS):
        ciw.seed(1000 + seed)
        simulation = ciw.Simulation(network, **options)
        simulation.simulate_until_max_time(horizon)
        records = [
            r
            for r in simulation.get_all_records()
            if r.arrival_date > 0.1 * horizon and r.record_type == "service"
        ]
        values.append(value(records))
    se = statistics.stdev(values) / len(values) ** 0.5
    return {"name": name, "mean": statistics.fmean(values), "se": se}


def wait(records):
    return statistics.fmean(r.waiting_time for r in records)


def wait_of(customer):
    return lambda records: wait([r for r in records if r.customer_class == customer])


def p95(records):
    times = sorted(r.waiting_time + r.service_time for r in records)
    return times[int(0.95 * len(times))]


def journey(records):
    by_customer = {}
    for r in records:
        by_customer.setdefault(r.id_number, []).append(r)
    return statistics.fmean(
        max(r.exit_date for r in rs) - min(r.arrival_date for r in rs)
        for rs in by_customer.values()
    )


def exponential(rate):
    return ciw.dists.Exponential(rate=rate)


def main():
    rows = []
    mmc = ciw.create_network(
        arrival_distributions=[exponential(3.2)],
        service_distributions=[exponential(1.0)],
        number_of_servers=[4],
    )
    rows.append(measure("M/M/4 wait", mmc, 2000.0, wait))
    rows.append(measure("M/M/4 p95", mmc, 2000.0, p95))
    h2 = ciw.create_network(
        arrival_distributions=[exponential(2.4)],
        service_distributions=[
            ciw.dists.HyperExponential(
                rates=[1.7745966692414834, 0.2254033307585166],
                probs=[0.8872983346207417, 0.1127016653792583],
            )
        ],
        number_of_servers=[4],
    )
    rows.append(measure("M/H2/4 wait", h2, 3000.0, wait))
    priorities = ciw.create_network(
        arrival_distributions={"Urgent": [exponential(0.3)], "Calm": [exponential(0.4)]},
        service_distributions={"Urgent": [exponential(1.0)], "Calm": [exponential(1.0)]},
        priority_classes={"Urgent": 0, "Calm": 1},
        number_of_servers=[1],
    )
    rows.append(measure("priority urgent wait", priorities, 6000.0, wait_of("Urgent")))
    rows.append(measure("priority calm wait", priorities, 6000.0, wait_of("Calm")))
    feedback = ciw.create_network(
        arrival_distributions=[exponential(1.0), None],
        service_distributions=[ciw.dists.Uniform(0.2, 0.8), exponential(2.5)],
        routing=[[0.0, 1.0], [0.3, 0.0]],
        number_of_servers=[1, 1],
    )
    rows.append(measure("feedback journey", feedback, 6000.0, journey))
    bounded = ciw.create_network(
        arrival_distributions=[exponential(1.2)],
        service_distributions=[ciw.dists.Deterministic(value=1.0)],
        queue_capacities=[4],
        number_of_servers=[1],
    )
    rows.append(measure("M/D/1/5 wait", bounded, 6000.0, wait))
    json.dump({"ciw": ciw.__version__, "rows": rows}, sys.stdout)


if __name__ == "__main__":
    main()
