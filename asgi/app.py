"""From "MODULE:ATTR" to an application."""

import importlib
import inspect
import sys
from typing import Any, cast

from asgi.spec import App


class AppNotFound(Exception):
    """There is no application to serve; the message says in one line what is wrong."""


def load_app(name: str, app_dir: str | None = None, factory: bool = False) -> App:
    """Import the application that `name`, as in "package.module:attribute", stands for.

    `app_dir` is put in front of the module search path. With `factory` the attribute is called without arguments and
    the application is what it returns. Raises AppNotFound.
    """
    module_name, colon, path = name.partition(":")
    if not (module_name and colon and path):
        raise AppNotFound(f'"{name}" is not of the form MODULE:ATTRIBUTE, as in "main:app"')
    if app_dir is not None and app_dir not in sys.path:
        sys.path.insert(0, app_dir)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module_name == missing or module_name.startswith(missing + "."):
            raise AppNotFound(f'there is no module "{missing}" (looked in {app_dir or "the search path"})') from error
        raise AppNotFound(f'importing "{module_name}" failed: no module named "{missing}"') from error
    except Exception as error:
        raise AppNotFound(f'importing "{module_name}" failed: {type(error).__name__}: {error}') from error
    target: Any = module
    for attribute in path.split("."):
        try:
            target = getattr(target, attribute)
        except AttributeError as error:
            raise AppNotFound(f'module "{module_name}" has no attribute "{path}"') from error
    if factory:
        try:
            target = target()
        except Exception as error:
            raise AppNotFound(f'the factory "{name}" failed: {type(error).__name__}: {error}') from error
    if not callable(target):
        raise AppNotFound(f'"{name}" is not an application: {type(target).__name__} is not callable')
    if (inspect.isclass(target) and not hasattr(target, "__await__")) or (
        inspect.isroutine(target) and _takes_nothing(target)
    ):
        raise AppNotFound(f'"{name}" is not an application but looks like something that makes one: try --factory')
    return cast(App, target)


def _takes_nothing(function: Any) -> bool:
    try:
        return not inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
