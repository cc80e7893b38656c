"""The wish: which algorithm runs, for whom, on how many replicas of what size, and when."""
