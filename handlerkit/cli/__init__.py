"""The command line, for scripts and CI: `handlerkit COMMAND [options]`.

main.py         reads the command's name, runs it, and turns every way out into an exit status
commands.py     the commands by name
check.py ...    one command each: `parser()`, whose options are those of the magic of that name where there is one
                (handlerkit.notebook.parsers), and `run(options)`
progress.py     what a long command says on the standard error

It may import everything but IPython. To add a command: write its module, and name it in commands.py. A module imports
at its top what its parser needs and nothing heavier; `run` imports the rest. Results go to the standard output,
everything else to the standard error.
"""
