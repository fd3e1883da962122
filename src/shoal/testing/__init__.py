"""What shows that a store keeps its promises while processes are stopped and killed: on your machine, for as long as you like.

python -m shoal.testing.soak             readers, writers and listers at work, killed at random instants
python -m shoal.testing.linearizability  concurrent histories, checked against what one entry may do
"""

__all__: list[str] = []
