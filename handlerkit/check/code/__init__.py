"""The code of an archive, read as text.

source.py       one Python file: its tree, where a node is in it, what surrounds it, the names it binds
conditions.py   whether a condition holds in the target: sys.version_info, TYPE_CHECKING, __name__
program.py      what can run: the files that are reached from the handler, and the nodes in them that are
classes.py      the classes that a file defines, as inspect finds them
standard_library.py
                the modules of each version's standard library, and those that every worker has imported
values.py       what an expression evaluates to: texts, and paths in model_dir

It imports nothing else of the kit, and knows nothing of rules, packages or weights: what a rule has to know of the code
in general goes here.
"""
