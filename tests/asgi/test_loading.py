"""From MODULE:ATTR to an application, and settings that are wrong."""

import sys

import pytest

from asgi import AppNotFound, Settings, load_app

SOURCE = """
class Holder:
    async def app(self, scope, receive, send): "nested"

holder = Holder()
async def app(scope, receive, send): "plain"
def make(): return app
def broken(): raise ValueError("no config")
class Endpoint:
    def __init__(self, scope, receive, send): pass
    def __await__(self): yield
class Framework:
    def __init__(self): pass
    async def __call__(self, scope, receive, send): pass
framework = Framework()
number = 3
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", sys.path.copy())
    (tmp_path / "shop_app.py").write_text(SOURCE)
    (tmp_path / "shop_bad.py").write_text("import not_installed_anywhere")
    (tmp_path / "shop_worse.py").write_text("1 / 0")
    (tmp_path / "shop_package").mkdir()
    (tmp_path / "shop_package" / "main.py").write_text(SOURCE)
    yield str(tmp_path)
    for name in [name for name in sys.modules if name.startswith("shop_")]:
        del sys.modules[name]


@pytest.mark.parametrize("name", ["app", "holder.app", "framework", "Endpoint"])
def test_what_is_found(folder, name):
    app = load_app(f"shop_app:{name}", folder)
    assert callable(app)
    assert load_app(f"shop_package.main:{name}", folder) is not app


def test_factory(folder):
    assert load_app("shop_app:make", folder, factory=True) is sys.modules["shop_app"].app
    assert load_app("shop_app:Framework", folder, factory=True)


@pytest.mark.parametrize(
    ("name", "factory", "message"),
    [
        ("shop_app", False, '"shop_app" is not of the form MODULE:ATTRIBUTE, as in "main:app"'),
        (":app", False, "is not of the form"),
        ("shop_app:", False, "is not of the form"),
        ("shop_none:app", False, 'there is no module "shop_none"'),
        ("shop_package.none:app", False, 'there is no module "shop_package.none"'),
        ("shop_bad:app", False, 'importing "shop_bad" failed: no module named "not_installed_anywhere"'),
        ("shop_worse:app", False, 'importing "shop_worse" failed: ZeroDivisionError: division by zero'),
        ("shop_app:nope", False, 'module "shop_app" has no attribute "nope"'),
        ("shop_app:holder.nope", False, 'module "shop_app" has no attribute "holder.nope"'),
        ("shop_app:number", False, '"shop_app:number" is not an application: int is not callable'),
        ("shop_app:make", False, "looks like something that makes one: try --factory"),
        ("shop_app:Framework", False, "looks like something that makes one: try --factory"),
        ("shop_app:broken", True, 'the factory "shop_app:broken" failed: ValueError: no config'),
    ],
)
def test_what_is_not(folder, name, factory, message):
    with pytest.raises(AppNotFound) as caught:
        load_app(name, folder, factory)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"lifespan": "maybe"},
        {"root_path": "api"},
        {"server_header": "a\r\nb"},
        {"limit_head": 0},
        {"limit_body": -1},
        {"timeout_idle": 0},
        {"timeout_body": float("nan")},
    ],
)
def test_wrong_settings(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Settings(**wrong)
