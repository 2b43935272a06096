"""The command line, for editors, scripts and CI: `handlerkit COMMAND [options]`.

main.py               finds the command, runs it, and turns every end into an exit status
commands.py           the commands by name
check.py, request.py, watch.py, serve.py, export.py, verify.py, bench.py, preview.py, test.py, targets.py,
init.py, completion.py
                      one command each: `parser()` and `run(options)`. The options of a command that is a magic too are
                      those of `handlerkit.notebook.commands`, and it does what the magic does (`Command.act`)
setups.py             the models that cases run on
networks.py, project/ what `init` writes
on_model.py           what a command works on: an archive, a handler's file, or a model of handlerkit.toml
output.py             what is written of a result; terminal_pictures.py, github.py: in the forms of terminals and GitHub
progress.py           what a long command says on the standard error

It may import everything but IPython. To add a command: write its module, and name it in commands.py. A module imports
no more at its top than its parser needs; `run` imports the rest. Results go to the standard output, everything else to
the standard error.
"""
