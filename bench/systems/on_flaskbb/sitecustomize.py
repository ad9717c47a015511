"""Let FlaskBB, which is of 2018, start on Python 3.11: the names that `collections` lost in 3.10 are put back."""

import collections
import collections.abc

for name in collections.abc.__all__:
    setattr(collections, name, getattr(collections.abc, name))
