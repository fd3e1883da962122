"""What measures this store beside others: the harness, and the contenders that need nothing but this package.

`shoal bench` runs a small part of it; benchmarks/ of the source tree adds more contenders and more kinds of work.
"""

__all__: list[str] = []
