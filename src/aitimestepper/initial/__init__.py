"""Initial conditions by name or from files, families of problems to sample from, and suites of problems to measure with.

The makers of named initial conditions can be imported from here: `simulate(initial.kepler(e=0.9), t_end=100.0)`.
"""

from .named import InitialConditions as InitialConditions
from .named import agekyan as agekyan
from .named import burrau as burrau
from .named import figure8 as figure8
from .named import file as file
from .named import kepler as kepler
from .named import kozai as kozai
from .named import plummer as plummer
from .named import random as random
from .named import solar as solar
from .named import triple as triple
