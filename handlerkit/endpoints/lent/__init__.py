"""What WorkerServer is made of: a worker that an application has for one batch at a time, and what clients sent.

- lent_worker: somebody's Worker as one of `serving`'s. served_runs: the last requests of clients, as Runs.

May import the Worker, serving, messages and below. What an application asks of a worker goes into lent_worker.
"""
