"""Where compiled kernels may be kept: what is loaded from there runs as code, so nobody else may write to it."""

from __future__ import annotations

import os
import stat
from typing import Any

from numba.core import caching

# numba gave it this name in 0.62 or later
_OF_USER = getattr(caching, "UserWideCacheLocator", None) or getattr(caching, "_UserWideCacheLocator", None)


def is_private(folder: str | os.PathLike[str]) -> bool:
    """Return whether only this user may write to a folder; a group of which nobody else is a member counts as the user."""
    if not hasattr(os, "getuid"):
        return True
    about = os.stat(folder)
    shared = about.st_mode & stat.S_IWOTH or (about.st_mode & stat.S_IWGRP and not _is_own_group(about.st_gid))
    return about.st_uid == os.getuid() and not shared


def _is_own_group(number: int) -> bool:
    """Return whether a group is the one of this user alone, as Linux makes one for each user: of its name, with no members."""
    import grp
    import pwd

    try:
        group, me = grp.getgrgid(number), pwd.getpwuid(os.getuid())
    except KeyError:
        return False
    return group.gr_gid == me.pw_gid and group.gr_name == me.pw_name and set(group.gr_mem) <= {me.pw_name}


def keep_private(cache: Any, function: Any) -> None:
    """Let a cache of numba lie in the user's own cache if others can write to its folder, or raise a RuntimeError.

    A folder that is not there yet is made by this user.
    """
    if not os.path.isdir(cache._cache_path) or is_private(cache._cache_path):
        return
    locator = None if _OF_USER is None else _OF_USER.from_function(function, function.__code__.co_filename)
    if locator is None or not is_private(locator.get_cache_path()):
        raise RuntimeError("others can write to every folder that compiled kernels could be kept in")
    cache._impl._locator, cache._cache_path = locator, locator.get_cache_path()
    cache._cache_file = caching.IndexDataCacheFile(
        cache_path=cache._cache_path, filename_base=cache._impl.filename_base, source_stamp=locator.get_source_stamp()
    )
