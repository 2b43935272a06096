"""Files and tables through a model's workers, without a server.

- command: `python app.py bulk INPUTS ... OUTPUT`.
- inputs: what is scored: folders, lists of paths, JSON Lines, Parquet.
- scorer: batches on their way to workers and back. on_ray: the same on Ray Data.
- results: what is written, part by part, so that a run that was ended goes on. progress: how far it is.

pyarrow and ray are imported where they are needed alone.
"""
