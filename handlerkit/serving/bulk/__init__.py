"""Files and tables through a model's workers, without a server.

- command: `python app.py bulk INPUTS ... OUTPUT`.
- inputs: what is scored: folders, lists of paths, JSON Lines, Parquet.
- scorer: batches on their way to workers and back. on_ray: the same on Ray Data.
- results: what is written, part by part, so that a run that was ended goes on. progress: how far it is.

It imports models_file, models, workers and below; pyarrow and ray where they are needed alone. Another kind of file
goes into inputs or results, beside its like.
"""
