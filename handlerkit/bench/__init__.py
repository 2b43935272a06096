"""What a handler costs: many calls of an endpoint, their figures, the last version beside them, and what might help.

    bench = measure(worker, Request.file("coins.png"), batch_sizes=(1, 4, 8))
    bench = compare(worker, earlier, Request.file("coins.png"), name="previous")
    bench.advice                # what was measured to save time: Advice, with its Options
    bench.to_dict(), bench.to_pandas()

`measure` and `compare` take Endpoints that answer in turn (a Worker); `measure_clients` has several clients send at the
same time, as a Server is used. `profile` looks inside one Worker. Importing this imports nothing heavy.

measure.py, compare.py, clients.py, profile.py
                the four functions
cases.py        one sample at one batch size: what the first three of them repeat
results.py      what they return, as plain data
advice.py       what might help, from the figures; options.py has the changes that it measures

It may import endpoints and below. Another way to measure is a function in a module of its own; another piece of advice
is a generator in advice.py.
"""

from handlerkit.bench.clients import measure_clients
from handlerkit.bench.compare import compare
from handlerkit.bench.measure import measure
from handlerkit.bench.profile import profile
from handlerkit.bench.results import Advice, Against, Bench, Change, LineTime, Measurement, Option, Profile
from handlerkit.memory import Memory

__all__ = [
    "Advice",
    "Against",
    "Bench",
    "Change",
    "LineTime",
    "Measurement",
    "Memory",
    "Option",
    "Profile",
    "compare",
    "measure",
    "measure_clients",
    "profile",
]
