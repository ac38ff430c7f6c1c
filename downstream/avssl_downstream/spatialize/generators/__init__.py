"""The generators by name; each is imported only when it is asked for."""

from __future__ import annotations

from importlib import import_module

from avssl.errors import InputError
from avssl.plugins import hint
from avssl_downstream.spatialize.generator import Generator

GENERATORS = {
    "asn": "asn:Asn",
    "foa360": "foa360:Foa360",
    "mono_to_3d": "mono_to_3d:MonoTo3D",
    "pseudo_binaural": "pseudo_binaural:PseudoBinaural",
}


def find(name: str) -> type[Generator]:
    """The class of a generator.

    Raises:
        InputError: there is none of this name.
    """
    if name not in GENERATORS:
        raise InputError(f"a generator is {', '.join(GENERATORS)}, not {name!r}{hint(name, GENERATORS)}")
    module, _, kind = GENERATORS[name].partition(":")
    found: type[Generator] = getattr(import_module(f"{__name__}.{module}"), kind)
    return found
