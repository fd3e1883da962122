"""Examples, which are also installed with the package. Each is a program: ``python examples/quickstart.py``.

quickstart       the first steps
counter_pool     a store as an argument of the tasks of a process pool
customer_memory  a help desk of several processes: memory of a customer, and of one run
agent_pipeline   three agents that pass references to each other, and no data
shared_array     a pool of workers over one large array, which is in memory once
flink_agents_runs    Flink Agents: runs of two agents' actions in several processes, over memory that stays
memswarm_agents      MemSwarm: agents in processes of their own share keys, scopes and a cache
index_stdlib     the tour: a pool of workers builds an index together (`shoal demo` runs it)
"""
