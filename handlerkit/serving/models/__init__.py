"""A model that is served: its queue, its batches and the workers that they go to.

- served_model: what is served. running_model: its requests on their way to workers and back, on an event loop.
- job_queue: how jobs become batches. live_queue: the same on an event loop. sequence_queue: in the order of sequences.
- metrics: what is counted, as Prometheus reads it. machine_metrics: what TorchServe's script says of the machine.

Imports workers, documents, frontend and below. Another way to form batches goes beside job_queue.
"""
