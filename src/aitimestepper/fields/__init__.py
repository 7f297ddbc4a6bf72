"""Outer fields and extra forces. Their methods take NumPy arrays or torch tensors, and return what they were given.

Shapes: positions x (B, N, D), times t (B,), masses (B, N), in the units of the bodies.
"""

from .between import Oblateness as Oblateness
from .between import PrecessionPotential as PrecessionPotential
from .combined import CombinedField as CombinedField
from .combined import acts_from_outside as acts_from_outside
from .combined import as_field as as_field
from .combined import conserves_spin as conserves_spin
from .combined import constants_of as constants_of
from .combined import field_without_body as field_without_body
from .combined import outside_part as outside_part
from .combined import parts_of as parts_of
from .combined import uses_velocities as uses_velocities
from .halos import LogarithmicHalo as LogarithmicHalo
from .halos import MiyamotoNagaiField as MiyamotoNagaiField
from .halos import NFWField as NFWField
from .halos import PlummerField as PlummerField
from .halos import UniformField as UniformField
from .interface import ExternalField as ExternalField
from .interface import acceleration_by as acceleration_by
from .interface import potential_by as potential_by
from .misfit import refuse_misfit as refuse_misfit
from .own import OwnField as OwnField
from .own import VelocityForce as VelocityForce
from .stored import FIELDS as FIELDS
from .stored import OWN as OWN
from .stored import field_from as field_from
from .stored import field_from_plain as field_from_plain
from .stored import field_named as field_named
from .stored import field_text as field_text
from .stored import field_to_plain as field_to_plain
from .stored import is_known as is_known
from .tidal import Circle as Circle
from .tidal import PointMassTidalField as PointMassTidalField
from .tidal import tidal as tidal
