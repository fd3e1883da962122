"""Examples, which are also installed with the package. Each is a program: ``python examples/quickstart.py``.

quickstart       the first steps
counter_pool     a store as an argument of the tasks of a process pool
customer_memory  a help desk of several processes: memory of a customer, and of one run
agent_pipeline   three agents that pass references to each other, and no data
shared_array     a pool of workers over one large array, which is in memory once
kairei_session   providers in several processes share sessions, as with KAIREI's shared memory
omagent_worker   workers of OmAgent share images (needs OmAgent)
agno_bucket      sessions of Agno 1's agents, saved to a bucket and loaded from it
agno_desk        agents of Agno 2 and 3 in several processes, at work in one session
index_stdlib     the tour: a pool of workers builds an index together (`shoal demo` runs it)
"""
