"""The notebook: one session, and the magics that call it.

commands/         a file for each command: its options, for the magic and for the command line, and what it calls
options.py        how a line of options is read, and its mistakes
magics.py         the commands as IPython's magics, and what IPython shows by which type
completion.py     what Tab offers
session.py        what the commands call, `hk.session`
models.py         its models, and what %model does with them
session_model.py  one model of the session: its worker, archive and last Run; versions.py keeps its earlier handlers
other_endpoints.py
                  who answers beside its worker
requests.py       what is sent: files, wildcards, folders and values as Requests
cell.py           cells as Python files
project.py        models that are described in handlerkit.toml or pyproject.toml; project_save.py writes them
exports.py, verify_server.py, bench_runs.py, previews.py, case_runs.py, client_server.py
                  what %export, %verify, %bench, %preview, %keep and %test, and %serve do
live.py           streamed answers in the cell while they come
results.py        what a command returns beside Runs, Checks and Reports
progress.py       what a long command says

It may import everything but cli. To add a magic: a file in commands/, and a method of its name in session.py.
"""
