"""Examples, which are also installed with the package. Each is a program: ``python examples/quickstart.py``.

quickstart     the first steps
counter_pool   a store as an argument of the tasks of a process pool
index_stdlib   the tour: a pool of workers builds an index together (`shoal demo` runs it)
"""
